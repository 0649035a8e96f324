package sqltext

import "errors"

// A Class is what an engine's error means to the store.
type Class uint8

// The classes.
const (
	Other        Class = iota
	Unique             // a unique or primary key exists already
	ForeignKey         // a referenced row is missing, or a row is still referenced
	Check              // a CHECK, NOT NULL or trigger refused the row
	Retry              // the transaction lost to another and may be run again
	Busy               // another process holds the database for too long
	Full               // no space, or the device failed
	Unreachable        // the connection is gone; nothing was committed
	Unknown            // the connection went away during commit: the outcome is not known
	Corrupt            // the database file is damaged
	NoTable            // a table is missing
	NotADatabase       // the file is none of this engine's
)

// An Error is an engine's error with its class.
type Error struct {
	Class Class
	// Constraint names the constraint or the columns that refused, where the
	// engine says so.
	Constraint string
	Err        error
}

// Error returns the engine's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the engine's error.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of err, or Other.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Other
}
