package peertoken

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const maxDepth = 32

// A value is one JSON value, by its first byte and its text.
type value struct {
	kind byte // '{', '[', '"', 't', 'f', 'n', '0' for a number, or 0 for none
	raw  []byte
}

// A scanner reads JSON (RFC 8259) strictly, and copies nothing that is not escaped:
// one value, no name twice in an object, no unpaired surrogate, no U+0000, bounded
// depth. The text must be valid UTF-8. It is fuzzed against the canonical encoder
// and encoding/json.
type scanner struct {
	b     []byte
	i     int
	depth int
}

// object reads a whole text that is one JSON object and calls visit with each
// member of it; the name is decoded. It reports whether the text was one.
func object(text []byte, visit func(name []byte, v value)) bool {
	if !utf8.Valid(text) {
		return false
	}
	s := scanner{b: text}
	return s.peek() == '{' && s.members(visit) && s.peek() == 0 && s.i == len(s.b)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) value() (value, bool) {
	c := s.peek()
	v, start, ok := value{kind: c}, s.i, false
	switch c {
	case '{':
		ok = s.members(nil)
	case '[':
		ok = s.elements(nil)
	case '"':
		ok = s.str()
	case 't':
		ok = s.word("true")
	case 'f':
		ok = s.word("false")
	case 'n':
		ok = s.word("null")
	default:
		v.kind = '0'
		ok = s.number()
	}
	v.raw = s.b[start:s.i]
	return v, ok
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) number() bool {
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	first := s.i
	if n := s.digits(); n == 0 || n > 1 && s.b[first] == '0' {
		return false
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return false
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		return s.digits() > 0
	}
	return true
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i - start
}

// str reads a string, quotes included.
func (s *scanner) str() bool {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c < 0x20:
			return false
		case c == '\\':
			if s.i++; s.i >= len(s.b) {
				return false
			}
			switch s.b[s.i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if !s.escape() {
					return false
				}
			default:
				return false
			}
		}
	}
	return false
}

// escape reads the digits after \u, and the second half of a surrogate pair. It
// ends at the last byte that it read.
func (s *scanner) escape() bool {
	r, ok := hex4(s.b[s.i+1:])
	if !ok || r == 0 {
		return false
	}
	s.i += 4
	if !utf16.IsSurrogate(r) {
		return true
	}
	rest := s.b[s.i+1:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return false
	}
	low, ok := hex4(rest[2:])
	if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
		return false
	}
	s.i += 6
	return true
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unquote decodes a string that str read.
func unquote(raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
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
			r, _ := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[i+3:])
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
	}
	return out
}

// elements reads an array and calls visit, if not nil, with each element.
func (s *scanner) elements(visit func(v value)) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	s.i++
	if s.peek() != ']' {
		for {
			v, ok := s.value()
			if !ok {
				return false
			}
			if visit != nil {
				visit(v)
			}
			c := s.peek()
			if c == ']' {
				break
			}
			if c != ',' {
				return false
			}
			s.i++
		}
	}
	s.i++
	s.depth--
	return true
}

// manyNames is from how many members on an object's names are kept in a map.
const manyNames = 16

// members reads an object and calls visit, if not nil, with each member.
func (s *scanner) members(visit func(name []byte, v value)) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	s.i++
	if s.peek() == '}' {
		s.i++
		s.depth--
		return true
	}
	var few [manyNames][]byte
	var many map[string]bool
	for n := 0; ; n++ {
		if s.peek() != '"' {
			return false
		}
		start := s.i
		if !s.str() {
			return false
		}
		name := unquote(s.b[start:s.i])
		switch {
		case n < manyNames:
			for _, o := range few[:n] {
				if bytes.Equal(o, name) {
					return false
				}
			}
			few[n] = name
		default:
			if many == nil {
				many = make(map[string]bool)
				for _, o := range few {
					many[string(o)] = true
				}
			}
			if many[string(name)] {
				return false
			}
			many[string(name)] = true
		}
		if s.peek() != ':' {
			return false
		}
		s.i++
		v, ok := s.value()
		if !ok {
			return false
		}
		if visit != nil {
			visit(name, v)
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			s.depth--
			return true
		default:
			return false
		}
	}
}
