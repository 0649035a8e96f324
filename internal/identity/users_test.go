package identity_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

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
