package identity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/store"
)

// A world is a directory on a real store with a default domain.
type world struct {
	*identity.Directory
	t     *testing.T
	store *store.Store
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.store = s
	w.Directory = identity.New(s, identity.Config{}, clock, fakePassword(clock))
	w.domain("default", "Default")
	return w
}

// fakePassword stores passwords as "fake:<password>".
func fakePassword(now func() time.Time) identity.PasswordMaker {
	return func(_ context.Context, _ identity.User, pw string, old []identity.Password, _ bool) (identity.Password, int, error) {
		if pw == "forbidden" {
			return identity.Password{}, 0, errs.E(errs.Invalid, "The password does not match the requirements.")
		}
		return identity.Password{Hash: identity.PasswordHash("fake:" + pw), CreatedAt: now()}, 1, nil
	}
}

func (w *world) domain(id, name string) identity.Project {
	w.t.Helper()
	p, err := w.CreateProject(w.t.Context(), identity.Project{ID: id, Name: name, IsDomain: true, Enabled: true})
	w.ok(err)
	return p
}

func (w *world) project(name, domain, parent string) identity.Project {
	w.t.Helper()
	p, err := w.CreateProject(w.t.Context(), identity.Project{Name: name, DomainID: domain, ParentID: parent, Enabled: true})
	w.ok(err)
	return p
}

func (w *world) user(name, domain string) identity.User {
	w.t.Helper()
	pw := "secret of " + name
	u, err := w.CreateUser(w.t.Context(), identity.User{Name: name, DomainID: domain, Enabled: true}, &pw)
	w.ok(err)
	return u
}

func (w *world) group(name, domain string) identity.Group {
	w.t.Helper()
	g, err := w.CreateGroup(w.t.Context(), identity.Group{Name: name, DomainID: domain})
	w.ok(err)
	return g
}

func (w *world) role(name, domain string) identity.Role {
	w.t.Helper()
	r, err := w.CreateRole(w.t.Context(), identity.Role{Name: name, DomainID: domain})
	w.ok(err)
	return r
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused checks that err is of a kind and says something.
func (w *world) refused(err error, kind errs.Kind, says string) {
	w.t.Helper()
	if !errs.Is(err, kind) || !strings.Contains(fmt.Sprint(err), says) {
		w.t.Errorf("got %v (%v), want kind %v saying %q", err, errs.KindOf(err), kind, says)
	}
}

// revoked returns the events since the last call as texts such as "user <id>".
func (w *world) revoked() []string {
	w.t.Helper()
	events, err := w.RevocationEvents(w.t.Context())
	w.ok(err)
	var out []string
	for _, e := range events {
		if !e.RevokedAt.Equal(w.now) {
			continue
		}
		for _, kv := range [...]struct{ k, v string }{{"user", e.UserID}, {"project", e.ProjectID}, {"trust", e.TrustID}} {
			if kv.v != "" {
				out = append(out, kv.k+" "+kv.v)
			}
		}
		if !e.IssuedBefore.Equal(w.now) {
			w.t.Errorf("event %+v is effective before %v, want %v", e, e.IssuedBefore, w.now)
		}
	}
	w.now = w.now.Add(time.Second)
	slices.Sort(out)
	return out
}

func (w *world) wantRevoked(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.revoked(); !slices.Equal(got, want) {
		w.t.Errorf("revoked %v, want %v", got, want)
	}
}

func immutable(v string) identity.Options {
	return identity.Options{identity.Immutable: json.RawMessage(v)}
}

func TestUsersAndTheirTokens(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.user("  alice\t", "default")
	if u.Name != "alice" || !u.Enabled || u.CreatedAt != w.now {
		t.Errorf("created %+v", u)
	}
	_, err := w.CreateUser(ctx, identity.User{Name: "alice", DomainID: "default"}, nil)
	w.refused(err, errs.Conflict, "Conflict occurred attempting to store user - Duplicate entry found with name alice at domain ID default.")
	_, err = w.CreateUser(ctx, identity.User{Name: "bob", DomainID: "nowhere"}, nil)
	w.refused(err, errs.NotFound, "Could not find domain: nowhere.")
	_, err = w.CreateUser(ctx, identity.User{Name: " \u2003 ", DomainID: "default"}, nil)
	w.refused(err, errs.Invalid, "name")
	_, err = w.CreateUser(ctx, identity.User{Name: strings.Repeat("é", 256), DomainID: "default"}, nil)
	w.refused(err, errs.Invalid, "too long")
	_, err = w.CreateUser(ctx, identity.User{Name: "bob", DomainID: "default", DefaultProjectID: "default"}, nil)
	w.refused(err, errs.Invalid, "cannot be a domain")
	w.wantRevoked()

	for _, tt := range []struct {
		name  string
		patch identity.UserPatch
		want  []string
	}{
		{"a new name revokes nothing", identity.UserPatch{Name: identity.Set("alicia")}, nil},
		{"a new password revokes", identity.UserPatch{Password: identity.Set(new("p2"))}, []string{"user " + u.ID}},
		{"taking the password away revokes", identity.UserPatch{Password: identity.Set[*string](nil)}, []string{"user " + u.ID}},
		{"disabling revokes", identity.UserPatch{Enabled: identity.Set(false)}, []string{"user " + u.ID}},
		{"disabling again does not", identity.UserPatch{Enabled: identity.Set(false)}, nil},
		{"enabling does not", identity.UserPatch{Enabled: identity.Set(true)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := w.UpdateUser(ctx, u.ID, tt.patch); err != nil {
				t.Fatal(err)
			}
			w.wantRevoked(tt.want...)
		})
	}
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{DomainID: identity.Set("other")})
	w.refused(err, errs.Invalid, "Cannot change Domain ID")
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Name: identity.Set("x"), Password: identity.Set(new("forbidden"))})
	w.refused(err, errs.Invalid, "requirements")
	got, err := w.User(ctx, u.ID)
	w.ok(err)
	if got.Name != "alicia" {
		t.Errorf("a refused password left the name %q", got.Name)
	}
	w.ok(w.DeleteUser(ctx, u.ID))
	w.wantRevoked("user " + u.ID)
	w.refused(w.DeleteUser(ctx, u.ID), errs.NotFound, "Could not find user: "+u.ID+".")
	w.wantRevoked()
}

