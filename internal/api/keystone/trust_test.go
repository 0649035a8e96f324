package keystone_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/principal"
	"symbolon/internal/testkit/cloud"
	"symbolon/token"
)

// A pair of users between whom trusts are made.
type pair struct {
	*face
	alice, bob identity.User
	project    identity.Project
	aliceTok   string
}

func newPair(t *testing.T, cfg cloud.Config) pair {
	t.Helper()
	f := newFace(t, cfg)
	p := pair{face: f}
	p.alice, p.project, p.aliceTok = f.member("alice")
	p.bob = f.User(t, "bob", "bob password")
	return p
}

// body is a request for a trust of alice to bob, with changes.
func (p pair) body(change m) m {
	t := m{
		"trustor_user_id": p.alice.ID, "trustee_user_id": p.bob.ID, "project_id": p.project.ID, "impersonation": true,
		"roles": []m{{"id": p.Roles["member"]}},
	}
	for k, v := range change {
		if v == "absent" {
			delete(t, k)
		} else {
			t[k] = v
		}
	}
	return m{"trust": t}
}

func (p pair) trust(change m) string {
	p.t.Helper()
	id, _ := p.do("POST", "/v3/OS-TRUST/trusts", p.body(change), as(p.aliceTok)).want(201).at("trust", "id").(string)
	return id
}

func (p pair) through(trustID string) *answer {
	p.t.Helper()
	return p.login(byPassword(p.bob.ID, "bob password", onTrust(trustID)))
}

