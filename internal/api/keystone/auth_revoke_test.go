package keystone_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
	"symbolon/keytoken"
	"symbolon/token"
)

// Attack cases F: revocation and live state.
func TestRevokingAToken(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, project, tok := f.member("alice")
	alice := f.validate(tok).at("token", "user", "id").(string)
	_, _, bob := f.member("bob")

	t.Run("F2 a member cannot revoke somebody else's", func(t *testing.T) {
		f.do("DELETE", "/v3/auth/tokens", nil, as(bob), subject(tok)).want(403)
		f.good(tok)
	})
	t.Run("F1 one's own, once", func(t *testing.T) {
		other := f.tokenOf(alice, "alice password", nil)
		f.reasons()
		f.do("DELETE", "/v3/auth/tokens", nil, as(tok), subject(tok)).want(204)
		f.refused(tok)
		if got := f.reasons(); !slices.Equal(got, []token.Reason{token.Revoked, token.Revoked}) {
			t.Errorf("refused for %v", got)
		}
		f.do("DELETE", "/v3/auth/tokens", nil, as(other), subject(tok)).want(404)
		f.do("DELETE", "/v3/auth/tokens", nil, as(f.admin()), subject(tok)).want(404)
		f.do("DELETE", "/v3/auth/tokens", nil, as(f.admin())).want(404)
		f.do("DELETE", "/v3/auth/tokens", nil, subject(other)).want(401)
		f.good(other)
	})
	t.Run("F21 a member does not read the events", func(t *testing.T) {
		f.do("GET", "/v3/OS-REVOKE/events", nil, as(bob)).want(403)
		a := f.do("GET", "/v3/OS-REVOKE/events", nil, as(f.admin())).want(200)
		if got, _ := a.at("events").([]any); len(got) != 1 || a.at("events", 0, "audit_id") == nil || a.at("events", 0, "user_id") != nil ||
			a.at("events", 0, "issued_before") != "2026-11-21T12:00:00.250000Z" {
			t.Errorf("events %s", a.raw)
		}
		if a := f.do("GET", "/v3/OS-REVOKE/events?since=2027-01-01T00:00:00Z", nil, as(f.admin())).want(200); fmt.Sprint(a.at("events")) != "[]" {
			t.Errorf("events of the future: %s", a.raw)
		}
		f.do("GET", "/v3/OS-REVOKE/events?since=yesterday", nil, as(f.admin())).want(400)
	})
	t.Run("F3 F4 parents and children", func(t *testing.T) {
		parent := f.tokenOf(alice, "alice password", nil)
		child := f.login(byToken(parent, onProject(project.ID))).want(201).token()
		grandchild := f.login(byToken(child, nil)).want(201).token()
		f.do("DELETE", "/v3/auth/tokens", nil, as(child), subject(child)).want(204)
		f.refused(child)
		f.good(parent)
		f.good(grandchild)
		f.do("DELETE", "/v3/auth/tokens", nil, as(parent), subject(parent)).want(204)
		f.refused(parent)
		f.good(grandchild)
		f.good(f.login(byToken(grandchild, nil)).want(201).token())
		// The whole chain, on request.
		f.do("DELETE", "/v3/auth/tokens?chain", nil, as(grandchild), subject(grandchild)).want(204)
		f.refused(grandchild)
		root := f.tokenOf(alice, "alice password", nil)
		leaf := f.login(byToken(root, nil)).want(201).token()
		f.do("DELETE", "/v3/auth/tokens?chain=1", nil, as(leaf), subject(leaf)).want(204)
		f.refused(root)
		f.refused(leaf)
	})
}

