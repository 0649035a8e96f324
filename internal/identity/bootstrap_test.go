package identity_test

import (
	"context"
	"slices"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func params() identity.BootstrapParams {
	return identity.BootstrapParams{
		Password: "first", RegionID: "RegionOne",
		PublicURL: "http://h:8765/v3", InternalURL: "http://h:8765/v3", AdminURL: "http://h:8765/v3",
		Matches: func(_ context.Context, stored identity.PasswordHash, pw string) (bool, error) {
			return string(stored) == "fake:"+pw, nil
		},
	}
}

func count(steps []identity.BootstrapStep) map[string]int {
	n := map[string]int{}
	for _, s := range steps {
		n[s.Done]++
		if s.Done != "unchanged" {
			n[s.Resource]++
		}
	}
	return n
}

func TestBootstrapMakesAUsableCloudOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.ok(w.store.UpdateIdentity(ctx, func(tx identity.Tx) error { return tx.DeleteProject(ctx, "default") }))
	w.now = w.now.Add(1e9)
	steps, err := w.Bootstrap(ctx, params())
	w.ok(err)
	if n := count(steps); n["created"] != len(steps) || n["role"] != 5 || n["endpoint"] != 3 || n["assignment"] != 2 || n["implied_role"] != 3 {
		t.Errorf("first run: %+v", steps)
	}
	w.wantRevoked()
	roles, err := w.Roles(ctx)
	w.ok(err)
	ids := map[string]string{}
	for _, r := range roles {
		ids[r.Name] = r.ID
		if !r.Options.Bool(identity.Immutable) {
			t.Errorf("role %s is mutable", r.Name)
		}
	}
	implied, err := w.Implications(ctx)
	w.ok(err)
	for _, c := range [...][2]string{{"admin", "manager"}, {"manager", "member"}, {"member", "reader"}} {
		if !slices.Equal(implied[ids[c[0]]], []string{ids[c[1]]}) {
			t.Errorf("%s implies %v", c[0], implied[ids[c[0]]])
		}
	}
	if len(implied) != 3 {
		t.Errorf("implications: %v", implied)
	}

	revision := w.store.IdentityRevision()
	steps, err = w.Bootstrap(ctx, params())
	w.ok(err)
	if n := count(steps); n["unchanged"] != len(steps) {
		t.Errorf("second run: %+v", steps)
	}
	if got := w.store.IdentityRevision(); got != revision {
		t.Errorf("second run moved the revision from %d to %d", revision, got)
	}
}

func TestBootstrapRepairs(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, err := w.Bootstrap(ctx, params())
	w.ok(err)
	u, err := w.UserByName(ctx, "default", "admin")
	w.ok(err)
	_, err = w.UpdateUser(ctx, u.ID, identity.UserPatch{Enabled: identity.Set(false)})
	w.ok(err)
	roles := map[string]string{}
	all, err := w.Roles(ctx)
	w.ok(err)
	for _, r := range all {
		roles[r.Name] = r.ID
	}
	w.ok(w.Imply(ctx, identity.Implication{PriorID: roles["admin"], ImpliedID: roles["member"]}))
	w.ok(w.Ungrant(ctx, identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: identity.Target{System: true}, RoleID: roles["admin"]}))
	w.revoked()

	p := params()
	p.Password, p.PublicURL = "second", "https://public/v3"
	steps, err := w.Bootstrap(ctx, p)
	w.ok(err)
	if n := count(steps); n["created"] != 1 || n["updated"] != 2 || n["removed"] != 1 || n["assignment"] != 1 || n["user"] != 1 || n["endpoint"] != 1 {
		t.Errorf("repair: %+v", steps)
	}
	w.wantRevoked("user " + u.ID)
	if u, err = w.User(ctx, u.ID); err != nil || !u.Enabled {
		t.Errorf("administrator %+v, %v", u, err)
	}
	if pws, err := w.Passwords(ctx, u.ID); err != nil || len(pws) != 1 || pws[0].Hash != "fake:second" {
		t.Errorf("password %v, %v", pws, err)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	w := newWorld(t)
	p := params()
	p.Password = ""
	_, err := w.Bootstrap(t.Context(), p)
	w.refused(err, errs.Invalid, "password")
	p = params()
	p.AdminURL = "http://x/$(secret)s"
	_, err = w.Bootstrap(t.Context(), p)
	w.refused(err, errs.Invalid, "invalid URL")
	if us, err := w.Users(t.Context(), identity.Query{}); err != nil || len(us) != 0 {
		t.Errorf("a refused bootstrap left %v, %v", us, err)
	}
}
