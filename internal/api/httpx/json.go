package httpx

import (
	"fmt"
	"unicode/utf8"
)

// A JSONFault is what is wrong with a JSON text.
type JSONFault uint8

// The faults that [CheckJSON] finds.
const (
	JSONSyntax    JSONFault = iota + 1 // not JSON, or more than one value
	JSONTooDeep                        // nested deeper than allowed
	JSONDuplicate                      // a member name given twice in one object
	JSONText                           // not UTF-8, or an unpaired surrogate
)

// A JSONError says where and why a text is refused. Offset counts bytes.
type JSONError struct {
	Fault  JSONFault
	Offset int
	Msg    string
}

// Error returns the message and the offset.
func (e *JSONError) Error() string { return fmt.Sprintf("%s at byte %d", e.Msg, e.Offset) }

// CheckJSON checks that b is one JSON value (RFC 8259) in UTF-8 without unpaired
// surrogates or repeated member names, nested at most maxDepth deep. It takes time
// and memory in proportion to b, so that what encoding/json then decodes has one
// meaning and costs no more than its size. The error is a *JSONError.
func CheckJSON(b []byte, maxDepth int) error {
	c := checker{b: b, max: maxDepth}
	c.space()
	if err := c.value(0); err != nil {
		return err
	}
	c.space()
	if c.i != len(b) {
		return c.fail(JSONSyntax, "extra data")
	}
	return nil
}

type checker struct {
	b   []byte
	i   int
	max int
}

func (c *checker) fail(f JSONFault, msg string) *JSONError { return &JSONError{f, c.i, msg} }

func (c *checker) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

func (c *checker) value(depth int) error {
	if c.i == len(c.b) {
		return c.fail(JSONSyntax, "expecting value")
	}
	switch ch := c.b[c.i]; {
	case ch == '{':
		return c.object(depth + 1)
	case ch == '[':
		return c.array(depth + 1)
	case ch == '"':
		_, err := c.text(false)
		return err
	case ch == '-' || ch >= '0' && ch <= '9':
		return c.number()
	case ch == 't':
		return c.word("true")
	case ch == 'f':
		return c.word("false")
	case ch == 'n':
		return c.word("null")
	}
	return c.fail(JSONSyntax, "expecting value")
}

func (c *checker) word(w string) error {
	if len(c.b)-c.i < len(w) || string(c.b[c.i:c.i+len(w)]) != w {
		return c.fail(JSONSyntax, "expecting value")
	}
	c.i += len(w)
	return nil
}

func (c *checker) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
		c.i++
	}
	return c.i > start
}

func (c *checker) number() error {
	if c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else if !c.digits() {
		return c.fail(JSONSyntax, "expecting a digit")
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		c.i++
		if !c.digits() {
			return c.fail(JSONSyntax, "expecting a digit")
		}
	}
	if c.i < len(c.b) && (c.b[c.i] == 'e' || c.b[c.i] == 'E') {
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		if !c.digits() {
			return c.fail(JSONSyntax, "expecting a digit")
		}
	}
	return nil
}

func (c *checker) array(depth int) error {
	if depth > c.max {
		return c.fail(JSONTooDeep, "nested too deeply")
	}
	c.i++
	c.space()
	if c.i < len(c.b) && c.b[c.i] == ']' {
		c.i++
		return nil
	}
	for {
		c.space()
		if err := c.value(depth); err != nil {
			return err
		}
		c.space()
		if c.i == len(c.b) {
			return c.fail(JSONSyntax, "expecting ',' delimiter")
		}
		switch c.b[c.i] {
		case ',':
			c.i++
		case ']':
			c.i++
			return nil
		default:
			return c.fail(JSONSyntax, "expecting ',' delimiter")
		}
	}
}

// fewMembers is how many names are compared one with another before a set is made.
const fewMembers = 16