func TestTrustResource(t *testing.T) {
	p := newPair(t, cloud.Config{})
	admin, outsider := p.admin(), p.tokenOf(p.bob.ID, "bob password", nil)
	made := p.do("POST", "/v3/OS-TRUST/trusts", p.body(m{"expires_at": "2027-01-01T00:00:00Z", "remaining_uses": 3, "note": "x"}), as(p.aliceTok)).want(201)
	id := made.at("trust", "id").(string)
	at := "/v3/OS-TRUST/trusts/" + id
	wants := m{
		"trustor_user_id": p.alice.ID, "trustee_user_id": p.bob.ID, "project_id": p.project.ID, "impersonation": true, "expires_at": "2027-01-01T00:00:00.000000Z",
		"remaining_uses": 3.0, "deleted_at": nil, "redelegated_trust_id": nil, "redelegation_count": 0.0, "note": "x",
	}
	for k, want := range wants {
		if got := made.at("trust", k); got != want {
			t.Errorf("%s is %v, want %v", k, got, want)
		}
	}
	if got := made.names("name", "trust", "roles"); !slices.Equal(got, []string{"member"}) {
		t.Errorf("roles %v", got)
	}
	for _, tok := range []string{p.aliceTok, outsider, admin} { // trustor, trustee, administrator
		if a := p.do("GET", at, nil, as(tok)).want(200); a.raw != made.raw {
			t.Errorf("shown as %s, made as %s", a.raw, made.raw)
		}
		p.do("GET", at+"/roles", nil, as(tok)).want(200)
		p.do("HEAD", at+"/roles/"+p.Roles["member"], nil, as(tok)).want(200)
		p.do("GET", at+"/roles/"+p.Roles["reader"], nil, as(tok)).want(404)
	}
	carol, _, carolTok := p.member("carol")
	for _, path := range []string{at, at + "/roles", at + "/roles/" + p.Roles["member"]} {
		p.do("GET", path, nil, as(carolTok)).want(403)
		p.do("GET", path, nil).want(401)
		p.do("GET", strings.Replace(path, id, strings.Repeat("0", 32), 1), nil, as(carolTok)).want(404)
	}
	lists := map[string]map[string]int{
		"": {admin: 200, p.aliceTok: 403, outsider: 403}, "?trustor_user_id=" + p.alice.ID: {admin: 200, p.aliceTok: 200, outsider: 403},
		"?trustee_user_id=" + p.bob.ID: {admin: 200, p.aliceTok: 403, outsider: 200},
	}
	for q, by := range lists {
		for tok, want := range by {
			a := p.do("GET", "/v3/OS-TRUST/trusts"+q, nil, as(tok)).want(want)
			if want == 200 && (!slices.Equal(a.names("id", "trusts"), []string{id}) || a.at("trusts", 0, "roles") != nil) {
				t.Errorf("list %s: %s", q, a.raw)
			}
		}
	}
	for name, tt := range map[string]struct {
		change m
		want   int
	}{
		"no roles": {m{"roles": []m{}}, 403}, "a role not held": {m{"roles": []m{{"id": p.Roles["admin"]}}}, 404},
		"an unknown role": {m{"roles": []m{{"id": "x"}}}, 404}, "an unknown role name": {m{"roles": []m{{"name": "x"}}}, 404},
		"a role by name": {m{"roles": []m{{"name": "reader"}}}, 201}, "a role by id and name": {m{"roles": []m{{"id": "x", "name": "y"}}}, 400},
		"a role of nothing": {m{"roles": []m{{}}}, 400}, "roles of another type": {m{"roles": "member"}, 400},
		"an unknown trustee": {m{"trustee_user_id": "x"}, 404}, "an unknown project": {m{"project_id": "x"}, 404},
		"somebody else's": {m{"trustor_user_id": carol.ID}, 403}, "in the past": {m{"expires_at": "2020-01-01T00:00:00Z"}, 400},
		"an odd date": {m{"expires_at": "tomorrow"}, 400}, "no uses": {m{"remaining_uses": 0}, 400}, "fewer": {m{"remaining_uses": -1}, 400},
		"uses as text": {m{"remaining_uses": "two"}, 400}, "half a use": {m{"remaining_uses": 0.5}, 400}, "null uses": {m{"remaining_uses": nil}, 201},
		"no impersonation": {m{"impersonation": "absent"}, 400}, "null impersonation": {m{"impersonation": nil}, 400},
		"no trustor": {m{"trustor_user_id": "absent"}, 400}, "no trustee": {m{"trustee_user_id": "absent"}, 400},
		"no project but roles": {m{"project_id": nil}, 404}, "no project, no roles": {m{"project_id": nil, "roles": []m{}}, 201},
		"too deep": {m{"allow_redelegation": true, "redelegation_count": 4}, 403}, "uses and redelegation": {m{"allow_redelegation": true, "remaining_uses": 1}, 400},
	} {
		if a := p.do("POST", "/v3/OS-TRUST/trusts", p.body(tt.change), as(p.aliceTok)); a.status != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, a.status, tt.want, a.raw)
		}
	}
	p.do("POST", "/v3/OS-TRUST/trusts", m{}, as(p.aliceTok)).want(400)
	// With a token for the system none is made, by whomever.
	p.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: p.alice.ID}, Target: identity.Target{System: true}, RoleID: "admin"})
	p.do("POST", "/v3/OS-TRUST/trusts", p.body(nil), as(p.tokenOf(p.alice.ID, "alice password", onSystem()))).want(403)
	p.do("POST", "/v3/OS-TRUST/trusts", p.body(nil)).want(401)
	p.do("DELETE", at, nil, as(outsider)).want(403)
	p.do("DELETE", at, nil, as(carolTok)).want(403)
	p.do("DELETE", at, nil, as(p.aliceTok)).want(204)
	p.do("DELETE", at, nil, as(p.aliceTok)).want(404)
	p.do("GET", at, nil, as(p.aliceTok)).want(404)
}

