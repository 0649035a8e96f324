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

// A value is a JSON value as it was sent. Its zero value is null. What is inside of it
// is read when it is asked for, one level at a time, so that a body costs little more
// than its text however many values it holds.
type value struct {
	kind kind
	// hidden values are not repeated in answers.
	hidden bool
	opened bool
	// raw is the JSON text, of a body that was checked.
	raw []byte
	// text is what a string means.
	text    string
	members []member // of an opened object
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
	members := v.fields()
	for i := range members {
		if members[i].name == name {
			return &members[i].value, true
		}
	}
	return nil, false
}

// fields returns the members of an object, none of anything else.
func (v *value) fields() []member {
	if v.kind == isObject && !v.opened {
		v.opened = true
		p := parser{b: v.raw}
		p.each('}', func() bool {
			name := p.name()
			v.members = append(v.members, member{name, p.value()})
			return true
		})
	}
	return v.members
}

// items returns the first items of a list, at most most of them, and how many there
// are in all.
func (v *value) items(most int) (first []value, all int) {
	if v.kind != isList {
		return nil, 0
	}
	p := parser{b: v.raw}
	p.each(']', func() bool {
		if all++; all <= most {
			first = append(first, p.value())
		} else {
			p.skip()
		}
		return true
	})
	return first, all
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

// value reads one value, without what is inside of it.
func (p *parser) value() (v value) {
	p.space()
	start := p.i
	switch p.b[p.i] {
	case '{':
		v.kind = isObject
	case '[':
		v.kind = isList
	case '"':
		v.kind, v.text = isText, p.text()
		v.raw = p.b[start:p.i]
		return v
	case 't':
		v.kind = isTrue
	case 'f':
		v.kind = isFalse
	case 'n':
	default:
		v.kind = isNumber
	}
	p.skip()
	v.raw = p.b[start:p.i]
	return v
}

// skip reads over one value.
func (p *parser) skip() {
	p.space()
	depth := 0
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case '{', '[':
			depth++
			p.i++
		case '}', ']':
			if depth == 0 {
				return // the end of what the value, a word or a number, stands in
			}
			p.i++
			if depth--; depth == 0 {
				return
			}
		case '"':
			p.overText()
			if depth == 0 {
				return
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return
			}
			p.i++
		default:
			p.i++
		}
	}
}

func (p *parser) overText() {
	for p.i++; p.b[p.i] != '"'; p.i++ {
		if p.b[p.i] == '\\' {
			p.i++
		}
	}
	p.i++
}

// each reads what stands between brackets, one call of item for each, until item
// returns false.
func (p *parser) each(closing byte, item func() bool) {
	p.i++
	p.space()
	if p.b[p.i] == closing {
		p.i++
		return
	}
	for item() {
		p.space()
		c := p.b[p.i]
		p.i++
		if c == closing {
			return
		}
	}
}

// name reads the name of a member and the colon.
func (p *parser) name() string {
	p.space()
	name := p.text()
	p.space()
	p.i++
	return name
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
	switch {
	case v.hidden:
		return append(dst, hidden...)
	case v.kind == isNull:
		return append(dst, "null"...)
	case v.opened: // some member may be hidden
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
	p := parser{b: v.raw}
	return p.echo(dst)
}

// echo reads one value and appends it as append does.
func (p *parser) echo(dst []byte) []byte {
	p.space()
	start, comma := p.i, false
	next := func() {
		if comma {
			dst = append(dst, ',')
		}
		comma = true
	}
	switch p.b[p.i] {
	case '{':
		dst = append(dst, '{')
		p.each('}', func() bool {
			next()
			dst = append(canon.AppendString(dst, p.name(), canon.UTF8), ':')
			dst = p.echo(dst)
			return true
		})
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		p.each(']', func() bool {
			next()
			dst = p.echo(dst)
			return true
		})
		return append(dst, ']')
	case '"':
		return canon.AppendString(dst, p.text(), canon.UTF8)
	case 't', 'f', 'n':
		p.skip()
		return append(dst, p.b[start:p.i]...)
	}
	p.skip()
	return appendNumber(dst, string(p.b[start:p.i]))
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
