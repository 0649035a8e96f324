package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/store"
)

func identityCases() []Case {
	return []Case{
		{Name: "a user comes back as it went in", Fn: userRoundTrip},
		{Name: "names are unique in their domain, by bytes", Fn: uniqueNames},
		{Name: "what does not exist is not found, with the protocol's words", Fn: identityNotFound},
		{Name: "the newest password comes first and old ones go", Fn: passwordHistory},
		{Name: "a hash is renewed only while it is the newest", Fn: renewHash},
		{Name: "failures at the same moment are all counted", Fn: countFailures},
		{Name: "a trust's uses are taken once each", Fn: trustUses},
		{Name: "deleted trusts are not found", Fn: trustsEnd},
		{Name: "filters compare text exactly", Fn: textFilters},
		{Name: "pages follow each other without loss or repetition", Fn: pages},
		{Name: "projects are found by their tags", Fn: tagFilters},
		{Name: "trees are walked up and down", Fn: projectTrees},
		{Name: "assignments are listed by actor, target and role", Fn: assignmentLists},
		{Name: "an assignment of thousands of groups", Fn: manyGroups},
		{Name: "deleting takes along what is only about it", Fn: cascades},
		{Name: "a refused change leaves nothing", Fn: refusedChange},
		{Name: "revocation events keep microseconds and are pruned", Fn: revocationEvents},
		{Name: "revocation events are found by what came after a revision", Fn: eventRevisions},
		{Name: "the catalogue's resources come back as they went in", Fn: catalogRoundTrip},
	}
}

// at is an instant that needs all six digits of microseconds.
var at = time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)