func TestActingUnderATrust(t *testing.T) {
	p := newPair(t, cloud.Config{})
	for _, impersonate := range []bool{true, false} {
		id := p.trust(m{"impersonation": impersonate})
		a := p.through(id).want(201)
		shown, bearer := p.bob, p.bob
		if impersonate {
			shown = p.alice
		}
		for _, path := range []string{"made", "looked at"} {
			if path == "looked at" {
				a = p.validate(a.token()).want(200)
			}
			if a.at("token", "user", "id") != shown.ID || a.at("token", "user", "name") != shown.Name || a.at("token", "is_domain") != nil ||
				a.at("token", "project", "id") != p.project.ID || a.at("token", "OS-TRUST:trust", "trustee_user", "id") != p.bob.ID ||
				a.at("token", "OS-TRUST:trust", "trustor_user", "id") != p.alice.ID || a.at("token", "OS-TRUST:trust", "impersonation") != impersonate {
				t.Errorf("impersonation %v, %s: %s", impersonate, path, a.raw)
			}
			if got := a.names("name", "token", "roles"); !slices.Equal(got, []string{"member", "reader"}) || a.at("token", "roles", 0, "options", "immutable") != true {
				t.Errorf("roles %v in %s", got, a.raw)
			}
		}
		tok := a.token()
		p.good(tok)
		// The bearer, the user shown and the token itself may look at it.
		for _, by := range []string{tok, p.tokenOf(bearer.ID, "bob password", nil), p.tokenOf(shown.ID, shown.Name+" password", nil)} {
			p.do("GET", "/v3/auth/tokens", nil, as(by), subject(tok)).want(200)
		}
		resolved, err := p.Issuer.Authenticate(t.Context(), tok)
		if err != nil {
			t.Fatal(err)
		}
		who := p.Issuer.Principal(resolved)
		if who.Entity != "stigmem://localhost/user/"+p.bob.ID || !slices.Equal(who.OnBehalfOf, []string{"stigmem://localhost/user/" + p.alice.ID}) ||
			who.Tenant != p.project.ID || !slices.Equal(who.Permissions, []principal.Permission{principal.Read, principal.Write}) {
			t.Errorf("principal %+v", who)
		}

		t.Run("G1 nothing is made of it", func(t *testing.T) {
			for _, scope := range []any{nil, "unscoped", onProject(p.project.ID), onTrust(id), onSystem()} {
				p.login(byToken(tok, scope)).want(403)
			}
		})
		t.Run("it makes no trust", func(t *testing.T) {
			p.do("POST", "/v3/OS-TRUST/trusts", p.body(m{"trustor_user_id": shown.ID, "trustee_user_id": p.AdminID}), as(tok)).want(403 + map[bool]int{false: 1}[impersonate])
		})
		t.Run("G17 for the trustee alone", func(t *testing.T) {
			p.login(byPassword(p.alice.ID, "alice password", onTrust(id))).want(403)
			p.login(byPassword(p.AdminID, cloud.Password, onTrust(id))).want(403)
			p.login(byToken(p.aliceTok, onTrust(id))).want(403)
		})
	}
}

// F13 and F14: whatever ends a trust ends its tokens, for everybody alike.
func TestTrustsEnd(t *testing.T) {
	ctx := t.Context()
	for name, tt := range map[string]struct {
		change m
		end    func(p pair, id string) error
		back   func(p pair) error
		want   token.Reason
		login  int
	}{
		"deleted": {nil, func(p pair, id string) error { return p.Dir.DeleteTrust(ctx, id) }, nil, token.Revoked, 401},
		"expired": {m{"expires_at": "2026-11-21T12:30:00Z"}, func(p pair, _ string) error { p.Clock.Advance(30 * time.Minute); return nil }, nil, token.ScopeDisabled, 401},
		"its uses exhausted": {m{"remaining_uses": 2}, func(p pair, id string) error {
			p.through(id).want(201)
			return nil
		}, nil, token.Revoked, 401},
		"the trustor disabled": {nil, func(p pair, _ string) error {
			_, err := p.Dir.UpdateUser(ctx, p.alice.ID, identity.UserPatch{Enabled: identity.Set(false)})
			return err
		}, nil, token.PrincipalDisabled, 403},
		"the trustor's role gone": {nil, func(p pair, _ string) error {
			return p.Dir.Ungrant(ctx, cloud.On(p.alice.ID, p.Roles["member"], p.project.ID))
		}, func(p pair) error {
			return p.Dir.Grant(ctx, cloud.On(p.alice.ID, p.Roles["member"], p.project.ID))
		}, token.NoRoles, 403},
		"the trustor deleted": {nil, func(p pair, _ string) error { return p.Dir.DeleteUser(ctx, p.alice.ID) }, nil, token.Revoked, 401},
		"the project disabled": {nil, func(p pair, _ string) error {
			_, err := p.Dir.UpdateProject(ctx, p.project.ID, identity.ProjectPatch{Enabled: identity.Set(false)})
			return err
		}, func(p pair) error {
			_, err := p.Dir.UpdateProject(ctx, p.project.ID, identity.ProjectPatch{Enabled: identity.Set(true)})
			return err
		}, token.ScopeDisabled, 401},
		"the trustee disabled": {nil, func(p pair, _ string) error {
			_, err := p.Dir.UpdateUser(ctx, p.bob.ID, identity.UserPatch{Enabled: identity.Set(false)})
			return err
		}, nil, token.PrincipalDisabled, 401},
		"the trustor's password changed": {nil, func(p pair, _ string) error {
			pw := "new"
			_, err := p.Dir.UpdateUser(ctx, p.alice.ID, identity.UserPatch{Password: identity.Set(&pw)})
			return err
		}, nil, token.Revoked, 201},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, cloud.Config{})
			id := p.trust(tt.change)
			tok := p.through(id).want(201).token()
			p.good(tok)
			if err := tt.end(p, id); err != nil {
				t.Fatal(err)
			}
			p.reasons()
			p.refused(tok)
			if got := p.reasons(); !slices.Equal(got, []token.Reason{tt.want, tt.want}) {
				t.Errorf("refused for %v, want %s", got, tt.want)
			}
			p.peer().refused(tok)
			p.through(id).want(tt.login)
			if tt.back != nil {
				if err := tt.back(p); err != nil {
					t.Fatal(err)
				}
				p.good(tok)
			}
		})
	}
}