func TestOwnPassword(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.user("alice", "default")
	w.revoked()
	w.ok(w.ChangePassword(ctx, u.ID, "mine"))
	w.wantRevoked("user " + u.ID)
	pws, err := w.Passwords(ctx, u.ID)
	w.ok(err)
	if len(pws) != 1 || pws[0].Hash != "fake:mine" || !pws[0].SelfService {
		t.Errorf("passwords %q %+v", string(pws[0].Hash), pws)
	}
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Options: identity.Options{identity.OptLockPassword: json.RawMessage("true")}})
	w.ok(err)
	w.refused(w.ChangePassword(ctx, u.ID, "mine2"), errs.Invalid, "locked")
	w.wantRevoked()
}

// Two requests that proved the same old password at once: the one that comes second
// is refused, or an attacker who raced the owner would have the last word.
func TestOwnPasswordChangedTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.user("alice", "default")
	raced := false
	d := identity.New(w.store, identity.Config{}, func() time.Time { return w.now },
		func(ctx context.Context, _ identity.User, pw string, _ []identity.Password, _ bool) (identity.Password, int, error) {
			if !raced {
				raced = true
				w.ok(w.ChangePassword(ctx, u.ID, "first"))
			}
			return identity.Password{Hash: identity.PasswordHash("fake:" + pw), CreatedAt: w.now}, 1, nil
		})
	w.refused(d.ChangePassword(ctx, u.ID, "second"), errs.Conflict, "at the same time")
	if pws, err := w.Passwords(ctx, u.ID); err != nil || pws[0].Hash != "fake:first" {
		t.Errorf("password %q, %v", string(pws[0].Hash), err)
	}
}

