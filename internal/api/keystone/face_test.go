package keystone

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/principal"
	"symbolon/internal/rule"
	"symbolon/internal/store"
	"symbolon/token"
)

// A face is the whole handler on a real store, with callers whose tokens are their
// names.
type face struct {
	t      testing.TB
	api    *API
	h      http.Handler
	dir    *identity.Directory
	store  *store.Store
	tokens map[string]*issuer.Token
	now    time.Time
	vars   map[string]string
	log    strings.Builder
}

type authenticator map[string]*issuer.Token

func (a authenticator) Authenticate(_ context.Context, text string) (*issuer.Token, error) {
	if t := a[text]; t != nil {
		return t, nil
	}
	return nil, &token.Rejection{Reason: token.Malformed, Kind: token.Unknown}
}

const base = "http://keystone.test/v3"

// newFace is a bootstrapped face with a caller of every kind.
func newFace(t testing.TB) *face {
	t.Helper()
	f := newEmptyFace(t)
	_, err := f.dir.Bootstrap(t.Context(), identity.BootstrapParams{Password: "pw", RegionID: "RegionOne", PublicURL: base})
	f.must(err)
	f.cast()
	return f
}

func newEmptyFace(t testing.TB) *face {
	t.Helper()
	f := &face{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), tokens: map[string]*issuer.Token{}, vars: map[string]string{}}
	now := func() time.Time { return f.now }
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Now: now})
	f.must(err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f.store = s
	f.dir = identity.New(s, identity.Config{}, now, func(_ context.Context, _ identity.User, pw string, _ []identity.Password, _ bool) (identity.Password, int, error) {
		return identity.Password{Hash: identity.PasswordHash("fake:" + pw), CreatedAt: now()}, 1, nil
	})
	rules, err := rule.NewEnforcer(rule.Defaults())
	f.must(err)
	f.api = New(Deps{
		Identity: f.dir, Tokens: authenticator(f.tokens), Rules: rules, Now: now,
		Log: slog.New(slog.NewTextHandler(&f.log, nil)),
		Principal: func(t *issuer.Token) principal.Principal {
			return principal.Principal{Entity: "user:" + t.User.ID, Tenant: "default"}
		},
		ChangePassword: func(ctx context.Context, userID, original, password string) error {
			if _, err := f.dir.User(ctx, userID); err != nil {
				return err
			}
			have, err := f.dir.Passwords(ctx, userID)
			if err != nil {
				return err
			}
			if len(have) == 0 || have[0].Hash != identity.PasswordHash("fake:"+original) {
				return errs.E(errs.Unauthenticated, "The request you have made requires authentication.")
			}
			return f.dir.ChangePassword(ctx, userID, password)
		},
	})
	f.h = httpx.WithRequestID(f.api)
	return f
}

func (f *face) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// cast makes a second domain and a caller of every kind that policy knows.
func (f *face) cast() {
	ctx := f.t.Context()
	acme, err := f.dir.CreateProject(ctx, identity.Project{Name: "acme", IsDomain: true, Enabled: true})
	f.must(err)
	project, err := f.dir.CreateProject(ctx, identity.Project{Name: "web", DomainID: acme.ID, Enabled: true})
	f.must(err)
	roles, err := f.dir.Roles(ctx)
	f.must(err)
	byName := map[string]identity.Role{}
	for _, r := range roles {
		byName[r.Name] = r
		f.vars[r.Name] = r.ID
	}
	chain := map[string][]string{
		"admin": {"admin", "manager", "member", "reader"}, "manager": {"manager", "member", "reader"},
		"member": {"member", "reader"}, "reader": {"reader"}, "service": {"service"}, "": nil,
	}
	dom := issuer.Ref{ID: acme.ID, Name: acme.Name}
	for name, c := range map[string]struct{ role, domain, scope string }{
		"admin":        {"admin", "default", "system"},
		"reader":       {"reader", "default", "system"},
		"projectadmin": {"admin", "default", "project"},
		"member":       {"member", acme.ID, "project"},
		"manager":      {"manager", acme.ID, "domain"},
		"leader":       {"manager", acme.ID, "project"},
		"domainadmin":  {"admin", acme.ID, "domain"},
		"domainreader": {"reader", acme.ID, "domain"},
		"nobody":       {"", acme.ID, ""},
	} {
		u, err := f.dir.CreateUser(ctx, identity.User{Name: name + "-user", DomainID: c.domain, Enabled: true}, new("pw of "+name))
		f.must(err)
		f.vars["user:"+name] = u.ID
		t := &issuer.Token{User: issuer.User{ID: u.ID, Name: name, Domain: issuer.Ref{ID: c.domain}}, BearerID: u.ID}
		for _, r := range chain[c.role] {
			t.Roles = append(t.Roles, byName[r])
		}
		switch c.scope {
		case "system":
			t.System = true
		case "domain":
			t.Domain = &dom
		case "project":
			t.Project = &issuer.Project{ID: project.ID, Name: project.Name, Domain: dom}
		}
		f.tokens[name] = t
	}
	f.vars["acme"], f.vars["web"] = acme.ID, project.ID
}

