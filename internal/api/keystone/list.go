package keystone

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

// A listing is what a request for a list asks for.
type listing struct {
	identity.Query
	// asked tells that the request itself gave the limit.
	asked bool
	// empty tells that nothing can match.
	empty bool
}

// filters says what a list can be filtered by: each name is one of the resource's
// attributes and has the kind of its value.
type filters map[string]filterKind

type filterKind uint8

const (
	anyText  filterKind = iota
	nameText            // not blank
	idText              // letters, digits and dashes
	truth               // the words of truth values
	expiry              // operator:instant
	nothing             // an attribute that no resource has here
)

// listQuery reads filters, limit and marker.
func (r *request) listQuery(f filters) (listing, error) {
	var l listing
	for key, values := range r.query {
		name, comparator, inexact := strings.Cut(key, "__")
		kind, ok := f[name]
		if !ok {
			continue
		}
		for _, v := range values {
			var err error
			if inexact {
				err = l.inexact(name, kind, comparator, v)
			} else {
				err = l.exact(name, kind, v)
			}
			if err != nil {
				return l, err
			}
		}
	}
	return l, r.page(&l)
}

func (l *listing) add(field string, op identity.Op, v any) {
	l.Where = append(l.Where, identity.Condition{Field: field, Op: op, Value: v})
}

func badFilter(name, v, why string) error {
	return errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: %s. %s %s", name, shorten(v), identity.Quote(shorten(v)), why)
}

func (l *listing) exact(name string, kind filterKind, v string) error {
	switch kind {
	case truth:
		b, err := parseTruth(name, v)
		if err != nil {
			return err
		}
		l.add(name, identity.Equal, b)
	case expiry:
		return l.expiry(name, v)
	case nothing:
		l.empty = true
	case nameText:
		if v == "" {
			return badFilter(name, v, "is too short")
		}
		if strings.TrimFunc(v, unicode.IsSpace) == "" {
			return badFilter(name, v, `does not match '[\\S]+'`)
		}
		l.add(name, identity.Equal, v)
	case idText:
		if err := identity.CheckID(name, shorten(v)); err != nil {
			return err
		}
		l.add(name, identity.Equal, v)
	case anyText:
		l.add(name, identity.Equal, v)
	}
	return nil
}

var comparators = map[string]identity.Op{
	"contains": identity.Contains, "startswith": identity.StartsWith, "endswith": identity.EndsWith,
	"icontains": identity.ContainsFold, "istartswith": identity.StartsWithFold, "iendswith": identity.EndsWithFold,
}

func (l *listing) inexact(name string, kind filterKind, comparator, v string) error {
	op, known := comparators[comparator]
	if !known || kind == truth || kind == expiry { // as unknown keys are: ignored
		return nil
	}
	if kind == nothing {
		l.empty = true
		return nil
	}
	l.add(name, op, v)
	return nil
}

// parseTruth reads the words that the protocol takes for truth values in queries.
func parseTruth(name, v string) (bool, error) {
	switch v {
	case "True", "TRUE", "true", "", "1", "y", "Y", "on", "ON", "yes":
		return true, nil
	case "False", "FALSE", "false", "0", "n", "N", "off", "OFF", "no":
		return false, nil
	}
	return false, badFilter(name, v, "is not a truth value")
}

var operators = map[string]identity.Op{
	"lt": identity.Less, "lte": identity.LessOrEqual, "gt": identity.Greater, "gte": identity.GreaterOrEqual,
	"eq": identity.Equal, "neq": identity.NotEqual,
}

func (l *listing) expiry(name, v string) error {
	op := "eq"
	if i := strings.IndexByte(v, ':'); i == 2 || i == 3 {
		op, v = v[:i], v[i+1:]
	}
	at, err := parseTime(v)
	if err != nil {
		return err
	}
	o, ok := operators[op]
	if !ok {
		return errs.E(errs.Invalid, "The given operator %s is not valid. It must be one of the following: 'eq', 'neq', 'lt', 'lte', 'gt', or 'gte'.", op)
	}
	l.add(name, o, at)
	return nil
}

