// Package catalog renders the service catalogue that comes with a scoped token.
//
// A catalogue is compiled once for each revision of the services and endpoints:
// into the bytes that are the same for everybody and the places where a project's
// or a user's id goes. Rendering it for a token is then copying, and keeps nothing
// per project or user.
package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"symbolon/internal/canon"
	"symbolon/internal/identity"
)

// A field is what can stand in an endpoint's address.
type field uint8

const (
	none field = iota
	projectID
	userID
)

// fields are the substitutions known, in both spellings of each. Others make an
// address unusable: the endpoint is left out.
var fields = map[string]field{"project_id": projectID, "tenant_id": projectID, "user_id": userID}

// A segment is bytes to copy and what follows them.
type segment struct {
	text []byte
	then field
}

// A Catalog is a compiled catalogue. It is safe for concurrent use.
type Catalog struct {
	// scoped is for tokens with a project; bare, for the others, leaves out
	// the endpoints whose address needs one.
	scoped, bare []segment
	size         int
}

// New compiles the enabled services with their enabled endpoints, services by id
// and endpoints in the order given. It fails only on an extra attribute that is
// not JSON.
func New(services []identity.Service, endpoints []identity.Endpoint) (*Catalog, error) {
	byService := make(map[string][]identity.Endpoint)
	for _, e := range endpoints {
		if e.Enabled {
			byService[e.ServiceID] = append(byService[e.ServiceID], e)
		}
	}
	services = slices.Clone(services)
	slices.SortStableFunc(services, func(a, b identity.Service) int { return cmp.Compare(a.ID, b.ID) })
	scoped, err := compile(services, byService, true)
	if err != nil {
		return nil, err
	}
	bare, err := compile(services, byService, false)
	if err != nil {
		return nil, err
	}
	c := &Catalog{scoped: scoped, bare: bare}
	for _, s := range scoped {
		c.size += len(s.text) + 32
	}
	return c, nil
}

// Size is about how many bytes Append writes.
func (c *Catalog) Size() int { return c.size }

// Append appends the catalogue, a JSON array, as a user sees it in a project; an
// empty project is none.
func (c *Catalog) Append(dst []byte, project, user string) []byte {
	segs := c.scoped
	if project == "" {
		segs = c.bare
	}
	var room [2][64]byte // for ids as long as they usually are
	p, u := appendEscaped(room[0][:0], project), appendEscaped(room[1][:0], user)
	for i := range segs {
		dst = append(dst, segs[i].text...)
		switch segs[i].then {
		case projectID:
			dst = append(dst, p...)
		case userID:
			dst = append(dst, u...)
		case none:
		}
	}
	return dst
}

func compile(services []identity.Service, endpoints map[string][]identity.Endpoint, withProject bool) ([]segment, error) {
	b := builder{cur: []byte{'['}}
	first := true
	for _, s := range services {
		if !s.Enabled {
			continue
		}
		if !first {
			b.text(",")
		}
		first = false
		b.text(`{"endpoints":[`)
		n := 0
		for _, e := range endpoints[s.ID] {
			parts, ok := parseURL(e.URL, withProject)
			if !ok {
				continue
			}
			if n > 0 {
				b.text(",")
			}
			n++
			if err := b.endpoint(&e, parts); err != nil {
				return nil, err
			}
		}
		// A service stays in the catalogue without any endpoint, as clients of
		// the system studied know it.
		b.text(`],"id":`)
		b.cur = appendString(b.cur, s.ID)
		b.text(`,"type":`)
		b.cur = appendString(b.cur, s.Type)
		b.text(`,"name":`)
		b.cur = appendString(b.cur, s.Name)
		b.text("}")
	}
	b.text("]")
	return append(b.segs, segment{text: b.cur}), nil
}

type builder struct {
	segs []segment
	cur  []byte
}

func (b *builder) text(s string) { b.cur = append(b.cur, s...) }

func (b *builder) cut(f field) {
	b.segs = append(b.segs, segment{b.cur, f})
	b.cur = nil
}

// endpoint writes one endpoint: extra attributes first, as they cannot replace
// what follows.
func (b *builder) endpoint(e *identity.Endpoint, url []part) error {
	b.text("{")
	names := make([]string, 0, len(e.Extra))
	for k := range e.Extra {
		switch k {
		case "id", "interface", "region_id", "region", "url", "service_id", "enabled", "legacy_endpoint_id":
		default:
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		if !json.Valid(e.Extra[k]) {
			return fmt.Errorf("catalog: endpoint %s: attribute %q is not JSON", e.ID, k)
		}
		b.cur = append(appendString(b.cur, k), ':')
		b.cur = append(append(b.cur, e.Extra[k]...), ',')
	}
	b.text(`"id":`)
	b.cur = appendString(b.cur, e.ID)
	b.text(`,"interface":`)
	b.cur = appendString(b.cur, e.Interface)
	b.text(`,"region_id":`)
	b.cur = appendOrNull(b.cur, e.RegionID)
	b.text(`,"url":"`)
	for _, p := range url {
		b.cur = appendEscaped(b.cur, p.text)
		if p.field != none {
			b.cut(p.field)
		}
	}
	b.text(`","region":`)
	b.cur = appendOrNull(b.cur, e.RegionID)
	b.text("}")
	return nil
}

// A part of an address is literal text or, with a field, what goes there.
type part struct {
	text  string
	field field
}

// parseURL splits an address at its substitutions, $(name)s or %(name)s; %% is a
// percent sign. It reports false for an address that cannot be filled in.
func parseURL(url string, withProject bool) ([]part, bool) {
	var parts []part
	var lit strings.Builder
	for i := 0; i < len(url); {
		c := url[i]
		switch {
		case (c == '$' || c == '%') && strings.HasPrefix(url[i+1:], "("):
			name, rest, ok := strings.Cut(url[i+2:], ")")
			f := fields[name]
			if !ok || f == none || !strings.HasPrefix(rest, "s") || f == projectID && !withProject {
				return nil, false
			}
			parts = append(parts, part{lit.String(), f})
			lit.Reset()
			i = len(url) - len(rest) + 1
		case c == '%' && strings.HasPrefix(url[i+1:], "%"):
			lit.WriteByte('%')
			i += 2
		case c == '%':
			return nil, false
		default:
			lit.WriteByte(c)
			i++
		}
	}
	return append(parts, part{text: lit.String()}), true
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

func appendString(dst []byte, s string) []byte { return canon.AppendString(dst, s, canon.UTF8) }

// appendEscaped appends s as it stands between the quotes of a JSON string.
func appendEscaped(dst []byte, s string) []byte {
	n := len(dst)
	dst = appendString(dst, s)
	return append(dst[:n], dst[n+1:len(dst)-1]...)
}
