package keystone_test

import (
	"fmt"
	"strings"
	"testing"

	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
	"symbolon/keytoken"
)

// Attack cases G: rescoping and methods.
func TestRescoping(t *testing.T) {
	f := newFace(t, cloud.Config{})
	u, p, onP := f.member("alice")
	for _, target := range []identity.Target{{DomainID: "default"}, {System: true}} {
		f.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: target, RoleID: "reader"})
	}
	sources := map[string]string{
		"project": onP, "domain": f.tokenOf(u.ID, "alice password", onDomain("default")),
		"system": f.tokenOf(u.ID, "alice password", onSystem()), "unscoped": f.tokenOf(u.ID, "alice password", "unscoped"),
	}
	targets := map[string]any{"project": onProject(p.ID), "domain": onDomain("default"), "system": onSystem(), "unscoped": "unscoped"}
	for from, tok := range sources {
		for to, scope := range targets {
			want := 201
			if from == "system" && (to == "project" || to == "domain") { // G3
				want = 403
			}
			a := f.login(byToken(tok, scope)).want(want)
			if want != 201 {
				continue
			}
			var got []string
			for _, k := range []string{"project", "domain", "system"} {
				if a.at("token", k) != nil {
					got = append(got, k)
				}
			}
			if s := strings.Join(got, " "); s != to && (s != "" || to != "unscoped") {
				t.Errorf("%s to %s gave %q", from, to, s)
			}
		}
	}
	f.login(byToken(sources["unscoped"], onProject(f.ProjectID))).want(401) // no role there
}

// G6: rescoping switched off.
func TestRescopingSwitchedOff(t *testing.T) {
	f := newFace(t, cloud.Config{Issuer: issuer.Config{NoRescoping: true}})
	f.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: f.AdminID}, Target: identity.Target{DomainID: "default"}, RoleID: "admin"})
	for name, scope := range map[string]any{"project": onProject(f.ProjectID), "domain": onDomain("default"), "system": onSystem()} {
		tok := f.tokenOf(f.AdminID, cloud.Password, scope)
		for _, to := range []any{onProject(f.ProjectID), "unscoped", onSystem(), nil} {
			if got := f.login(byToken(tok, to)).status; got != 403 {
				t.Errorf("%s to %v: %d, want 403", name, to, got)
			}
		}
	}
	f.login(byToken(f.tokenOf(f.AdminID, cloud.Password, "unscoped"), onProject(f.ProjectID))).want(201)
}

