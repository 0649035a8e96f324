package keystone

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/rule"
)

// Every route of the reference exists, under its policy rule, and answers with its
// status when an administrator walks through the API.
func TestRoutesOfTheReference(t *testing.T) {
	f := newFace(t)
	visited := map[string]int{}
	for _, s := range steps() {
		path := f.fill(s.path)
		f.run("admin", s)
		rt, _, ok := f.api.router.Match(&http.Request{Method: s.method, URL: &url.URL{Path: path}})
		if !ok {
			t.Fatalf("%s %s is no route", s.method, path)
		}
		visited[s.method+" "+rt.path] = s.status
	}
	for _, want := range reference(t) {
		name := want.method + " " + want.path
		i := slices.IndexFunc(f.api.table, func(r route) bool { return r.method == want.method && r.path == want.path })
		if i < 0 {
			t.Errorf("%s is not served", name)
			continue
		}
		if got := f.api.table[i].rule; !sameWords(got, want.rule) {
			t.Errorf("%s asks rule %q, want %q", name, got, want.rule)
		}
		if got, ok := visited[name]; !ok || got != want.status {
			t.Errorf("%s was walked with %d (%v), want %d", name, got, ok, want.status)
		}
	}
}

func sameWords(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// Whatever rule a route names is defined: an undefined one would deny everybody.
func TestRulesAreDefined(t *testing.T) {
	f := newFace(t)
	e, err := rule.NewEnforcer(rule.Defaults())
	f.must(err)
	for _, r := range f.api.table {
		for _, name := range strings.Fields(r.rule) {
			if !e.Defined(name) {
				t.Errorf("%s %s: rule %s is not defined", r.method, r.path, name)
			}
		}
	}
}

// Without credentials, and with a token that is refused, every route that policy
// guards answers 401 and changes nothing.
func TestEveryRouteNeedsCredentials(t *testing.T) {
	f := newFace(t)
	bodies := map[string]string{}
	for _, s := range steps() {
		rt, _, ok := f.api.router.Match(&http.Request{Method: s.method, URL: &url.URL{Path: strings.NewReplacer("<", "", ">", "").Replace(s.path)}})
		if ok {
			bodies[s.method+" "+rt.path] = strings.NewReplacer("<", "", ">", "").Replace(s.body)
		}
	}
	before := f.store.IdentityRevision()
	for _, r := range f.api.table {
		if r.rule == "" || strings.HasPrefix(r.path, "/v3/OS-TRUST") {
			continue
		}
		path := strings.NewReplacer("{", "", "}", "").Replace(r.path)
		for _, as := range []string{"", "refused"} {
			a := f.do(as, r.method, path, bodies[r.method+" "+r.path])
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s with token %q: %d %s, want 401", r.method, r.path, as, a.StatusCode, a.text)
			} else if r.method != http.MethodHead {
				f.says(a, "The request you have made requires authentication.")
			}
		}
	}
	if f.store.IdentityRevision() != before {
		t.Error("a request without credentials changed something")
	}
}

// A token without any role reaches its own things and what everybody may see.
func TestWhatATokenWithoutRolesReaches(t *testing.T) {
	f := newFace(t)
	for _, s := range steps() {
		f.run("admin", s)
		if s.method == "GET" && strings.Contains(s.path, "<domain>") {
			break
		}
	}
	open := []string{"GET /v3/regions", "GET /v3/regions/{region_id}"}
	for _, r := range f.api.table {
		if r.rule == "" || r.method != "GET" || strings.HasPrefix(r.path, "/v3/auth/") || strings.HasPrefix(r.path, "/v3/OS-TRUST") {
			continue
		}
		path := strings.NewReplacer("{domain_id}", "<acme>", "{project_id}", "<web>", "{user_id}", "<user:admin>", "{role_id}", "<reader>",
			"{prior_role_id}", "<admin>", "{implied_role_id}", "<manager>", "{region_id}", "RegionOne", "{", "", "}", "").Replace(r.path)
		a := f.do("nobody", "GET", path, "")
		want := http.StatusForbidden
		if slices.Contains(open, "GET "+r.path) {
			want = http.StatusOK
		}
		if a.StatusCode != want {
			t.Errorf("GET %s: %d %s, want %d", r.path, a.StatusCode, a.text, want)
		}
	}
	f.want(200, "nobody", "GET", "/v3/users/<user:nobody>", "")
	f.want(200, "nobody", "GET", "/v3/users/<user:nobody>/projects", "")
	f.want(200, "nobody", "GET", "/v3/users/<user:nobody>/groups", "")
}

