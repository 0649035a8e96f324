package keystone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"symbolon/internal/api/httpx"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/issuer"
	"symbolon/internal/principal"
	"symbolon/internal/rule"
	"symbolon/token"
)

// A request is one request on its way through a handler.
type request struct {
	*http.Request
	api   *API
	route *route
	// base is the address of the API, with /v3 and without a slash at the end.
	base  string
	body  map[string]json.RawMessage // nil without a body
	query url.Values
	input any // what the route's parse returned
	// token is the caller's; nil is nobody.
	token   *issuer.Token
	creds   rule.Creds
	decided bool // policy was asked
}

// A response is what a handler returns.
type response struct {
	status int
	header http.Header
	// body is JSON unless header has another Content-Type; nil is none.
	body []byte
	// subject is the text of the token that the body shows.
	subject string
	// buffer holds body when it is to be used again once the answer is written.
	buffer *[]byte
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	h := w.Header()
	h["Vary"] = varyByCaller
	base := a.baseURL(hr)
	if p := hr.URL.Path; len(p) > 1 && p[len(p)-1] == '/' {
		u := *hr.URL
		u.Path, u.RawPath = strings.TrimRight(p, "/"), ""
		if u.Path == "" {
			u.Path = "/"
		}
		r2 := *hr
		r2.URL = &u
		hr = &r2
	}
	rt, allowed, ok := a.router.Match(hr)
	if !ok {
		switch {
		case allowed == nil:
			write(w, response{status: http.StatusNotFound, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body: notFoundPage})
		case hr.Method == http.MethodOptions:
			h["Allow"] = []string{strings.Join(append(allowed, http.MethodOptions), ", ")}
			write(w, response{status: http.StatusOK})
		default:
			h["Allow"] = []string{strings.Join(append(allowed, http.MethodOptions), ", ")}
			write(w, response{status: http.StatusMethodNotAllowed, body: []byte(`{"message": "The method is not allowed for the requested URL."}`)})
		}
		return
	}
	r := &request{Request: hr, api: a, route: rt, base: base}
	resp, err := r.serve()
	if err != nil {
		resp = r.failure(err)
	}
	write(w, resp)
}

// Header values that never change are shared by all answers.
var (
	varyByCaller = []string{"X-Auth-Token"}
	jsonType     = []string{"application/json"}
)

var notFoundPage = []byte("<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n" +
	"<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.</p>\n")

// serve takes the steps of a request in the order in which they may fail.
func (r *request) serve() (response, error) {
	if err := r.readBody(); err != nil {
		return response{}, err
	}
	var err error
	if r.URL.RawQuery == "" { // nothing to parse, nothing to allocate
	} else if r.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return response{}, errs.With(errs.Invalid, err, "The query string cannot be read.")
	}
	if r.route.parse != nil {
		if r.input, err = r.route.parse(r); err != nil {
			return response{}, err
		}
	}
	if err := r.authenticate(); err != nil {
		return response{}, err
	}
	if r.route.rule == "" {
		return r.route.handle(r)
	}
	if r.token == nil {
		return response{}, errUnauthenticated
	}
	resp, err := r.route.handle(r)
	if err == nil && !r.decided {
		return response{}, fmt.Errorf("keystone: %s %s answered without asking policy", r.route.method, r.route.path)
	}
	return resp, err
}

var errUnauthenticated = errs.E(errs.Unauthenticated, "The request you have made requires authentication.")

func (r *request) readBody() error {
	b, err := httpx.ReadBody(r.Request, r.api.MaxBody)
	if err != nil || len(b) == 0 {
		return err
	}
	if ct := r.Header.Get("Content-Type"); ct != "" {
		if mt, _, err := mime.ParseMediaType(ct); err != nil || mt != "application/json" {
			return missing("application/json", "Content-Type header")
		}
	}
	if err := httpx.CheckJSON(b, maxJSONDepth); err != nil {
		return errs.With(errs.Invalid, err, "%s", missing("valid JSON", "request body"))
	}
	if err := json.Unmarshal(b, &r.body); err != nil || r.body == nil {
		return missing("valid JSON", "request body")
	}
	return nil
}

