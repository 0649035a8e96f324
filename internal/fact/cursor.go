package fact

import (
	"encoding/base64"
	"strings"

	"symbolon/internal/errs"
)

// A Cursor says where a page ended: at the row with this timestamp and id. Its zero
// value is before every row.
type Cursor struct {
	Timestamp string
	ID        string
}

// IsZero reports whether c is the start.
func (c Cursor) IsZero() bool { return c == Cursor{} }

// cursorVersion lets a later form be told from this one.
const cursorVersion = "1"

// MaxCursor bounds a cursor's text.
const MaxCursor = 1024

// String returns the text that clients send back, or "" for the start.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + "\n" + c.Timestamp + "\n" + c.ID))
}

var errCursor = errs.Detail(errs.Invalid, "unreadable pagination cursor",
	map[string]string{"code": "invalid_cursor", "message": "unreadable pagination cursor"})

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
	parts := strings.Split(string(b), "\n")
	if len(parts) != 3 || parts[0] != cursorVersion || parts[1] == "" || parts[2] == "" || !validText(string(b)) {
		return Cursor{}, errCursor
	}
	return Cursor{Timestamp: parts[1], ID: parts[2]}, nil
}