// parseTime reads an instant of ISO 8601; without a zone it is UTC.
func parseTime(v string) (time.Time, error) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errs.E(errs.Invalid, "Timestamp not in expected format. The server could not comply with the request since it is either "+
		"malformed or otherwise incorrect. The client is assumed to be in error.")
}

// page reads limit and marker.
func (r *request) page(l *listing) error {
	l.After = r.query.Get("marker")
	l.Limit = r.api.PageSize
	if dir := r.query.Get("sort_dir"); r.query.Has("sort_dir") && dir != "asc" && dir != "desc" {
		return badFilter("sort_dir", dir, "is not one of ['asc', 'desc']")
	}
	v := r.query.Get("limit")
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimLeft(v, "0"))
	if err != nil && len(v) > 9 && strings.Trim(v, "0123456789") == "" { // more than any number: capped below
		n, err = r.api.MaxPage, nil
	}
	if err != nil || n < 1 {
		return badFilter("limit", v, "is not a positive number")
	}
	l.Limit, l.asked = min(n, r.api.MaxPage), true
	return nil
}

// marker checks that what a list continues behind exists.
func marker[T any](r *request, l listing, get func(context.Context, string) (T, error)) error {
	if l.After == "" {
		return nil
	}
	_, err := get(r.Context(), l.After)
	if errs.Is(err, errs.NotFound) {
		return errs.E(errs.NotFound, "Marker %s could not be found.", shorten(l.After))
	}
	return err
}

// flag reports whether a query key is given, with any value but 0.
func (r *request) flag(name string) bool { return r.query.Has(name) && r.query.Get(name) != "0" }

// self is the address of this request.
func (r *request) self() string {
	u := r.base + strings.TrimPrefix(r.URL.EscapedPath(), "/v3")
	if r.URL.RawQuery != "" {
		u += "?" + r.URL.RawQuery
	}
	return u
}

// link is the address of a resource, by the segments of its path below /v3.
func (r *request) link(segments ...string) string {
	var b strings.Builder
	b.WriteString(r.base)
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// collection is the answer with a list: name is its plural, and element writes the
// members of each, of which id gives the marker for the next page.
func collection[T any](r *request, name string, l listing, items []T, id func(T) string, element func(d *doc, v T)) (response, error) {
	d := doc{b: make([]byte, 0, 256+384*len(items))}
	d.open()
	d.list(name, len(items), func(i int) {
		d.open()
		element(&d, items[i])
		d.close()
	})
	full := l.Limit > 0 && len(items) >= l.Limit
	d.object("links", func() {
		if full {
			q := url.Values{}
			for k, v := range r.query {
				q[k] = v
			}
			q.Set("marker", id(items[len(items)-1]))
			q.Set("limit", strconv.Itoa(l.Limit))
			d.str("next", strings.SplitN(r.self(), "?", 2)[0]+"?"+q.Encode())
		} else {
			d.null("next")
		}
		d.str("self", r.self())
		d.null("previous")
	})
	if full {
		d.boolean("truncated", true)
	}
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}

// member is the answer with one resource.
func (r *request) member(status int, name string, members func(d *doc)) (response, error) {
	var d doc
	d.open()
	d.object(name, func() { members(&d) })
	d.close()
	return response{status: status, body: d.b}, nil
}

// selfLink writes a resource's links.
func (r *request) selfLink(d *doc, segments ...string) {
	d.object("links", func() { d.str("self", r.link(segments...)) })
}

// ownDomain narrows a list to those that a caller whose token is scoped to a domain may see.
func (r *request) ownDomain(l *listing, field string) {
	if id := r.creds.DomainID; id != "" {
		l.add(field, identity.Equal, id)
	}
}

// isoTime is the form of instants in answers.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
