package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/hlc"
	"symbolon/internal/store"
	"symbolon/internal/store/migrations"
)

// The cases of several processes use several stores on one database; they share
// nothing else.
func processCases() []Case {
	return []Case{
		{Name: "the clock goes on after a restart, even when the wall clock went back", On: clockRestart},
		{Name: "an observed value is followed by greater ones, also after a restart", On: clockObserve},
		{Name: "two writers make one chain and one order", On: twoWriters},
		{Name: "a change of identity is known here at once and elsewhere soon", On: revisionSeen},
		{Name: "an update without change of identity leaves the revision alone", On: revisionAlone},
		{Name: "many that open a new database at once take turns", On: openTogether},
		{Name: "a newer schema is refused", On: newerSchema},
		{Name: "migration status lists what is applied", On: migrationStatus},
	}
}

func tick(t *testing.T, s *store.Store) (h hlc.HLC) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { h = tx.Tick(); return nil }); err != nil {
		t.Fatal(err)
	}
	return h
}

func clockRestart(t *testing.T, o store.Options) {
	at := time.UnixMilli(1_750_000_000_000)
	o.Now = func() time.Time { return at }
	var last hlc.HLC
	for range 4 {
		s := Open(t, o)
		for range 3 {
			h := tick(t, s)
			if !h.After(last) || h.String() <= last.String() {
				t.Errorf("tick %v after %v", h, last)
			}
			last = h
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		at = at.Add(-time.Hour)
	}
}

func clockObserve(t *testing.T, o store.Options) {
	at := time.UnixMilli(1_750_000_000_000)
	o.Now = func() time.Time { return at }
	s := Open(t, o)
	remote := hlc.HLC{Wall: epoch.MillisOf(at.Add(4 * time.Minute)), Counter: 7}
	var got hlc.HLC
	observe := func(tx *store.Tx) (err error) {
		got, err = tx.Observe(remote, 5*time.Minute, time.Hour)
		return err
	}
	if err := s.Update(t.Context(), observe); err != nil || !got.After(remote) {
		t.Fatalf("Observe(%v) = %v, %v", remote, got, err)
	}
	for _, far := range []time.Duration{6 * time.Minute, -2 * time.Hour} {
		remote.Wall = epoch.MillisOf(at.Add(far))
		var skew *hlc.SkewError
		if err := s.Update(t.Context(), observe); !errors.As(err, &skew) {
			t.Errorf("Observe of %v away: %v, want a SkewError", far, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if h := tick(t, Open(t, o)); !h.After(got) {
		t.Errorf("after a restart the clock gives %v, want more than %v", h, got)
	}
}

func twoWriters(t *testing.T, o store.Options) {
	stores := []*store.Store{Open(t, o), Open(t, o)}
	const each = 40
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for i, s := range stores {
		for w := range 4 {
			wg.Go(func() {
				for n := range each {
					var h hlc.HLC
					err := s.Update(t.Context(), func(tx *store.Tx) error {
						h = tx.Tick()
						tx.Audit(audit.Event{Type: "two", Subject: h.String()})
						return store.PutSetting(t.Context(), tx, h.String(), fmt.Sprint(i, w, n))
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					all = append(all, h.String())
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) || n != 2*4*each {
		t.Errorf("%d different clock values in %d updates", n, len(all))
	}
	wantSound(t, stores[0], int64(len(all)))
	entries, err := stores[1].AuditEntries(t.Context(), 0, len(all))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(entries, func(a, b audit.Entry) int {
		if a.Subject < b.Subject {
			return -1
		}
		return 1
	}) {
		t.Error("the clock does not follow the order of commits")
	}
}

func revisionSeen(t *testing.T, o store.Options) {
	here, there := Open(t, o), Open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- there.Run(ctx) }()
	heard := make(chan uint64, 100)
	there.OnIdentityChange(func(r uint64) { heard <- r })
	told := uint64(0)
	here.OnIdentityChange(func(r uint64) { told = r })
	for i := range uint64(5) {
		err := here.Update(t.Context(), func(tx *store.Tx) error { tx.TouchIdentity(); return nil })
		if err != nil {
			t.Fatal(err)
		}
		committed := time.Now()
		if got := here.IdentityRevision(); got != i+1 || told != got {
			t.Errorf("here: revision %d, told %d, want %d", got, told, i+1)
		}
		for there.IdentityRevision() != i+1 {
			if time.Since(committed) > 5*time.Second {
				t.Fatal("the other store never learns of the change")
			}
			time.Sleep(time.Millisecond)
		}
		if late := time.Since(committed); late > time.Second {
			t.Errorf("the other store learnt of the change after %v, want within a second", late)
		}
		if r := <-heard; r != i+1 {
			t.Errorf("the other store was told %d, want %d", r, i+1)
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	if got := Open(t, o).IdentityRevision(); got != 5 {
		t.Errorf("after a restart the revision is %d, want 5", got)
	}
}

func revisionAlone(t *testing.T, o store.Options) {
	s := Open(t, o)
	if err := put(t.Context(), s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	_ = s.Update(t.Context(), func(tx *store.Tx) error { tx.TouchIdentity(); return errors.New("boom") })
	if got := s.IdentityRevision(); got != 0 {
		t.Errorf("revision %d, want 0", got)
	}
}

func openTogether(t *testing.T, o store.Options) {
	if o.URL != "" {
		o.URL = emptyPostgres(t)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := store.Open(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			if err := put(t.Context(), s, "a", "1"); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func newerSchema(t *testing.T, o store.Options) {
	s := Open(t, o)
	ddl(t, s, fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (9999, TRUE)", migrations.Table))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), o)
	var oe *store.OpenError
	if !errors.As(err, &oe) || oe.Problem != store.Newer {
		t.Fatalf("Open = %v, want it refused as newer", err)
	}
	t.Log(err)
}

func migrationStatus(t *testing.T, o store.Options) {
	if o.URL != "" {
		o.URL = emptyPostgres(t)
	}
	check := func(want bool) {
		t.Helper()
		states, err := store.MigrationStatus(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(states) == 0 || states[len(states)-1].Version != migrations.Latest() {
			t.Fatalf("states %v", states)
		}
		for _, st := range states {
			if st.Applied != want {
				t.Errorf("migration %d applied: %v, want %v", st.Version, st.Applied, want)
			}
		}
	}
	check(false)
	if err := store.Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	check(true)
}