func TestFailuresAreForgottenWhenEnabled(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.user("alice", "default")
	w.ok(w.store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		for range 3 {
			if _, err := tx.RecordFailure(ctx, u.ID, w.now); err != nil {
				return err
			}
		}
		return nil
	}))
	f, err := w.LoginFailures(ctx, u.ID)
	w.ok(err)
	if f.Count != 3 || !f.Last.Equal(w.now) {
		t.Errorf("failures %+v", f)
	}
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Name: identity.Set("al")})
	w.ok(err)
	if f, _ := w.LoginFailures(ctx, u.ID); f.Count != 3 {
		t.Errorf("another change forgot failures: %+v", f)
	}
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Enabled: identity.Set(true)})
	w.ok(err)
	if f, _ := w.LoginFailures(ctx, u.ID); f.Count != 0 {
		t.Errorf("enabling left failures: %+v", f)
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u, g := w.user("alice", "default"), w.group("staff", "default")
	_, err := w.CreateGroup(ctx, identity.Group{Name: "staff", DomainID: "default"})
	w.refused(err, errs.Conflict, "store group")
	w.refused(w.CheckMember(ctx, u.ID, g.ID), errs.NotFound, "not found in group")
	w.refused(w.RemoveMember(ctx, u.ID, g.ID), errs.NotFound, "not found in group")
	w.ok(w.AddMember(ctx, u.ID, g.ID))
	w.ok(w.AddMember(ctx, u.ID, g.ID))
	w.ok(w.CheckMember(ctx, u.ID, g.ID))
	w.refused(w.AddMember(ctx, "nobody", g.ID), errs.NotFound, "Could not find user: nobody.")
	w.refused(w.AddMember(ctx, u.ID, "nothing"), errs.NotFound, "Could not find group: nothing.")
	w.wantRevoked()
	w.ok(w.RemoveMember(ctx, u.ID, g.ID))
	w.wantRevoked("user " + u.ID)

	w.ok(w.AddMember(ctx, u.ID, g.ID))
	empty := w.group("empty", "default")
	w.ok(w.AddMember(ctx, u.ID, empty.ID))
	w.ok(w.DeleteGroup(ctx, empty.ID))
	w.wantRevoked()
	r := w.role("r", "")
	w.ok(w.Grant(ctx, identity.Assignment{Actor: identity.Actor{GroupID: g.ID}, Target: identity.Target{DomainID: "default"}, RoleID: r.ID}))
	w.ok(w.DeleteGroup(ctx, g.ID))
	w.wantRevoked("user " + u.ID)
	left, err := w.Assignments(ctx, identity.AssignmentFilter{})
	w.ok(err)
	if len(left) != 0 {
		t.Errorf("assignments of a deleted group: %+v", left)
	}
}

func TestProjectTree(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.domain("other", "Other")
	p1 := w.project("p1", "default", "")
	if p1.ParentID != "default" {
		t.Errorf("a project without parent is below %q", p1.ParentID)
	}
	above := p1
	for i := 2; i <= 5; i++ {
		above = w.project(fmt.Sprintf("p%d", i), "default", above.ID)
	}
	_, err := w.CreateProject(ctx, identity.Project{Name: "p6", DomainID: "default", ParentID: above.ID, Enabled: true})
	w.refused(err, errs.Forbidden, "Max hierarchy depth reached for "+above.ID+" branch.")
	_, err = w.CreateProject(ctx, identity.Project{Name: "p1", DomainID: "default", Enabled: true})
	w.refused(err, errs.Conflict, "with either the same name or same id in the same domain: name is p1")
	w.project("p1", "other", "")
	_, err = w.CreateProject(ctx, identity.Project{Name: "x", DomainID: "other", ParentID: p1.ID, Enabled: true})
	w.refused(err, errs.Invalid, "different domain (default)")
	_, err = w.CreateProject(ctx, identity.Project{Name: "x", DomainID: "other", ParentID: "default", Enabled: true})
	w.refused(err, errs.Invalid, "does not match the parent's id")
	_, err = w.CreateProject(ctx, identity.Project{Name: "x", DomainID: "default", ParentID: "gone", Enabled: true})
	w.refused(err, errs.NotFound, "Could not find project: gone.")

	up, err := w.Ancestors(ctx, above.ID)
	w.ok(err)
	if names := namesOf(up); names != "p4 p3 p2 p1 Default" {
		t.Errorf("above p5: %s", names)
	}
	down, err := w.Descendants(ctx, p1.ID)
	w.ok(err)
	if names := namesOf(down); names != "p2 p3 p4 p5" {
		t.Errorf("below p1: %s", names)
	}

	_, err = w.UpdateProject(ctx, p1.ID, identity.ProjectPatch{Enabled: identity.Set(false)})
	w.refused(err, errs.Forbidden, "subtree contains enabled projects")
	w.refused(w.DeleteProject(ctx, p1.ID), errs.Forbidden, "not a leaf")
	for _, p := range slices.Backward(down) {
		_, err := w.UpdateProject(ctx, p.ID, identity.ProjectPatch{Enabled: identity.Set(false)})
		w.ok(err)
	}
	_, err = w.UpdateProject(ctx, above.ID, identity.ProjectPatch{Enabled: identity.Set(true)})
	w.refused(err, errs.Forbidden, "since it has disabled parents")
	_, err = w.CreateProject(ctx, identity.Project{Name: "x", DomainID: "default", ParentID: down[0].ID, Enabled: true})
	w.refused(err, errs.Invalid, "branch containing a disabled project: "+down[0].ID)
	_, err = w.UpdateProject(ctx, above.ID, identity.ProjectPatch{ParentID: identity.Set(p1.ID)})
	w.refused(err, errs.Forbidden, "`parent_id`")
	_, err = w.UpdateProject(ctx, above.ID, identity.ProjectPatch{IsDomain: identity.Set(true)})
	w.refused(err, errs.Invalid, "`is_domain`")
	_, err = w.UpdateProject(ctx, above.ID, identity.ProjectPatch{DomainID: identity.Set("other")})
	w.refused(err, errs.Invalid, "Cannot change Domain ID")
	w.wantRevoked()
	w.ok(w.DeleteProject(ctx, above.ID))
	w.wantRevoked("project " + above.ID)
}