// missing is the protocol's error for a request in which something is not there.
func missing(what, where string) error {
	return errs.E(errs.Invalid, "Expecting to find %s in %s. The server could not comply with the request since it is either malformed or "+
		"otherwise incorrect. The client is assumed to be in error.", what, where)
}

// authenticate finds the caller. A token that is refused leaves the caller
// unknown: routes that need none go on, the others answer 401. One that is good,
// but for nothing than to be looked at, stops the request.
func (r *request) authenticate() error {
	texts := r.Header["X-Auth-Token"]
	if len(texts) == 0 || texts[0] == "" {
		return nil
	}
	if len(texts) > 1 {
		return nil // two callers are nobody
	}
	t, err := r.api.Tokens.Authenticate(r.Context(), texts[0])
	switch {
	case errs.Is(err, errs.Unavailable):
		return err
	case err != nil:
		var rej *token.Rejection
		if errors.As(err, &rej) && rej.Reason == token.InsufficientScope {
			return errs.With(errs.Forbidden, err, "You are not authorized to perform the requested action.")
		}
		return nil //nolint:nilerr // whoever refused the token has reported it
	}
	r.token = t
	r.creds = *t.Creds()
	if r.api.Principal != nil && r.Method != http.MethodGet && r.Method != http.MethodHead { // for the audit log of what is changed
		r.Request = r.WithContext(principal.NewContext(r.Context(), r.api.Principal(t)))
	}
	return nil
}

// enforce asks the rule of that name whether the caller may act on t.
func (r *request) enforce(name string, t rule.Target) error {
	r.decided = true
	if r.token == nil {
		return errUnauthenticated
	}
	if !r.api.Rules.Allowed(name, &r.creds, t) {
		return forbidden(name)
	}
	return nil
}

func forbidden(action string) error {
	return errs.E(errs.Forbidden, "You are not authorized to perform the requested action: %s.", action)
}

// baseURL returns the address of the API as this client should see it.
func (a *API) baseURL(r *http.Request) string {
	if a.PublicURL != "" {
		u := strings.TrimRight(a.PublicURL, "/")
		return strings.TrimSuffix(u, "/v3") + "/v3"
	}
	scheme, port := "http://", ":80"
	if r.TLS != nil {
		scheme, port = "https://", ":443"
	}
	return scheme + strings.TrimSuffix(r.Host, port) + "/v3"
}

// statusOf gives each kind of error its status.
var statusOf = [errs.NumKinds]int{
	errs.Internal: 500, errs.Invalid: 400, errs.Unprocessable: 400, errs.Unauthenticated: 401, errs.Forbidden: 403, errs.NotFound: 404,
	errs.Conflict: 409, errs.Gone: 410, errs.TooLarge: 413, errs.TooMany: 429, errs.MethodNotAllowed: 405, errs.NotImplemented: 501,
	errs.Unavailable: 503,
}

// failure turns an error into the protocol's answer.
func (r *request) failure(err error) response {
	kind := errs.KindOf(err)
	status := statusOf[kind]
	var e *errs.Error
	msg := ""
	if errors.As(err, &e) {
		msg = e.Msg
	}
	h := http.Header{}
	switch {
	case kind == errs.Internal:
		if errors.Is(err, context.Canceled) { // nobody reads the answer
			return response{status: 499}
		}
		r.api.log().LogAttrs(r.Context(), slog.LevelError, "http.failed",
			slog.String("route", r.route.method+" "+r.route.path), slog.String("error", err.Error()))
		msg = "An unexpected error prevented the server from fulfilling your request."
	case kind == errs.Unauthenticated:
		h["Www-Authenticate"] = []string{`Keystone uri="` + r.base + `"`}
		if msg == "" {
			msg = errUnauthenticated.Error()
		}
	case e != nil && e.RetryAfter > 0:
		h["Retry-After"] = []string{strconv.Itoa(int(e.RetryAfter.Seconds() + 0.999))}
	}
	var d doc
	d.open()
	d.object("error", func() {
		d.number("code", status)
		d.str("message", msg)
		d.str("title", http.StatusText(status))
		if e != nil && e.Detail != nil {
			if b, err := json.Marshal(e.Detail); err == nil {
				d.raw("identity", b)
			}
		}
	})
	d.close()
	return response{status: status, header: h, body: d.b}
}

