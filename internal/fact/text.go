package fact

import (
	"strings"
	"unicode/utf8"
)

// validText reports whether s can be stored on every engine: valid UTF-8 without
// NUL.
func validText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