func namesOf(ps []identity.Project) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestDomainsEndWithTheirContent(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	acme := w.domain("", "acme")
	p := w.project("p", acme.ID, "")
	child := w.project("c", acme.ID, p.ID)
	u, g := w.user("u", acme.ID), w.group("g", acme.ID)
	r := w.role("local", acme.ID)
	global := w.role("global", "")
	stranger := w.user("stranger", "default")
	w.ok(w.Grant(ctx, identity.Assignment{Actor: identity.Actor{UserID: stranger.ID}, Target: identity.Target{ProjectID: p.ID}, RoleID: global.ID}))
	w.ok(w.Grant(ctx, identity.Assignment{Actor: identity.Actor{UserID: stranger.ID}, Target: identity.Target{DomainID: acme.ID}, RoleID: global.ID, Inherited: true}))

	w.refused(w.DeleteDomain(ctx, acme.ID), errs.Forbidden, "Cannot delete a domain that is enabled")
	w.refused(w.DeleteDomain(ctx, p.ID), errs.NotFound, "Could not find domain: "+p.ID)
	_, err := w.UpdateDomain(ctx, acme.ID, identity.ProjectPatch{Enabled: identity.Set(false)})
	w.ok(err)
	w.wantRevoked()
	w.ok(w.DeleteDomain(ctx, acme.ID))
	w.wantRevoked("project "+acme.ID, "project "+p.ID, "project "+child.ID, "user "+u.ID)
	for what, err := range map[string]error{
		"user":  second(w.User(ctx, u.ID)),
		"group": second(w.Group(ctx, g.ID)),
		"role":  second(w.Role(ctx, r.ID)),
		"child": second(w.Project(ctx, child.ID)),
	} {
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%s of a deleted domain: %v", what, err)
		}
	}
	left, err := w.Assignments(ctx, identity.AssignmentFilter{UserID: stranger.ID})
	w.ok(err)
	if len(left) != 0 {
		t.Errorf("assignments on a deleted domain: %+v", left)
	}
}

func second[T any](_ T, err error) error { return err }

func TestReservedDomainNames(t *testing.T) {
	w := newWorld(t)
	for _, p := range []identity.Project{{Name: "federated"}, {Name: "FEDERATED"}, {ID: "Federated", Name: "x"}} {
		p.IsDomain = true
		_, err := w.CreateProject(t.Context(), p)
		w.refused(err, errs.Invalid, "Domain cannot")
	}
	_, err := w.UpdateDomain(t.Context(), "default", identity.ProjectPatch{Name: identity.Set("Federated")})
	w.refused(err, errs.Invalid, "Domain cannot be named Federated")
}

