package stigmem

import (
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"symbolon/internal/api/httpx"
	"symbolon/internal/canon"
	"symbolon/internal/id"
)

// Input reads the query and the body of a request by the wire's rules, lenient in
// what a number or a boolean may look like, and collects what is wrong. A handler
// reads every field, in the order in which the protocol reports faults, query first,
// and then asks Err.
type Input struct {
	query    string
	body     value
	has      bool   // there is a body
	foreign  []byte // a body that is not of a JSON type
	secret   bool   // the body holds a secret, see Hide
	problems problems
}

func newInput(r *http.Request) *Input { return &Input{query: r.URL.RawQuery} }

// readBody reads and parses the body. The error is the answer to one that is too
// long or no JSON.
func (in *Input) readBody(r *http.Request, limit int64) error {
	b, err := httpx.ReadBody(r, limit)
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	in.has = true
	if !isJSON(r.Header.Get("Content-Type")) {
		in.foreign = b
		return nil
	}
	in.body, err = parseBody(b)
	return err
}

// isJSON reports whether a content type is one of JSON, or missing.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// Err returns everything that was found wrong, or nil.
func (in *Input) Err() error {
	if len(in.problems) == 0 {
		return nil
	}
	return invalid(in.problems)
}

func (in *Input) add(p problem) { in.problems = append(in.problems, p) }

// Raw returns the body's JSON text, nil for no body or one of another type.
func (in *Input) Raw() []byte { return in.body.raw }

// Body returns the reader of the body's object. What is no object is a problem, and
// all its fields read as absent without being problems of their own.
func (in *Input) Body() Object {
	o := Object{in: in, loc: []any{"body"}}
	if in.secret && (in.foreign != nil || in.body.kind != isObject && in.body.kind != isNull) {
		in.add(notObject(o.loc, hidden))
		return o
	}
	switch {
	case !in.has || in.foreign == nil && in.body.kind == isNull:
		in.add(problem{kind: "missing", loc: o.loc, msg: "Field required", input: "null"})
	case in.foreign != nil:
		input := canon.AppendString(nil, strings.ToValidUTF8(string(in.foreign), "\uFFFD"), canon.UTF8)
		in.add(notObject(o.loc, string(input)))
	default:
		o.open(&in.body)
	}
	return o
}

// Hide keeps members of the body that are secrets out of what faults repeat of it. It
// is called before Body.
func (in *Input) Hide(names ...string) {
	in.secret = true
	members := in.body.fields()
	for i := range members {
		if m := &members[i]; slices.Contains(names, m.name) {
			m.value.hidden = true
		}
	}
}

func notObject(loc []any, input string) problem {
	return problem{kind: "model_attributes_type", loc: loc, msg: "Input should be a valid dictionary or object to extract fields from", input: input}
}

// An Object reads the members of a JSON object.
type Object struct {
	in  *Input
	loc []any
	v   *value // nil for one that is not there
}

func (o *Object) open(v *value) {
	if v.kind != isObject {
		o.in.add(notObject(o.loc, string(v.append(nil))))
		return
	}
	o.v = v
}

// Present reports whether there is an object.
func (o Object) Present() bool { return o.v != nil }

func (o Object) at(name string) []any {
	return append(append(make([]any, 0, len(o.loc)+1), o.loc...), name)
}

func (o Object) fault(name, kind, msg string, v *value, ctx string) {
	p := problem{kind: kind, loc: o.at(name), msg: msg, input: string(v.append(nil))}
	if ctx != "" {
		p.ctx = []byte(ctx)
	}
	o.in.add(p)
}

// member returns the member of that name. Without one it is a problem when the
// member is required.
func (o Object) member(name string, required bool) *value {
	if o.v == nil {
		return nil
	}
	v, ok := o.v.get(name)
	if !ok && required {
		o.in.add(problem{kind: "missing", loc: o.at(name), msg: "Field required", input: string(o.v.append(nil))})
	}
	return v
}

// Invalid reports that a member breaks a rule of its own.
func (o Object) Invalid(name, msg string) {
	v := &value{}
	if o.v != nil {
		if got, ok := o.v.get(name); ok {
			v = got
		}
	}
	o.fault(name, "value_error", "Value error, "+msg, v, `{"error":{}}`)
}

// Length bounds a text, in characters; a zero Max sets no bound.
type Length struct{ Min, Max int }

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func (l Length) check(o Object, name string, v *value) bool {
	n := utf8.RuneCountInString(v.text)
	switch {
	case n < l.Min:
		o.fault(name, "string_too_short", fmt.Sprintf("String should have at least %d character%s", l.Min, plural(l.Min)), v,
			fmt.Sprintf(`{"min_length":%d}`, l.Min))
	case l.Max > 0 && n > l.Max:
		o.fault(name, "string_too_long", fmt.Sprintf("String should have at most %d character%s", l.Max, plural(l.Max)), v,
			fmt.Sprintf(`{"max_length":%d}`, l.Max))
	case strings.IndexByte(v.text, 0) >= 0:
		o.fault(name, "value_error", "Value error, text must not contain U+0000", v, `{"error":{}}`)
	default:
		return true
	}
	return false
}