func TestMethods(t *testing.T) {
	f := newFace(t, cloud.Config{})
	alice, p, tok := f.member("alice")
	bob, _, _ := f.member("bob")
	auth := func(methods []string, rest m) m {
		id := m{"methods": methods}
		for k, v := range rest {
			id[k] = v
		}
		return m{"auth": m{"identity": id}}
	}
	pw := func(user, password string) m { return m{"user": m{"id": user, "password": password}} }
	for _, tt := range []struct {
		name string
		body m
		want int
	}{
		{"G7 a token of one and the password of another", auth([]string{"token", "password"}, m{"token": m{"id": tok}, "password": pw(bob.ID, "bob password")}), 401},
		{"G7 in the other order", auth([]string{"password", "token"}, m{"token": m{"id": tok}, "password": pw(bob.ID, "bob password")}), 401},
		{"both of one", auth([]string{"password", "token"}, m{"token": m{"id": tok}, "password": pw(alice.ID, "alice password")}), 201},
		{"one right, one wrong", auth([]string{"password", "token"}, m{"token": m{"id": tok}, "password": pw(alice.ID, "no")}), 401},
		{"G9 external", auth([]string{"external"}, m{"external": m{}}), 401},
		{"none", auth([]string{}, nil), 401},
		{"unknown", auth([]string{"magic"}, m{"magic": m{}}), 401},
		{"unknown beside a good one", auth([]string{"password", "magic"}, m{"magic": m{}, "password": pw(alice.ID, "alice password")}), 401},
		{"without data", auth([]string{"password"}, nil), 400},
		{"unknown without data", auth([]string{"magic"}, nil), 400},
		{"data of another type", auth([]string{"password"}, m{"password": "x"}), 400},
		{"null data", auth([]string{"password"}, m{"password": nil}), 400},
		{"no user", auth([]string{"password"}, m{"password": m{}}), 400},
		{"user of another type", auth([]string{"password"}, m{"password": m{"user": []string{}}}), 400},
		{"no name", auth([]string{"password"}, m{"password": m{"user": m{"password": "x"}}}), 400},
		{"empty id", auth([]string{"password"}, m{"password": pw("", "x")}), 400},
		{"a name without a domain", auth([]string{"password"}, m{"password": m{"user": m{"name": "alice", "password": "x"}}}), 400},
		{"an empty domain", auth([]string{"password"}, m{"password": m{"user": m{"name": "alice", "password": "x", "domain": m{}}}}), 400},
		{"by name and domain id", auth([]string{"password"}, m{"password": m{"user": m{"name": "alice", "password": "alice password", "domain": m{"id": "default"}}}}), 201},
		{"by name and domain name", auth([]string{"password"}, m{"password": m{"user": m{"name": "alice", "password": "alice password", "domain": m{"name": "Default"}}}}), 201},
		{"no password", auth([]string{"password"}, m{"password": m{"user": m{"id": alice.ID}}}), 401},
		{"token without id", auth([]string{"token"}, m{"token": m{}}), 400},
		{"token id of another type", auth([]string{"token"}, m{"token": m{"id": 7}}), 400},
		{"empty token id", auth([]string{"token"}, m{"token": m{"id": ""}}), 404},
		{"methods of another type", m{"auth": m{"identity": m{"methods": "password"}}}, 400},
		{"methods of numbers", m{"auth": m{"identity": m{"methods": []int{1}}}}, 400},
		{"no methods", m{"auth": m{"identity": m{}}}, 400},
		{"no identity", m{"auth": m{}}, 400},
		{"auth of another type", m{"auth": "x"}, 400},
		{"auth null", m{"auth": nil}, 400},
		{"no auth", m{}, 400},
		{"another letter case", m{"Auth": m{"identity": m{"methods": []string{}}}}, 400},
	} {
		if a := f.login(tt.body); a.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, a.status, tt.want, a.raw)
		}
	}
	f.do("POST", "/v3/auth/tokens", auth([]string{"external"}, m{"external": m{}}), header{"Remote-User", "admin"}, header{"X-Remote-User", "admin"}).want(401)
	a := f.login(auth([]string{"magic"}, m{"magic": m{}}))
	if got := fmt.Sprint(a.at("error", "identity", "methods")); got != "[password token]" || a.header.Get("Www-Authenticate") == "" {
		t.Errorf("an unsupported method: %s %v", a.raw, a.header)
	}

	// G8: ten thousand times the same method is once.
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "password"
	}
	f.Failures()
	f.login(auth(many, m{"password": pw(alice.ID, "wrong")})).want(401)
	if got := f.Failures(); len(got) != 1 {
		t.Errorf("%d attempts were made", len(got))
	}
	if a := f.login(auth(many, m{"password": pw(alice.ID, "alice password")})).want(201); fmt.Sprint(a.at("token", "methods")) != "[password]" {
		t.Errorf("methods %v", a.at("token", "methods"))
	}
	_ = p
}