// J13: what is immutable changes only by a request that does nothing but end that.
func TestImmutable(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p := w.project("p", "default", "")
	r := w.role("r", "")
	d := w.domain("", "d")
	type resource struct {
		name   string
		patch  func(name string, o identity.Options) error
		remove func() error
	}
	fields := func(name string, o identity.Options) (f identity.Field[string], n int) {
		if name != "" {
			f, n = identity.Set(name), 1
		}
		if o != nil {
			n++
		}
		return f, n
	}
	for _, x := range []resource{
		{"project", func(name string, o identity.Options) error {
			f, n := fields(name, o)
			return second(w.UpdateProject(ctx, p.ID, identity.ProjectPatch{Name: f, Options: o, Fields: n}))
		}, func() error { return w.DeleteProject(ctx, p.ID) }},
		{"role", func(name string, o identity.Options) error {
			f, n := fields(name, o)
			return second(w.UpdateRole(ctx, r.ID, identity.RolePatch{Name: f, Options: o, Fields: n}))
		}, func() error { return w.DeleteRole(ctx, r.ID) }},
		{"domain", func(name string, o identity.Options) error {
			f, n := fields(name, o)
			return second(w.UpdateDomain(ctx, d.ID, identity.ProjectPatch{Name: f, Options: o, Fields: n}))
		}, func() error { return w.DeleteDomain(ctx, d.ID) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			w.t = t
			w.ok(x.patch("", immutable("true")))
			w.refused(x.patch("new", nil), errs.Forbidden, "Unable to update immutable "+x.name)
			w.refused(x.patch("new", immutable("false")), errs.Forbidden, "immutable")
			w.refused(x.patch("", immutable("true")), errs.Forbidden, "immutable")
			w.refused(x.remove(), errs.Forbidden, "Unable to delete immutable "+x.name)
			w.ok(x.patch("", immutable("null")))
			w.ok(x.patch("new", immutable("true")))
			w.ok(x.patch("", immutable("false")))
			w.ok(x.patch("newer", nil))
		})
	}
	_, err := w.UpdateProject(ctx, p.ID, identity.ProjectPatch{Options: immutable("true"), Fields: 1})
	w.ok(err)
	w.refused(w.AddTag(ctx, p.ID, "t"), errs.Forbidden, "immutable")
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p := w.project("p", "default", "")
	got, err := w.SetTags(ctx, p.ID, []string{"b", "a"})
	w.ok(err)
	if !slices.Equal(got.Tags, []string{"a", "b"}) {
		t.Errorf("tags %q", got.Tags)
	}
	w.ok(w.AddTag(ctx, p.ID, "c"))
	w.ok(w.AddTag(ctx, p.ID, "c"))
	w.ok(w.RemoveTag(ctx, p.ID, "a"))
	w.refused(w.RemoveTag(ctx, p.ID, "a"), errs.NotFound, "Could not find project tag: a.")
	many := make([]string, 81)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, bad := range [][]string{{"a,b"}, {"a/b"}, {""}, {strings.Repeat("x", 256)}, {"a", "a"}, many} {
		_, err := w.SetTags(ctx, p.ID, bad)
		w.refused(err, errs.Invalid, "tags")
	}
	got, err = w.Project(ctx, p.ID)
	w.ok(err)
	if !slices.Equal(got.Tags, []string{"b", "c"}) {
		t.Errorf("tags %q", got.Tags)
	}
}