// H21: of many logins at once only as many succeed as uses are left.
func TestTrustUsesAreCountedExactly(t *testing.T) {
	p := newPair(t, cloud.Config{})
	for _, uses := range []int{1, 3} {
		id := p.trust(m{"remaining_uses": uses})
		var mu sync.Mutex
		got := map[int]int{}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				a := p.Cloud
				text, _, err := a.Logins.Login(t.Context(), p.request(byPassword(p.bob.ID, "bob password", onTrust(id))))
				status := 201
				if err != nil {
					status = map[string]int{"forbidden": 403, "unauthenticated": 401}[kindOf(err)]
				}
				_ = text
				mu.Lock()
				defer mu.Unlock()
				got[status]++
			})
		}
		wg.Wait()
		if got[201] != uses || got[403]+got[401] != 20-uses {
			t.Errorf("%d uses: statuses %v", uses, got)
		}
	}
}

// H20: what is passed on is never more than what was given.
func TestRedelegation(t *testing.T) {
	p := newPair(t, cloud.Config{Issuer: issuer.Config{AllowRedelegation: true}})
	carol := p.User(t, "carol", "carol password")
	until := "2026-11-21T20:00:00Z"
	parent := p.trust(m{"allow_redelegation": true, "expires_at": until, "roles": []m{{"name": "member"}}})
	if a := p.do("GET", "/v3/OS-TRUST/trusts/"+parent, nil, as(p.aliceTok)); a.at("trust", "redelegation_count") != 3.0 {
		t.Fatalf("made as %s", a.raw)
	}
	tok := p.through(parent).want(201).token()
	child := func(change m) *answer {
		b := m{"trustee_user_id": carol.ID, "expires_at": until}
		for k, v := range change {
			b[k] = v
		}
		return p.do("POST", "/v3/OS-TRUST/trusts", p.body(b), as(tok))
	}
	p.Grant(t, cloud.On(p.alice.ID, "admin", p.project.ID))
	tooMuch := map[string]m{
		"more roles": {"roles": []m{{"name": "admin"}}}, "a later end": {"expires_at": "2026-11-21T20:00:01Z"}, "another depth": {"allow_redelegation": true, "redelegation_count": 1},
		"uses": {"remaining_uses": 1},
	}
	for name, change := range tooMuch {
		if a := child(change); a.status != 403 {
			t.Errorf("%s: %d, want 403: %s", name, a.status, a.raw)
		}
	}
	made := child(m{"allow_redelegation": true, "expires_at": "absent"}).want(201)
	if made.at("trust", "redelegated_trust_id") != parent || made.at("trust", "redelegation_count") != 2.0 || made.at("trust", "expires_at") != "2026-11-21T20:00:00.000000Z" {
		t.Errorf("made as %s", made.raw)
	}
	grandchildTok := p.login(byPassword(carol.ID, "carol password", onTrust(made.at("trust", "id").(string)))).want(201).token()
	p.good(grandchildTok)
	resolved, err := p.Issuer.Authenticate(t.Context(), grandchildTok)
	if err != nil {
		t.Fatal(err)
	}
	if who := p.Issuer.Principal(resolved); who.Entity != "stigmem://localhost/user/"+carol.ID || len(who.OnBehalfOf) != 1 {
		t.Errorf("principal %+v", who)
	}

	// Depth: three times and no more.
	users, toks := []identity.User{carol}, []string{grandchildTok}
	for i := range 2 {
		u := p.User(t, fmt.Sprint("next", i), "next password")
		a := p.do("POST", "/v3/OS-TRUST/trusts", p.body(m{"trustee_user_id": u.ID, "allow_redelegation": true}), as(toks[i])).want(201)
		if got, want := a.at("trust", "redelegation_count"), float64(1-i); got != want {
			t.Errorf("depth %d: count %v, want %v", i, got, want)
		}
		users, toks = append(users, u), append(toks, p.login(byPassword(u.ID, "next password", onTrust(a.at("trust", "id").(string)))).want(201).token())
	}
	p.do("POST", "/v3/OS-TRUST/trusts", p.body(m{"trustee_user_id": p.AdminID}), as(toks[2])).want(403)

	// An intermediate trustee who is disabled breaks the chain behind them.
	if _, err := p.Dir.UpdateUser(t.Context(), users[1].ID, identity.UserPatch{Enabled: identity.Set(false)}); err != nil {
		t.Fatal(err)
	}
	p.refused(toks[2])
	p.good(toks[0])
	// A role that the first trustor loses is lost by all.
	p.Ungrant(t, cloud.On(p.alice.ID, "admin", p.project.ID))
	p.Ungrant(t, cloud.On(p.alice.ID, "member", p.project.ID))
	p.refused(toks[0])
	p.Grant(t, cloud.On(p.alice.ID, "member", p.project.ID))
	p.good(toks[0])
	// The trust goes with those made from it.
	p.do("DELETE", "/v3/OS-TRUST/trusts/"+parent, nil, as(p.tokenOf(p.alice.ID, "alice password", onProject(p.project.ID)))).want(204)
	p.refused(toks[0])
	p.refused(tok)

	// Without impersonation none is gained, another project is not reached, and a
	// trust that is not redelegable is not.
	plain := p.trust(m{"impersonation": false, "allow_redelegation": true})
	tok = p.through(plain).want(201).token()
	p.Grant(t, cloud.On(p.bob.ID, "member", p.project.ID)) // so that he has it to give
	child(m{"trustor_user_id": p.bob.ID, "expires_at": nil, "impersonation": false}).want(201)
	child(m{"trustor_user_id": p.bob.ID, "expires_at": nil}).want(403)
	tok = p.through(p.trust(m{"allow_redelegation": true})).want(201).token()
	other := p.Project(t, "other", "")
	p.Grant(t, cloud.On(p.alice.ID, "member", other.ID))
	child(m{"expires_at": nil}).want(201)
	child(m{"expires_at": nil, "project_id": other.ID}).want(403)
	final := p.trust(nil)
	tok = p.through(final).want(201).token()
	child(m{"expires_at": nil}).want(403)
}

