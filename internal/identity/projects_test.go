package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

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
	w.refused(w.Imply(ctx, identity.Implication{PriorID: a.ID, ImpliedID: local.ID}), errs.Forbidden, local.ID+" cannot be an implied roles.")
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
