package epoch

import "time"

// A Fault says why an instant is not acceptable. The zero Fault is none.
type Fault uint8

// The faults that a [Window] finds.
const (
	Fine Fault = iota
	Expired
	NotYetValid
	IssuedInFuture
	IssuedTooLongAgo
	LifetimeTooLong
)

// A Window is the one check of a token's times, used by every kind of token.
// The zero Window tolerates no skew, grants no grace and sets no bound on age or
// lifetime.
type Window struct {
	// Leeway is the clock skew tolerated in either direction.
	Leeway time.Duration
	// Grace is added to Leeway for expiry alone, for callers that may look
	// at a token for some time after it expired.
	Grace time.Duration
	// MaxAge bounds how long ago a token was issued; zero sets no bound. No
	// leeway is added to it.
	MaxAge time.Duration
	// MaxLifetime bounds the time from issue to expiry, Leeway added; zero
	// sets no bound.
	MaxLifetime time.Duration
	// ExpiredAtExpiry makes a token expired at the very instant of its
	// expiry instead of after it.
	ExpiredAtExpiry bool
}

// Expiry checks the instant of expiry.
func (w Window) Expiry(now, expires time.Time) Fault {
	end := expires.Add(w.Leeway + w.Grace)
	if now.After(end) || w.ExpiredAtExpiry && now.Equal(end) {
		return Expired
	}
	return Fine
}

// IssuedFuture checks that a token was not issued in the future.
func (w Window) IssuedFuture(now, issued time.Time) Fault {
	if issued.After(now.Add(w.Leeway)) {
		return IssuedInFuture
	}
	return Fine
}

// IssuedAge checks that a token was not issued too long ago.
func (w Window) IssuedAge(now, issued time.Time) Fault {
	if w.MaxAge > 0 && issued.Before(now.Add(-w.MaxAge)) {
		return IssuedTooLongAgo
	}
	return Fine
}

// NotBefore checks the instant from which a token is valid.
func (w Window) NotBefore(now, notBefore time.Time) Fault {
	if notBefore.After(now.Add(w.Leeway)) {
		return NotYetValid
	}
	return Fine
}

// Lifetime checks the time from issue to expiry.
func (w Window) Lifetime(issued, expires time.Time) Fault {
	if w.MaxLifetime > 0 && expires.Sub(issued) > w.MaxLifetime+w.Leeway {
		return LifetimeTooLong
	}
	return Fine
}

// Check makes every check that needs an issue and an expiry instant, in the
// order expiry, future issue, age, lifetime, and returns the first fault.
func (w Window) Check(now, issued, expires time.Time) Fault {
	if f := w.Expiry(now, expires); f != Fine {
		return f
	}
	if f := w.IssuedFuture(now, issued); f != Fine {
		return f
	}
	if f := w.IssuedAge(now, issued); f != Fine {
		return f
	}
	return w.Lifetime(issued, expires)
}
