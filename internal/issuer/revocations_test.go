package issuer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/identity"
)

// eventStore is a store of events only.
type eventStore struct {
	Store
	events []identity.RevocationEvent
	asked  int
}

func (s *eventStore) RevocationEventsAfter(_ context.Context, revision uint64) ([]identity.RevocationEvent, error) {
	s.asked++
	i, _ := slices.BinarySearchFunc(s.events, revision, func(e identity.RevocationEvent, r uint64) int {
		if e.Revision > r {
			return 1
		}
		return -1
	})
	return s.events[i:], nil
}

var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// someEvents are n events of the kinds that are written, about other tokens.
func someEvents(n int) []identity.RevocationEvent {
	es := make([]identity.RevocationEvent, n)
	for i := range es {
		e := identity.RevocationEvent{IssuedBefore: day, RevokedAt: day, Revision: uint64(i + 1)}
		id := fmt.Sprintf("%032x", i)
		switch i % 5 {
		case 0, 1:
			e.AuditID = id
		case 2:
			e.UserID = id
		case 3:
			e.TrustID = id
		case 4:
			e.UserID, e.ProjectID = id, "p"
		}
		es[i] = e
	}
	return es
}

// F20: looking for the events of a token takes as long with 100,000 of them as with
// ten, and allocates as little.
func TestManyEventsCostNothing(t *testing.T) {
	sub := subject{born: epoch.MicrosOf(day), audit: "a", chain: "a", user: "u", project: "p", userDomain: "d", scopeDomain: "d", roles: []identity.Role{{ID: "r"}}}
	cost := func(n int) (time.Duration, float64) {
		r := newRevocations()
		if err := r.sync(t.Context(), &eventStore{events: someEvents(n)}); err != nil {
			t.Fatal(err)
		}
		if r.at() != uint64(n) {
			t.Fatalf("at revision %d of %d", r.at(), n)
		}
		best := time.Hour
		for range 50 {
			start := time.Now()
			for range 1000 {
				if r.revoked(&sub) {
					t.Fatal("revoked by somebody else's event")
				}
			}
			best = min(best, time.Since(start))
		}
		return best / 1000, testing.AllocsPerRun(100, func() { r.revoked(&sub) })
	}
	few, fewAllocs := cost(10)
	many, manyAllocs := cost(100_000)
	t.Logf("%v with ten, %v with 100,000", few, many)
	if many > 5*few+time.Microsecond {
		t.Errorf("%v with 100,000 events, %v with ten", many, few)
	}
	if manyAllocs > fewAllocs {
		t.Errorf("%v allocations with 100,000 events, %v with ten", manyAllocs, fewAllocs)
	}
}

// The index finds what matching every event in turn finds.
func TestTheIndexAgreesWithMatchingAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func() string { return []string{"", "", "x", "y", "z"}[rng.IntN(5)] }
	instant := func() time.Time { return day.Add(time.Duration(rng.IntN(5)) * time.Second) }
	for round := range 3000 {
		n := 1 + rng.IntN(6)
		es := make([]identity.RevocationEvent, n)
		for i := range es {
			es[i] = identity.RevocationEvent{
				AuditID: pick(), AuditChainID: pick(), UserID: pick(), ProjectID: pick(), TrustID: pick(), IssuedBefore: instant(), Revision: uint64(i + 1),
			}
			if rng.IntN(3) == 0 {
				es[i] = identity.RevocationEvent{UserID: pick(), DomainID: pick(), DomainScopeID: pick(), RoleID: pick(), ConsumerID: pick(), IssuedBefore: instant(), Revision: uint64(i + 1)}
			}
		}
		r := newRevocations()
		if err := r.sync(t.Context(), &eventStore{events: es}); err != nil {
			t.Fatal(err)
		}
		s := subject{
			born: epoch.MicrosOf(instant()), audit: pick(), chain: pick(), user: pick(), trustor: pick(), trustee: pick(), project: pick(), trust: pick(),
			userDomain: pick(), scopeDomain: pick(), consumer: pick(), roles: []identity.Role{{ID: pick()}},
		}
		want := slices.ContainsFunc(es, func(e identity.RevocationEvent) bool { return s.named(&e) && s.born <= reachOf(&e).until })
		if got := r.revoked(&s); got != want {
			t.Fatalf("round %d: revoked = %v, want %v\n%+v\n%+v", round, got, want, s, es)
		}
	}
}

// What is asked for is what is new, and reading all anew forgets what the store did.
func TestEventsAreReadOnceAndForgotten(t *testing.T) {
	st := &eventStore{events: someEvents(10)}
	r := newRevocations()
	for range 3 {
		if err := r.sync(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(r.by[byAudit]); got != 4 || st.asked != 3 {
		t.Errorf("%d audit ids after asking %d times", got, st.asked)
	}
	s := &Issuer{Deps: Deps{Store: st}}
	s.events.Store(r)
	st.events = st.events[5:]
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(s.events.Load().by[byAudit]); got != 2 {
		t.Errorf("%d audit ids after tidying", got)
	}
}

func TestABoundedCacheIsBounded(t *testing.T) {
	b := newBounded[int, int](100)
	b.get(-1, func() int { return 7 })
	for i := range 10_000 {
		b.get(i, func() int { return i })
		if got := b.get(-1, func() int { return -1 }); got != 7 { // asked for all the time, kept all the time
			t.Fatalf("after %d: it is %d", i, got)
		}
		if b.len() > 100 {
			t.Fatalf("%d values", b.len())
		}
	}
}

func TestALazyValueIsComputedOnce(t *testing.T) {
	var l lazy[int]
	n := 0
	fail := fmt.Errorf("no")
	if _, err := l.get(func() (int, error) { n++; return 0, fail }); err != fail {
		t.Errorf("err = %v", err)
	}
	for range 3 {
		if v, err := l.get(func() (int, error) { n++; return n, nil }); v != 2 || err != nil {
			t.Errorf("get = %d, %v", v, err)
		}
	}
}

func BenchmarkRevoked(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRevocations()
			if err := r.sync(b.Context(), &eventStore{events: someEvents(n)}); err != nil {
				b.Fatal(err)
			}
			sub := subject{born: epoch.MicrosOf(day), audit: "a", chain: "a", user: "u", project: "q", userDomain: "d", scopeDomain: "d"}
			b.ReportAllocs()
			for b.Loop() {
				r.revoked(&sub)
			}
		})
	}
}
