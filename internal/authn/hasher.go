package authn

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

// MaxPassword is how many bytes a password may have; longer ones are wrong
// without being hashed. The number is Keystone's max_password_length.
const MaxPassword = 4096

// HasherConfig configures a [Hasher].
type HasherConfig struct {
	Params Params
	// Workers is how many hashes are computed at a time; zero is one less than
	// the processors, at least one.
	Workers int
	// Queue is how many more may wait; zero is 32 for each worker. A login that
	// finds the queue full is sent away at once instead of waiting longer than
	// its client will.
	Queue int
}

// A Hasher makes and verifies password hashes, a bounded number at a time: one
// costs a third of a second of a processor, and validating tokens must not wait
// for a crowd at the door. It is safe for concurrent use.
type Hasher struct {
	params  Params
	slots   chan struct{}
	waiting atomic.Int64
	queue   int64
	// decoy is the hash that a password is compared with when there is none
	// to compare it with. No password is known to match it.
	decoy scheme
}

// NewHasher returns a Hasher.
func NewHasher(c HasherConfig) (*Hasher, error) {
	p, err := c.Params.withDefaults()
	if err != nil {
		return nil, err
	}
	workers, queue := c.Workers, c.Queue
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if queue <= 0 {
		queue = 32 * workers
	}
	return &Hasher{params: p, slots: make(chan struct{}, workers), queue: int64(queue), decoy: p.decoy()}, nil
}

// decoy returns a scheme that costs what verifying a hash made by p costs.
func (p Params) decoy() scheme {
	s := scheme{algorithm: p.Algorithm, cost: p.Cost, r: 8, p: 1}
	switch p.Algorithm {
	case Bcrypt, BcryptSHA256:
		s.salt, s.sum = []byte("abcdefghijklmnopqrstuu"), make([]byte, bcrypt64.EncodedLen(bcryptSumLen))
	case Scrypt:
		s.salt, s.sum = make([]byte, 16), make([]byte, 32)
	case PBKDF2SHA512:
		s.salt, s.sum = make([]byte, 16), make([]byte, 64)
	}
	return s
}

// acquire waits for a slot. The error is of kind Unavailable when too many wait
// already, or the context's.
func (h *Hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.queue {
		h.waiting.Add(-1)
		return &errs.Error{Kind: errs.Unavailable, Msg: "Too many logins at once.", RetryAfter: 5 * time.Second}
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errs.With(errs.Unavailable, context.Cause(ctx), "the login was given up")
	}
}

func (h *Hasher) release() { <-h.slots }

// Hash makes a hash to store. The password has at most [MaxPassword] bytes and
// none of them is zero, else the error is of kind Invalid.
func (h *Hasher) Hash(ctx context.Context, password string) (identity.PasswordHash, error) {
	if !hashable(password) {
		return "", errs.E(errs.Invalid, "The password must have 1 to %d bytes and no zero byte.", MaxPassword)
	}
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	return h.params.hash([]byte(password))
}

// Verify reports whether the password is the one that the hash was made of, and
// whether the hash is worth making anew because it is weaker than those made
// now. An empty hash, as of a user without a password, matches nothing and costs
// as much as one that does; so does a hash that cannot be read, for which the
// error is of kind Internal.
func (h *Hasher) Verify(ctx context.Context, hash identity.PasswordHash, password string) (ok, renew bool, err error) {
	if err := h.acquire(ctx); err != nil {
		return false, false, err
	}
	defer h.release()
	s, real := h.decoy, hash != "" && hashable(password)
	var bad error
	if real {
		if s, bad = parse(hash); bad != nil {
			s, real = h.decoy, false
		}
	}
	ok, err = s.matches([]byte(password[:min(len(password), MaxPassword)]))
	if bad != nil {
		err = bad
	}
	if err != nil {
		return false, false, errs.With(errs.Internal, err, "verifying a password")
	}
	ok = ok && real
	return ok, ok && h.params.weaker(&s), nil
}

// hashable reports whether a password may be hashed: bcrypt takes a zero byte
// for the password's end.
func hashable(password string) bool {
	if password == "" || len(password) > MaxPassword {
		return false
	}
	for i := range len(password) {
		if password[i] == 0 {
			return false
		}
	}
	return true
}
