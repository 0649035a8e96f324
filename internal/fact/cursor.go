package fact

import (
	"encoding/base64"
	"strings"

	"symbolon/internal/errs"
)

// A Cursor says where a page ended, by a text that only whoever made it reads: for
// facts the clock value of the last row, for conflicts their instant and id. Its zero
// value is before every row.
type Cursor struct {
	// At orders the rows.
	At string
	// ID tells rows of one At apart, where that is needed.
	ID string
}

// IsZero reports whether c is the start.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// MaxCursor bounds a cursor's text.
const MaxCursor = 1024

// String returns the text that clients send back, or "" for the start.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(c.At + "\n" + c.ID))
}

var errCursor = coded(errs.Invalid, "invalid_cursor", "unreadable pagination cursor")

// ParseCursor reads what [Cursor.String] wrote, and nothing else. The error is of
// kind Invalid.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	if len(s) > MaxCursor || strings.ContainsAny(s, "\r\n") {
		return Cursor{}, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Cursor{}, errCursor
	}
	at, last, ok := strings.Cut(string(b), "\n")
	if !ok || at == "" || strings.Contains(last, "\n") || !validText(string(b)) {
		return Cursor{}, errCursor
	}
	return Cursor{At: at, ID: last}, nil
}