func (c *checker) object(depth int) error {
	if depth > c.max {
		return c.fail(JSONTooDeep, "nested too deeply")
	}
	c.i++
	c.space()
	if c.i < len(c.b) && c.b[c.i] == '}' {
		c.i++
		return nil
	}
	var few [fewMembers]string
	names := few[:0]
	var set map[string]struct{}
	for {
		c.space()
		at := c.i
		if c.i == len(c.b) || c.b[c.i] != '"' {
			return c.fail(JSONSyntax, "expecting property name enclosed in double quotes")
		}
		name, err := c.text(true)
		if err != nil {
			return err
		}
		dup := false
		if set != nil {
			_, dup = set[name]
			set[name] = struct{}{}
		} else {
			for _, n := range names {
				dup = dup || n == name
			}
			names = append(names, name)
			if len(names) == fewMembers {
				set = make(map[string]struct{}, 2*fewMembers)
				for _, n := range names {
					set[n] = struct{}{}
				}
			}
		}
		if dup {
			c.i = at
			return c.fail(JSONDuplicate, "duplicate property name")
		}
		c.space()
		if c.i == len(c.b) || c.b[c.i] != ':' {
			return c.fail(JSONSyntax, "expecting ':' delimiter")
		}
		c.i++
		c.space()
		if err := c.value(depth); err != nil {
			return err
		}
		c.space()
		if c.i == len(c.b) {
			return c.fail(JSONSyntax, "expecting ',' delimiter")
		}
		switch c.b[c.i] {
		case ',':
			c.i++
		case '}':
			c.i++
			return nil
		default:
			return c.fail(JSONSyntax, "expecting ',' delimiter")
		}
	}
}

// text reads a string. With wanted it returns its meaning, so that two spellings of
// one member name are seen to be the same.
func (c *checker) text(wanted bool) (string, error) {
	start := c.i
	c.i++
	from := c.i
	var out []byte // nil while no escape was met
	for c.i < len(c.b) {
		switch ch := c.b[c.i]; {
		case ch == '"':
			end := c.i
			c.i++
			switch {
			case !wanted:
				return "", nil
			case out == nil:
				return string(c.b[from:end]), nil
			}
			return string(append(out, c.b[from:end]...)), nil
		case ch == '\\':
			part := c.b[from:c.i]
			r, err := c.escape()
			if err != nil {
				return "", err
			}
			if wanted {
				out = utf8.AppendRune(append(out, part...), r)
			}
			from = c.i
		case ch < 0x20:
			return "", c.fail(JSONSyntax, "invalid control character")
		case ch < utf8.RuneSelf:
			c.i++
		default:
			r, size := utf8.DecodeRune(c.b[c.i:])
			if r == utf8.RuneError && size <= 1 {
				return "", c.fail(JSONText, "invalid UTF-8")
			}
			c.i += size
		}
	}
	c.i = start
	return "", c.fail(JSONSyntax, "unterminated string starting")
}

func (c *checker) escape() (rune, error) {
	at := c.i
	c.i++
	if c.i == len(c.b) {
		return 0, c.fail(JSONSyntax, "invalid \\escape")
	}
	ch := c.b[c.i]
	c.i++
	switch ch {
	case '"', '\\', '/':
		return rune(ch), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, ok := c.hex4()
		if !ok {
			c.i = at
			return 0, c.fail(JSONSyntax, "invalid \\uXXXX escape")
		}
		switch {
		case r >= 0xDC00 && r <= 0xDFFF:
		case r >= 0xD800 && r <= 0xDBFF:
			if len(c.b)-c.i >= 2 && c.b[c.i] == '\\' && c.b[c.i+1] == 'u' {
				c.i += 2
				if lo, ok := c.hex4(); ok && lo >= 0xDC00 && lo <= 0xDFFF {
					return 0x10000 + (r-0xD800)<<10 + (lo - 0xDC00), nil
				}
			}
		default:
			return r, nil
		}
		c.i = at
		return 0, c.fail(JSONText, "unpaired surrogate")
	}
	c.i = at
	return 0, c.fail(JSONSyntax, "invalid \\escape")
}

func (c *checker) hex4() (rune, bool) {
	if len(c.b)-c.i < 4 {
		return 0, false
	}
	var r rune
	for _, ch := range c.b[c.i : c.i+4] {
		switch {
		case ch >= '0' && ch <= '9':
			r = r<<4 | rune(ch-'0')
		case ch >= 'a' && ch <= 'f':
			r = r<<4 | rune(ch-'a'+10)
		case ch >= 'A' && ch <= 'F':
			r = r<<4 | rune(ch-'A'+10)
		default:
			return 0, false
		}
	}
	c.i += 4
	return r, true
}
