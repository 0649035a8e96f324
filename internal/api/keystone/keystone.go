// Package keystone is the identity face: the OpenStack Identity v3 API.
//
// Handlers decode a request, ask policy, call a domain and return an answer; none
// writes to the connection. One adapter reads the body, finds the caller, and writes
// status, headers and error body, so that no handler can forget a header. Routes
// are one table, from which also come the metric labels and the test that asks
// every route without credentials.
//
// The order in which a request fails is the protocol's: a malformed body (400), no
// credentials (401), a target that policy needs and that is not there (404), policy
// (403), the request's own meaning (404, 409, 400). Users, projects, domains and
// groups that are not there are reported after policy only, so that an outsider
// cannot tell what exists.
package keystone

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/internal/authn"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/principal"
	"symbolon/internal/rule"
)

// An Authenticator accepts the token texts that callers bring. A text that is
// refused gives an error; one of kind Unavailable means that it could not be
// looked at.
type Authenticator interface {
	Authenticate(ctx context.Context, text string) (*issuer.Token, error)
}

// Deps are the parts that the face stands on. All but those that say so are
// required.
type Deps struct {
	Identity *identity.Directory
	Tokens   Authenticator
	Issuer   *issuer.Issuer
	Logins   *authn.Service
	Rules    *rule.Enforcer
	// ChangePassword sets a user's password when original is the old one. It
	// returns an error of kind Unauthenticated when it is not.
	ChangePassword func(ctx context.Context, userID, original, password string) error
	// Principal describes a caller for the audit log.
	Principal func(t *issuer.Token) principal.Principal

	// PublicURL is where clients find the service, without /v3; empty takes
	// it from each request's Host.
	PublicURL string
	// MaxBody bounds request bodies, in bytes; zero is [DefaultMaxBody].
	MaxBody int64
	// MaxPage bounds a page that a request asks for; zero is
	// [DefaultMaxPage].
	MaxPage int
	// PageSize bounds a list for which the request gives no limit; zero does
	// not.
	PageSize int
	Log      *slog.Logger
	Now      func() time.Time
}

// The bounds of requests that [Deps] leaves open.
const (
	DefaultMaxBody = 1 << 20
	DefaultMaxPage = 1000
	maxJSONDepth   = 64
)

// API serves the face.
type API struct {
	Deps
	router *httpx.Router[*route]
	table  []route
}

// New returns the face's handler.
func New(d Deps) *API {
	if d.MaxBody == 0 {
		d.MaxBody = DefaultMaxBody
	}
	if d.MaxPage == 0 {
		d.MaxPage = DefaultMaxPage
	}
	a := &API{Deps: d}
	a.table = a.routes()
	known := make([]httpx.Route[*route], 0, 2*len(a.table))
	for i := range a.table {
		rt := &a.table[i]
		known = append(known, httpx.Route[*route]{Pattern: rt.method + " " + rt.path, Handler: rt})
		if rt.method == http.MethodGet && !a.has(http.MethodHead, rt.path) {
			known = append(known, httpx.Route[*route]{Pattern: http.MethodHead + " " + rt.path, Handler: rt})
		}
	}
	a.router = httpx.NewRouter(known)
	return a
}

func (a *API) has(method, path string) bool {
	return slices.ContainsFunc(a.table, func(r route) bool { return r.method == method && r.path == path })
}

// A route is one row of the table.
type route struct {
	method string
	path   string
	// rule is the policy rule that the handler asks; where it chooses among
	// several they are separated by a space. Empty needs no token.
	rule string
	// parse reads the request before anybody is authenticated. What it returns
	// is the request's input.
	parse  func(r *request) (any, error)
	handle func(r *request) (response, error)
}

// plain is a route whose request has no body or query that is read beforehand.
func plain(method, path, rule string, handle func(r *request) (response, error)) route {
	return route{method: method, path: path, rule: rule, handle: handle}
}

// with is a route whose input is parsed before anybody is authenticated.
func with[T any](method, path, rule string, parse func(r *request) (T, error), handle func(r *request, in T) (response, error)) route {
	return route{
		method: method, path: path, rule: rule,
		parse:  func(r *request) (any, error) { return parse(r) },
		handle: func(r *request) (response, error) { return handle(r, r.input.(T)) },
	}
}

// routes is the table.
func (a *API) routes() []route {
	return slices.Concat(
		a.discoveryRoutes(), a.authRoutes(), a.trustRoutes(), a.domainRoutes(), a.projectRoutes(), a.userRoutes(), a.groupRoutes(), a.roleRoutes(), a.grantRoutes(),
		a.assignmentRoutes(), a.catalogRoutes(),
	)
}

// Patterns returns the path patterns that are served, each once, sorted.
func (a *API) Patterns() []string {
	var out []string
	for _, r := range a.table {
		out = append(out, r.path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
