package fact_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
)

// A memory is a service on an empty store with a clock that the test moves.
type memory struct {
	*fact.Service
	t     *testing.T
	store *store.Store
	clock time.Time
}

func newMemory(t *testing.T) *memory {
	t.Helper()
	m := &memory{t: t, clock: time.Date(2026, 5, 2, 10, 0, 0, 1000, time.UTC)}
	o := storetest.SQLite(t)
	o.Now = func() time.Time { return m.clock }
	m.store = storetest.Open(t, o)
	m.Service = fact.New(m.store, o.Now)
	return m
}

// caller is a principal of the default tenant that may read and write.
func caller(entity string, more ...principal.Permission) principal.Principal {
	return principal.Principal{Entity: entity, Tenant: "default", Permissions: append([]principal.Permission{principal.Read, principal.Write}, more...)}
}

var alice = caller("agent:alice")

// says is an assertion about user:x memory:role by the source agent:s.
func says(v string) fact.Assertion {
	return fact.Assertion{
		Entity: "user:x", Relation: "memory:role", Source: "agent:s", Type: canon.String, RawValue: fmt.Appendf(nil, "%q", v),
		InterpretAs: fact.Content, Confidence: 1, Scope: id.Local, WriteMode: fact.WriteAssert,
	}
}

func by(source string, a fact.Assertion) fact.Assertion { a.Source = source; return a }

func (m *memory) assert(p principal.Principal, a fact.Assertion) fact.Asserted {
	m.t.Helper()
	m.clock = m.clock.Add(time.Millisecond)
	got, err := m.Assert(m.t.Context(), p, a)
	if err != nil {
		m.t.Fatalf("Assert: %v", err)
	}
	return got
}

// query returns "value" or "value!" for a contradicted one, the newest first.
func (m *memory) query(q fact.Query) []string {
	m.t.Helper()
	if q.Limit == 0 {
		q.Limit = fact.DefaultLimit
	}
	page, err := m.Query(m.t.Context(), alice, q)
	if err != nil {
		m.t.Fatalf("Query: %v", err)
	}
	var out []string
	for _, f := range page.Facts {
		s := f.Value.V
		if f.Contradicted {
			s += "!"
		}
		out = append(out, s)
	}
	return out
}

func (m *memory) want(what string, q fact.Query, want ...string) {
	m.t.Helper()
	if got := m.query(q); !slices.Equal(got, want) {
		m.t.Errorf("%s: the query gives %q, want %q", what, got, want)
	}
}

func (m *memory) conflicts(status string) []fact.Conflict {
	m.t.Helper()
	page, err := m.Conflicts(m.t.Context(), alice, fact.ConflictQuery{Status: status, Limit: fact.MaxLimit})
	if err != nil {
		m.t.Fatal(err)
	}
	return page.Conflicts
}

var (
	standing = fact.Query{Entity: "user:x"}
	all      = fact.Query{Entity: "user:x", IncludeContradicted: true}
)

func TestNewerFactOfOneVoiceSupersedesItsOwn(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	if got := m.assert(alice, says("a")); got.Fact.Contradicted || got.Known {
		t.Errorf("the first fact: contradicted %v, known %v", got.Fact.Contradicted, got.Known)
	}
	if got := m.assert(alice, says("b")); !got.Fact.Contradicted {
		t.Error("the second value is not said to contradict the first")
	}
	m.want("after a correction", standing, "b")
	m.want("the history", all, "b!", "a!")
	if got := m.conflicts(fact.Unresolved); len(got) != 1 || got[0].FactA.Value.V != "b" || got[0].FactB.Value.V != "a" {
		t.Errorf("conflicts = %+v, want one of b with a", got)
	}

	back := m.assert(alice, says("a"))
	if back.Known {
		t.Error("what was superseded and is said again counts as standing")
	}
	m.want("after going back", standing, "a")
	if again := m.assert(alice, says("a")); !again.Known || again.Fact.ID != back.Fact.ID {
		t.Errorf("said twice: known %v, id %s, want %s", again.Known, again.Fact.ID, back.Fact.ID)
	}
}

