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