// An answer is what came back.
type answer struct {
	*http.Response
	text string
	body map[string]any
}

// do sends a request as a caller; {name} in path and body stands for a variable.
func (f *face) do(as, method, path, body string) answer {
	f.t.Helper()
	r := httptest.NewRequest(method, "http://keystone.test"+f.fill(path), strings.NewReader(f.fill(body)))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if as != "" {
		r.Header.Set("X-Auth-Token", as)
	}
	return f.send(r)
}

func (f *face) send(r *http.Request) answer {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	a := answer{Response: w.Result()}
	b, err := io.ReadAll(a.Body)
	f.must(err)
	a.text = string(b)
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(b, &a.body); err != nil {
			f.t.Errorf("%s %s: body %q: %v", r.Method, r.URL, b, err)
		}
	}
	if a.Header.Get("Vary") != "X-Auth-Token" || !strings.HasPrefix(a.Header.Get("X-Openstack-Request-Id"), "req-") {
		f.t.Errorf("%s %s: headers %v", r.Method, r.URL, a.Header)
	}
	if a.StatusCode >= 500 {
		f.t.Errorf("%s %s: %d %s\n%s", r.Method, r.URL, a.StatusCode, b, f.log.String())
	}
	if a.StatusCode == http.StatusUnauthorized && a.Header.Get("Www-Authenticate") != `Keystone uri="`+base+`"` {
		f.t.Errorf("%s %s: 401 with %q", r.Method, r.URL, a.Header.Get("Www-Authenticate"))
	}
	return a
}

func (f *face) fill(s string) string {
	for strings.Contains(s, "<") {
		i := strings.IndexByte(s, '<')
		j := strings.IndexByte(s[i:], '>')
		if j < 0 {
			break
		}
		v, ok := f.vars[s[i+1:i+j]]
		if !ok {
			f.t.Fatalf("no variable %q", s[i:i+j+1])
		}
		s = s[:i] + v + s[i+j+1:]
	}
	return s
}

// want sends a request and checks its status; what it answers is returned.
func (f *face) want(status int, as, method, path, body string) answer {
	f.t.Helper()
	a := f.do(as, method, path, body)
	if a.StatusCode != status {
		f.t.Errorf("%s %s by %q: %d %s, want %d", method, f.fill(path), as, a.StatusCode, a.text, status)
	}
	return a
}

// make sends a POST that must succeed and keeps the new resource's id under name.
func (f *face) make(name, path, body string) map[string]any {
	f.t.Helper()
	a := f.want(http.StatusCreated, "admin", "POST", path, body)
	for _, v := range a.body {
		m, _ := v.(map[string]any)
		id, _ := m["id"].(string)
		f.vars[name] = id
		return m
	}
	f.t.Fatalf("POST %s: %s", path, a.text)
	return nil
}