// G16: a scope is of exactly one kind.
func TestScopes(t *testing.T) {
	f := newFace(t, cloud.Config{})
	d := m{"id": "default"}
	for _, tt := range []struct {
		name  string
		scope any
		want  int
	}{
		{"two kinds", m{"project": m{"id": f.ProjectID}, "domain": d}, 400},
		{"one kind and unscoped", m{"project": m{"id": f.ProjectID}, "unscoped": m{}}, 400},
		{"none", m{}, 400},
		{"another kind", m{"zone": m{}}, 400},
		{"another type", 7, 400},
		{"a list", []string{"project"}, 400},
		{"null", nil, 0},
		{"another text", "everything", 400},
		{"system not all", m{"system": m{"all": false}}, 400},
		{"system nothing", m{"system": m{}}, 400},
		{"system of another type", m{"system": "all"}, 400},
		{"project of another type", m{"project": "x"}, 400},
		{"project nothing", m{"project": m{}}, 400},
		{"project id of another type", m{"project": m{"id": 1}}, 400},
		{"project name without domain", m{"project": m{"name": "admin"}}, 400},
		{"project name, empty domain", m{"project": m{"name": "admin", "domain": m{}}}, 400},
		{"trust nothing", m{"OS-TRUST:trust": m{}}, 400},
		{"unknown project", m{"project": m{"id": strings.Repeat("0", 32)}}, 401},
		{"unknown project name", m{"project": m{"name": "nowhere", "domain": d}}, 401},
		{"unknown domain of a project", m{"project": m{"name": "admin", "domain": m{"name": "nowhere"}}}, 401},
		{"a domain as project", m{"project": d}, 401},
		{"a project as domain", m{"domain": m{"id": f.ProjectID}}, 401},
		{"unknown domain", m{"domain": m{"id": "nowhere"}}, 401},
		{"no role on the domain", m{"domain": d}, 401},
		{"unknown trust", onTrust(strings.Repeat("0", 32)), 401},
		{"project by name and domain id", m{"project": m{"name": "admin", "domain": d}}, 201},
		{"project by name and domain name", m{"project": m{"name": "admin", "domain": m{"name": "Default"}}}, 201},
		{"unscoped as a text", "unscoped", 201},
		{"unscoped as a member", m{"unscoped": m{}}, 201},
		{"system", onSystem(), 201},
	} {
		body := byPassword(f.AdminID, cloud.Password, tt.scope)
		if tt.want == 0 {
			body["auth"].(m)["scope"], tt.want = nil, 400
		}
		if a := f.login(body); a.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, a.status, tt.want, a.raw)
		}
	}
	// A role counts where it was given and nowhere else, whatever a row says.
	bob, p, _ := f.member("bob")
	for name, scope := range map[string]any{"system": onSystem(), "domain": onDomain("default"), "project": onProject(f.ProjectID)} {
		if got := f.login(byPassword(bob.ID, "bob password", scope)).status; got != 401 {
			t.Errorf("a role on a project gave a token for another %s: %d", name, got)
		}
	}
	if err := f.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
		tx.TouchIdentity()
		_, err := tx.Assign(t.Context(), identity.Assignment{Actor: identity.Actor{UserID: bob.ID}, Target: identity.Target{DomainID: p.ID}, RoleID: f.Roles["member"]})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f.login(byPassword(bob.ID, "bob password", onDomain(p.ID))).want(401)
	// Without a scope, the default project where the user has a role, else none.
	u := f.User(t, "alice", "pw")
	set := func(project string) {
		t.Helper()
		if _, err := f.Dir.UpdateUser(t.Context(), u.ID, identity.UserPatch{DefaultProjectID: identity.Set(project)}); err != nil {
			t.Fatal(err)
		}
	}
	scopeOf := func() any { return f.login(byPassword(u.ID, "pw", nil)).want(201).at("token", "project", "id") }
	p = f.Project(t, "alice", "")
	set(p.ID)
	if got := scopeOf(); got != nil {
		t.Errorf("scoped to %v without a role", got)
	}
	f.Grant(t, cloud.On(u.ID, "reader", p.ID))
	if got := scopeOf(); got != p.ID {
		t.Errorf("scoped to %v, want the default project", got)
	}
	if got := f.login(byPassword(u.ID, "pw", "unscoped")).at("token", "project"); got != nil {
		t.Errorf("scoped to %v though asked not to be", got)
	}
	if _, err := f.Dir.UpdateProject(t.Context(), p.ID, identity.ProjectPatch{Enabled: identity.Set(false)}); err != nil {
		t.Fatal(err)
	}
	if got := scopeOf(); got != nil {
		t.Errorf("scoped to %v, which is disabled", got)
	}
	if err := f.Dir.DeleteProject(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if got := scopeOf(); got != nil {
		t.Errorf("scoped to %v, which is gone", got)
	}
}

