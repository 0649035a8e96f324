// Package stigmem serves the memory face: the Stigmem protocol, version 1, as its
// clients and peers know it, down to the texts of errors and the form of numbers.
//
// It holds no rule of the memory's and no SQL. A handler reads what a request says,
// calls a domain and returns what to answer; one adapter writes status, headers and
// bodies. What comes in is checked before a handler sees it, in the order that
// Stigmem wire §1.2 gives: a body that is no JSON, then who is asking, then every
// field, then what the caller may do.
package stigmem

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/internal/apikey"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/principal"
)

// Deps are what the face needs. Facts, Keys, Audit, Authenticate and Now are
// required.
type Deps struct {
	Facts *fact.Service
	Keys  *apikey.Service
	Audit AuditReader
	// Authenticate returns who makes a request, see [Bearer]. Its error is of
	// kind Unauthenticated when nobody known does.
	Authenticate func(r *http.Request) (principal.Principal, error)
	Node         Node
	Now          func() time.Time
	// Log gets what a caller is not told; nil discards it.
	Log *slog.Logger
	// MaxBody bounds a request's body, in bytes; zero is DefaultMaxBody.
	MaxBody int64
	// More are the routes of other parts of the face.
	More []Route
}

// AuditReader is what the audit routes need of storage.
type AuditReader interface {
	// AuditPage returns up to q.Limit entries with the facts they are about.
	AuditPage(ctx context.Context, q audit.Query) ([]audit.Record, error)
}

// DefaultMaxBody bounds a request's body unless [Deps] says otherwise.
const DefaultMaxBody = 1 << 20

// maxDepth bounds how deep JSON in a request may nest.
const maxDepth = 64

// A Route is a method and a path with what answers it. Pattern is that of
// [httpx.Route].
type Route struct {
	Pattern string
	// Open routes ask nobody who he is; the others have a Caller.
	Open bool
	// Body says that the route reads a JSON body.
	Body   bool
	Handle func(c *Call) (Reply, error)
}

// A Call is one request, as far as the adapter has read it.
type Call struct {
	*http.Request
	// Caller is who asks; nobody on an open route.
	Caller principal.Principal
	// In reads the body and the query, and collects what is wrong with them.
	In *Input
}

// A Reply is what to answer. A zero Status is 200.
type Reply struct {
	Status int
	// Header is added to the answer's own, nil for nothing.
	Header http.Header
	// Type is the content type of Body, application/json when empty.
	Type string
	// Body is sent as it is; nil is none.
	Body []byte
}

// API is the face. It is an http.Handler.
type API struct {
	Deps
	router *httpx.Router[*Route]
}

// New returns the face.
func New(d Deps) *API {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.MaxBody == 0 {
		d.MaxBody = DefaultMaxBody
	}
	a := &API{Deps: d}
	var routes []httpx.Route[*Route]
	for _, r := range a.Routes() {
		routes = append(routes, httpx.Route[*Route]{Pattern: r.Pattern, Handler: &r})
	}
	a.router = httpx.NewRouter(routes)
	return a
}

// Routes returns every route of the face.
func (a *API) Routes() []Route {
	routes := []Route{
		{Pattern: "GET /.well-known/stigmem", Open: true, Handle: a.wellKnown},
		{Pattern: "GET /healthz", Open: true, Handle: healthz},
		{Pattern: "GET /v1/doctor", Open: true, Handle: doctor},
		{Pattern: "GET /v1/mcp/connectors", Open: true, Handle: connectors},
		{Pattern: "GET /v1/me", Handle: me},

		{Pattern: "POST /v1/auth/keys", Body: true, Handle: a.registerKey},
		{Pattern: "GET /v1/auth/keys", Handle: a.listKeys},
		{Pattern: "GET /v1/auth/keys/expiring-soon", Handle: a.expiringKeys},
		{Pattern: "DELETE /v1/auth/keys/{key_id}", Handle: a.revokeKey},

		{Pattern: "POST /v1/facts", Body: true, Handle: a.assertFact},
		{Pattern: "GET /v1/facts", Handle: a.queryFacts},
		{Pattern: "GET /v1/facts/{fact_id}", Handle: a.getFact},
		{Pattern: "POST /v1/facts/{fact_id}/verify-cid", Handle: a.verifyCID},
		{Pattern: "GET /v1/facts/{fact_id}/provenance", Handle: a.provenance},

		{Pattern: "GET /v1/conflicts", Handle: a.listConflicts},
		{Pattern: "POST /v1/conflicts/{conflict_id}/resolve", Body: true, Handle: a.resolveConflict},

		{Pattern: "GET /v1/audit", Handle: a.auditLog},
		{Pattern: "GET /v1/audit/facts/{fact_id}", Handle: a.auditOfFact},
		{Pattern: "GET /v1/admin/audit", Handle: a.adminAudit},
	}
	return append(routes, a.More...)
}