// says checks the error that an answer carries.
func (f *face) says(a answer, want string) {
	f.t.Helper()
	e, _ := a.body["error"].(map[string]any)
	msg, _ := e["message"].(string)
	if code, _ := e["code"].(float64); int(code) != a.StatusCode || e["title"] != http.StatusText(a.StatusCode) || !strings.Contains(msg, want) {
		f.t.Errorf("answer %d %s, want an error saying %q", a.StatusCode, a.text, want)
	}
}

// A step is one request of a walk through the API.
type step struct {
	method, path, body string
	status             int
	keep               string // keeps the id of the answer's resource
}

// walk touches every route that there is with its success status.
var walk = []step{
	{"GET", "/", "", 300, ""},
	{"GET", "/v3", "", 200, ""},
	{"POST", "/v3/domains", `{"domain":{"name":"d1"}}`, 201, "domain"},
	{"GET", "/v3/domains", "", 200, ""},
	{"GET", "/v3/domains/<domain>", "", 200, ""},
	{"PATCH", "/v3/domains/<domain>", `{"domain":{"description":"x"}}`, 200, ""},
	{"POST", "/v3/projects", `{"project":{"name":"p1","domain_id":"<domain>"}}`, 201, "project"},
	{"GET", "/v3/projects", "", 200, ""},
	{"GET", "/v3/projects/<project>", "", 200, ""},
	{"PATCH", "/v3/projects/<project>", `{"project":{"description":"x"}}`, 200, ""},
	{"PUT", "/v3/projects/<project>/tags", `{"tags":["a","b"]}`, 200, ""},
	{"GET", "/v3/projects/<project>/tags", "", 200, ""},
	{"PUT", "/v3/projects/<project>/tags/c", "", 201, ""},
	{"GET", "/v3/projects/<project>/tags/c", "", 204, ""},
	{"DELETE", "/v3/projects/<project>/tags/c", "", 204, ""},
	{"DELETE", "/v3/projects/<project>/tags", "", 204, ""},
	{"POST", "/v3/users", `{"user":{"name":"u1","domain_id":"<domain>","password":"old"}}`, 201, "user"},
	{"GET", "/v3/users", "", 200, ""},
	{"GET", "/v3/users/<user>", "", 200, ""},
	{"PATCH", "/v3/users/<user>", `{"user":{"email":"x@example.org"}}`, 200, ""},
	{"POST", "/v3/users/<user>/password", `{"user":{"original_password":"old","password":"new"}}`, 204, ""},
	{"GET", "/v3/users/<user>/projects", "", 200, ""},
	{"GET", "/v3/users/<user>/groups", "", 200, ""},
	{"POST", "/v3/groups", `{"group":{"name":"g1","domain_id":"<domain>"}}`, 201, "group"},
	{"GET", "/v3/groups", "", 200, ""},
	{"GET", "/v3/groups/<group>", "", 200, ""},
	{"PATCH", "/v3/groups/<group>", `{"group":{"description":"x"}}`, 200, ""},
	{"PUT", "/v3/groups/<group>/users/<user>", "", 204, ""},
	{"GET", "/v3/groups/<group>/users/<user>", "", 204, ""},
	{"GET", "/v3/groups/<group>/users", "", 200, ""},
	{"DELETE", "/v3/groups/<group>/users/<user>", "", 204, ""},
	{"POST", "/v3/roles", `{"role":{"name":"r1"}}`, 201, "role"},
	{"POST", "/v3/roles", `{"role":{"name":"r2"}}`, 201, "other"},
	{"GET", "/v3/roles", "", 200, ""},
	{"GET", "/v3/roles/<role>", "", 200, ""},
	{"PATCH", "/v3/roles/<role>", `{"role":{"description":"x"}}`, 200, ""},
	{"PUT", "/v3/roles/<role>/implies/<other>", "", 201, ""},
	{"GET", "/v3/roles/<role>/implies/<other>", "", 200, ""},
	{"HEAD", "/v3/roles/<role>/implies/<other>", "", 204, ""},
	{"GET", "/v3/roles/<role>/implies", "", 200, ""},
	{"GET", "/v3/role_inferences", "", 200, ""},
	{"DELETE", "/v3/roles/<role>/implies/<other>", "", 204, ""},
	{"GET", "/v3/role_assignments", "", 200, ""},
	{"POST", "/v3/regions", `{"region":{}}`, 201, "region"},
	{"PUT", "/v3/regions/north", `{"region":{"description":"n"}}`, 201, ""},
	{"GET", "/v3/regions", "", 200, ""},
	{"GET", "/v3/regions/north", "", 200, ""},
	{"PATCH", "/v3/regions/north", `{"region":{"description":"x"}}`, 200, ""},
	{"POST", "/v3/services", `{"service":{"type":"memory","name":"m"}}`, 201, "service"},
	{"GET", "/v3/services", "", 200, ""},
	{"GET", "/v3/services/<service>", "", 200, ""},
	{"PATCH", "/v3/services/<service>", `{"service":{"name":"mm"}}`, 200, ""},
	{"POST", "/v3/endpoints", `{"endpoint":{"service_id":"<service>","interface":"public","url":"http://m/$(project_id)s","region":"north"}}`, 201, "endpoint"},
	{"GET", "/v3/endpoints", "", 200, ""},
	{"GET", "/v3/endpoints/<endpoint>", "", 200, ""},
	{"PATCH", "/v3/endpoints/<endpoint>", `{"endpoint":{"url":"http://n"}}`, 200, ""},
	{"DELETE", "/v3/endpoints/<endpoint>", "", 204, ""},
	{"DELETE", "/v3/services/<service>", "", 204, ""},
	{"DELETE", "/v3/regions/north", "", 204, ""},
}