// F5 to F12: what an administrator does takes effect on the tokens that are out.
func TestLiveState(t *testing.T) {
	f := newFace(t, cloud.Config{})
	ctx := t.Context()
	enable := func(userID string, on bool) {
		t.Helper()
		if _, err := f.Dir.UpdateUser(ctx, userID, identity.UserPatch{Enabled: identity.Set(on)}); err != nil {
			t.Fatal(err)
		}
	}
	why := func(t *testing.T, tok string, want token.Reason) {
		t.Helper()
		f.reasons()
		f.refused(tok)
		if got := f.reasons(); !slices.Equal(got, []token.Reason{want, want}) {
			t.Errorf("refused for %v, want %s", got, want)
		}
	}
	t.Run("F5 a user disabled and enabled again", func(t *testing.T) {
		u, p, tok := f.member("f5")
		enable(u.ID, false)
		why(t, tok, token.PrincipalDisabled)
		f.login(byPassword(u.ID, "f5 password", nil)).want(401)
		enable(u.ID, true)
		why(t, tok, token.Revoked)
		f.good(f.tokenOf(u.ID, "f5 password", onProject(p.ID)))
	})
	t.Run("F6 a user deleted and the name given anew", func(t *testing.T) {
		u, _, tok := f.member("f6")
		if err := f.Dir.DeleteUser(ctx, u.ID); err != nil {
			t.Fatal(err)
		}
		why(t, tok, token.PrincipalDisabled)
		f.User(t, "f6", "other")
		why(t, tok, token.PrincipalDisabled)
	})
	t.Run("F7 the password changed by an administrator and by the user", func(t *testing.T) {
		u, p, tok := f.member("f7")
		second := f.tokenOf(u.ID, "f7 password", nil)
		f.do("PATCH", "/v3/users/"+u.ID, m{"user": m{"password": "new"}}, as(f.admin())).want(200)
		why(t, tok, token.Revoked)
		why(t, second, token.Revoked)
		f.login(byPassword(u.ID, "f7 password", nil)).want(401)
		tok = f.tokenOf(u.ID, "new", onProject(p.ID))
		f.good(tok)
		f.do("POST", "/v3/users/"+u.ID+"/password", m{"user": m{"original_password": "new", "password": "newer"}}).want(204)
		why(t, tok, token.Revoked)
		f.good(f.tokenOf(u.ID, "newer", onProject(p.ID)))
	})
	t.Run("F9 roles are those of now", func(t *testing.T) { liveRoles(t, f) })
	t.Run("F10 removed from a group", func(t *testing.T) {
		u, p, _ := f.member("f10")
		g, err := f.Dir.CreateGroup(ctx, identity.Group{Name: "f10", DomainID: "default"})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Dir.AddMember(ctx, u.ID, g.ID); err != nil {
			t.Fatal(err)
		}
		tok := f.tokenOf(u.ID, "f10 password", onProject(p.ID))
		if err := f.Dir.RemoveMember(ctx, u.ID, g.ID); err != nil {
			t.Fatal(err)
		}
		why(t, tok, token.Revoked)
	})
	t.Run("F11 F12 projects and domains disabled, enabled, deleted", func(t *testing.T) { liveScopes(t, f, why) })
}

