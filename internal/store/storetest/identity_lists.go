package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/store"
)

func textFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d", "e")
	write(t, s, func(tx identity.Tx) error {
		for i, n := range []string{"Alpha", "alpha", "alp", "ALPHABET", "éalpha", "a%p_a", "b"} {
			u := identity.User{ID: fmt.Sprint(i), DomainID: "d", Name: n, Enabled: i%2 == 0, CreatedAt: at}
			if err := tx.CreateUser(ctx, u); err != nil {
				return err
			}
		}
		return tx.SetPassword(ctx, "1", identity.Password{Hash: "h", CreatedAt: at, ExpiresAt: at}, 1)
	})
	cond := func(field string, op identity.Op, v any) identity.Condition {
		return identity.Condition{Field: field, Op: op, Value: v}
	}
	for _, tt := range []struct {
		where []identity.Condition
		want  string
	}{
		{[]identity.Condition{cond("name", identity.Equal, "alpha")}, "1"},
		{[]identity.Condition{cond("name", identity.NotEqual, "alpha")}, "023456"},
		{[]identity.Condition{cond("name", identity.Contains, "lpha")}, "014"},
		{[]identity.Condition{cond("name", identity.ContainsFold, "LPHA")}, "0134"},
		{[]identity.Condition{cond("name", identity.Contains, "%")}, "5"},
		{[]identity.Condition{cond("name", identity.Contains, "_")}, "5"},
		{[]identity.Condition{cond("name", identity.Contains, "")}, "0123456"},
		{[]identity.Condition{cond("name", identity.StartsWith, "alp")}, "12"},
		{[]identity.Condition{cond("name", identity.StartsWithFold, "aLp")}, "0123"},
		{[]identity.Condition{cond("name", identity.StartsWith, "é")}, "4"},
		{[]identity.Condition{cond("name", identity.StartsWith, "")}, "0123456"},
		{[]identity.Condition{cond("name", identity.EndsWith, "alpha")}, "14"},
		{[]identity.Condition{cond("name", identity.EndsWith, "alphaalpha")}, ""},
		{[]identity.Condition{cond("name", identity.EndsWithFold, "ALPHA")}, "014"},
		{[]identity.Condition{cond("name", identity.EndsWith, "")}, "0123456"},
		{[]identity.Condition{cond("enabled", identity.Equal, true)}, "0246"},
		{[]identity.Condition{cond("enabled", identity.NotEqual, true)}, "135"},
		{[]identity.Condition{cond("domain_id", identity.Equal, "e")}, ""},
		{[]identity.Condition{cond("enabled", identity.Equal, false), cond("name", identity.Contains, "alpha")}, "1"},
		{[]identity.Condition{cond("password_expires_at", identity.LessOrEqual, at)}, "1"},
		{[]identity.Condition{cond("password_expires_at", identity.Less, at)}, ""},
		{[]identity.Condition{cond("password_expires_at", identity.Equal, at)}, "1"},
		{[]identity.Condition{cond("name", identity.Equal, "a\x00")}, ""},
	} {
		us, err := s.Users(ctx, identity.Query{Where: tt.where})
		got := ""
		for _, u := range us {
			got += u.ID
		}
		if err != nil || got != tt.want {
			t.Errorf("%+v: users %q, %v, want %q", tt.where, got, err, tt.want)
		}
	}
	if _, err := s.Users(ctx, identity.Query{Where: []identity.Condition{cond("hash; --", identity.Equal, "x")}}); !errs.Is(err, errs.Internal) {
		t.Errorf("an unknown field: %v", err)
	}
}

func pages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	const n = 25
	write(t, s, func(tx identity.Tx) error {
		for i := range n {
			if err := tx.CreateUser(ctx, user(fmt.Sprintf("%02d", (i*7)%n), "d")); err != nil {
				return err
			}
		}
		return nil
	})
	var got []string
	q := identity.Query{Limit: 4}
	for {
		us, err := s.Users(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(us) == 0 {
			break
		}
		for _, u := range us {
			got = append(got, u.ID)
		}
		q.After = us[len(us)-1].ID
	}
	if len(got) != n || !slices.IsSorted(got) || len(slices.Compact(got)) != n {
		t.Errorf("pages gave %v", got)
	}
}

