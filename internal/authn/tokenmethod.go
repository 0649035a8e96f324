package authn

import (
	"context"
	"encoding/json"
	"errors"

	"symbolon/internal/errs"
	"symbolon/internal/issuer"
	"symbolon/token"
)

// tokenMethod is the method "token": who holds a token is its user. What is made
// of it lives no longer and belongs to the same chain.
type tokenMethod struct{ s *Service }

func (tokenMethod) Name() string { return "token" }

// Parse reads {"id": "..."}.
func (tokenMethod) Parse(data json.RawMessage) (any, error) {
	o, err := readObject(data, "token")
	if err != nil {
		return nil, err
	}
	if _, ok := o["id"]; !ok {
		return nil, missing("id", "token")
	}
	var text string
	err = o.text("id", &text)
	return text, err
}

// Authenticate validates the token. One that is refused is not found, as the
// protocol has it.
func (m tokenMethod) Authenticate(ctx context.Context, data any, scope issuer.ScopeKind) (Proof, error) {
	t, err := m.s.Issuer.Validate(ctx, data.(string), issuer.Options{})
	if err != nil {
		var rej *token.Rejection
		if errors.As(err, &rej) {
			m.s.Observe(ctx, Failure{Reason: BadToken, Method: m.Name(), At: m.s.Now()})
			return Proof{}, errs.With(errs.NotFound, err, "Failed to validate token")
		}
		return Proof{}, err
	}
	if err := m.s.Issuer.CheckRescope(t, scope); err != nil {
		return Proof{}, err
	}
	return Proof{UserID: t.BearerID, Methods: t.Methods, ExpiresAt: t.ExpiresAt, ChainID: t.ChainID()}, nil
}
