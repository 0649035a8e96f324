package canon

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"symbolon/internal/errs"
)

const (
	// MaxDepth bounds how deeply arrays and objects may nest.
	MaxDepth = 100
	// maxIntDigits bounds an integer, as the reference's language does when
	// it reads one.
	maxIntDigits = 4300
)

// A scanner reads one JSON text (RFC 8259) strictly: nothing before or after
// it but white space, no name twice in an object, no unpaired surrogate, no
// U+0000, and no number that a float64 or maxIntDigits cannot hold.
type scanner struct {
	b     []byte
	i     int
	depth int
}

func malformed(at int, what string) error {
	return errs.E(errs.Invalid, "not valid JSON: %s at byte %d", what, at)
}

func (s *scanner) blank() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	s.blank()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.blank(); s.i != len(s.b) {
		return malformed(s.i, "text after the value")
	}
	return nil
}

// word reads one of the literals true, false and null.
func (s *scanner) word() (byte, error) {
	for _, w := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.i >= len(w) && string(s.b[s.i:s.i+len(w)]) == w {
			s.i += len(w)
			return w[0], nil
		}
	}
	return 0, malformed(s.i, "unexpected text")
}

// A number is one JSON number. An integer has no fraction and no exponent and
// keeps its digits; everything else is a float.
type number struct {
	text    []byte // of an integer, in canonical form
	f       float64
	integer bool
}

func (s *scanner) number() (number, error) {
	start := s.i
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	digits := s.digits()
	if digits == 0 || digits > 1 && s.b[s.i-digits] == '0' {
		return number{}, malformed(start, "bad number")
	}
	integer := true
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if integer = false; s.digits() == 0 {
			return number{}, malformed(start, "bad number")
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if integer = false; s.digits() == 0 {
			return number{}, malformed(start, "bad number")
		}
	}
	text := s.b[start:s.i]
	if integer {
		if digits > maxIntDigits {
			return number{}, errs.E(errs.Unprocessable, "an integer must not have more than %d digits", maxIntDigits)
		}
		if len(text) == 2 && text[0] == '-' && text[1] == '0' {
			text = text[1:]
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !integer {
		return number{}, errs.E(errs.Unprocessable, "a number must be within the range of a 64-bit float")
	}
	return number{text: text, f: f, integer: integer}, nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

// append appends the number in canonical form.
func (n number) append(dst []byte) []byte {
	if n.integer {
		return append(dst, n.text...)
	}
	return AppendFloat(dst, n.f)
}

// finite reports whether the number is one that a float64 can hold.
func (n number) finite() bool { return !math.IsInf(n.f, 0) }

var errUnicode = errs.E(errs.Unprocessable, "text must be valid Unicode without U+0000")

// str reads a string.
func (s *scanner) str() (string, error) {
	if s.peek() != '"' {
		return "", malformed(s.i, "want a string")
	}
	s.i++
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			text := s.b[start:s.i]
			if s.i++; !utf8.Valid(text) {
				return "", errUnicode
			}
			return string(text), nil
		case c == '\\':
			return s.escaped(start)
		case c < 0x20:
			return "", malformed(s.i, "control character in a string")
		}
		s.i++
	}
	return "", malformed(s.i, "unfinished string")
}

// escaped reads on in a string that began at start and has a backslash at the
// present place.
func (s *scanner) escaped(start int) (string, error) {
	out := append(make([]byte, 0, len(s.b[start:s.i])+32), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", errUnicode
			}
			return string(out), nil
		case c < 0x20:
			return "", malformed(s.i-1, "control character in a string")
		case c != '\\':
			out = append(out, c)
			continue
		}
		if s.i >= len(s.b) {
			break
		}
		c = s.b[s.i]
		s.i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := s.unit()
			if err != nil {
				return "", err
			}
			if utf16.IsSurrogate(r) {
				if s.i+1 >= len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
					return "", errUnicode
				}
				s.i += 2
				low, err := s.unit()
				if err != nil {
					return "", err
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return "", errUnicode
				}
			}
			if r == 0 {
				return "", errUnicode
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", malformed(s.i-1, "unknown escape")
		}
	}
	return "", malformed(s.i, "unfinished string")
}

// unit reads the four digits of a \u escape.
func (s *scanner) unit() (r rune, err error) {
	if len(s.b)-s.i < 4 {
		return 0, malformed(s.i, "unfinished escape")
	}
	for _, c := range s.b[s.i : s.i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, malformed(s.i, "bad escape")
		}
	}
	s.i += 4
	return r, nil
}

// array reads an array and calls item before each value, which must read it.
func (s *scanner) array(item func(n int) error) error {
	return s.many(']', item)
}

// object reads an object and calls member before each value, which must read it.
func (s *scanner) object(member func(n int, name string) error) error {
	var few [8]string
	names := few[:0]
	var seen map[string]bool
	return s.many('}', func(n int) error {
		at := s.i
		name, err := s.str()
		if err != nil {
			return err
		}
		if seen == nil && len(names) == len(few) {
			seen = make(map[string]bool)
			for _, o := range names {
				seen[o] = true
			}
		}
		twice := seen[name]
		for _, o := range names {
			twice = twice || seen == nil && o == name
		}
		if twice {
			return malformed(at, "a name twice in one object")
		}
		if seen != nil {
			seen[name] = true
		} else {
			names = append(names, name)
		}
		if s.peek() != ':' {
			return malformed(s.i, "want a colon")
		}
		s.i++
		return member(n, name)
	})
}

// many reads what stands between an opening bracket, at the present place, and
// its closing one: nothing, or items with commas between them.
func (s *scanner) many(closing byte, item func(n int) error) error {
	if s.depth++; s.depth > MaxDepth {
		return errs.E(errs.Unprocessable, "JSON must not nest more than %d deep", MaxDepth)
	}
	s.i++
	for n := 0; ; n++ {
		if c := s.peek(); c == closing && n == 0 {
			break
		}
		if err := item(n); err != nil {
			return err
		}
		c := s.peek()
		if c == closing {
			break
		}
		if c != ',' {
			return malformed(s.i, "want a comma or the end")
		}
		s.i++
	}
	s.i++
	s.depth--
	return nil
}