// write runs fn in a transaction that must succeed.
func write(t *testing.T, s *store.Store, fn func(tx identity.Tx) error) {
	t.Helper()
	if err := s.UpdateIdentity(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// refuse runs fn in a transaction that must fail with an error of a kind.
func refuse(t *testing.T, s *store.Store, kind errs.Kind, says string, fn func(tx identity.Tx) error) {
	t.Helper()
	err := s.UpdateIdentity(t.Context(), fn)
	if !errs.Is(err, kind) || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("got %v (%v), want kind %v saying %q", err, errs.KindOf(err), kind, says)
	}
}

// domains makes the domains named.
func domains(t *testing.T, s *store.Store, ids ...string) {
	t.Helper()
	write(t, s, func(tx identity.Tx) error {
		for _, id := range ids {
			if err := tx.CreateProject(t.Context(), identity.Project{ID: id, Name: "domain " + id, IsDomain: true, Enabled: true}); err != nil {
				return err
			}
		}
		return nil
	})
}

func user(id, domain string) identity.User {
	return identity.User{ID: id, Name: "user " + id, DomainID: domain, Enabled: true, CreatedAt: at}
}

func userRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	want := identity.User{
		ID: "u", Name: "Ann é 😀 'quoted\" \\ %_", DomainID: "d", DefaultProjectID: "p", Enabled: true, CreatedAt: at, LastActiveAt: at.Add(time.Hour),
		Options: identity.Options{"lock_password": json.RawMessage("true")},
		Extra:   identity.Extra{"email": json.RawMessage(`"a@b"`), "n": json.RawMessage(`{"x":[1,null]}`)},
	}
	write(t, s, func(tx identity.Tx) error { return tx.CreateUser(ctx, want) })
	for _, get := range []func() (identity.User, error){
		func() (identity.User, error) { return s.User(ctx, "u") },
		func() (identity.User, error) { return s.UserByName(ctx, "d", want.Name) },
	} {
		got, err := get()
		if err != nil || !same(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want.Name, want.Enabled, want.Extra, want.Options, want.DefaultProjectID = "n", false, nil, nil, ""
	write(t, s, func(tx identity.Tx) error { return tx.UpdateUser(ctx, want) })
	if got, err := s.User(ctx, "u"); err != nil || !same(got, want) {
		t.Errorf("after the update: %+v, %v, want %+v", got, err, want)
	}
}

// same compares by JSON, in which nil and empty maps and lists are alike enough.
func same[T any](a, b T) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func uniqueNames(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d", "e")
	create := func(id, domain, name string) func(tx identity.Tx) error {
		return func(tx identity.Tx) error {
			return tx.CreateUser(ctx, identity.User{ID: id, DomainID: domain, Name: name, CreatedAt: at})
		}
	}
	write(t, s, create("1", "d", "Straße"))
	write(t, s, create("2", "e", "Straße"))
	write(t, s, create("3", "d", "straße"))
	write(t, s, create("4", "d", "Strasse"))
	refuse(t, s, errs.Conflict, "Duplicate entry found with name Straße at domain ID d.", create("5", "d", "Straße"))
	refuse(t, s, errs.Conflict, "store user", func(tx identity.Tx) error {
		return tx.UpdateUser(ctx, identity.User{ID: "3", Name: "Strasse"})
	})
	project := func(id, domain, name string) func(tx identity.Tx) error {
		return func(tx identity.Tx) error {
			return tx.CreateProject(ctx, identity.Project{ID: id, DomainID: domain, ParentID: domain, Name: name})
		}
	}
	write(t, s, project("p1", "d", "domain d")) // a domain's name is no project's
	write(t, s, project("p2", "e", "domain d"))
	refuse(t, s, errs.Conflict, "name is domain d, project id p3", project("p3", "d", "domain d"))
	refuse(t, s, errs.Conflict, "acting as domains with the same name: domain d", func(tx identity.Tx) error {
		return tx.CreateProject(ctx, identity.Project{ID: "f", Name: "domain d", IsDomain: true})
	})
	role := func(id, domain string) func(tx identity.Tx) error {
		return func(tx identity.Tx) error {
			return tx.CreateRole(ctx, identity.Role{ID: id, DomainID: domain, Name: "r"})
		}
	}
	write(t, s, role("r1", ""))
	write(t, s, role("r2", "d"))
	refuse(t, s, errs.Conflict, "store role - Duplicate entry found with name r.", role("r3", ""))
	write(t, s, func(tx identity.Tx) error {
		return tx.CreateGroup(ctx, identity.Group{ID: "g1", DomainID: "d", Name: "g"})
	})
	refuse(t, s, errs.Conflict, "store group", func(tx identity.Tx) error {
		return tx.CreateGroup(ctx, identity.Group{ID: "g2", DomainID: "d", Name: "g"})
	})
}

func identityNotFound(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error {
		return tx.CreateProject(ctx, identity.Project{ID: "p", DomainID: "d", ParentID: "d", Name: "p"})
	})
	for want, err := range map[string]error{
		"Could not find user: x.":         second(s.User(ctx, "x")),
		"Could not find user: n.":         second(s.UserByName(ctx, "d", "n")),
		"Could not find group: x.":        second(s.Group(ctx, "x")),
		"Could not find project: x.":      second(s.Project(ctx, "x")),
		"Could not find project: n.":      second(s.ProjectByName(ctx, "d", "n")),
		"Could not find domain: p.":       second(s.Domain(ctx, "p")),
		"Could not find domain: n.":       second(s.DomainByName(ctx, "n")),
		"Could not find domain: pp.":      second(s.Domain(ctx, "pp")),
		"Could not find role: x.":         second(s.Role(ctx, "x")),
		"Could not find role: n.":         second(s.RoleByName(ctx, "", "n")),
		"Could not find service: x.":      second(s.Service(ctx, "x")),
		"Could not find endpoint: x.":     second(s.Endpoint(ctx, "x")),
		"Could not find region: x.":       second(s.Region(ctx, "x")),
		"Could not find trust: x.":        second(s.Trust(ctx, "x")),
		"Could not find project: \u00e9.": second(s.Project(ctx, "\u00e9")),
	} {
		if !errs.Is(err, errs.NotFound) || err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, fn := range []func(tx identity.Tx) error{
		func(tx identity.Tx) error { return tx.UpdateUser(ctx, identity.User{ID: "x"}) },
		func(tx identity.Tx) error { return tx.DeleteUser(ctx, "x") },
		func(tx identity.Tx) error { return tx.SetPassword(ctx, "x", identity.Password{Hash: "h"}, 1) },
		func(tx identity.Tx) error { return tx.UpdateGroup(ctx, identity.Group{ID: "x"}) },
		func(tx identity.Tx) error { return tx.DeleteGroup(ctx, "x") },
		func(tx identity.Tx) error { return tx.UpdateProject(ctx, identity.Project{ID: "x"}) },
		func(tx identity.Tx) error { return tx.DeleteProject(ctx, "x") },
		func(tx identity.Tx) error { return tx.UpdateRole(ctx, identity.Role{ID: "x"}) },
		func(tx identity.Tx) error { return tx.DeleteRole(ctx, "x") },
		func(tx identity.Tx) error {
			return tx.DeleteImplication(ctx, identity.Implication{PriorID: "x", ImpliedID: "y"})
		},
		func(tx identity.Tx) error { return tx.DeleteService(ctx, "x") },
		func(tx identity.Tx) error { return tx.DeleteEndpoint(ctx, "x") },
		func(tx identity.Tx) error { return tx.DeleteRegion(ctx, "x") },
		func(tx identity.Tx) error { return tx.DeleteTrust(ctx, "x", at) },
		func(tx identity.Tx) error { return second(tx.RecordFailure(ctx, "x", at)) },
	} {
		refuse(t, s, errs.NotFound, "x", fn)
	}
}

func second[T any](_ T, err error) error { return err }

func cascades(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error {
		u := user("u", "d")
		u.DefaultProjectID = "p"
		return errors.Join(tx.CreateUser(ctx, u), tx.SetPassword(ctx, "u", identity.Password{Hash: "h", CreatedAt: at}, 1),
			second(tx.RecordFailure(ctx, "u", at)), tx.CreateGroup(ctx, identity.Group{ID: "g", DomainID: "d", Name: "g"}),
			second(tx.AddMember(ctx, "u", "g")), tx.CreateRole(ctx, identity.Role{ID: "r", Name: "r"}), tx.CreateRole(ctx, identity.Role{ID: "q", Name: "q"}),
			tx.CreateProject(ctx, identity.Project{ID: "p", DomainID: "d", ParentID: "d", Name: "p", Tags: []string{"t"}}),
			second(tx.Assign(ctx, identity.Assignment{Actor: identity.Actor{UserID: "u"}, Target: identity.Target{ProjectID: "p"}, RoleID: "r"})),
			second(tx.Assign(ctx, identity.Assignment{Actor: identity.Actor{GroupID: "g"}, Target: identity.Target{ProjectID: "p"}, RoleID: "q"})),
			tx.CreateImplication(ctx, identity.Implication{PriorID: "r", ImpliedID: "q"}),
			tx.CreateTrust(ctx, identity.Trust{ID: "t", TrustorID: "u", TrusteeID: "u", RoleIDs: []string{"r", "q"}}))
	})
	write(t, s, func(tx identity.Tx) error { return tx.DeleteRole(ctx, "r") })
	tr, err := s.Trust(ctx, "t")
	imp, ierr := s.Implications(ctx)
	as, aerr := s.Assignments(ctx, identity.AssignmentFilter{})
	if err != nil || ierr != nil || aerr != nil || !slices.Equal(tr.RoleIDs, []string{"q"}) || len(imp) != 0 || len(as) != 1 {
		t.Errorf("after the role: trust %+v, implications %v, assignments %+v (%v %v %v)", tr, imp, as, err, ierr, aerr)
	}
	write(t, s, func(tx identity.Tx) error { return tx.DeleteProject(ctx, "p") })
	u, err := s.User(ctx, "u")
	as, aerr = s.Assignments(ctx, identity.AssignmentFilter{})
	if err != nil || aerr != nil || u.DefaultProjectID != "" || len(as) != 0 {
		t.Errorf("after the project: user %+v, assignments %+v (%v %v)", u, as, err, aerr)
	}
	write(t, s, func(tx identity.Tx) error { return tx.DeleteUser(ctx, "u") })
	in, err := s.IsMember(ctx, "u", "g")
	pws, perr := s.Passwords(ctx, "u")
	f, ferr := s.LoginFailures(ctx, "u")
	if err != nil || perr != nil || ferr != nil || in || len(pws) != 0 || f.Count != 0 {
		t.Errorf("after the user: member %v, passwords %v, failures %+v (%v %v %v)", in, pws, f, err, perr, ferr)
	}
}

func refusedChange(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	before := s.IdentityRevision()
	refuse(t, s, errs.Forbidden, "no", func(tx identity.Tx) error {
		if err := tx.CreateUser(ctx, user("u", "d")); err != nil {
			return err
		}
		tx.TouchIdentity()
		tx.AfterCommit(func() { t.Error("AfterCommit of a refused change ran") })
		return errs.E(errs.Forbidden, "no")
	})
	if _, err := s.User(ctx, "u"); !errs.Is(err, errs.NotFound) {
		t.Errorf("user of a refused change: %v", err)
	}
	if got := s.IdentityRevision(); got != before {
		t.Errorf("revision moved from %d to %d", before, got)
	}
	ran := false
	write(t, s, func(tx identity.Tx) error {
		tx.TouchIdentity()
		tx.AfterCommit(func() { ran = true })
		return tx.CreateUser(ctx, user("u", "d"))
	})
	if got := s.IdentityRevision(); got != before+1 || !ran {
		t.Errorf("revision %d, want %d; AfterCommit ran %v", got, before+1, ran)
	}
}

func revocationEvents(t *testing.T, s *store.Store) {
	ctx := t.Context()
	full := identity.RevocationEvent{
		ID: "2", AuditID: "a", AuditChainID: "b", UserID: "c", ProjectID: "d", DomainID: "e", DomainScopeID: "f", RoleID: "g", TrustID: "h",
		ConsumerID: "i", AccessTokenID: "j", ExpiresAt: at.Add(time.Hour), IssuedBefore: at.Add(-time.Microsecond), RevokedAt: at, KeepUntil: at,
	}
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.AddRevocation(ctx, full),
			tx.AddRevocation(ctx, identity.RevocationEvent{ID: "1", UserID: "u", IssuedBefore: at, RevokedAt: at.Add(-time.Second), KeepUntil: at.Add(-time.Microsecond)}),
			tx.AddRevocation(ctx, identity.RevocationEvent{ID: "3", UserID: "v", IssuedBefore: at, RevokedAt: at.Add(time.Second), KeepUntil: at.Add(time.Hour)}))
	})
	got, err := s.RevocationEvents(ctx)
	if len(got) == 3 {
		full.Revision = got[1].Revision // the store's to give, see the case on revisions
	}
	if err != nil || len(got) != 3 || got[0].ID != "1" || !same(got[1], full) || !got[0].ExpiresAt.IsZero() {
		t.Errorf("events %+v, %v", got, err)
	}
	if got, err = s.RevocationEventsSince(ctx, at); err != nil || len(got) != 2 {
		t.Errorf("events since: %+v, %v", got, err)
	}
	write(t, s, func(tx identity.Tx) error { return tx.PruneRevocations(ctx, at) })
	if got, err = s.RevocationEvents(ctx); err != nil || len(got) != 2 || got[0].ID != "2" {
		t.Errorf("after pruning: %+v, %v", got, err)
	}
}

