package keystone

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func sortedKeys[M ~map[string]V, V any](m M) []string { return slices.Sorted(maps.Keys(m)) }

// An object reads the members of one JSON object of a request. The first member
// that is not what it should be is kept as the error.
type object struct {
	name string
	m    map[string]json.RawMessage
	all  map[string]json.RawMessage // m as it came
	err  error
}

// object returns the member of the request's body that holds the resource, which
// is required.
func (r *request) object(name string) *object {
	o := &object{name: name}
	v, ok := r.body[name]
	if !ok {
		o.err = errs.E(errs.Invalid, "%s is a required property", identity.Quote(name))
		return o
	}
	if json.Unmarshal(v, &o.m) != nil || o.m == nil {
		o.fail(name, v, "%s is not of type 'object'", shorten(string(v)))
		return o
	}
	for _, k := range sortedKeys(r.body) {
		if k != name {
			o.err = errs.E(errs.Invalid, "Additional properties are not allowed (%s was unexpected)", identity.Quote(shorten(k)))
			return o
		}
	}
	o.all = maps.Clone(o.m)
	return o
}

// fail keeps an error about one member.
func (o *object) fail(member string, v json.RawMessage, format string, args ...any) {
	if o.err != nil {
		return
	}
	if member == "password" { // of any kind: what stands there may be one
		o.err = errs.E(errs.Invalid, "Invalid input for field/attribute password. The value is not of type 'string', 'null'")
		return
	}
	o.err = errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: %s. "+format,
		append([]any{member, shorten(string(v))}, args...)...)
}

// shorten bounds what a message repeats of a request.
func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// require keeps an error when a member is not there.
func (o *object) require(members ...string) {
	for _, k := range members {
		if _, ok := o.m[k]; !ok && o.err == nil {
			o.err = errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: {}. %s is a required property", o.name, identity.Quote(k))
		}
	}
}

// notEmpty keeps an error when there are no members.
func (o *object) notEmpty() {
	if len(o.m) == 0 {
		o.fail(o.name, []byte("{}"), "{} should be non-empty")
	}
}

// take removes a member and returns it.
func (o *object) take(k string) (json.RawMessage, bool) {
	if o.err != nil {
		return nil, false
	}
	v, ok := o.m[k]
	delete(o.m, k)
	return v, ok
}

func isNull(v json.RawMessage) bool { return string(v) == "null" }

// text reads a text of at least low and at most high characters; a high of zero
// is no bound.
func (o *object) text(k string, low, high int) (f identity.Field[string]) {
	v, ok := o.take(k)
	if !ok {
		return f
	}
	if len(v) == 0 || v[0] != '"' || json.Unmarshal(v, &f.To) != nil {
		o.fail(k, v, "%s is not of type 'string'", shorten(string(v)))
		return f
	}
	if n := utf8.RuneCountInString(f.To); n < low {
		o.fail(k, nil, "%s is too short", identity.Quote(f.To))
	} else if high > 0 && n > high {
		o.fail(k, json.RawMessage(f.To), "%s is too long", identity.Quote(shorten(f.To)))
	}
	o.storable(k, f.To)
	f.Set = true
	return f
}

// storable refuses what no store keeps as text.
func (o *object) storable(k, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		o.fail(k, nil, "the text holds a zero character")
	}
}

// name reads a resource's name, which is not blank.
func (o *object) resourceName(high int) identity.Field[string] {
	f := o.text("name", 1, high)
	if f.Set && strings.TrimFunc(f.To, unicode.IsSpace) == "" {
		o.fail("name", json.RawMessage(f.To), `%s does not match '[\\S]+'`, identity.Quote(f.To))
	}
	return f
}

// nullable reads a text or null.
func (o *object) nullable(k string, high int) (f identity.Field[*string]) {
	if v, ok := o.m[k]; ok && isNull(v) {
		o.take(k)
		return identity.Field[*string]{Set: true}
	}
	t := o.text(k, 0, high)
	if t.Set {
		f = identity.Set(&t.To)
	}
	return f
}