func TestVoicesThatDisagree(t *testing.T) {
	t.Parallel()
	bob := caller("agent:bob")
	for _, tt := range []struct {
		name     string
		run      func(m *memory)
		standing []string
		all      []string
		open     int
	}{
		{"two that agree both stand", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			m.assert(bob, by("agent:2", says("a")))
		}, []string{"a", "a"}, []string{"a", "a"}, 0},
		{"of two equally sure the newer stands, and is marked", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			m.assert(bob, by("agent:2", says("b")))
		}, []string{"b!"}, []string{"b!", "a!"}, 1},
		{"the surer stands, though older", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			weak := by("agent:2", says("b"))
			weak.Confidence = 0.5
			m.assert(bob, weak)
		}, []string{"a!"}, []string{"b!", "a!"}, 1},
		{"naming another's source does not supersede him", func(m *memory) {
			m.assert(alice, says("a"))
			weak := says("b")
			weak.Confidence = 0.9
			m.assert(bob, weak)
		}, []string{"a!"}, []string{"b!", "a!"}, 1},
		{"a retraction is no contradiction and leaves the other standing", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			m.assert(bob, by("agent:2", says("a")))
			gone := by("agent:2", says("retracted"))
			gone.Confidence = 0
			if got := m.assert(bob, gone); got.Fact.Contradicted {
				m.t.Error("the retraction contradicts")
			}
		}, []string{"a"}, []string{"retracted!", "a!", "a!"}, 0},
		{"what only one said and retracted shows as retracted", func(m *memory) {
			m.assert(alice, says("a"))
			gone := says("retracted")
			gone.Confidence = 0
			m.assert(alice, gone)
		}, []string{"retracted"}, []string{"retracted!", "a!"}, 0},
		{"what ran out does not dispute", func(m *memory) {
			soon := by("agent:1", says("a"))
			until := fact.Timestamp(m.clock.Add(time.Second))
			soon.ValidUntil = &until
			m.assert(alice, soon)
			m.assert(bob, by("agent:2", says("b")))
			m.clock = m.clock.Add(time.Minute)
		}, []string{"b"}, []string{"b"}, 1},
		{"what ran out before is not contradicted", func(m *memory) {
			soon := by("agent:1", says("a"))
			until := fact.Timestamp(m.clock.Add(time.Second))
			soon.ValidUntil = &until
			m.assert(alice, soon)
			m.clock = m.clock.Add(time.Minute)
			if got := m.assert(bob, by("agent:2", says("b"))); got.Fact.Contradicted {
				m.t.Error("it contradicts")
			}
		}, []string{"b"}, []string{"b"}, 0},
		{"what has run out when it is said contradicts nothing", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			old := by("agent:2", says("b"))
			until := "2020-01-01T00:00:00+00:00"
			old.ValidUntil = &until
			if got := m.assert(bob, old); got.Fact.Contradicted {
				m.t.Error("it contradicts")
			}
		}, []string{"a"}, []string{"a"}, 0},
		{"who says now what another says has changed his own word", func(m *memory) {
			m.assert(alice, says("a"))
			m.assert(bob, says("b"))
			if got := m.assert(bob, says("a")); got.Known {
				m.t.Error("it counts as said before, and bob's other word stands")
			}
		}, []string{"a", "a"}, []string{"a!", "b!", "a!"}, 2},
		{"who says for the first time what another says adds nothing", func(m *memory) {
			m.assert(alice, says("a"))
			if got := m.assert(bob, says("a")); !got.Known {
				m.t.Error("it counts as new")
			}
		}, []string{"a"}, []string{"a"}, 0},
		{"what was overruled can be said again", func(m *memory) {
			m.assert(alice, by("agent:1", says("a")))
			b := m.assert(bob, by("agent:2", says("b"))).Fact
			m.resolve(alice, fact.Resolution{Winner: &b.ID})
			if got := m.assert(alice, by("agent:1", says("a"))); got.Known {
				m.t.Error("the overruled fact counts as standing")
			}
		}, []string{"a!"}, []string{"a!", "b!", "a!"}, 1},
		{"each write makes one conflict at most", func(m *memory) {
			for i := range 20 {
				m.assert(alice, by(fmt.Sprint("agent:", i), says(fmt.Sprint("v", i))))
			}
		}, []string{"v19!"}, nil, 19},
		{"names of the protocol never contradict", func(m *memory) {
			for _, v := range []string{"a", "b"} {
				s := by("agent:"+v, says(v))
				s.Relation = "stigmem:zz"
				m.assert(alice, s)
			}
		}, []string{"b", "a"}, []string{"b", "a"}, 0},
		{"a URI of the protocol's scheme is no name of the protocol", func(m *memory) {
			for _, v := range []string{"a", "b"} {
				s := by("agent:"+v, says(v))
				s.Relation = "stigmem://h/t/x"
				m.assert(alice, s)
			}
		}, []string{"b!"}, []string{"b!", "a!"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t)
			tt.run(m)
			m.want("what stands", standing, tt.standing...)
			if tt.all != nil {
				m.want("the history", all, tt.all...)
			}
			if got := len(m.conflicts(fact.Unresolved)); got != tt.open {
				t.Errorf("%d conflicts, want %d", got, tt.open)
			}
		})
	}
}