func TestGrants(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	other := w.domain("", "other")
	p, op := w.project("p", "default", ""), w.project("p", other.ID, "")
	u, g := w.user("u", "default"), w.group("g", "default")
	r := w.role("r", "")
	local := w.role("local", "default")
	user, group := identity.Actor{UserID: u.ID}, identity.Actor{GroupID: g.ID}
	for _, a := range []identity.Assignment{
		{Actor: user, Target: identity.Target{ProjectID: p.ID}, RoleID: r.ID},
		{Actor: group, Target: identity.Target{ProjectID: p.ID}, RoleID: r.ID, Inherited: true},
		{Actor: user, Target: identity.Target{DomainID: "default"}, RoleID: r.ID},
		{Actor: user, Target: identity.Target{DomainID: "default"}, RoleID: r.ID, Inherited: true},
		{Actor: group, Target: identity.Target{System: true}, RoleID: r.ID},
		{Actor: user, Target: identity.Target{ProjectID: p.ID}, RoleID: local.ID},
	} {
		w.refused(w.CheckGrant(ctx, a), errs.NotFound, "Could not find role assignment with role: "+a.RoleID)
		w.refused(w.Ungrant(ctx, a), errs.NotFound, "Could not find role assignment")
		w.ok(w.Grant(ctx, a))
		w.ok(w.Grant(ctx, a))
		w.ok(w.CheckGrant(ctx, a))
		b := a
		b.Inherited = !a.Inherited
		if a.Target.DomainID == "" {
			w.refused(w.CheckGrant(ctx, b), errs.NotFound, "role assignment")
		}
	}
	w.refused(w.Grant(ctx, identity.Assignment{Actor: user, Target: identity.Target{ProjectID: op.ID}, RoleID: local.ID}), errs.Forbidden,
		"must be in the same domain as the role "+local.ID)
	w.refused(w.Grant(ctx, identity.Assignment{Actor: user, Target: identity.Target{System: true}, RoleID: local.ID}), errs.Invalid, "domain-specific")
	w.refused(w.Grant(ctx, identity.Assignment{Actor: user, Target: identity.Target{ProjectID: "x"}, RoleID: r.ID}), errs.NotFound, "project: x.")
	w.refused(w.Grant(ctx, identity.Assignment{Actor: identity.Actor{UserID: "x"}, Target: identity.Target{System: true}, RoleID: r.ID}), errs.NotFound, "user: x.")
	w.refused(w.Grant(ctx, identity.Assignment{Actor: user, Target: identity.Target{System: true}, RoleID: "x"}), errs.NotFound, "role: x.")
	w.refused(w.CheckGrant(ctx, identity.Assignment{Actor: user, Target: identity.Target{System: true}, RoleID: r.ID}), errs.NotFound, "system: system.")

	all, err := w.AssignmentsOf(ctx, u.ID, []string{g.ID})
	w.ok(err)
	if len(all) != 6 {
		t.Errorf("%d assignments of the user and the group, want 6", len(all))
	}
	// F9: taking a role away revokes no token; it is gone when looked up.
	w.revoked()
	w.ok(w.Ungrant(ctx, identity.Assignment{Actor: user, Target: identity.Target{ProjectID: p.ID}, RoleID: r.ID}))
	w.ok(w.DeleteRole(ctx, r.ID))
	w.wantRevoked()
	all, err = w.AssignmentsOf(ctx, u.ID, []string{g.ID})
	w.ok(err)
	if len(all) != 1 || all[0].RoleID != local.ID {
		t.Errorf("after the role was deleted: %+v", all)
	}
}

// J14.
func TestImplications(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	admin, a, b := w.role("admin", ""), w.role("a", ""), w.role("b", "")
	local := w.role("local", "default")
	w.refused(w.Imply(ctx, identity.Implication{PriorID: a.ID, ImpliedID: admin.ID}), errs.Forbidden, admin.ID+" cannot be an implied roles.")
	w.refused(w.Imply(ctx, identity.Implication{PriorID: a.ID, ImpliedID: local.ID}), errs.Forbidden, "Global role cannot imply a domain-specific role")
	w.ok(w.Imply(ctx, identity.Implication{PriorID: local.ID, ImpliedID: a.ID}))
	i := identity.Implication{PriorID: a.ID, ImpliedID: b.ID}
	w.refused(w.CheckImplication(ctx, i), errs.NotFound, a.ID+" does not imply "+b.ID+".")
	w.refused(w.Unimply(ctx, i), errs.NotFound, "does not imply")
	w.ok(w.Imply(ctx, i))
	w.refused(w.Imply(ctx, i), errs.Conflict, "implied_role")
	w.ok(w.CheckImplication(ctx, i))
	w.ok(w.DeleteRole(ctx, b.ID))
	all, err := w.Implications(ctx)
	w.ok(err)
	if len(all) != 1 || !slices.Equal(all[local.ID], []string{a.ID}) {
		t.Errorf("implications %v", all)
	}
}