func liveRoles(t *testing.T, f *face) {
	ctx := t.Context()
	roles := func(tok string) string {
		t.Helper()
		a := f.validate(tok)
		if a.status != 200 {
			return fmt.Sprint(a.status)
		}
		return strings.Join(a.names("name", "token", "roles"), " ")
	}
	expect := func(tok, want string) {
		t.Helper()
		if got := roles(tok); got != want {
			t.Errorf("roles %q, want %q", got, want)
		}
	}
	u, top := f.User(t, "f9", "f9 password"), f.Project(t, "f9 top", "")
	p := f.Project(t, "f9", top.ID)
	plain, err := f.Dir.CreateRole(ctx, identity.Role{Name: "f9 plain"})
	if err != nil {
		t.Fatal(err)
	}
	keep := cloud.On(u.ID, plain.ID, p.ID)
	f.Grant(t, keep)
	tok := f.tokenOf(u.ID, "f9 password", onProject(p.ID))
	expect(tok, "f9 plain")

	direct := cloud.On(u.ID, "member", p.ID)
	f.Grant(t, direct)
	expect(tok, "f9 plain member reader")
	f.Ungrant(t, direct)
	expect(tok, "f9 plain")

	g, err := f.Dir.CreateGroup(ctx, identity.Group{Name: "f9", DomainID: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Dir.AddMember(ctx, u.ID, g.ID); err != nil {
		t.Fatal(err)
	}
	group := identity.Assignment{Actor: identity.Actor{GroupID: g.ID}, Target: identity.Target{ProjectID: p.ID}, RoleID: "manager"}
	f.Grant(t, group)
	expect(tok, "f9 plain manager member reader")
	f.Ungrant(t, group)
	expect(tok, "f9 plain")

	for _, inherited := range []identity.Assignment{
		{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{ProjectID: top.ID}, RoleID: "reader", Inherited: true},
		{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{DomainID: "default"}, RoleID: "reader", Inherited: true},
		{Actor: identity.Actor{GroupID: g.ID}, Target: identity.Target{DomainID: "default"}, RoleID: "reader", Inherited: true},
	} {
		f.Grant(t, inherited)
		expect(tok, "f9 plain reader")
		f.login(byPassword(u.ID, "f9 password", onDomain("default"))).want(401) // not the domain itself
		f.Ungrant(t, inherited)
		expect(tok, "f9 plain")
	}
	self := identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{ProjectID: p.ID}, RoleID: "reader", Inherited: true}
	f.Grant(t, self)
	expect(tok, "f9 plain") // inherited by what is below, not by itself
	f.Ungrant(t, self)

	own, err := f.Dir.CreateRole(ctx, identity.Role{Name: "f9 own", DomainID: "default"})
	if err != nil {
		t.Fatal(err)
	}
	imply := identity.Implication{PriorID: own.ID, ImpliedID: f.Roles["reader"]}
	if err := f.Dir.Imply(ctx, imply); err != nil {
		t.Fatal(err)
	}
	f.Grant(t, cloud.On(u.ID, own.ID, p.ID))
	expect(tok, "f9 plain reader") // a domain's role is not in the token, what it implies is
	if err := f.Dir.Unimply(ctx, imply); err != nil {
		t.Fatal(err)
	}
	expect(tok, "f9 plain")

	f.Ungrant(t, keep)
	f.reasons()
	f.refused(tok)
	if got := f.reasons(); !slices.Equal(got, []token.Reason{token.NoRoles, token.NoRoles}) {
		t.Errorf("refused for %v", got)
	}
	f.Grant(t, keep)
	f.good(tok)
}

func liveScopes(t *testing.T, f *face, why func(*testing.T, string, token.Reason)) {
	ctx := t.Context()
	domain, err := f.Dir.CreateProject(ctx, identity.Project{Name: "f11", IsDomain: true, Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	project, err := f.Dir.CreateProject(ctx, identity.Project{Name: "f11", DomainID: domain.ID, ParentID: domain.ID, Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	password := "f11 password"
	u, err := f.Dir.CreateUser(ctx, identity.User{Name: "f11", DomainID: domain.ID, Enabled: true}, &password)
	if err != nil {
		t.Fatal(err)
	}
	f.Grant(t, cloud.On(u.ID, "member", project.ID))
	f.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{DomainID: domain.ID}, RoleID: "member"})
	f.Grant(t, cloud.On(f.AdminID, "member", project.ID))
	inside := f.tokenOf(u.ID, password, onProject(project.ID))
	unscoped := f.tokenOf(u.ID, password, "unscoped")
	onDom := f.tokenOf(u.ID, password, onDomain(domain.ID))
	visitor := f.tokenOf(f.AdminID, cloud.Password, onProject(project.ID))

	set := func(patch identity.ProjectPatch, of string) {
		t.Helper()
		update := f.Dir.UpdateProject
		if of == domain.ID {
			update = f.Dir.UpdateDomain
		}
		if _, err := update(ctx, of, patch); err != nil {
			t.Fatal(err)
		}
	}
	off, on := identity.ProjectPatch{Enabled: identity.Set(false)}, identity.ProjectPatch{Enabled: identity.Set(true)}
	set(off, project.ID)
	why(t, inside, token.ScopeDisabled)
	why(t, visitor, token.ScopeDisabled)
	f.good(unscoped)
	f.login(byPassword(u.ID, password, onProject(project.ID))).want(401)
	set(on, project.ID)
	f.good(inside)
	f.good(visitor)

	set(off, domain.ID)
	why(t, inside, token.ScopeDisabled)
	why(t, visitor, token.ScopeDisabled)
	why(t, onDom, token.ScopeDisabled)
	why(t, unscoped, token.PrincipalDisabled)
	f.login(byPassword(u.ID, password, nil)).want(401)
	set(on, domain.ID)
	for _, tok := range []string{inside, visitor, onDom, unscoped} {
		f.good(tok)
	}
	if err := f.Dir.DeleteProject(ctx, project.ID); err != nil {
		t.Fatal(err)
	}
	why(t, inside, token.ScopeDisabled)
	why(t, visitor, token.ScopeDisabled)
	set(off, domain.ID)
	if err := f.Dir.DeleteDomain(ctx, domain.ID); err != nil {
		t.Fatal(err)
	}
	why(t, onDom, token.ScopeDisabled)
	why(t, unscoped, token.PrincipalDisabled)
}

// F8: in the very second of a change of password, the login before it is dead and
// the one after it good, on this process and on another.
func TestTheSameSecond(t *testing.T) {
	f := newFace(t, cloud.Config{})
	u, p, before := f.member("alice")
	f.Clock.Advance(10 * time.Millisecond)
	f.do("PATCH", "/v3/users/"+u.ID, m{"user": m{"password": "new"}}, as(f.admin())).want(200)
	f.Clock.Advance(10 * time.Millisecond)
	after := f.login(byPassword(u.ID, "new", onProject(p.ID))).want(201)
	if a, b := f.validate(after.token()).at("token", "issued_at"), "2026-11-21T12:00:00.000000Z"; a != b {
		t.Errorf("the new token was issued at %v, want within the same second, %v", a, b)
	}
	f.refused(before)
	f.good(after.token())
	other := f.peer()
	other.refused(before)
	other.good(after.token())

	// Tokens of a server that knows whole seconds only are dead for all of it.
	claims := keytoken.Claims{UserID: u.ID, ExpiresAt: 1_800_000_000, AuditIDs: []string{id.NewAudit().String()}}
	f.refused(f.mint(t, claims, f.Clock.Now()))
	f.Clock.Advance(time.Second)
	f.good(f.mint(t, claims, f.Clock.Now()))
	// An instant in the audit id that the envelope does not bear out counts for
	// nothing.
	claims.AuditIDs = []string{id.NewAuditAt(f.Clock.Now().AddDate(0, 0, 1)).String()}
	f.refused(f.mint(t, claims, f.Clock.Now().Add(-time.Second)))
}

// F16: a token that was revoked stays revoked for as long as anybody can look at
// it, however many events come after.
func TestARevokedTokenIsNotResurrected(t *testing.T) {
	f := newFace(t, cloud.Config{Issuer: issuer.Config{Expiration: time.Minute}})
	_, _, tok := f.member("alice")
	f.do("DELETE", "/v3/auth/tokens", nil, as(tok), subject(tok)).want(204)
	look := func(f *face) int {
		return f.do("GET", "/v3/auth/tokens?allow_expired=1", nil, as(f.admin()), subject(tok)).status
	}
	window := f.Issuer.Config().AllowExpiredWindow
	for range 6 {
		f.Clock.Advance(window / 5)
		another := f.admin()
		f.do("DELETE", "/v3/auth/tokens", nil, as(another), subject(another)).want(204) // prunes
		if got := look(f); got != 404 {
			t.Fatalf("%v later: %d, want 404", f.Clock.Now().Sub(cloud.Start), got)
		}
		if got := look(f.peer()); got != 404 { // which reads the events anew
			t.Fatalf("%v later, on another process: %d, want 404", f.Clock.Now().Sub(cloud.Start), got)
		}
	}
	f.Clock.Advance(time.Hour)
	another := f.admin()
	f.do("DELETE", "/v3/auth/tokens", nil, as(another), subject(another)).want(204)
	if es, err := f.Store.RevocationEvents(t.Context()); err != nil || len(es) > 7 {
		t.Errorf("%d events are kept, %v", len(es), err)
	}
}

// The same for a token that another server with the same keys made to live longer
// than ours do.
func TestALongTokenIsNotResurrected(t *testing.T) {
	f := newFace(t, cloud.Config{})
	life := 5 * 24 * time.Hour
	tok := f.mint(t, keytoken.Claims{UserID: f.AdminID, ExpiresAt: epoch.SecondsOf(f.Clock.Now().Add(life))}, f.Clock.Now())
	f.good(tok)
	f.do("DELETE", "/v3/auth/tokens", nil, as(f.admin()), subject(tok)).want(204)
	for range 5 {
		f.Clock.Advance((life + f.Issuer.Config().AllowExpiredWindow) / 5)
		another := f.admin()
		f.do("DELETE", "/v3/auth/tokens", nil, as(another), subject(another)).want(204) // prunes
		g := f.peer()
		if got := g.do("GET", "/v3/auth/tokens?allow_expired=1", nil, as(g.admin()), subject(tok)).status; got != 404 {
			t.Fatalf("%v later: %d, want 404", f.Clock.Now().Sub(cloud.Start), got)
		}
	}
}

// F19: what one process revokes another refuses within a second.
func TestRevocationReachesOtherProcesses(t *testing.T) {
	a := newFace(t, cloud.Config{})
	b := a.peer()
	go func() { _ = b.Store.Run(t.Context()) }()
	u, p, tok := a.member("alice")
	waitFor(t, func() bool { return b.c(tok) == 200 })
	a.do("DELETE", "/v3/auth/tokens", nil, as(tok), subject(tok)).want(204)
	waitFor(t, func() bool { return b.c(tok) == 401 })
	// A login on b sees what a revoked even before the news arrives.
	tok = b.tokenOf(u.ID, "alice password", onProject(p.ID))
	a.do("PATCH", "/v3/users/"+u.ID, m{"user": m{"password": "new"}}, as(a.admin())).want(200)
	b.login(byPassword(u.ID, "alice password", nil)).want(401)
	fresh := b.login(byPassword(u.ID, "new", nil)).want(201).token()
	waitFor(t, func() bool { return b.c(tok) == 401 })
	b.good(fresh)
	a.good(fresh)
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a second")
		}
	}
}

// F14's and F17's spirit for every other way in which an event can name a token:
// each criterion revokes those that satisfy it and nobody else's.
func TestEventsOfEveryKind(t *testing.T) {
	f := newFace(t, cloud.Config{})
	u, p, mine := f.member("alice")
	_, _, others := f.member("bob")
	f.Grant(t, identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{DomainID: "default"}, RoleID: "member"})
	now := f.Clock.Now()
	for name, e := range map[string]identity.RevocationEvent{
		"audit id":             {AuditID: f.validate(mine).at("token", "audit_ids", 0).(string)},
		"user":                 {UserID: u.ID},
		"project":              {ProjectID: p.ID},
		"user and project":     {UserID: u.ID, ProjectID: p.ID},
		"user and expiry":      {UserID: u.ID, ExpiresAt: now.Truncate(time.Second).Add(time.Hour)},
		"project and role":     {ProjectID: p.ID, RoleID: f.Roles["reader"]},
		"user and domain F23":  {UserID: u.ID, DomainID: "default"},
		"user and scope F23":   {UserID: u.ID, DomainScopeID: "default"},
		"nobody: other expiry": {UserID: u.ID, ExpiresAt: now.Add(time.Minute)},
		"nobody: other role":   {ProjectID: p.ID, RoleID: f.Roles["admin"]},
		"nobody: earlier":      {UserID: u.ID, IssuedBefore: now.Add(-2 * time.Second)},
		"nobody: trust":        {UserID: u.ID, TrustID: "x"},
		"nobody: consumer":     {UserID: u.ID, ConsumerID: "x"},
		"nobody: access token": {AccessTokenID: "x"},
		"nobody: other domain": {DomainID: "elsewhere"},
	} {
		e.ID, e.RevokedAt = id.NewHex().String(), now
		if e.IssuedBefore.IsZero() {
			e.IssuedBefore = now
		}
		g := f.peer() // a process of its own, so that events do not add up
		if err := g.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error { return tx.AddRevocation(t.Context(), e) }); err != nil {
			t.Fatal(err)
		}
		tok, err := g.Issuer.Validate(t.Context(), mine, issuer.Options{})
		if want := !strings.HasPrefix(name, "nobody"); (err != nil) != want {
			t.Errorf("%s: Validate = %v, %v; want revoked %v", name, tok, err, want)
		}
		if _, err := g.Issuer.Validate(t.Context(), others, issuer.Options{}); err != nil {
			t.Errorf("%s: somebody else's token: %v", name, err)
		}
		if err := g.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error { return tx.PruneRevocations(t.Context(), now.Add(time.Hour)) }); err != nil {
			t.Fatal(err)
		}
	}
}