// Passing trusts on is off unless it is switched on, whatever the trust says.
func TestRedelegationIsOffByDefault(t *testing.T) {
	p := newPair(t, cloud.Config{})
	tok := p.through(p.trust(m{"allow_redelegation": true})).want(201).token()
	p.do("POST", "/v3/OS-TRUST/trusts", p.body(m{"trustee_user_id": p.AdminID}), as(tok)).want(403)
}

// H23: what is delegated must be held, by inheritance or through a domain's role too;
// a domain's role is in no token.
func TestTrustOfInheritedAndDomainRoles(t *testing.T) {
	p := newPair(t, cloud.Config{})
	ctx := t.Context()
	p.Ungrant(t, cloud.On(p.alice.ID, "member", p.project.ID))
	p.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: p.alice.ID}, Target: identity.Target{DomainID: "default"}, RoleID: "member", Inherited: true})
	p.aliceTok = p.tokenOf(p.alice.ID, "alice password", onProject(p.project.ID))
	p.good(p.through(p.trust(nil)).want(201).token())

	own, err := p.Dir.CreateRole(ctx, identity.Role{Name: "own", DomainID: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Dir.Imply(ctx, identity.Implication{PriorID: own.ID, ImpliedID: p.Roles["manager"]}); err != nil {
		t.Fatal(err)
	}
	p.Grant(t, cloud.On(p.alice.ID, own.ID, p.project.ID))
	a := p.through(p.trust(m{"roles": []m{{"id": own.ID}}})).want(201)
	if got := a.names("name", "token", "roles"); !slices.Equal(got, []string{"manager", "member", "reader"}) {
		t.Errorf("roles %v", got)
	}
}