func (a *API) log() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log
}

// write sends an answer.
func write(w http.ResponseWriter, resp response) {
	h := w.Header()
	for k, v := range resp.header {
		h[k] = v
	}
	if resp.subject != "" {
		h[subjectHeader] = []string{resp.subject}
	}
	if resp.body != nil && h["Content-Type"] == nil {
		h["Content-Type"] = jsonType
	}
	if resp.status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(resp.body))}
	}
	w.WriteHeader(resp.status)
	_, _ = w.Write(resp.body) // a client that went away is nobody's error
	if resp.buffer != nil {
		*resp.buffer = resp.body[:0]
		buffers.Put(resp.buffer)
	}
}

// noContent is the answer of what has nothing to say.
func noContent() (response, error) { return response{status: http.StatusNoContent}, nil }

// A doc is a JSON text in the making. Members come in the order of the calls.
type doc struct{ b []byte }

func (d *doc) comma() {
	if n := len(d.b); n > 0 {
		switch d.b[n-1] {
		case '{', '[', ':', ',':
		default:
			d.b = append(d.b, ',')
		}
	}
}

func (d *doc) key(k string) {
	d.comma()
	d.b = canon.AppendString(d.b, k, canon.UTF8)
	d.b = append(d.b, ':')
}

func (d *doc) open() {
	d.comma()
	d.b = append(d.b, '{')
}

func (d *doc) close() { d.b = append(d.b, '}') }

func (d *doc) str(k, v string) {
	d.key(k)
	d.b = canon.AppendString(d.b, v, canon.UTF8)
}

// strOrNull writes null for an empty text.
func (d *doc) strOrNull(k, v string) {
	if v == "" {
		d.null(k)
		return
	}
	d.str(k, v)
}

func (d *doc) ptr(k string, v *string) {
	if v == nil {
		d.null(k)
		return
	}
	d.str(k, *v)
}

func (d *doc) null(k string) {
	d.key(k)
	d.b = append(d.b, "null"...)
}

func (d *doc) boolean(k string, v bool) {
	d.key(k)
	d.b = strconv.AppendBool(d.b, v)
}

func (d *doc) number(k string, v int) {
	d.key(k)
	d.b = strconv.AppendInt(d.b, int64(v), 10)
}

func (d *doc) raw(k string, v []byte) {
	d.key(k)
	d.b = append(d.b, v...)
}

func (d *doc) texts(k string, vs []string) {
	d.list(k, len(vs), func(i int) { d.b = canon.AppendString(d.b, vs[i], canon.UTF8) })
}

func (d *doc) object(k string, members func()) {
	d.key(k)
	d.b = append(d.b, '{')
	members()
	d.close()
}

// list writes n elements; each call of element writes one value.
func (d *doc) list(k string, n int, element func(i int)) {
	d.key(k)
	d.b = append(d.b, '[')
	for i := range n {
		if i > 0 {
			d.b = append(d.b, ',')
		}
		element(i)
	}
	d.b = append(d.b, ']')
}

// attributes writes members of any value, sorted by name.
func attributes[M ~map[string]json.RawMessage](d *doc, m M) {
	for _, k := range sortedKeys(m) {
		d.raw(k, m[k])
	}
}
