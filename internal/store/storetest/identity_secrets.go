package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/store"
)

func passwordHistory(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error { return tx.CreateUser(ctx, user("u", "d")) })
	for i := range 5 {
		write(t, s, func(tx identity.Tx) error {
			return tx.SetPassword(ctx, "u", identity.Password{
				Hash: identity.PasswordHash(fmt.Sprint("h", i)), CreatedAt: at, ExpiresAt: at.Add(time.Duration(i) * time.Hour), SelfService: i%2 == 0,
			}, 3)
		})
	}
	got, err := s.Passwords(ctx, "u")
	if err != nil || len(got) != 3 || got[0].Hash != "h4" || got[2].Hash != "h2" || !got[0].SelfService || got[1].SelfService ||
		!got[0].ExpiresAt.Equal(at.Add(4*time.Hour)) || !got[0].CreatedAt.Equal(at) {
		t.Errorf("passwords %+v, %v", got, err)
	}
	if u, err := s.User(ctx, "u"); err != nil || !u.PasswordExpiresAt.Equal(at.Add(4*time.Hour)) {
		t.Errorf("user %+v, %v", u, err)
	}
	write(t, s, func(tx identity.Tx) error { return tx.RemovePasswords(ctx, "u") })
	got, err = s.Passwords(ctx, "u")
	u, uerr := s.User(ctx, "u")
	if err != nil || uerr != nil || len(got) != 0 || !u.PasswordExpiresAt.IsZero() {
		t.Errorf("after removal: %v, %v, %+v, %v", got, err, u, uerr)
	}
}

func renewHash(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.CreateUser(ctx, user("u", "d")),
			tx.SetPassword(ctx, "u", identity.Password{Hash: "old", CreatedAt: at}, 2),
			tx.SetPassword(ctx, "u", identity.Password{Hash: "new", CreatedAt: at}, 2),
			tx.UpgradeHash(ctx, "u", "old", "stronger old"),
			tx.UpgradeHash(ctx, "u", "new", "stronger new"))
	})
	got, err := s.Passwords(ctx, "u")
	if err != nil || len(got) != 2 || got[0].Hash != "stronger new" || got[1].Hash != "old" {
		t.Errorf("passwords %v, %v", got, err)
	}
}

func countFailures(t *testing.T, s *store.Store) {
	ctx := t.Context()
	domains(t, s, "d")
	write(t, s, func(tx identity.Tx) error { return tx.CreateUser(ctx, user("u", "d")) })
	const n = 12
	seen := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := s.UpdateIdentity(ctx, func(tx identity.Tx) error {
				f, err := tx.RecordFailure(ctx, "u", at)
				seen[i] = f.Count
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(seen)
	f, err := s.LoginFailures(ctx, "u")
	if err != nil || f.Count != n || !f.Last.Equal(at) || seen[0] != 1 || len(slices.Compact(seen)) != n {
		t.Errorf("failures %+v, %v; each saw %v", f, err, seen)
	}
	write(t, s, func(tx identity.Tx) error { return tx.ResetFailures(ctx, "u") })
	if f, err := s.LoginFailures(ctx, "u"); err != nil || f.Count != 0 {
		t.Errorf("after the reset: %+v, %v", f, err)
	}
}

func trustUses(t *testing.T, s *store.Store) {
	ctx := t.Context()
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.CreateTrust(ctx, identity.Trust{ID: "two", TrustorID: "a", TrusteeID: "b", RemainingUses: new(2)}),
			tx.CreateTrust(ctx, identity.Trust{ID: "any", TrustorID: "a", TrusteeID: "b"}))
	})
	var mu sync.Mutex
	taken := map[string]int{}
	var wg sync.WaitGroup
	for _, id := range []string{"two", "any"} {
		for range 6 {
			wg.Go(func() {
				var ok bool
				err := s.UpdateIdentity(ctx, func(tx identity.Tx) (err error) {
					ok, err = tx.ConsumeTrustUse(ctx, id)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ok {
					taken[id]++
				}
			})
		}
	}
	wg.Wait()
	if taken["two"] != 2 || taken["any"] != 6 {
		t.Errorf("uses taken %v, want 2 of two and 6 without a limit", taken)
	}
	if got, err := s.Trust(ctx, "two"); err != nil || got.RemainingUses == nil || *got.RemainingUses != 0 {
		t.Errorf("trust %+v, %v", got, err)
	}
}

func trustsEnd(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := identity.Trust{
		ID: "t", TrustorID: "a", TrusteeID: "b", ProjectID: "p", Impersonation: true, RoleIDs: []string{"r1", "r2"}, ExpiresAt: at,
		RemainingUses: new(3), RedelegatedTrustID: "parent", RedelegationCount: 2,
	}
	write(t, s, func(tx identity.Tx) error {
		return errors.Join(tx.CreateRole(ctx, identity.Role{ID: "r1", Name: "r1"}), tx.CreateRole(ctx, identity.Role{ID: "r2", Name: "r2"}),
			tx.CreateTrust(ctx, want))
	})
	if got, err := s.Trust(ctx, "t"); err != nil || !same(got, want) {
		t.Errorf("trust %+v, %v, want %+v", got, err, want)
	}
	refuse(t, s, errs.NotFound, "role: x", func(tx identity.Tx) error {
		return tx.CreateTrust(ctx, identity.Trust{ID: "bad", RoleIDs: []string{"x"}})
	})
	lists := map[string]func() ([]identity.Trust, error){
		"trustor": func() ([]identity.Trust, error) { return s.Trusts(ctx, "a", "") },
		"trustee": func() ([]identity.Trust, error) { return s.Trusts(ctx, "", "b") },
		"both":    func() ([]identity.Trust, error) { return s.Trusts(ctx, "a", "b") },
		"project": func() ([]identity.Trust, error) { return s.TrustsOn(ctx, "p") },
		"parent":  func() ([]identity.Trust, error) { return s.TrustsMadeFrom(ctx, "parent") },
	}
	for name, list := range lists {
		if got, err := list(); err != nil || len(got) != 1 || !same(got[0], want) {
			t.Errorf("by %s: %+v, %v", name, got, err)
		}
	}
	if got, err := s.Trusts(ctx, "b", "a"); err != nil || len(got) != 0 {
		t.Errorf("the other way round: %v, %v", got, err)
	}
	write(t, s, func(tx identity.Tx) error { return tx.DeleteTrust(ctx, "t", at) })
	refuse(t, s, errs.NotFound, "Could not find trust: t.", func(tx identity.Tx) error { return tx.DeleteTrust(ctx, "t", at) })
	for name, list := range lists {
		if got, err := list(); err != nil || len(got) != 0 {
			t.Errorf("by %s after its deletion: %+v, %v", name, got, err)
		}
	}
	write(t, s, func(tx identity.Tx) error {
		ok, err := tx.ConsumeTrustUse(ctx, "t")
		if ok {
			t.Error("a deleted trust was used")
		}
		return err
	})
}