func TestRegions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	region := func(id, parent string) error {
		return second(w.CreateRegion(ctx, identity.Region{ID: id, ParentID: parent}))
	}
	w.ok(region("north", ""))
	w.ok(region("far-north", "north"))
	w.ok(region("pole", "far-north"))
	w.refused(region("north", ""), errs.Conflict, "Conflict occurred attempting to store region - Duplicate ID, north..")
	w.refused(region("x", "nowhere"), errs.NotFound, "Could not find region: nowhere.")
	w.refused(region(strings.Repeat("x", 256), ""), errs.Invalid, "too long")
	move := func(id, parent string) error {
		return second(w.UpdateRegion(ctx, id, identity.RegionPatch{ParentID: identity.Set(parent)}))
	}
	w.refused(move("north", "north"), errs.Invalid, "Circular")
	w.refused(move("north", "pole"), errs.Invalid, "Circular")
	w.refused(move("north", "x"), errs.NotFound, "region: x.")
	w.ok(move("pole", "north"))
	w.ok(move("pole", "far-north"))

	s, err := w.CreateService(ctx, identity.Service{Type: "memory", Enabled: true})
	w.ok(err)
	e, err := w.CreateEndpoint(ctx, identity.Endpoint{ServiceID: s.ID, Interface: "public", URL: "http://x/", RegionID: "pole", Enabled: true}, false)
	w.ok(err)
	w.refused(w.DeleteRegion(ctx, "north"), errs.Forbidden, "Unable to delete region north because it or its child regions have associated endpoints.")
	w.ok(w.DeleteEndpoint(ctx, e.ID))
	w.ok(w.DeleteRegion(ctx, "north"))
	rs, err := w.Regions(ctx)
	w.ok(err)
	if len(rs) != 0 {
		t.Errorf("regions left: %+v", rs)
	}
}

func TestEndpoints(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	s, err := w.CreateService(ctx, identity.Service{Type: "memory", Name: "m", Enabled: true})
	w.ok(err)
	make := func(service, region string, makeRegion bool) (identity.Endpoint, error) {
		return w.CreateEndpoint(ctx, identity.Endpoint{ServiceID: service, Interface: "public", URL: "http://x", RegionID: region, Enabled: true}, makeRegion)
	}
	_, err = make("none", "", false)
	w.refused(err, errs.Invalid, "Expecting to find endpoint service_id in service table.")
	_, err = make(s.ID, "r1", false)
	w.refused(err, errs.Invalid, "Expecting to find endpoint region_id in region table.")
	e, err := make(s.ID, "r1", true)
	w.ok(err)
	if _, err := w.Region(ctx, "r1"); err != nil {
		t.Error(err)
	}
	_, err = w.UpdateEndpoint(ctx, e.ID, identity.EndpointPatch{URL: identity.Set("http://x/$(password)s")})
	w.refused(err, errs.Invalid, "Cannot create an endpoint with an invalid URL")
	_, err = w.UpdateEndpoint(ctx, e.ID, identity.EndpointPatch{RegionID: identity.Set("")})
	w.ok(err)
	w.ok(w.DeleteService(ctx, s.ID))
	_, err = w.Endpoint(ctx, e.ID)
	w.refused(err, errs.NotFound, "endpoint")
}

// J12.
func TestEndpointAddresses(t *testing.T) {
	for _, tt := range []struct {
		url string
		ok  bool
	}{
		{"http://h/v1/$(project_id)s", true},
		{"http://h/v1/%(tenant_id)s/$(user_id)s/x", true},
		{"http://h:8776/v1", true},
		{"http://h/a$b", true},
		{"http://h/100%%", true},
		{"urn:x", true},
		{"http://h/$(admin_token)s", false},
		{"http://h/%(password)s", false},
		{"http://h/{0.__class__}", false},
		{"http://h/%(project_id)d", false},
		{"http://h/$(project_id)", false},
		{"http://h/$(project_id", false},
		{"http://h/%", false},
		{"http://h/%s", false},
		{"http://h/%20", false},
		{"http://h/$(project_id)s$(password)s", false},
		{"http://h/%%(password)s", true}, // an escaped sign, then plain text
		{"no-scheme", false},
		{":x", false},
		{"ht tp:x", false},
		{"http:", false},
		{"", false},
		{"http://" + strings.Repeat("x", 219), false},
	} {
		if err := identity.CheckURL(tt.url); (err == nil) != tt.ok || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("CheckURL(%q) = %v, want ok %v", tt.url, err, tt.ok)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"http://h/$(project_id)s", "a:%%(x)s", "a:%(user_id)s$(", "a:$$(tenant_id)s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		if identity.CheckURL(url) != nil {
			return
		}
		// Whatever is accepted holds no opened substitution but the known ones.
		s := strings.ReplaceAll(url, "$(", "%(")
		s = strings.ReplaceAll(s, "%%", "")
		for _, n := range identity.Substitutions() {
			s = strings.ReplaceAll(s, "%("+n+")s", "")
		}
		if strings.Contains(s, "%(") && !strings.Contains(url, "%%") {
			t.Errorf("accepted %q", url)
		}
	})
}