// Text reads a required text.
func (o Object) Text(name string, l Length) string { return o.text(name, l, true, "") }

// TextOr reads a text that has a default.
func (o Object) TextOr(name, otherwise string, l Length) string {
	return o.text(name, l, false, otherwise)
}

func (o Object) text(name string, l Length, required bool, otherwise string) string {
	v := o.member(name, required)
	if v == nil {
		return otherwise
	}
	if v.kind != isText {
		o.fault(name, "string_type", "Input should be a valid string", v, "")
		return otherwise
	}
	if !l.check(o, name, v) {
		return otherwise
	}
	return v.text
}

// OptionalText reads a text that may be absent or null.
func (o Object) OptionalText(name string, l Length) *string {
	v := o.member(name, false)
	if v == nil || v.kind == isNull {
		return nil
	}
	if v.kind != isText {
		o.fault(name, "string_type", "Input should be a valid string", v, "")
		return nil
	}
	if !l.check(o, name, v) {
		return nil
	}
	return &v.text
}

// Scope reads a text that names one of the four scopes.
func (o Object) Scope(name string, otherwise id.Scope) id.Scope {
	text := o.text(name, Length{}, otherwise == id.NoScope, otherwise.String())
	s, err := id.ParseScope(text)
	if err != nil {
		if o.sound(name, isText) {
			o.Invalid(name, scopeMsg)
		}
		return otherwise
	}
	return s
}

const scopeMsg = "scope must be one of {'company', 'local', 'public', 'team'}"

// sound reports whether the member is there and of the kind, so that a further
// fault is worth telling.
func (o Object) sound(name string, k kind) bool {
	if o.v == nil {
		return false
	}
	v, ok := o.v.get(name)
	return ok && v.kind == k
}

// OneOf reads a text that must be in a list; msg says so when it is not.
func (o Object) OneOf(name, otherwise, msg string, list ...string) string {
	text := o.text(name, Length{}, otherwise == "", otherwise)
	for _, s := range list {
		if s == text {
			return text
		}
	}
	if o.sound(name, isText) {
		o.Invalid(name, msg)
	}
	return otherwise
}

// Range bounds a number.
type Range struct{ Min, Max float64 }

// Float reads a number that has a default.
func (o Object) Float(name string, otherwise float64, r Range) float64 {
	v := o.member(name, false)
	if v == nil {
		return otherwise
	}
	f, ok := 0.0, true
	switch v.kind {
	case isTrue:
		f = 1
	case isFalse:
	case isNumber:
		f, _ = strconv.ParseFloat(string(v.raw), 64) // out of range is an infinity, and out of bounds
	case isText:
		if f, ok = looseFloat(v.text); !ok {
			o.fault(name, "float_parsing", floatMsg, v, "")
			return otherwise
		}
	case isNull, isList, isObject:
		o.fault(name, "float_type", "Input should be a valid number", v, "")
		return otherwise
	}
	if kind, msg, ctx := r.fault(f); kind != "" {
		o.fault(name, kind, msg, v, ctx)
		return otherwise
	}
	return f
}

const floatMsg = "Input should be a valid number, unable to parse string as a number"

// fault says which bound f is beyond. A NaN is beyond the lower one.
func (r Range) fault(f float64) (kind, msg, ctx string) {
	switch {
	case !(f >= r.Min):
		return "greater_than_equal", "Input should be greater than or equal to " + short(r.Min), `{"ge":` + long(r.Min) + `}`
	case f > r.Max:
		return "less_than_equal", "Input should be less than or equal to " + short(r.Max), `{"le":` + long(r.Max) + `}`
	}
	return "", "", ""
}

