package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/identity"
)

func TestEffectiveAssignments(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	acme := w.domain("acme", "acme")
	a := w.project("a", acme.ID, "")
	b := w.project("b", acme.ID, a.ID)
	c := w.project("c", acme.ID, b.ID)
	other := w.project("other", "default", "")
	u, v := w.user("u", acme.ID), w.user("v", acme.ID)
	g := w.group("g", acme.ID)
	w.ok(w.AddMember(ctx, u.ID, g.ID))
	w.ok(w.AddMember(ctx, v.ID, g.ID))
	top, mid, low := w.role("top", ""), w.role("mid", ""), w.role("low", "")
	local := w.role("local", acme.ID)
	for _, i := range [][2]string{{top.ID, mid.ID}, {mid.ID, low.ID}, {low.ID, mid.ID}, {local.ID, low.ID}} { // mid and low in a circle
		w.ok(w.Imply(ctx, identity.Implication{PriorID: i[0], ImpliedID: i[1]}))
	}
	grant := func(actor identity.Actor, target identity.Target, role identity.Role, inherited bool) {
		w.ok(w.Grant(ctx, identity.Assignment{Actor: actor, Target: target, RoleID: role.ID, Inherited: inherited}))
	}
	names := map[string]string{
		a.ID: "a", b.ID: "b", c.ID: "c", other.ID: "other", acme.ID: "acme", u.ID: "u", v.ID: "v", g.ID: "g",
		top.ID: "top", mid.ID: "mid", low.ID: "low", local.ID: "local",
	}
	grant(identity.Actor{UserID: u.ID}, identity.Target{ProjectID: a.ID}, top, false)
	grant(identity.Actor{GroupID: g.ID}, identity.Target{ProjectID: a.ID}, low, true)
	grant(identity.Actor{UserID: v.ID}, identity.Target{DomainID: acme.ID}, low, true)
	grant(identity.Actor{UserID: v.ID}, identity.Target{DomainID: acme.ID}, mid, false)
	grant(identity.Actor{UserID: v.ID}, identity.Target{ProjectID: c.ID}, local, false)
	grant(identity.Actor{UserID: v.ID}, identity.Target{System: true}, top, false)
	grant(identity.Actor{UserID: v.ID}, identity.Target{ProjectID: other.ID}, low, false)

	list := func(f identity.EffectiveFilter) string {
		t.Helper()
		es, err := w.EffectiveAssignments(ctx, f)
		w.ok(err)
		var out []string
		for _, e := range es {
			on := names[e.Target.ProjectID] + names[e.Target.DomainID]
			if e.Target.System {
				on = "system"
			}
			s := names[e.Actor.UserID] + ":" + names[e.RoleID] + "@" + on
			if e.GroupID != "" {
				s += " by " + names[e.GroupID]
			}
			if e.From != (identity.Target{}) {
				s += " from " + names[e.From.ProjectID] + names[e.From.DomainID]
			}
			if e.PriorRoleID != "" {
				s += " as " + names[e.PriorRoleID]
			}
			out = append(out, s)
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	for _, tt := range []struct {
		name string
		f    identity.EffectiveFilter
		want string
	}{
		{"a user on a project, with what the role implies", identity.EffectiveFilter{UserID: u.ID, ProjectID: a.ID},
			"u:low@a as mid, u:mid@a as low, u:mid@a as top, u:top@a"},
		{"inherited by a group from a project above", identity.EffectiveFilter{UserID: u.ID, ProjectID: c.ID, RoleID: low.ID},
			"u:low@c by g from a, u:low@c by g from a as mid"},
		{"what is inherited is not on its source", identity.EffectiveFilter{ProjectID: a.ID, RoleID: low.ID, Inherited: new(true)},
			"v:low@a from acme, v:low@a from acme as mid"},
		{"inherited from the domain on every project of it", identity.EffectiveFilter{UserID: v.ID, RoleID: low.ID, Inherited: new(true)},
			"v:low@a from acme, v:low@a from acme as mid, v:low@b by g from a, v:low@b by g from a as mid, v:low@b from acme, " +
				"v:low@b from acme as mid, v:low@c by g from a, v:low@c by g from a as mid, v:low@c from acme, v:low@c from acme as mid"},
		{"a domain's own assignments", identity.EffectiveFilter{DomainID: acme.ID}, "v:low@acme as mid, v:mid@acme, v:mid@acme as low"},
		{"a domain's own role counts for what it implies", identity.EffectiveFilter{ProjectID: c.ID, UserID: v.ID, Inherited: new(false)},
			"v:low@c as local, v:low@c as mid, v:mid@c as low"},
		{"the system when asked for", identity.EffectiveFilter{System: true, RoleID: top.ID}, "v:top@system"},
		{"the system not otherwise", identity.EffectiveFilter{UserID: v.ID, RoleID: top.ID}, ""},
		{"another domain's project is not below", identity.EffectiveFilter{ProjectID: other.ID}, "v:low@other, v:low@other as mid, v:mid@other as low"},
		{"a subtree", identity.EffectiveFilter{ProjectID: b.ID, Subtree: true, UserID: u.ID, RoleID: low.ID},
			"u:low@b by g from a, u:low@b by g from a as mid, u:low@c by g from a, u:low@c by g from a as mid"},
		{"everybody in a subtree", identity.EffectiveFilter{ProjectID: b.ID, Subtree: true, RoleID: low.ID, Inherited: new(false)},
			"v:low@c as local, v:low@c as mid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := list(tt.f); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}

	ps, err := w.ProjectsOf(ctx, v.ID, identity.Query{})
	w.ok(err)
	if got := namesOf(ps); len(ps) != 4 || !strings.Contains(got, "other") {
		t.Errorf("projects of v: %s", got)
	}
	ps, err = w.ProjectsOf(ctx, v.ID, identity.Query{Where: []identity.Condition{{Field: "domain_id", Value: acme.ID}}, Limit: 2})
	w.ok(err)
	if len(ps) != 2 {
		t.Errorf("two projects of v in acme: %s", namesOf(ps))
	}
}

// Reading who has what costs in proportion to the answer, not to the store.
func TestManyProjectsOfAUser(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	u, r := w.user("u", "default"), w.role("r", "")
	for i := range 70 {
		p := w.project(fmt.Sprint("p", i), "default", "")
		w.ok(w.Grant(ctx, identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{ProjectID: p.ID}, RoleID: r.ID}))
	}
	w.project("not mine", "default", "")
	ps, err := w.ProjectsOf(ctx, u.ID, identity.Query{})
	w.ok(err)
	if len(ps) != 70 || !slices.IsSortedFunc(ps, func(a, b identity.Project) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d projects", len(ps))
	}
}