func TestOneSourceIsAskedForWhatItSays(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	m.assert(alice, by("agent:1", says("a")))
	m.assert(alice, by("agent:2", says("b")))
	m.want("agent:1's word, though outranked", fact.Query{Entity: "user:x", Source: "agent:1"}, "a!")
}

func TestTwoHundredUpdatesOfOneKey(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	for i := range 200 {
		m.assert(alice, says(fmt.Sprint("v", i)))
	}
	m.want("after 200 updates", standing, "v199")
	if got := len(m.conflicts("")); got != 199 {
		t.Errorf("%d conflicts, want one for each update", got)
	}
}

func TestAssertingAgainWritesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	first := m.assert(alice, says("a"))
	spaced := says("a")
	spaced.Entity, spaced.Source = "  User:X ", "AGENT:S"
	until := "2030-01-01T00:00:00+00:00"
	spaced.ValidUntil = &until
	second := m.assert(caller("agent:bob"), spaced)
	if second.Fact.ID != first.Fact.ID || !second.Known || second.Fact.ValidUntil != nil || second.Warnings != nil {
		t.Errorf("the same content again: %+v", second)
	}
	if n := m.audited("fact_write"); n != 1 {
		t.Errorf("%d entries in the audit log, want 1", n)
	}

	// Once it ran out, it can be said anew.
	brief := says("brief")
	soon := fact.Timestamp(m.clock.Add(time.Second))
	brief.ValidUntil = &soon
	old := m.assert(alice, brief)
	m.clock = m.clock.Add(time.Minute)
	brief.ValidUntil = &until
	if renewed := m.assert(alice, brief); renewed.Known || renewed.Fact.ID == old.Fact.ID || renewed.Fact.CID != old.Fact.CID {
		t.Errorf("renewed: known %v, ids %s and %s", renewed.Known, old.Fact.ID, renewed.Fact.ID)
	}
	m.want("after the renewal", standing, "brief")
}

// audited counts the audit log's entries of a type.
func (m *memory) audited(kind string) (n int) {
	m.t.Helper()
	entries, err := m.store.AuditEntries(m.t.Context(), 0, 10_000)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type == kind {
			n++
		}
	}
	return n
}

func TestAssertRefusals(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	garden := ""
	for _, tt := range []struct {
		name   string
		as     principal.Principal
		change func(a *fact.Assertion)
		kind   errs.Kind
		msg    string
	}{
		{"a reader may not", principal.Principal{Entity: "agent:r", Tenant: "default", Permissions: []principal.Permission{principal.Read}},
			func(*fact.Assertion) {}, errs.Forbidden, "write permission required"},
		{"an attestation by an unknown key", alice, func(a *fact.Assertion) { a.Attestation = &fact.Attestation{KeyID: "k"} },
			errs.Invalid, "attestation.key_id 'k' not found"},
		{"a blank entity", alice, func(a *fact.Assertion) { a.Entity = " \t" }, errs.Invalid, "invalid_entity_uri: entity URI must not be empty"},
		{"a blank source", alice, func(a *fact.Assertion) { a.Source = "\u2003" }, errs.Invalid, "invalid_entity_uri: entity URI must not be empty"},
		{"a garden, even unnamed", alice, func(a *fact.Assertion) { a.Garden = &garden }, errs.NotFound, "garden not found"},
		{"an instruction without the permission", alice, func(a *fact.Assertion) { a.InterpretAs = fact.Instruction }, errs.Forbidden,
			"writing instruction-typed facts requires instruction:write permission"},
		{"a long session", alice, func(a *fact.Assertion) { a.Session = strings.Repeat("é", 129) }, errs.Invalid, "session_id_too_long"},
		{"a number that is none", alice, func(a *fact.Assertion) { a.Type, a.RawValue = canon.Number, []byte(`"many"`) }, errs.Unprocessable,
			"value.v must be a finite number when the type is number"},
		{"a number that is null", alice, func(a *fact.Assertion) { a.Type, a.RawValue = canon.Number, nil }, errs.Unprocessable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := says("a")
			tt.change(&a)
			_, err := m.Assert(t.Context(), tt.as, a)
			if errs.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.msg) {
				t.Errorf("Assert: %v (%v), want %v %q", err, errs.KindOf(err), tt.kind, tt.msg)
			}
		})
	}
	m.want("after refusals only", fact.Query{})
	if n := m.audited("fact_write"); n != 0 {
		t.Errorf("%d refused assertions were audited as written", n)
	}
}