func short(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
func long(f float64) string  { return string(canon.AppendFloat(nil, f)) }

// looseFloat reads a number's text as the reference does: blanks around it, single
// underscores between digits, infinities and NaN by name.
func looseFloat(s string) (float64, bool) {
	s = id.Strip(s)
	if len(s) > 400 || strings.ContainsAny(s, "xXpP") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// objects reads a list whose items must be objects, of at most most items. An absent,
// empty or faulty list is nil.
func (o Object) objects(name string, most int) *value {
	v, items := o.list(name, most, false)
	ok := len(items) > 0
	for i := range items {
		if it := &items[i]; it.kind != isObject {
			o.in.add(problem{kind: "dict_type", loc: append(o.at(name), i), msg: "Input should be a valid dictionary", input: string(it.append(nil))})
			ok = false
		}
	}
	if !ok {
		return nil
	}
	return v
}

// list reads a list of at most most items. The value is nil when the list is absent or
// faulty.
func (o Object) list(name string, most int, required bool) (*value, []value) {
	v := o.member(name, required)
	if v == nil {
		return nil, nil
	}
	if v.kind != isList {
		o.fault(name, "list_type", "Input should be a valid list", v, "")
		return nil, nil
	}
	items, n := v.items(most)
	if n > most {
		o.in.add(problem{kind: "too_long", loc: o.at(name), msg: fmt.Sprintf("List should have at most %d items after validation, not %d", most, n),
			input: string(v.append(nil)), ctx: fmt.Appendf(nil, `{"field_type":"List","max_length":%d,"actual_length":%d}`, most, n)})
		return nil, nil
	}
	return v, items
}

// Texts reads a list of texts, of at most most items. ok is false when it is absent
// or faulty.
func (o Object) Texts(name string, required bool, most int) (list []string, ok bool) {
	v, items := o.list(name, most, required)
	if v == nil {
		return nil, false
	}
	ok = true
	list = make([]string, 0, len(items))
	for i := range items {
		it := &items[i]
		if it.kind != isText {
			o.in.add(problem{kind: "string_type", loc: append(o.at(name), i), msg: "Input should be a valid string", input: string(it.append(nil))})
			ok = false
			continue
		}
		list = append(list, it.text)
	}
	return list, ok
}

// Object reads a member that is an object. One that is absent, or null and not
// required, is not present.
func (o Object) Object(name string, required bool) Object {
	sub := Object{in: o.in, loc: o.at(name)}
	v := o.member(name, required)
	if v == nil || v.kind == isNull && !required {
		return sub
	}
	sub.open(v)
	return sub
}

// RawJSON returns the JSON text of a member, nil when it is absent.
func (o Object) RawJSON(name string) []byte {
	if v := o.member(name, false); v != nil {
		return v.raw
	}
	return nil
}

// Query returns the last query parameter of that name.
func (in *Input) Query(name string) (string, bool) {
	var last string
	found := false
	for rest := in.query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		k, v, _ := strings.Cut(pair, "=")
		if unescape(k) == name && pair != "" {
			last, found = unescape(v), true
		}
	}
	return last, found
}

// unescape decodes a part of a query; what is no escape stands for itself.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	if t, err := url.QueryUnescape(s); err == nil {
		return strings.ToValidUTF8(t, "\uFFFD")
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s):
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
			fallthrough
		default:
			b = append(b, s[i])
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func (in *Input) queryFault(name, kind, msg, input, ctx string) {
	p := problem{kind: kind, loc: []any{"query", name}, msg: msg, input: string(canon.AppendString(nil, input, canon.UTF8))}
	if ctx != "" {
		p.ctx = []byte(ctx)
	}
	in.add(p)
}

// QueryText returns the query parameter of that name; absent and empty are one.
func (in *Input) QueryText(name string) string {
	s, _ := in.Query(name)
	return s
}

// QueryInt reads a whole number within bounds.
func (in *Input) QueryInt(name string, otherwise, least, most int) int {
	s, ok := in.Query(name)
	if !ok {
		return otherwise
	}
	f, ok := looseInt(s)
	switch {
	case !ok:
		in.queryFault(name, "int_parsing", "Input should be a valid integer, unable to parse string as an integer", s, "")
	case f < float64(least):
		in.queryFault(name, "greater_than_equal", fmt.Sprintf("Input should be greater than or equal to %d", least), s, fmt.Sprintf(`{"ge":%d}`, least))
	case f > float64(most):
		in.queryFault(name, "less_than_equal", fmt.Sprintf("Input should be less than or equal to %d", most), s, fmt.Sprintf(`{"le":%d}`, most))
	default:
		return int(f)
	}
	return otherwise
}

// looseInt reads a whole number's text: a sign, digits with single underscores
// between them, and a fraction of zeros.
func looseInt(s string) (float64, bool) {
	s = id.Strip(s)
	whole, fraction, _ := strings.Cut(s, ".")
	if strings.Trim(fraction, "0") != "" {
		return 0, false
	}
	digits := strings.TrimPrefix(strings.TrimPrefix(whole, "+"), "-")
	if len(whole)-len(digits) > 1 || digits == "" || len(digits) > 4300 {
		return 0, false
	}
	for i := range len(digits) {
		if c := digits[i]; (c < '0' || c > '9') && (c != '_' || i == 0 || i == len(digits)-1 || digits[i-1] == '_') {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(whole, "_", ""), 64)
	return f, err == nil || math.IsInf(f, 0)
}

// QueryFloat reads a number within bounds.
func (in *Input) QueryFloat(name string, otherwise float64, r Range) float64 {
	s, ok := in.Query(name)
	if !ok {
		return otherwise
	}
	f, ok := looseFloat(s)
	if !ok {
		in.queryFault(name, "float_parsing", floatMsg, s, "")
		return otherwise
	}
	if kind, msg, ctx := r.fault(f); kind != "" {
		in.queryFault(name, kind, msg, s, ctx)
		return otherwise
	}
	return f
}

// QueryBool reads a boolean; ok is false when it is absent or faulty.
func (in *Input) QueryBool(name string) (b, ok bool) {
	s, ok := in.Query(name)
	if !ok {
		return false, false
	}
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on", "t", "y":
		return true, true
	case "false", "0", "no", "off", "f", "n":
		return false, true
	}
	in.queryFault(name, "bool_parsing", "Input should be a valid boolean, unable to interpret input", s, "")
	return false, false
}
