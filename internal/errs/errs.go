// Package errs is the one vocabulary of failure inside the server.
//
// A domain says what kind of failure it met; each face maps a kind to a status
// and a body in one place. Nothing compares error texts.
package errs

import (
	"errors"
	"fmt"
	"time"
)

// A Kind is why something failed, as far as a caller can act on it. The list is
// closed: adding one means deciding its status in both faces.
type Kind uint8

// The kinds.
const (
	Internal        Kind = iota // our fault; the text is never shown to callers
	Invalid                     // the request is wrong in itself
	Unprocessable               // the request is well formed and its content is not acceptable
	Unauthenticated             // who the caller is could not be established
	Forbidden                   // the caller is known and may not
	NotFound
	Conflict
	Gone     // existed once, on purpose no more
	TooLarge // over a size limit
	TooMany  // over a rate; RetryAfter may be set
	MethodNotAllowed
	NotImplemented
	Unavailable // try again later; RetryAfter may be set
	NumKinds    // how many there are; not a kind
)

var names = [NumKinds]string{
	"internal", "invalid", "unprocessable", "unauthenticated", "forbidden", "not_found", "conflict", "gone", "too_large",
	"too_many", "method_not_allowed", "not_implemented", "unavailable",
}

// String returns the kind's name.
func (k Kind) String() string {
	if k < NumKinds {
		return names[k]
	}
	return "internal"
}

// An Error is a failure of a known kind. Msg is meant for the caller unless the
// kind is Internal; Err is the cause, for the log only.
type Error struct {
	Kind Kind
	Msg  string
	// Detail replaces Msg in faces whose error body can be an object. It is
	// encoded as JSON.
	Detail     any
	RetryAfter time.Duration
	Err        error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// E makes an error of kind k whose message is for the caller.
func E(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// With makes an error of kind k with a caller's message and a cause that only
// the log sees.
func With(k Kind, cause error, format string, args ...any) error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...), Err: cause}
}

// Detail makes an error of kind k whose body is the object d.
func Detail(k Kind, msg string, d any) error { return &Error{Kind: k, Msg: msg, Detail: d} }

// Wrap adds what was tried to err and keeps its kind and its caller's message.
func Wrap(err error, op string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}

// KindOf returns the kind of err: that of the outermost Error in its chain, or
// Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of kind k. A nil error is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// MessageOf returns the message of the outermost Error in err's chain, which is for
// the caller, or "" when there is none or the kind is Internal.
func MessageOf(err error) string {
	var e *Error
	if !errors.As(err, &e) || e.Kind == Internal {
		return ""
	}
	return e.Msg
}