// ServeHTTP answers a request of the memory face.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the very value, by contract of net/http
				panic(p)
			}
			a.Log.LogAttrs(r.Context(), slog.LevelError, "http.panic", slog.String("path", r.URL.Path), slog.Any("panic", p))
			writeReply(w, r, internalError())
		}
	}()
	reply, err := a.answer(r)
	if err != nil {
		reply = a.failed(r, err)
	}
	writeReply(w, r, reply)
}

// answer finds the route of a request and runs it.
func (a *API) answer(r *http.Request) (Reply, error) {
	route, allowed, ok := a.router.Match(r)
	switch {
	case ok:
	case len(allowed) > 0:
		return Reply{}, &errs.Error{Kind: errs.MethodNotAllowed, Msg: "Method Not Allowed", Err: allow(allowed)}
	case a.otherSlash(r):
		return Reply{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {slashed(r)}}}, nil
	default:
		return Reply{}, errs.E(errs.NotFound, "Not Found")
	}
	c := &Call{Request: r, In: newInput(r)}
	if route.Body {
		if err := c.In.readBody(r, a.MaxBody); err != nil {
			return Reply{}, err
		}
	}
	if !route.Open {
		p, err := a.Authenticate(r)
		if err != nil {
			return Reply{}, err
		}
		c.Caller = p
		c.Request = r.WithContext(principal.NewContext(r.Context(), p))
	}
	return route.Handle(c)
}

// allow carries the methods of a path to the adapter.
type allow []string

func (a allow) Error() string { return strings.Join(a, ", ") }

// otherSlash reports whether the path is known with its last slash taken away, or
// with one more.
func (a *API) otherSlash(r *http.Request) bool {
	other := new(http.Request)
	other.Method = r.Method
	u := *r.URL
	u.Path = toggled(u.Path)
	other.URL = &u
	_, allowed, ok := a.router.Match(other)
	return ok || len(allowed) > 0
}

func toggled(path string) string {
	if t := strings.TrimRight(path, "/"); t != path {
		return t
	}
	return path + "/"
}

// slashed is the absolute URL of r with its last slash taken away or added.
func slashed(r *http.Request) string {
	u := *r.URL
	u.Scheme, u.Host, u.User, u.Fragment = "http", r.Host, nil, ""
	if r.TLS != nil {
		u.Scheme = "https"
	}
	u.Path, u.RawPath = toggled(u.Path), toggled(u.EscapedPath())
	return u.String()
}

func writeReply(w http.ResponseWriter, r *http.Request, reply Reply) {
	h := w.Header()
	for k, v := range reply.Header {
		h[k] = v
	}
	if reply.Body != nil {
		if reply.Type == "" {
			reply.Type = "application/json"
		}
		h["Content-Type"] = []string{reply.Type}
	}
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	if reply.Status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(reply.Body))}
	}
	w.WriteHeader(reply.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(reply.Body) // the caller is gone; there is nobody to tell
	}
}

// failed is the answer to a request that ended in an error.
func (a *API) failed(r *http.Request, err error) Reply {
	if ctxErr := r.Context().Err(); ctxErr != nil && errors.Is(err, ctxErr) {
		err = errs.With(errs.Unavailable, err, "the request was given up")
	}
	reply := errorReply(err)
	if reply.Status >= http.StatusInternalServerError && reply.Status != http.StatusNotImplemented {
		a.Log.LogAttrs(r.Context(), slog.LevelError, "http.failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.String("request_id", httpx.RequestID(r.Context())), slog.String("error", err.Error()))
	}
	return reply
}