// Whoever knows the events up to a revision asks for those after it and misses none,
// also of writers that share a commit.
func eventRevisions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	known := s.IdentityRevision()
	seen := map[string]bool{}
	for round := range 5 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				err := s.UpdateIdentity(ctx, func(tx identity.Tx) error {
					tx.TouchIdentity()
					return tx.AddRevocation(ctx, identity.RevocationEvent{ID: fmt.Sprintf("%d.%d", round, i), UserID: "u", IssuedBefore: at, RevokedAt: at})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		now := s.IdentityRevision()
		events, err := s.RevocationEventsAfter(ctx, known)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if seen[e.ID] || e.Revision <= known || e.Revision > now {
				t.Errorf("event %s of revision %d after %d, up to %d, seen before: %v", e.ID, e.Revision, known, now, seen[e.ID])
			}
			seen[e.ID] = true
		}
		known = now
	}
	if len(seen) != 40 {
		t.Errorf("%d events seen, want 40", len(seen))
	}
}

func catalogRoundTrip(t *testing.T, s *store.Store) {
	ctx := t.Context()
	extra := identity.Extra{"description": json.RawMessage(`"d"`)}
	region := identity.Region{ID: "n orth/é", Description: "r", Extra: extra}
	below := identity.Region{ID: "b", ParentID: region.ID}
	svc := identity.Service{ID: "s", Type: "memory", Name: "m", Enabled: true, Extra: extra}
	ep := identity.Endpoint{ID: "e", ServiceID: "s", Interface: "public", URL: "http://x/$(project_id)s", RegionID: "b", Enabled: true, Extra: extra}
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.CreateRegion(ctx, region), tx.CreateRegion(ctx, below), tx.CreateService(ctx, svc), tx.CreateEndpoint(ctx, ep))
	})
	if got, err := s.Region(ctx, region.ID); err != nil || !same(got, region) {
		t.Errorf("region %+v, %v", got, err)
	}
	if got, err := s.Services(ctx); err != nil || !same(got, []identity.Service{svc}) {
		t.Errorf("services %+v, %v", got, err)
	}
	if got, err := s.Endpoint(ctx, "e"); err != nil || !same(got, ep) {
		t.Errorf("endpoint %+v, %v", got, err)
	}
	refuse(t, s, errs.Conflict, "Duplicate ID, b..", func(tx identity.Tx) error { return tx.CreateRegion(ctx, below) })
	for _, q := range []struct{ field, v string }{{"region_id", "b"}, {"service_id", "s"}, {"interface", "public"}} {
		got, err := s.FindEndpoints(ctx, identity.Query{Where: []identity.Condition{{Field: q.field, Value: q.v}}})
		if err != nil || len(got) != 1 {
			t.Errorf("endpoints by %s: %+v, %v", q.field, got, err)
		}
	}
	if err := s.UpdateIdentity(ctx, func(tx identity.Tx) error { return tx.DeleteRegion(ctx, "b") }); err == nil {
		t.Error("a region with an endpoint was deleted")
	}
	ep.RegionID, ep.Enabled, ep.Extra = "", false, nil
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.UpdateEndpoint(ctx, ep), tx.UpdateRegion(ctx, identity.Region{ID: "b"}))
	})
	if got, err := s.Endpoints(ctx); err != nil || !same(got, []identity.Endpoint{ep}) {
		t.Errorf("endpoints %+v, %v", got, err)
	}
	write(t, s, func(tx identity.Tx) error { return tx.DeleteService(ctx, "s") })
	if got, err := s.Endpoints(ctx); err != nil || len(got) != 0 {
		t.Errorf("endpoints of a deleted service %+v, %v", got, err)
	}
}