func TestCatalogOnRequest(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, _, tok := f.member("alice")
	admin := f.admin()
	for path, want := range map[string]bool{"": true, "?nocatalog": false, "?nocatalog=1": false, "?nocatalog=0": false, "?x=nocatalog": true} {
		if got := f.do("GET", "/v3/auth/tokens"+path, nil, as(admin), subject(tok)).want(200).at("token", "catalog") != nil; got != want {
			t.Errorf("GET%s: catalog %v, want %v", path, got, want)
		}
		if got := f.do("POST", "/v3/auth/tokens"+path, byToken(tok, onProject(f.Project(t, "p"+path, "").ID)), as(admin)).status; got != 401 {
			t.Errorf("POST%s for a project without a role: %d", path, got)
		}
	}
	a := f.login(byPassword(f.AdminID, cloud.Password, "unscoped"))
	if a.at("token", "catalog") != nil || a.at("token", "roles") != nil {
		t.Errorf("an unscoped token has a catalogue or roles: %s", a.raw)
	}
	f.do("GET", "/v3/auth/catalog", nil, as(a.token())).want(403)
	f.do("GET", "/v3/auth/catalog", nil, as(tok)).want(200)
	f.do("GET", "/v3/auth/catalog", nil).want(401)
	head := f.do("HEAD", "/v3/auth/tokens", nil, as(admin), subject(tok)).want(200)
	get := f.do("GET", "/v3/auth/tokens", nil, as(admin), subject(tok)).want(200)
	if head.header.Get("Content-Length") != get.header.Get("Content-Length") || head.token() != tok {
		t.Errorf("HEAD %v, GET %v", head.header, get.header)
	}
}

// A user with rules of several methods needs them, as far as they are offered.
func TestMethodRules(t *testing.T) {
	f := newFace(t, cloud.Config{})
	u, _, old := f.member("alice")
	rules := func(text string) {
		t.Helper()
		f.do("PATCH", "/v3/users/"+u.ID, `{"user":{"options":{"multi_factor_auth_rules":`+text+`}}}`, as(f.admin())).want(200)
	}
	login := func() int { return f.login(byPassword(u.ID, "alice password", nil)).status }
	for text, want := range map[string]int{
		`[["password"]]`: 201, `[["password","totp"]]`: 201, `[["totp"]]`: 201, `[["password","token"]]`: 401, `[["token"],["totp"]]`: 401,
		`[["password","token"],["password"]]`: 201, `[]`: 201, `null`: 201,
	} {
		rules(text)
		if got := login(); got != want {
			t.Errorf("rules %s: %d, want %d", text, got, want)
		}
	}
	rules(`[["password","token"]]`)
	f.login(byToken(old, nil)).want(201) // its methods count: token and password
	f.do("PATCH", "/v3/users/"+u.ID, m{"user": m{"options": m{"multi_factor_auth_enabled": false}}}, as(f.admin())).want(200)
	if got := login(); got != 201 {
		t.Errorf("rules switched off: %d", got)
	}
}

// A token that names no method of this server may be looked at and no more.
func TestTokensWithoutAMethod(t *testing.T) {
	f := newFace(t, cloud.Config{})
	tok := f.mint(t, keytoken.Claims{UserID: f.AdminID, Methods: []string{}, ProjectID: f.ProjectID, ExpiresAt: 1_800_000_000}, f.Clock.Now())
	if got := f.v(tok); got != 200 {
		t.Errorf("as a subject: %d, want 200", got)
	}
	if got := f.c(tok); got != 403 {
		t.Errorf("as a caller's: %d, want 403", got)
	}
	f.login(byToken(tok, nil)).want(403)
}
