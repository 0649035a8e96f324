package keystone_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"symbolon/internal/api/httpx"
	"symbolon/internal/api/keystone"
	"symbolon/internal/authn"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/rule"
	"symbolon/internal/testkit/cloud"
	"symbolon/token"
)

// A face is the identity face over a cloud, spoken to as clients do.
type face struct {
	*cloud.Cloud
	t       testing.TB
	handler http.Handler
	log     bytes.Buffer
	// said is every body ever answered, to be searched for what must not be
	// there.
	said strings.Builder
}

func newFace(t testing.TB, cfg cloud.Config) *face { return faceOf(t, cloud.New(t, cfg)) }

func faceOf(t testing.TB, c *cloud.Cloud) *face {
	t.Helper()
	rules, err := rule.NewEnforcer(rule.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	f := &face{Cloud: c, t: t}
	api := keystone.New(keystone.Deps{
		Identity: c.Dir, Tokens: c.Issuer, Issuer: c.Issuer, Logins: c.Logins, Rules: rules, Principal: c.Issuer.Principal,
		ChangePassword: c.Logins.ChangePassword(c.Dir),
		PublicURL:      "http://keystone.example.org", Now: c.Clock.Now, Log: slog.New(slog.NewJSONHandler(&f.log, nil)),
	})
	f.handler = httpx.WithRequestID(api)
	return f
}

// peer is another process on the same store.
func (f *face) peer() *face { return faceOf(f.t, f.Cloud.Peer(f.t)) }

type answer struct {
	t      testing.TB
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// A header is a name and value to send.
type header [2]string

func as(tok string) header      { return header{"X-Auth-Token", tok} }
func subject(tok string) header { return header{"X-Subject-Token", tok} }

func (f *face) do(method, path string, body any, headers ...header) *answer {
	f.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			f.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req := httptest.NewRequest(method, "http://keystone.example.org"+path, r)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		if h[1] != "" {
			req.Header[http.CanonicalHeaderKey(h[0])] = append(req.Header[http.CanonicalHeaderKey(h[0])], h[1])
		}
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, req)
	a := &answer{t: f.t, status: w.Code, header: w.Header(), raw: w.Body.String()}
	f.said.WriteString(a.raw)
	f.said.WriteByte('\n')
	if a.raw != "" && strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.body); err != nil {
			f.t.Fatalf("%s %s: %v in %s", method, path, err, a.raw)
		}
	}
	if a.status >= 500 && a.status != 503 {
		f.t.Errorf("%s %s: %d %s; log: %s", method, path, a.status, a.raw, f.log.String())
	}
	return a
}

// want fails the test unless the answer has the status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("status %d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// at walks into the body.
func (a *answer) at(path ...any) any {
	a.t.Helper()
	var v any = a.body
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (a *answer) token() string { return a.header.Get("X-Subject-Token") }

// names lists one member of each element of a list.
func (a *answer) names(member string, path ...any) []string {
	a.t.Helper()
	l, _ := a.at(path...).([]any)
	out := make([]string, 0, len(l))
	for _, v := range l {
		m, _ := v.(map[string]any)
		s, _ := m[member].(string)
		out = append(out, s)
	}
	return out
}

type m = map[string]any

// scopes.
func onProject(id string) m { return m{"project": m{"id": id}} }
func onDomain(id string) m  { return m{"domain": m{"id": id}} }
func onSystem() m           { return m{"system": m{"all": true}} }
func onTrust(id string) m   { return m{"OS-TRUST:trust": m{"id": id}} }

func byPassword(userID, password string, scope any) m {
	auth := m{"identity": m{"methods": []string{"password"}, "password": m{"user": m{"id": userID, "password": password}}}}
	if scope != nil {
		auth["scope"] = scope
	}
	return m{"auth": auth}
}

func byToken(tok string, scope any) m {
	auth := m{"identity": m{"methods": []string{"token"}, "token": m{"id": tok}}}
	if scope != nil {
		auth["scope"] = scope
	}
	return m{"auth": auth}
}

func (f *face) login(body m) *answer { f.t.Helper(); return f.do("POST", "/v3/auth/tokens", body) }

// tokenOf logs in and returns the token.
func (f *face) tokenOf(userID, password string, scope any) string {
	f.t.Helper()
	a := f.login(byPassword(userID, password, scope)).want(201)
	return a.token()
}

// admin returns a system token of the administrator.
func (f *face) admin() string { f.t.Helper(); return f.tokenOf(f.AdminID, cloud.Password, onSystem()) }

// v is the status with which an administrator's look at a token is answered, and c
// the one with which the token is met as a caller's.
func (f *face) v(tok string) int { f.t.Helper(); return f.validate(tok).status }

func (f *face) c(tok string) int {
	f.t.Helper()
	return f.do("GET", "/v3/auth/projects", nil, as(tok)).status
}

func (f *face) validate(tok string) *answer {
	f.t.Helper()
	return f.do("GET", "/v3/auth/tokens", nil, as(f.admin()), subject(tok))
}

// refused checks that a token is good for nothing: 404 as a subject, 401 as a
// caller's.
func (f *face) refused(tok string) {
	f.t.Helper()
	if got := f.v(tok); got != 404 {
		f.t.Errorf("as a subject: %d, want 404", got)
	}
	if got := f.c(tok); got != 401 {
		f.t.Errorf("as a caller's: %d, want 401", got)
	}
}

// good checks that a token is accepted as both.
func (f *face) good(tok string) {
	f.t.Helper()
	if got := f.v(tok); got != 200 {
		f.t.Errorf("as a subject: %d, want 200", got)
	}
	if got := f.c(tok); got != 200 {
		f.t.Errorf("as a caller's: %d, want 200", got)
	}
}

// reasons are the reasons of the refusals since the last call.
func (f *face) reasons() []token.Reason {
	var out []token.Reason
	for _, r := range f.Rejections() {
		out = append(out, r.Reason)
	}
	return out
}

// member makes a user with the role member on a new project, and a token for it.
func (f *face) member(name string) (user identity.User, project identity.Project, tok string) {
	f.t.Helper()
	user, project = f.User(f.t, name, name+" password"), f.Project(f.t, name+" project", "")
	f.Grant(f.t, cloud.On(user.ID, "member", project.ID))
	return user, project, f.tokenOf(user.ID, name+" password", onProject(project.ID))
}

// kindOf names the kind of an error.
func kindOf(err error) string { return errs.KindOf(err).String() }

// request is a login as the face hands it on.
func (f *face) request(body m) authn.Request {
	f.t.Helper()
	auth := body["auth"].(m)
	id := auth["identity"].(m)
	data := map[string]json.RawMessage{}
	for k, v := range id {
		b, err := json.Marshal(v)
		if err != nil {
			f.t.Fatal(err)
		}
		data[k] = b
	}
	req, err := f.Logins.Parse(id["methods"].([]string), data)
	if err != nil {
		f.t.Fatal(err)
	}
	if trust, ok := auth["scope"].(m)["OS-TRUST:trust"].(m); ok {
		req.Scope = issuer.Scope{Kind: issuer.ScopeTrust, ID: trust["id"].(string)}
	}
	return req
}
