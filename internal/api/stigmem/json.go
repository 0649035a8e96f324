package stigmem

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"symbolon/internal/api/httpx"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
)

// A value is a JSON value as it was sent. Its zero value is null.
type value struct {
	kind kind
	// raw is the JSON text, of a body that was checked.
	raw []byte
	// text is what a string means.
	text    string
	items   []value
	members []member
	// hidden values are not repeated in answers.
	hidden bool
}

// hidden stands for what is not repeated.
const hidden = `"**********"`

type member struct {
	name  string
	value value
}

type kind uint8

const (
	isNull kind = iota
	isFalse
	isTrue
	isNumber
	isText
	isList
	isObject
)

// get returns the member of that name.
func (v *value) get(name string) (*value, bool) {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value, true
		}
	}
	return nil, false
}

// parseBody checks and reads a body. The error is the protocol's for what is no
// JSON.
func parseBody(b []byte) (value, error) {
	if err := httpx.CheckJSON(b, maxDepth); err != nil {
		return value{}, invalidJSON(b, err)
	}
	p := parser{b: b}
	return p.value(), nil
}

func invalidJSON(b []byte, err error) error {
	at, msg := 0, err.Error()
	if e, ok := err.(*httpx.JSONError); ok { //nolint:errorlint // CheckJSON returns it unwrapped
		at, msg = utf8.RuneCount(b[:min(e.Offset, len(b))]), jsonFault(e)
	}
	return invalid(problems{{
		kind: "json_invalid", loc: []any{"body", at}, msg: "JSON decode error", input: "{}",
		ctx: append(canon.AppendString([]byte(`{"error":`), msg, canon.UTF8), '}'),
	}})
}

// jsonFault words a fault as the reference's parser does where it has the fault.
func jsonFault(e *httpx.JSONError) string {
	switch e.Msg {
	case "unterminated string starting", "invalid control character":
		return strings.ToUpper(e.Msg[:1]) + e.Msg[1:] + " at"
	case "expecting a digit":
		return "Expecting value"
	}
	return strings.ToUpper(e.Msg[:1]) + e.Msg[1:]
}

// A parser reads JSON that was checked, so that nothing can be wrong with it.
type parser struct {
	b []byte
	i int
}

func (p *parser) space() {
	for p.i < len(p.b) && (p.b[p.i] == ' ' || p.b[p.i] == '\t' || p.b[p.i] == '\n' || p.b[p.i] == '\r') {
		p.i++
	}
}

func (p *parser) value() (v value) {
	p.space()
	start := p.i
	switch p.b[p.i] {
	case '{':
		v.kind = isObject
		p.each('}', func() {
			p.space()
			name := p.text()
			p.space()
			p.i++ // the colon
			v.members = append(v.members, member{name, p.value()})
		})
	case '[':
		v.kind = isList
		p.each(']', func() { v.items = append(v.items, p.value()) })
	case '"':
		v.kind, v.text = isText, p.text()
	case 't':
		v.kind = isTrue
		p.i += len("true")
	case 'f':
		v.kind = isFalse
		p.i += len("false")
	case 'n':
		p.i += len("null")
	default:
		v.kind = isNumber
		for p.i < len(p.b) && strings.IndexByte("+-.0123456789eE", p.b[p.i]) >= 0 {
			p.i++
		}
	}
	v.raw = p.b[start:p.i]
	return v
}

// each reads what stands between brackets, one call of item for each.
func (p *parser) each(closing byte, item func()) {
	p.i++
	p.space()
	if p.b[p.i] == closing {
		p.i++
		return
	}
	for {
		item()
		p.space()
		c := p.b[p.i]
		p.i++
		if c == closing {
			return
		}
	}
}

func (p *parser) text() string {
	p.i++
	start := p.i
	end := start + bytes.IndexByte(p.b[start:], '"')
	if bytes.IndexByte(p.b[start:end], '\\') < 0 {
		p.i = end + 1
		return string(p.b[start:end])
	}
	var out []byte
	for {
		c := p.b[p.i]
		p.i++
		switch c {
		case '"':
			return string(out)
		case '\\':
			out = p.escape(out)
		default:
			out = append(out, c)
		}
	}
}

func (p *parser) escape(out []byte) []byte {
	c := p.b[p.i]
	p.i++
	switch c {
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := p.unit()
		if utf16.IsSurrogate(r) {
			p.i += len(`\u`)
			r = utf16.DecodeRune(r, p.unit())
		}
		return utf8.AppendRune(out, r)
	}
	return append(out, c)
}

func (p *parser) unit() rune {
	n, _ := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 16) // checked before
	p.i += 4
	return rune(n)
}

// append appends the value as the reference's answers echo it: compact, in the
// order it was sent, numbers in the wire's spelling.
func (v *value) append(dst []byte) []byte {
	if v.hidden {
		return append(dst, hidden...)
	}
	switch v.kind {
	case isNull:
		return append(dst, "null"...)
	case isFalse:
		return append(dst, "false"...)
	case isTrue:
		return append(dst, "true"...)
	case isNumber:
		return appendNumber(dst, string(v.raw))
	case isText:
		return canon.AppendString(dst, v.text, canon.UTF8)
	case isList:
		dst = append(dst, '[')
		for i := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.items[i].append(dst)
		}
		return append(dst, ']')
	case isObject:
		dst = append(dst, '{')
		for i := range v.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(canon.AppendString(dst, v.members[i].name, canon.UTF8), ':')
			dst = v.members[i].value.append(dst)
		}
		return append(dst, '}')
	}
	return dst
}

func appendNumber(dst []byte, text string) []byte {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			f = math.Inf(1)
		}
		return canon.AppendJSONFloat(dst, f)
	}
	if text == "-0" {
		text = "0"
	}
	return append(dst, text...)
}

// A problem is one thing that is wrong with a request (Stigmem wire §1.2).
type problem struct {
	kind  string
	loc   []any // texts and numbers
	msg   string
	input string // JSON
	ctx   []byte // JSON, nil for none
}

type problems []problem

// invalid is the error that answers with a list of problems.
func invalid(list problems) error {
	return errs.Detail(errs.Unprocessable, "the request is not valid", list)
}

func (list problems) append(dst []byte) []byte {
	dst = append(dst, '[')
	for i, p := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, `{"type":"`...), p.kind...), `","loc":[`...)
		for j, l := range p.loc {
			if j > 0 {
				dst = append(dst, ',')
			}
			switch l := l.(type) {
			case string:
				dst = canon.AppendString(dst, l, canon.UTF8)
			case int:
				dst = strconv.AppendInt(dst, int64(l), 10)
			}
		}
		dst = canon.AppendString(append(dst, `],"msg":`...), p.msg, canon.UTF8)
		dst = append(append(dst, `,"input":`...), p.input...)
		if p.ctx != nil {
			dst = append(append(dst, `,"ctx":`...), p.ctx...)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
