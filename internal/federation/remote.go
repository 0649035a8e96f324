package federation

import (
	"context"
	"time"
)

// Remote reaches other nodes. Every method gives up after a bounded time and reads
// a bounded body; it follows no redirect. What could not be reached is an error of
// kind Unavailable, an address that must not be reached one of kind Forbidden, and
// a body over its bound one of kind TooLarge; a reply of any status is no error.
type Remote interface {
	// Discover fetches a node's /.well-known/stigmem.
	Discover(ctx context.Context, nodeURL string) (Reply, error)
	// Pull fetches one page of facts with a peer token.
	Pull(ctx context.Context, nodeURL, token string, q PullQuery) (Reply, error)
	// Declare posts a declaration with an API key of the node it goes to.
	Declare(ctx context.Context, nodeURL string, key APIKey, declaration []byte) (Reply, error)
}

// A Reply is an answer of another node. All of it is that node's word.
type Reply struct {
	Status int
	Body   []byte
	// RetryAfter is how long the node asks to be left alone; zero when it
	// does not say.
	RetryAfter time.Duration
	// Date is the node's clock, to the second; zero when it does not say.
	Date time.Time
	// Proven is set when the transport proved who answered; Identities then
	// are the URI names of the certificate.
	Proven     bool
	Identities []string
}

// A PullQuery asks for the facts after a cursor; an empty cursor is from the start.
type PullQuery struct {
	Cursor string
	Limit  int
}

// An APIKey is a credential of another node's, without a printable form.
type APIKey string

// String hides the key.
func (APIKey) String() string { return "[api key]" }

// GoString hides the key.
func (APIKey) GoString() string { return "[api key]" }

// MarshalText hides the key.
func (APIKey) MarshalText() ([]byte, error) { return []byte("[api key]"), nil }
