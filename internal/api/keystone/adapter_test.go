package keystone

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/rule"
)

// serveRoute answers one request with a route of the test's own.
func (f *face) serveRoute(rt route, as string) (answer, string) {
	f.t.Helper()
	api := &API{Deps: f.api.Deps, table: []route{rt}}
	api.router = httpx.NewRouter([]httpx.Route[*route]{{Pattern: rt.method + " " + rt.path, Handler: &rt}})
	r := httptest.NewRequest(rt.method, "http://keystone.test"+rt.path, nil)
	if as != "" {
		r.Header.Set("X-Auth-Token", as)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return answer{Response: w.Result()}, w.Body.String()
}

// A handler that forgets to ask policy gets no answer through.
func TestAnAnswerWithoutPolicyIsRefused(t *testing.T) {
	f := newFace(t)
	a, body := f.serveRoute(plain("GET", "/v3/x", "identity:list_users", func(*request) (response, error) {
		return response{status: 200, body: []byte(`{"secret":1}`)}, nil
	}), "admin")
	if a.StatusCode != 500 || strings.Contains(body, "secret") || !strings.Contains(f.log.String(), "without asking policy") {
		t.Errorf("%d %s; log %s", a.StatusCode, body, f.log.String())
	}
}

// Each kind of error has its status and the body of the protocol; what went wrong
// inside is for the log alone.
func TestEveryKindOfErrorHasItsAnswer(t *testing.T) {
	f := newFace(t)
	for kind := range errs.NumKinds {
		want := map[errs.Kind]string{
			errs.Internal:         `500 {"error":{"code":500,"message":"An unexpected error prevented the server from fulfilling your request.","title":"Internal Server Error"}}`,
			errs.Invalid:          `400 {"error":{"code":400,"message":"told","title":"Bad Request"}}`,
			errs.Unprocessable:    `400 {"error":{"code":400,"message":"told","title":"Bad Request"}}`,
			errs.Unauthenticated:  `401 {"error":{"code":401,"message":"told","title":"Unauthorized"}}`,
			errs.Forbidden:        `403 {"error":{"code":403,"message":"told","title":"Forbidden"}}`,
			errs.NotFound:         `404 {"error":{"code":404,"message":"told","title":"Not Found"}}`,
			errs.Conflict:         `409 {"error":{"code":409,"message":"told","title":"Conflict"}}`,
			errs.Gone:             `410 {"error":{"code":410,"message":"told","title":"Gone"}}`,
			errs.TooLarge:         `413 {"error":{"code":413,"message":"told","title":"Request Entity Too Large"}}`,
			errs.TooMany:          `429 {"error":{"code":429,"message":"told","title":"Too Many Requests"}}`,
			errs.MethodNotAllowed: `405 {"error":{"code":405,"message":"told","title":"Method Not Allowed"}}`,
			errs.NotImplemented:   `501 {"error":{"code":501,"message":"told","title":"Not Implemented"}}`,
			errs.Unavailable:      `503 {"error":{"code":503,"message":"told","title":"Service Unavailable"}}`,
		}[kind]
		a, body := f.serveRoute(plain("GET", "/v3/x", "", func(*request) (response, error) {
			return response{}, errs.With(kind, errors.New("cause"), "told")
		}), "")
		if got := a.Status[:4] + body; got != want {
			t.Errorf("%v: %s, want %s", kind, got, want)
		}
		if strings.Contains(body, "cause") {
			t.Errorf("%v: the answer shows the cause: %s", kind, body)
		}
	}
	if !strings.Contains(f.log.String(), "cause") {
		t.Error("the log does not show the cause of an internal error")
	}
	a, _ := f.serveRoute(plain("GET", "/v3/x", "", func(*request) (response, error) {
		return response{}, &errs.Error{Kind: errs.TooMany, Msg: "told", RetryAfter: 1500 * time.Millisecond}
	}), "")
	if a.Header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
}

// Two tokens are two callers, which is nobody.
func TestTwoTokensAreNone(t *testing.T) {
	f := newFace(t)
	r := httptest.NewRequest("GET", base+"/users", nil)
	r.Header["X-Auth-Token"] = []string{"admin", "admin"}
	if a := f.send(r); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// What is not there is missing to policy, what is null is null, and neither is the
// empty text: rules tell them apart.
func TestTargets(t *testing.T) {
	f := newFace(t)
	r := &request{Request: httptest.NewRequest("GET", "/", nil), api: f.api}
	r.SetPathValue("user_id", "u")
	body := &object{name: "user", all: map[string]json.RawMessage{"domain_id": []byte(`null`), "name": []byte(`"n"`), "enabled": []byte(`true`)}}
	tg := &target{
		r: r, project: &identity.Project{ID: "p", Name: "pn", IsDomain: true}, role: &identity.Role{ID: "r", Name: "rn"},
		domain: &identity.Project{ID: "d", Name: "dn", Enabled: true}, made: body,
	}
	for name, want := range map[string]rule.Value{
		"user_id": rule.Text("u"), "project_id": {}, "target.user.domain_id": rule.Null(), "target.user.name": rule.Text("n"),
		"target.user.id": {}, "target.user.enabled": rule.Text("true"), "target.project.id": rule.Text("p"), "target.project.domain_id": rule.Null(),
		"target.project.parent_id": rule.Null(), "target.project.other": {}, "target.domain.id": rule.Text("d"), "target.domain.domain_id": {},
		"target.domain.enabled": rule.Text("True"), "target.role.name": rule.Text("rn"), "target.role.domain_id": rule.Null(),
		"target.group.id": {}, "target.domain_id": {}, "target": {}, "": {}, "target.": {},
	} {
		if got := tg.Value(name); got != want {
			t.Errorf("%q: %+v, want %+v", name, got, want)
		}
	}
}