func TestDeletingAUserEndsItsTrusts(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a, b, c := w.user("a", "default"), w.user("b", "default"), w.user("c", "default")
	p, r := w.project("p", "default", ""), w.role("r", "")
	trust := func(id, from, to, parent string) {
		w.ok(w.store.UpdateIdentity(ctx, func(tx identity.Tx) error {
			return tx.CreateTrust(ctx, identity.Trust{
				ID: id, TrustorID: from, TrusteeID: to, ProjectID: p.ID, RoleIDs: []string{r.ID}, RedelegatedTrustID: parent,
			})
		}))
	}
	trust("t1", a.ID, b.ID, "")
	trust("t2", a.ID, c.ID, "t1")
	trust("t3", c.ID, a.ID, "")
	trust("t4", b.ID, c.ID, "")
	w.revoked()
	w.ok(w.DeleteUser(ctx, a.ID))
	w.wantRevoked("trust t1", "trust t2", "trust t3", "user "+a.ID)
	if _, err := w.Trust(ctx, "t4"); err != nil {
		t.Error(err)
	}
	_, err := w.Trust(ctx, "t1")
	w.refused(err, errs.NotFound, "Could not find trust: t1.")
	w.ok(w.DeleteProject(ctx, p.ID))
	w.wantRevoked("project "+p.ID, "trust t4")
}

func TestRevocationEventsEnd(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u, v := w.user("u", "default"), w.user("v", "default")
	w.ok(w.DeleteUser(ctx, u.ID))
	w.now = w.now.Add(63*time.Hour - time.Second)
	w.ok(w.DeleteUser(ctx, v.ID))
	events, err := w.RevocationEvents(ctx)
	w.ok(err)
	if len(events) != 2 {
		t.Errorf("%d events before the first is over, want 2", len(events))
	}
	w.now = w.now.Add(2 * time.Second)
	w.ok(w.DeleteUser(ctx, w.user("x", "default").ID))
	if events, err = w.RevocationEvents(ctx); err != nil || len(events) != 2 {
		t.Errorf("%d events (%v), want the first gone", len(events), err)
	}
}

func TestEveryChangeIsNoticedAndAudited(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u := w.user("u", "default")
	before := w.store.IdentityRevision()
	_, err := w.UpdateUser(ctx, u.ID, identity.UserPatch{Name: identity.Set("v")}) // revokes nothing
	w.ok(err)
	if got := w.store.IdentityRevision(); got != before+1 {
		t.Errorf("revision %d after a change, want %d", got, before+1)
	}
	before++
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Enabled: identity.Set(false)})
	w.ok(err)
	if got := w.store.IdentityRevision(); got != before+1 {
		t.Errorf("revision %d after a change, want %d", got, before+1)
	}
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{DomainID: identity.Set("x")})
	if err == nil || w.store.IdentityRevision() != before+1 {
		t.Errorf("a refused change moved the revision to %d (%v)", w.store.IdentityRevision(), err)
	}
	var typ, subject, detail string
	err = w.store.Reader().QueryRow(ctx, "SELECT type, subject, detail FROM audit_log ORDER BY seq DESC LIMIT 1").Scan(&typ, &subject, &detail)
	w.ok(err)
	if typ != "identity.user.updated" || subject != u.ID || !strings.Contains(detail, `"enabled":false`) {
		t.Errorf("last audit entry: %s %s %s", typ, subject, detail)
	}
}