func TestInstructionsNeedTheirPermission(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	a := says("do it")
	a.InterpretAs = fact.Instruction
	got := m.assert(caller("agent:i", principal.InstructionWrite), a)
	if got.Fact.Value.InterpretAs != fact.Instruction {
		t.Errorf("stored as %q", got.Fact.Value.InterpretAs)
	}
}

func TestRelationWarnings(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	for _, tt := range []struct{ relation, want string }{
		{"memory:role", ""},
		{"role", "bare relation 'role' has no namespace prefix; rename to 'your-prefix:role' to prevent silent collisions (see relation-convention.md)"},
		{"it's", `bare relation "it's" has no namespace prefix; rename to "your-prefix:it's" to prevent silent collisions (see relation-convention.md)`},
		{"stigmem:zz", "relation 'stigmem:zz' uses reserved system prefix 'stigmem:'; non-system callers should use a custom namespace prefix (see spec §9.1)"},
	} {
		a := says("a")
		a.Relation = tt.relation
		if got := strings.Join(m.assert(alice, a).Warnings, "|"); got != tt.want {
			t.Errorf("relation %q: warnings %q, want %q", tt.relation, got, tt.want)
		}
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	mine := m.assert(alice, says("a"))
	m.assert(alice, says("b"))
	other := caller("agent:alice")
	other.Tenant = "acme"
	theirs := m.assert(other, says("a"))
	if theirs.Known || theirs.Fact.Contradicted || theirs.Fact.ID == mine.Fact.ID {
		t.Errorf("a fact of another tenant is seen: %+v", theirs)
	}
	ctx := t.Context()
	if _, err := m.Get(ctx, other, string(mine.Fact.ID)); !errs.Is(err, errs.NotFound) {
		t.Errorf("Get of another tenant's fact: %v", err)
	}
	if got, err := m.Get(ctx, other, string(mine.Fact.CID)); err != nil || got.ID != theirs.Fact.ID {
		t.Errorf("Get by content id gives %v (%v), want the tenant's own", got.ID, err)
	}
	if _, err := m.VerifyCID(ctx, other, string(mine.Fact.ID)); !errs.Is(err, errs.NotFound) {
		t.Errorf("VerifyCID of another tenant's fact: %v", err)
	}
	page, err := m.Conflicts(ctx, other, fact.ConflictQuery{Limit: 50})
	if err != nil || len(page.Conflicts) != 0 {
		t.Errorf("another tenant sees conflicts %v (%v)", page.Conflicts, err)
	}
	open := m.conflicts(fact.Unresolved)
	if len(open) != 1 {
		t.Fatalf("%d conflicts", len(open))
	}
	if _, err := m.Resolve(ctx, other, open[0].ID, fact.Resolution{Winner: &open[0].A}); !errs.Is(err, errs.NotFound) {
		t.Errorf("another tenant resolves: %v", err)
	}
}

func mustQuery(ctx context.Context, t *testing.T, m *memory, q fact.Query) fact.Page {
	t.Helper()
	page, err := m.Query(ctx, alice, q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestPagesLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	const n = 120
	for i := range n {
		a := says(fmt.Sprint(i))
		a.Entity = fmt.Sprint("user:", i)
		if i%3 != 0 { // several facts of one instant
			m.clock = m.clock.Add(-time.Millisecond)
		}
		m.assert(alice, a)
	}
	for _, everything := range []bool{false, true} {
		for _, limit := range []int{1, 7, 50, 119, 120, 121, 500} {
			q := fact.Query{Limit: limit, IncludeContradicted: everything}
			seen := map[id.UUID]bool{}
			last := "9"
			for range n + 2 {
				page := mustQuery(t.Context(), t, m, q)
				for _, f := range page.Facts {
					if seen[f.ID] || f.Timestamp > last {
						t.Fatalf("limit %d: %v after %v, seen %v", limit, f.Timestamp, last, seen[f.ID])
					}
					seen[f.ID], last = true, f.Timestamp
				}
				if page.Next.IsZero() {
					break
				}
				next, err := fact.ParseCursor(page.Next.String())
				if err != nil {
					t.Fatal(err)
				}
				q.Cursor = next
			}
			if len(seen) != n {
				t.Errorf("limit %d, everything %v: %d facts, want %d", limit, everything, len(seen), n)
			}
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	until := "2020-01-01T00:00:00+00:00"
	middle := ""
	for i, change := range []func(a *fact.Assertion){
		func(a *fact.Assertion) {},
		func(a *fact.Assertion) { a.Entity = "user:y" },
		func(a *fact.Assertion) { a.Relation = "memory:other" },
		func(a *fact.Assertion) { a.Source = "agent:other" },
		func(a *fact.Assertion) { a.Scope = id.Public },
		func(a *fact.Assertion) { a.Confidence, a.Relation = 0.25, "memory:weak" },
		func(a *fact.Assertion) { a.ValidUntil, a.Relation = &until, "memory:old" },
	} {
		a := says(fmt.Sprint(i))
		if i == 3 {
			a.RawValue = []byte(`"0"`) // agrees with the first
			middle = fact.Timestamp(m.clock.Add(time.Millisecond))
		}
		change(&a)
		m.assert(alice, a)
	}
	yes, no := true, false
	for _, everything := range []bool{false, true} {
		for _, tt := range []struct {
			name string
			q    fact.Query
			want []string
		}{
			{"nothing", fact.Query{}, []string{"5", "4", "0", "2", "1", "0"}},
			{"entity", fact.Query{Entity: "user:y"}, []string{"1"}},
			{"an entity as it was written", fact.Query{Entity: " User:Y "}, []string{"1"}},
			{"an entity that is none", fact.Query{Entity: "  "}, nil},
			{"relation", fact.Query{Relation: "memory:other"}, []string{"2"}},
			{"source", fact.Query{Source: "Agent:Other"}, []string{"0"}},
			{"scope", fact.Query{Scope: id.Public}, []string{"4"}},
			{"confidence", fact.Query{MinConfidence: 0.3}, []string{"4", "0", "2", "1", "0"}},
			{"its edge", fact.Query{MinConfidence: 0.25, Relation: "memory:weak"}, []string{"5"}},
			{"expired ones too", fact.Query{IncludeExpired: true}, []string{"6", "5", "4", "0", "2", "1", "0"}},
			{"after", fact.Query{After: middle}, []string{"5", "4"}},
			{"attested", fact.Query{Attested: &yes}, nil},
			{"not attested", fact.Query{Attested: &no, Entity: "user:y"}, []string{"1"}},
			{"two at once", fact.Query{Entity: "user:x", Relation: "memory:role", Scope: id.Public}, []string{"4"}},
			{"text that cannot be stored", fact.Query{Relation: "a\x00b"}, nil},
			{"text that is no Unicode", fact.Query{Source: "\xff"}, nil},
			{"another garden", fact.Query{GardenID: "g"}, nil},
		} {
			tt.q.IncludeContradicted = everything
			m.want(fmt.Sprintf("%s (everything %v)", tt.name, everything), tt.q, tt.want...)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	f := m.assert(alice, says("a")).Fact
	set := func(o fact.Override) {
		t.Helper()
		if err := m.store.UpdateFacts(t.Context(), func(tx fact.Tx) error {
			known, err := tx.Fact(t.Context(), f.Tenant, f.ID)
			if err != nil {
				return err
			}
			return tx.SetOverride(t.Context(), &known, o, "test")
		}); err != nil {
			t.Fatal(err)
		}
	}
	half, past := 0.5, "2020-01-01T00:00:00+00:00"
	for _, everything := range []bool{false, true} {
		q := fact.Query{IncludeContradicted: everything}
		set(fact.Override{Confidence: &half})
		q.MinConfidence = 0.6
		m.want("less sure now", q)
		q.MinConfidence = 0.5
		m.want("sure enough", q, "a")
		set(fact.Override{ValidUntil: &past})
		q.MinConfidence = 1
		m.want("ran out", q)
		q.IncludeExpired = true
		m.want("ran out, confidence as asserted", q, "a")
	}
	got, err := m.Get(t.Context(), alice, string(f.ID))
	if err != nil || got.EffectiveValidUntil() == nil || *got.EffectiveValidUntil() != past || got.EffectiveConfidence() != 1 {
		t.Errorf("Get: %+v, %v", got, err)
	}
}
