package issuer

import "context"

// facts is what a Token was computed from.
type facts struct{}

// An Authenticator accepts the token texts that callers bring.
type Authenticator interface {
	// Authenticate returns the token that text names, or a *token.Rejection
	// saying why it is refused, or an error of kind Unavailable.
	Authenticate(ctx context.Context, text string) (*Token, error)
}
