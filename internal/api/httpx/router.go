package httpx

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Route is a method and a path pattern with what handles it.
//
// A pattern is "METHOD /seg/{name}/seg". {name} matches one non-empty segment;
// {name...}, at the end only, matches the rest of the path, at least one byte,
// slashes and all. A literal segment wins over {name}, and {name} over {name...}.
type Route[H any] struct {
	Pattern string
	Handler H
}

// A Router finds the route of a request. Unlike http.ServeMux it never cleans or
// redirects a path: "/v1/cards/stigmem://host/user/a" reaches its route as it was
// sent, and what to do about a trailing slash is the face's to say.
type Router[H any] struct{ root node[H] }

type node[H any] struct {
	literal map[string]*node[H]
	param   *node[H]
	rest    *leaf[H]
	here    *leaf[H]
}

type leaf[H any] struct {
	methods  []string // sorted
	handlers map[string]entry[H]
}

type entry[H any] struct {
	handler H
	names   []string
}

// NewRouter returns the router of routes. It panics when a pattern is malformed or
// given twice: routes are fixed when the program is written.
func NewRouter[H any](routes []Route[H]) *Router[H] {
	rt := &Router[H]{}
	for _, r := range routes {
		rt.add(r)
	}
	return rt
}

func (rt *Router[H]) add(r Route[H]) {
	method, path, ok := strings.Cut(r.Pattern, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		panic(fmt.Sprintf("httpx: pattern %q is not \"METHOD /path\"", r.Pattern))
	}
	n := &rt.root
	var names []string
	segs := strings.Split(path[1:], "/")
	var l **leaf[H]
	for i, seg := range segs {
		if name, found := strings.CutSuffix(seg, "...}"); found {
			if i != len(segs)-1 {
				panic(fmt.Sprintf("httpx: pattern %q: %s is not last", r.Pattern, seg))
			}
			names = append(names, name[1:])
			l = &n.rest
			break
		}
		if strings.HasPrefix(seg, "{") {
			names = append(names, seg[1:len(seg)-1])
			if n.param == nil {
				n.param = &node[H]{}
			}
			n = n.param
			continue
		}
		if n.literal == nil {
			n.literal = map[string]*node[H]{}
		}
		child := n.literal[seg]
		if child == nil {
			child = &node[H]{}
			n.literal[seg] = child
		}
		n = child
	}
	if l == nil {
		l = &n.here
	}
	if *l == nil {
		*l = &leaf[H]{handlers: map[string]entry[H]{}}
	}
	if _, dup := (*l).handlers[method]; dup {
		panic(fmt.Sprintf("httpx: pattern %q is given twice", r.Pattern))
	}
	(*l).handlers[method] = entry[H]{r.Handler, names}
	(*l).methods = append((*l).methods, method)
	slices.Sort((*l).methods)
}

// maxParams bounds the parameters of one pattern.
const maxParams = 8

// Match returns the handler of r and sets its path values. When the path is known
// and the method is not, it returns the methods that are, sorted. It looks at
// r.URL.Path, in which %2F already is a slash.
func (rt *Router[H]) Match(r *http.Request) (h H, allowed []string, ok bool) {
	path := r.URL.Path
	if path == "" || path[0] != '/' {
		return h, nil, false
	}
	var vals [maxParams]string
	e, nvals, allowed, ok := rt.root.match(r.Method, path[1:], vals[:0])
	if !ok {
		return h, allowed, false
	}
	for i, v := range nvals {
		r.SetPathValue(e.names[i], v)
	}
	return e.handler, nil, true
}

func (n *node[H]) match(method, path string, vals []string) (entry[H], []string, []string, bool) {
	seg, rest, more := strings.Cut(path, "/")
	var allowed []string
	for _, try := range [...]struct {
		n     *node[H]
		taken bool
	}{{n.literal[seg], false}, {n.param, true}} {
		if try.n == nil || try.taken && seg == "" {
			continue
		}
		v := vals
		if try.taken {
			v = append(vals, seg)
		}
		if more {
			e, nv, al, ok := try.n.match(method, rest, v)
			if ok {
				return e, nv, nil, true
			}
			allowed = merge(allowed, al)
			continue
		}
		if e, ok := try.n.here.lookup(method); ok {
			return e, v, nil, true
		}
		allowed = merge(allowed, try.n.here.known())
	}
	if path != "" {
		if e, ok := n.rest.lookup(method); ok {
			return e, append(vals, path), nil, true
		}
		allowed = merge(allowed, n.rest.known())
	}
	return entry[H]{}, nil, allowed, false
}

func (l *leaf[H]) lookup(method string) (entry[H], bool) {
	if l == nil {
		return entry[H]{}, false
	}
	e, ok := l.handlers[method]
	return e, ok
}

func (l *leaf[H]) known() []string {
	if l == nil {
		return nil
	}
	return l.methods
}

func merge(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	for _, m := range b {
		if !slices.Contains(a, m) {
			a = append(slices.Clip(a), m)
		}
	}
	return a
}