// grantWalk gives, checks, lists and takes each kind of grant.
func grantWalk() []step {
	var out []step
	for _, actor := range []string{"user", "group"} {
		who := "/" + actor + "s/<" + actor + ">/roles"
		for _, p := range []struct{ prefix, suffix string }{
			{"/v3/projects/<project>", ""}, {"/v3/domains/<domain>", ""}, {"/v3/system", ""},
			{"/v3/OS-INHERIT/domains/<domain>", "/inherited_to_projects"}, {"/v3/OS-INHERIT/projects/<project>", "/inherited_to_projects"},
		} {
			one := p.prefix + who + "/<role>" + p.suffix
			out = append(out, step{"PUT", one, "", 204, ""}, step{"GET", one, "", 204, ""})
			if !strings.Contains(p.prefix, "INHERIT/projects") {
				out = append(out, step{"GET", p.prefix + who + p.suffix, "", 200, ""})
			}
			out = append(out, step{"DELETE", one, "", 204, ""})
		}
	}
	return out
}

var undo = []step{
	{"DELETE", "/v3/roles/<role>", "", 204, ""},
	{"DELETE", "/v3/groups/<group>", "", 204, ""},
	{"DELETE", "/v3/users/<user>", "", 204, ""},
	{"DELETE", "/v3/projects/<project>", "", 204, ""},
	{"PATCH", "/v3/domains/<domain>", `{"domain":{"enabled":false}}`, 200, ""},
	{"DELETE", "/v3/domains/<domain>", "", 204, ""},
}

func steps() []step {
	out := append([]step{}, walk...)
	out = append(out, grantWalk()...)
	return append(out, undo...)
}

// run sends a step and keeps what it asks to keep.
func (f *face) run(as string, s step) answer {
	f.t.Helper()
	a := f.want(s.status, as, s.method, s.path, s.body)
	if s.keep != "" {
		for _, v := range a.body {
			m, _ := v.(map[string]any)
			f.vars[s.keep], _ = m["id"].(string)
		}
	}
	return a
}

// A listed row is a route of the reference.
type listed struct {
	method, path, rule string
	status             int
}

func reference(t testing.TB) []listed {
	t.Helper()
	b, err := os.ReadFile("testdata/routes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []listed
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		col := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		l := listed{method: col[0], path: col[1], rule: col[3]}
		if _, err := fmt.Sscan(col[2], &l.status); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}
