package fact

import (
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/principal"
)

// A Service is the memory of one node. Its methods are safe for concurrent use.
type Service struct {
	store Store
	now   func() time.Time
}

// New returns the memory kept in store, with now as the wall clock.
func New(store Store, now func() time.Time) *Service { return &Service{store: store, now: now} }

// Timestamp returns the wire's text of an instant: UTC with microseconds, which are
// left out when they are zero (Stigmem wire §1.3). Texts compare as the instants do.
func Timestamp(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond()/1000 == 0 {
		return t.Format("2006-01-02T15:04:05+00:00")
	}
	return t.Format("2006-01-02T15:04:05.000000+00:00")
}

func may(p principal.Principal, perm principal.Permission) error {
	if p.Can(perm) {
		return nil
	}
	return errs.E(errs.Forbidden, "%s permission required", perm)
}

// coded makes an error whose body is an object with a code and a message.
func coded(k errs.Kind, code, message string) error {
	return errs.Detail(k, message, Coded{Code: code, Message: message})
}

// Coded is the body of an error that programs are meant to tell apart.
type Coded struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
