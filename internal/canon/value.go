package canon

import (
	"math/big"
	"strconv"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// A ValueType is the type of a fact's value (Stigmem wire §4).
type ValueType string

// The value types.
const (
	String   ValueType = "string"
	Text     ValueType = "text"
	Number   ValueType = "number"
	Boolean  ValueType = "boolean"
	Datetime ValueType = "datetime"
	Ref      ValueType = "ref"
	Null     ValueType = "null"
)

// ParseValueType returns the type that s names exactly.
func ParseValueType(s string) (ValueType, error) {
	switch t := ValueType(s); t {
	case String, Text, Number, Boolean, Datetime, Ref, Null:
		return t, nil
	}
	return "", errs.E(errs.Invalid, "type must be one of 'boolean', 'datetime', 'null', 'number', 'ref', 'string', 'text'")
}

// EncodeValue returns the text under which a value is stored, hashed and served.
// raw is the value's JSON text; an empty raw is null. The text is that of Stigmem
// wire §5.2 with one difference: a number is always spelt as the float that is
// served (42 becomes 42.0), because the reference hashes one spelling and serves
// another, and its peers then refuse the fact.
//
// Errors are of kind Invalid for what is not JSON, and Unprocessable for a number
// that is none or is not finite, for text that is no Unicode and for excessive
// nesting.
func EncodeValue(t ValueType, raw []byte) (string, error) {
	if t != Number {
		return ReferenceValue(t, raw)
	}
	s := scanner{b: raw}
	var f float64
	switch b := s.peek(); {
	case b == '"':
		text, err := s.str()
		if err != nil {
			return "", err
		}
		var ok bool
		if f, ok = parseFloat(text); !ok {
			return "", errNumber
		}
	case b == '-' || b >= '0' && b <= '9':
		n, err := s.number()
		if err != nil {
			return "", err
		}
		if !n.finite() {
			return "", errNumber
		}
		f = n.f
	default:
		// Well-formed JSON of another shape, or nothing at all, is no number;
		// what is not JSON is said to be that.
		if _, err := ReferenceValue(String, raw); err != nil {
			return "", err
		}
		return "", errNumber
	}
	if err := s.end(); err != nil {
		return "", err
	}
	return string(AppendFloat(make([]byte, 0, 24), f)), nil
}

var errNumber = errs.E(errs.Unprocessable, "value.v must be a finite number when the type is number")

// parseFloat reads a number's text as the reference does: blanks around it and
// single underscores between digits are allowed. It accepts ASCII digits only,
// and neither an infinity nor NaN.
func parseFloat(s string) (float64, bool) {
	s = id.Strip(s)
	if len(s) > 2*maxIntDigits {
		return 0, false
	}
	digit := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }
	for i := range len(s) {
		switch c := s[i]; {
		case digit(i) || c == '.' || c == '+' || c == '-' || c == 'e' || c == 'E':
		case c == '_' && digit(i-1) && digit(i+1):
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil
}

// ReferenceValue returns the text that the reference makes of a value (Stigmem
// wire §5.2): what clients sign in an attestation, and what reference nodes hash.
// It differs from EncodeValue for numbers alone, which keep their JSON spelling
// here; whether they are numbers is not checked.
func ReferenceValue(t ValueType, raw []byte) (string, error) {
	s := scanner{b: raw}
	if s.peek() == 0 && s.i == len(raw) {
		s = scanner{b: []byte("null")}
	}
	switch t {
	case Null, Boolean:
		truthy, err := s.truthy()
		if err == nil {
			err = s.end()
		}
		switch {
		case err != nil:
			return "", err
		case t == Null:
			return "null", nil
		case truthy:
			return "true", nil
		}
		return "false", nil
	case String, Text, Number, Datetime, Ref:
	}
	if s.peek() == '"' {
		text, err := s.str()
		if err == nil {
			err = s.end()
		}
		if err != nil {
			return "", err
		}
		return text, nil
	}
	out, err := s.literal(nil)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return "", err
	}
	return string(out), nil
}

// literal reads one value and appends it as the reference's language prints it
// inside a list: quoted strings, None, True, False.
func (s *scanner) literal(dst []byte) ([]byte, error) {
	var err error
	switch b := s.peek(); {
	case b == '{':
		dst = append(dst, '{')
		err = s.object(func(n int, name string) (err error) {
			if n > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(id.AppendQuote(dst, name), ": "...)
			dst, err = s.literal(dst)
			return err
		})
		return append(dst, '}'), err
	case b == '[':
		dst = append(dst, '[')
		err = s.array(func(n int) (err error) {
			if n > 0 {
				dst = append(dst, ", "...)
			}
			dst, err = s.literal(dst)
			return err
		})
		return append(dst, ']'), err
	case b == '"':
		var text string
		if text, err = s.str(); err == nil {
			dst = id.AppendQuote(dst, text)
		}
	case b == '-' || b >= '0' && b <= '9':
		var n number
		if n, err = s.number(); err == nil {
			dst = n.append(dst)
		}
	default:
		var w byte
		w, err = s.word()
		switch w {
		case 't':
			dst = append(dst, "True"...)
		case 'f':
			dst = append(dst, "False"...)
		case 'n':
			dst = append(dst, "None"...)
		}
	}
	return dst, err
}

// truthy reads one value and reports whether the reference's language takes it
// for true: everything but null, false, zero and what is empty.
func (s *scanner) truthy() (bool, error) {
	switch b := s.peek(); {
	case b == '{':
		any := false
		err := s.object(func(int, string) error { any = true; _, err := s.truthy(); return err })
		return any, err
	case b == '[':
		any := false
		err := s.array(func(int) error { any = true; _, err := s.truthy(); return err })
		return any, err
	case b == '"':
		text, err := s.str()
		return text != "", err
	case b == '-' || b >= '0' && b <= '9':
		n, err := s.number()
		return n.f != 0, err
	}
	w, err := s.word()
	return w == 't', err
}

// receivedForms returns the texts under which a peer may have hashed a value
// that it sent as raw: the canonical one first, then as it was sent, then, for a
// number without a fraction, as an integer.
func receivedForms(t ValueType, raw []byte) ([]string, error) {
	own, err := EncodeValue(t, raw)
	if err != nil {
		return nil, err
	}
	forms := []string{own}
	if t != Number {
		return forms, nil
	}
	sent, err := ReferenceValue(t, raw)
	if err != nil {
		return nil, err
	}
	if sent != own {
		forms = append(forms, sent)
	}
	f, err := strconv.ParseFloat(own, 64)
	if err != nil {
		return nil, errs.With(errs.Internal, err, "canon: own number text")
	}
	if i, exact := big.NewFloat(f).Int(nil); exact == big.Exact && i.String() != sent {
		forms = append(forms, i.String())
	}
	return forms, nil
}
