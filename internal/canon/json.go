package canon

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"symbolon/internal/errs"
)

// JSON returns the canonical text of the JSON text raw: names sorted by code
// point, no white space, strings in the given form, integers with all their
// digits, floats as AppendFloat spells them. Members of the outermost object that
// are named in without are left out; raw must then be an object.
//
// It reads strictly. The error is of kind Invalid for what is not JSON or has a
// name twice, and Unprocessable for text that is no Unicode, numbers out of range
// and nesting beyond MaxDepth.
func JSON(raw []byte, form Form, without ...string) ([]byte, error) {
	c := canoniser{scanner: scanner{b: raw}, form: form, without: without}
	if len(without) > 0 && c.peek() != '{' {
		return nil, errs.E(errs.Invalid, "want a JSON object")
	}
	out, err := c.value(make([]byte, 0, len(raw)))
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Marshal returns the canonical text of what encoding/json makes of v. Floats
// must be of type Float, since encoding/json alone would write 1.0 as an integer.
func Marshal(v any, form Form, without ...string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, errs.With(errs.Internal, err, "canon: marshal")
	}
	return JSON(b.Bytes(), form, without...)
}

type canoniser struct {
	scanner
	form    Form
	without []string
}

// value reads one value and appends its canonical text.
func (c *canoniser) value(dst []byte) ([]byte, error) {
	var err error
	switch b := c.peek(); {
	case b == '{':
		return c.members(dst)
	case b == '[':
		dst = append(dst, '[')
		err = c.array(func(n int) (err error) {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst, err = c.value(dst)
			return err
		})
		return append(dst, ']'), err
	case b == '"':
		var s string
		if s, err = c.str(); err == nil {
			dst = AppendString(dst, s, c.form)
		}
	case b == '-' || b >= '0' && b <= '9':
		var n number
		if n, err = c.number(); err == nil {
			dst = n.append(dst)
		}
	default:
		start := c.i
		if _, err = c.word(); err == nil {
			dst = append(dst, c.b[start:c.i]...)
		}
	}
	return dst, err
}

// members reads an object. Each member is written behind dst as it comes, and
// the whole is put in order at the end.
func (c *canoniser) members(dst []byte) ([]byte, error) {
	type member struct {
		name     string
		from, to int
	}
	var ms []member
	start, outermost := len(dst), c.depth == 0
	err := c.object(func(_ int, name string) (err error) {
		m := member{name: name, from: len(dst)}
		dst = AppendString(dst, name, c.form)
		dst = append(dst, ':')
		if dst, err = c.value(dst); err != nil {
			return err
		}
		if outermost && slices.Contains(c.without, name) {
			dst = dst[:m.from]
			return nil
		}
		m.to = len(dst)
		ms = append(ms, m)
		return nil
	})
	if err != nil {
		return dst, err
	}
	// Byte order of UTF-8 is code point order.
	slices.SortFunc(ms, func(a, b member) int { return strings.Compare(a.name, b.name) })
	sorted := make([]byte, 0, len(dst)-start+len(ms)+2)
	sorted = append(sorted, '{')
	for i, m := range ms {
		if i > 0 {
			sorted = append(sorted, ',')
		}
		sorted = append(sorted, dst[m.from:m.to]...)
	}
	sorted = append(sorted, '}')
	return append(dst[:start], sorted...), nil
}

// HasLoneSurrogate reports whether a JSON text escapes half of a surrogate pair.
// encoding/json silently puts U+FFFD in its place; a face that decodes with it asks
// here first and refuses the body.
func HasLoneSurrogate(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || i+1 >= len(raw) {
			return false
		}
		raw = raw[i+1:]
		if raw[0] != 'u' {
			raw = raw[1:]
			continue
		}
		s := scanner{b: raw, i: 1}
		r, err := s.unit()
		if err != nil {
			return false // not JSON; the decoder will say so
		}
		raw = raw[s.i:]
		switch {
		case r < 0xD800 || r > 0xDFFF:
		case r >= 0xDC00 || len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u':
			return true
		default:
			s = scanner{b: raw, i: 2}
			low, err := s.unit()
			if err != nil || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			raw = raw[s.i:]
		}
	}
}