func TestUnknownPathsAndMethods(t *testing.T) {
	f := newFace(t)
	for _, path := range []string{"/nosuch", "/v3/nosuch", "/v3/users/x/nosuch", "/v2.0/tokens", "/v3//users", "/v3/users/../users"} {
		a := f.want(404, "admin", "GET", path, "")
		if a.Header.Get("Content-Type") != "text/html; charset=utf-8" || len(a.text) != 207 {
			t.Errorf("GET %s: %q %q", path, a.Header.Get("Content-Type"), a.text)
		}
	}
	a := f.want(405, "admin", "PUT", "/v3/users", "{}")
	if a.text != `{"message": "The method is not allowed for the requested URL."}` || !strings.Contains(a.Header.Get("Allow"), "POST") {
		t.Errorf("405: %q, Allow %q", a.text, a.Header.Get("Allow"))
	}
	a = f.want(200, "", "OPTIONS", "/v3/users", "")
	if !strings.Contains(a.Header.Get("Allow"), "POST") || a.text != "" {
		t.Errorf("OPTIONS: %q, Allow %q", a.text, a.Header.Get("Allow"))
	}
	f.want(200, "admin", "GET", "/v3/users/", "")
	f.want(200, "", "GET", "/v3/", "")
}

func TestDiscovery(t *testing.T) {
	f := newFace(t)
	const version = `{"id":"v3.14","status":"stable","updated":"2020-04-07T00:00:00Z","links":[{"rel":"self","href":"http://keystone.test/v3/"}],` +
		`"media-types":[{"base":"application/json","type":"application/vnd.openstack.identity-v3+json"}]}`
	a := f.want(300, "", "GET", "/", "")
	if a.text != `{"versions":{"values":[`+version+`]}}` || a.Header.Get("Location") != "http://keystone.test/v3/" {
		t.Errorf("GET /: %s, Location %q", a.text, a.Header.Get("Location"))
	}
	if a := f.want(200, "refused", "GET", "/v3", ""); a.text != `{"version":`+version+`}` {
		t.Errorf("GET /v3: %s", a.text)
	}
	head := f.want(200, "", "HEAD", "/v3", "")
	if head.Header.Get("Content-Length") != f.do("", "GET", "/v3", "").Header.Get("Content-Length") {
		t.Errorf("HEAD: %v", head.Header)
	}
}

// What the home document says of a relation is what a real Keystone 29 says of it,
// and every path that is served has its relation, but for some that the protocol
// names none for.
func TestHomeDocument(t *testing.T) {
	f := newFace(t)
	raw, err := os.ReadFile("testdata/json-home.json")
	f.must(err)
	var theirs, ours struct{ Resources map[string]any }
	f.must(json.Unmarshal(raw, &theirs))
	ask := func(path, accept string) answer {
		r := httptest.NewRequest("GET", "http://keystone.test"+path, nil)
		r.Header.Set("Accept", accept)
		return f.send(r)
	}
	a := ask("/v3", "application/json-home")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json-home" {
		t.Fatalf("%d %q", a.StatusCode, a.Header.Get("Content-Type"))
	}
	f.must(json.Unmarshal([]byte(a.text), &ours))
	if len(ours.Resources) < 50 {
		t.Errorf("%d relations", len(ours.Resources))
	}
	for rel, got := range ours.Resources {
		if !reflect.DeepEqual(got, theirs.Resources[rel]) {
			t.Errorf("%s: %v, want %v", rel, got, theirs.Resources[rel])
		}
	}
	for _, rel := range relations {
		if theirs.Resources[rel.url()] == nil {
			t.Errorf("%s is no relation of the protocol", rel.url())
		}
	}
	unnamed := []string{"/", "/v3", "/v3/projects/{project_id}/tags", "/v3/OS-FEDERATION/projects", "/v3/OS-FEDERATION/domains"}
	for _, p := range f.api.Patterns() {
		if !slices.Contains(unnamed, p) && !slices.ContainsFunc(relations, func(r relation) bool { return "/v3"+r.path == p }) {
			t.Errorf("%s has no relation", p)
		}
	}
	if a := ask("/", "application/json-home"); a.StatusCode != 200 || !strings.Contains(a.text, `"href":"/v3/users"`) {
		t.Errorf("GET /: %d %.100s", a.StatusCode, a.text)
	}
	for _, accept := range []string{"", "*/*", "application/json", "text/html", "application/json-home;q=0.5, application/json", "application/json-home;q=x", ";;;"} {
		if a := ask("/v3", accept); a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Accept %q: %q", accept, a.Header.Get("Content-Type"))
		}
	}
	if a := ask("/v3", "application/json;q=0.2, application/json-home"); a.Header.Get("Content-Type") != "application/json-home" {
		t.Errorf("preferred: %q", a.Header.Get("Content-Type"))
	}
}

// K19: what the operator says the address is wins over what a client claims.
func TestPublicURLWins(t *testing.T) {
	f := newFace(t)
	for _, u := range []string{"https://id.example.org:5000", "https://id.example.org:5000/v3/", "https://id.example.org:5000/"} {
		f.api.PublicURL = u
		a := f.do("admin", "GET", "/v3/users/<user:admin>", "")
		if !strings.Contains(a.text, `"self":"https://id.example.org:5000/v3/users/`) {
			t.Errorf("with %s: %s", u, a.text)
		}
		if loc := f.do("", "GET", "/", "").Header.Get("Location"); loc != "https://id.example.org:5000/v3/" {
			t.Errorf("with %s: Location %q", u, loc)
		}
	}
}