// nullableText reads a text or null, which is the empty text.
func (o *object) nullableText(k string, high int) (f identity.Field[string]) {
	p := o.nullable(k, high)
	f.Set = p.Set
	if p.To != nil {
		f.To = *p.To
	}
	return f
}

// boolean reads true or false.
func (o *object) boolean(k string) (f identity.Field[bool]) {
	v, ok := o.take(k)
	if !ok {
		return f
	}
	switch string(v) {
	case "true":
		return identity.Set(true)
	case "false":
		return identity.Set(false)
	}
	o.fail(k, v, "%s is not of type 'boolean'", shorten(string(v)))
	return f
}

// id reads the id of a resource.
func (o *object) id(k string) identity.Field[string] {
	f := o.text(k, 0, 0)
	if f.Set && o.err == nil {
		o.err = identity.CheckID(k, shorten(f.To))
	}
	return f
}

// nullableID reads the id of a resource or null, which is the empty text.
func (o *object) nullableID(k string) identity.Field[string] {
	if v, ok := o.m[k]; ok && isNull(v) {
		o.take(k)
		return identity.Set("")
	}
	return o.id(k)
}

// options reads the options object.
func (o *object) options(check func(identity.Options) error) identity.Options {
	v, ok := o.take("options")
	if !ok {
		return nil
	}
	var out identity.Options
	if json.Unmarshal(v, &out) != nil || out == nil {
		o.fail("options", v, "%s is not of type 'object'", shorten(string(v)))
		return nil
	}
	for k, x := range out {
		out[k] = compact(x)
	}
	if err := check(out); err != nil && o.err == nil {
		o.err = err
	}
	return out
}

// compact removes the white space of a JSON value, so that equal values are equal
// texts.
func compact(v json.RawMessage) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	return b
}

// tags reads a list of tags.
func (o *object) tags(k string) (f identity.Field[[]string]) {
	v, ok := o.take(k)
	if !ok {
		return f
	}
	tags, err := textList(v)
	if err == nil {
		err = identity.CheckTags(tags)
	} else {
		o.fail(k, v, "the value is not a list of texts")
	}
	if err != nil && o.err == nil {
		o.err = err
	}
	return identity.Set(tags)
}

// textList reads a JSON list that holds texts only.
func textList(v json.RawMessage) ([]string, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(v, &raw); err != nil || raw == nil {
		return nil, errs.E(errs.Invalid, "not a list")
	}
	out := make([]string, len(raw))
	for i, x := range raw {
		if x[0] != '"' || json.Unmarshal(x, &out[i]) != nil || strings.IndexByte(out[i], 0) >= 0 {
			return nil, errs.E(errs.Invalid, "not a list of texts")
		}
	}
	return out, nil
}

// extra returns the members that were not read, but for those that the API computes
// itself. On creation the protocol replaces colons and dashes in names; a name that
// would become one of the resource's own that way is refused.
func (o *object) extra(creating bool, own ...string) identity.Extra {
	out := make(identity.Extra, len(o.m))
	for _, k := range sortedKeys(o.m) {
		if slices.Contains(own, k) {
			continue
		}
		n := k
		if creating {
			n = strings.NewReplacer(":", "_", "-", "_").Replace(k)
		}
		if _, twice := out[n]; twice || n != k && (slices.Contains(own, n) || o.all[n] != nil) {
			o.fail(shorten(k), o.m[k], "the name is taken by another attribute")
			return nil
		}
		out[n] = compact(o.m[k])
	}
	return out
}

// matchID keeps an error when the body names another id than the path.
func (o *object) matchID(pathID string) {
	v, ok := o.take("id")
	if !ok || isNull(v) {
		return
	}
	var s string
	if json.Unmarshal(v, &s) != nil || s != pathID {
		o.err = errs.E(errs.Invalid, "Cannot change ID")
	}
}

// value is a member as policy sees it in a target.
func (o *object) value(k string) (v string, null, ok bool) {
	raw, ok := o.all[k]
	if !ok {
		return "", false, false
	}
	if isNull(raw) {
		return "", true, true
	}
	if json.Unmarshal(raw, &v) == nil {
		return v, false, true
	}
	return string(raw), false, true
}