func tagFilters(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error {
		for id, tags := range map[string][]string{"1": {"a"}, "2": {"a", "b"}, "3": {"b", "c"}, "4": nil} {
			err := tx.CreateProject(ctx, identity.Project{ID: id, Name: id, DomainID: "d", ParentID: "d", Enabled: true, Tags: tags})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, tt := range []struct {
		op   identity.Op
		tags []string
		want string
	}{
		{identity.HasAllTags, []string{"a", "b"}, "2"},
		{identity.HasAnyTag, []string{"a", "c"}, "123"},
		{identity.LacksAllTags, []string{"a", "b"}, "134"},
		{identity.LacksAnyTag, []string{"a", "c"}, "4"},
		{identity.HasAllTags, []string{"none"}, ""},
	} {
		q := identity.Query{Where: []identity.Condition{{Field: "is_domain", Value: false}, {Field: "tags", Op: tt.op, Value: tt.tags}}}
		ps, err := s.Projects(ctx, q)
		got := ""
		for _, p := range ps {
			got += p.ID
		}
		if err != nil || got != tt.want {
			t.Errorf("tags %d %v: projects %q, %v, want %q", tt.op, tt.tags, got, err, tt.want)
		}
	}
	if p, err := s.Project(ctx, "3"); err != nil || !slices.Equal(p.Tags, []string{"b", "c"}) {
		t.Errorf("project %+v, %v", p, err)
	}
}

func projectTrees(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error {
		for _, x := range [][2]string{{"a", "d"}, {"b", "a"}, {"c", "b"}, {"x", "a"}, {"y", "d"}} {
			if err := tx.CreateProject(ctx, identity.Project{ID: x[0], Name: x[0], DomainID: "d", ParentID: x[1]}); err != nil {
				return err
			}
		}
		return nil
	})
	ids := func(ps []identity.Project, err error) string {
		if err != nil {
			t.Error(err)
		}
		out := ""
		for _, p := range ps {
			out += p.ID
		}
		return out
	}
	for got, want := range map[string]string{
		ids(s.Ancestors(ctx, "c")): "bad", ids(s.Ancestors(ctx, "d")): "", ids(s.Descendants(ctx, "d")): "aybxc", ids(s.Descendants(ctx, "b")): "c",
	} {
		if got != want {
			t.Errorf("tree %q, want %q", got, want)
		}
	}
	if err := s.UpdateIdentity(ctx, func(tx identity.Tx) error { return tx.DeleteProject(ctx, "a") }); err == nil {
		t.Error("a project with something below it was deleted")
	}
}

func assignmentLists(t *testing.T, s *store.Store) {
	ctx := t.Context()
	all := []identity.Assignment{
		{Actor: identity.Actor{UserID: "u"}, Target: identity.Target{ProjectID: "p"}, RoleID: "r1"},
		{Actor: identity.Actor{UserID: "u"}, Target: identity.Target{ProjectID: "p"}, RoleID: "r1", Inherited: true},
		{Actor: identity.Actor{UserID: "u"}, Target: identity.Target{DomainID: "d"}, RoleID: "r2"},
		{Actor: identity.Actor{UserID: "u"}, Target: identity.Target{System: true}, RoleID: "r1"},
		{Actor: identity.Actor{GroupID: "g"}, Target: identity.Target{ProjectID: "p"}, RoleID: "r2"},
		{Actor: identity.Actor{GroupID: "u"}, Target: identity.Target{ProjectID: "q"}, RoleID: "r2"}, // a group with a user's id
	}
	write(t, s, func(tx identity.Tx) error {
		if err := errors.Join(tx.CreateRole(ctx, identity.Role{ID: "r1", Name: "r1"}), tx.CreateRole(ctx, identity.Role{ID: "r2", Name: "r2"})); err != nil {
			return err
		}
		for _, a := range all {
			first, err := tx.Assign(ctx, a)
			if err != nil {
				return err
			}
			again, err := tx.Assign(ctx, a)
			if err != nil {
				return err
			}
			if !first || again {
				t.Errorf("assigning %+v twice changed %v and %v", a, first, again)
			}
		}
		return nil
	})
	for _, tt := range []struct {
		f    identity.AssignmentFilter
		want string
	}{
		{identity.AssignmentFilter{}, "012345"},
		{identity.AssignmentFilter{UserID: "u"}, "0123"},
		{identity.AssignmentFilter{GroupIDs: []string{"g", "u"}}, "45"},
		{identity.AssignmentFilter{UserID: "u", GroupIDs: []string{"g"}}, "01234"},
		{identity.AssignmentFilter{ProjectID: "p"}, "014"},
		{identity.AssignmentFilter{ProjectID: "p", ProjectIDs: []string{"q"}}, "0145"},
		{identity.AssignmentFilter{ProjectIDs: []string{"q"}, DomainID: "d"}, "25"},
		{identity.AssignmentFilter{DomainID: "d"}, "2"},
		{identity.AssignmentFilter{DomainID: "p"}, ""},
		{identity.AssignmentFilter{System: true}, "3"},
		{identity.AssignmentFilter{RoleID: "r1", Inherited: new(true)}, "1"},
		{identity.AssignmentFilter{Inherited: new(false)}, "02345"},
	} {
		got, err := s.Assignments(ctx, tt.f)
		var at []string
		for _, a := range got {
			at = append(at, fmt.Sprint(slices.Index(all, a)))
		}
		slices.Sort(at)
		if err != nil || strings.Join(at, "") != tt.want {
			t.Errorf("%+v: assignments %v, %v, want %q", tt.f, at, err, tt.want)
		}
	}
	write(t, s, func(tx identity.Tx) error {
		for range 2 {
			if _, err := tx.Unassign(ctx, all[0]); err != nil {
				return err
			}
		}
		return nil
	})
	if got, err := s.AssignmentsOf(ctx, "u", []string{"g"}); err != nil || len(got) != 4 {
		t.Errorf("assignments left: %+v, %v", got, err)
	}
}

func manyGroups(t *testing.T, s *store.Store) {
	ctx := t.Context()
	write(t, s, func(tx identity.Tx) error {
		if err := tx.CreateRole(ctx, identity.Role{ID: "r", Name: "r"}); err != nil {
			return err
		}
		_, err := tx.Assign(ctx, identity.Assignment{Actor: identity.Actor{GroupID: "g1999"}, Target: identity.Target{System: true}, RoleID: "r"})
		return err
	})
	groups := make([]string, 40000)
	for i := range groups {
		groups[i] = fmt.Sprint("g", i)
	}
	if got, err := s.AssignmentsOf(ctx, "", groups); err != nil || len(got) != 1 {
		t.Errorf("assignments %+v, %v", got, err)
	}
}
