package fact_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/store"
)

func (m *memory) only(status string) fact.Conflict {
	m.t.Helper()
	list := m.conflicts(status)
	if len(list) != 1 {
		m.t.Fatalf("%d conflicts with status %q, want 1", len(list), status)
	}
	return list[0]
}

func (m *memory) resolve(p principal.Principal, r fact.Resolution) fact.Fact {
	m.t.Helper()
	of, err := m.Resolve(m.t.Context(), p, m.only(fact.Unresolved).ID, r)
	if err != nil {
		m.t.Fatal(err)
	}
	f, err := m.Get(m.t.Context(), p, string(of))
	if err != nil {
		m.t.Fatal(err)
	}
	return f
}

func TestResolveByAWinner(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{true, false} {
		m := newMemory(t)
		a := m.assert(alice, by("agent:1", says("a"))).Fact
		b := m.assert(alice, by("agent:2", says("b"))).Fact
		winner, want := b, "b"
		if older {
			winner, want = a, "a"
		}
		c := m.only(fact.Unresolved)
		if c.A != b.ID || c.B != a.ID || c.ResolvedBy != "" || !strings.HasPrefix(c.ID, fact.ConflictPrefix) {
			t.Fatalf("the conflict is %+v", c)
		}
		said := m.resolve(caller("agent:judge"), fact.Resolution{Winner: &winner.ID})
		if said.Entity != id.Entity("stigmem:resolution:"+c.ID) || said.Relation != "memory:role" || !said.Value.Equal(winner.Value) ||
			said.Source != "agent:judge" || said.Confidence != 1 || said.Scope != id.Local || said.CID != "" {
			t.Errorf("the resolution is %+v", said)
		}
		m.want("what stands", standing, want)
		m.want("the history", all, "b!", "a!")
		if got := m.only(fact.Resolved); got.ResolvedBy != string(said.ID) {
			t.Errorf("resolved by %s, want %s", got.ResolvedBy, said.ID)
		}
		m.want("what the node says of the resolution", fact.Query{Entity: id.Entity(said.ID)}, c.ID)
		m.want("what the node says of the conflict", fact.Query{Entity: id.Entity(c.ID)}, "resolved", fmt.Sprint(b.ID, " ", a.ID))
		if n := m.audited("conflict_resolved"); n != 1 {
			t.Errorf("audited %d times", n)
		}

		// Who lost may speak again, and is heard.
		m.assert(alice, by(string(map[bool]id.Entity{true: "agent:2", false: "agent:1"}[older]), says("c")))
		m.want("after the loser's next word", standing, "c!")
	}
}

func TestResolveAgainstACorrection(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	a := m.assert(alice, says("a")).Fact
	m.assert(alice, says("b"))
	m.resolve(alice, fact.Resolution{Winner: &a.ID})
	m.want("the earlier word", standing, "a")
}

func TestResolveByANewValue(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	a := m.assert(alice, by("agent:1", says("a"))).Fact
	m.assert(alice, by("agent:2", says("b")))
	said := m.resolve(alice, fact.Resolution{Winner: &a.ID, NewType: canon.Number, RawNew: []byte("7"), NewInterpretAs: fact.Content})
	if said.Value != (fact.Value{Type: canon.Number, V: "7.0", InterpretAs: fact.Content}) {
		t.Errorf("the resolution says %+v", said.Value)
	}
	m.want("both lost", standing)
	m.assert(alice, by("agent:1", says("c")))
	m.want("after somebody asserts what is true", standing, "c")

	m = newMemory(t)
	m.assert(alice, by("agent:1", says("a")))
	m.assert(alice, by("agent:2", says("b")))
	m.resolve(alice, fact.Resolution{NewType: canon.String, RawNew: []byte(`"a"`), NewInterpretAs: fact.Content})
	m.want("the fact that says so did not lose", standing, "a")
}

func TestResolveRefusals(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	a := m.assert(alice, by("agent:1", says("a"))).Fact
	m.assert(alice, by("agent:2", says("b")))
	foreign, c := id.UUID("x"), m.only(fact.Unresolved)
	reader := principal.Principal{Entity: "agent:r", Tenant: "default", Permissions: []principal.Permission{principal.Read}}
	for _, tt := range []struct {
		name     string
		as       principal.Principal
		conflict string
		r        fact.Resolution
		kind     errs.Kind
		msg      string
	}{
		{"a reader", reader, c.ID, fact.Resolution{Winner: &a.ID}, errs.Forbidden, "write permission required"},
		{"an unknown conflict", alice, "stigmem:conflict:none", fact.Resolution{}, errs.NotFound, "conflict not found"},
		{"text that is no id", alice, "\x00", fact.Resolution{}, errs.NotFound, "conflict not found"},
		{"nothing", alice, c.ID, fact.Resolution{}, errs.Unprocessable, "provide winning_fact_id or new_value"},
		{"a foreign winner", alice, c.ID, fact.Resolution{Winner: &foreign}, errs.Unprocessable, "winning_fact_id must be one of the conflicting facts"},
		{"a number that is none", alice, c.ID, fact.Resolution{NewType: canon.Number, RawNew: []byte("[]")}, errs.Unprocessable, "value.v must be a finite number"},
		{"an instruction without the permission", alice, c.ID, fact.Resolution{NewType: canon.String, RawNew: []byte(`"x"`), NewInterpretAs: fact.Instruction},
			errs.Forbidden, "writing instruction-typed facts requires instruction:write permission"},
	} {
		_, err := m.Resolve(t.Context(), tt.as, tt.conflict, tt.r)
		if !errs.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.msg) {
			t.Errorf("%s: %v, want %v %q", tt.name, err, tt.kind, tt.msg)
		}
	}
	if got := m.only(fact.Unresolved); got.ID != c.ID {
		t.Error("a refused resolution changed the conflict")
	}
	m.want("what stands", standing, "b!")
	m.resolve(alice, fact.Resolution{Winner: &a.ID})
	if _, err := m.Resolve(t.Context(), alice, c.ID, fact.Resolution{Winner: &a.ID}); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "conflict already resolved") {
		t.Errorf("resolved twice: %v", err)
	}
}

func TestConflictPages(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	const n = 25
	for i := range n + 1 {
		if i%4 != 0 {
			m.clock = m.clock.Add(-time.Millisecond)
		}
		m.assert(alice, says(fmt.Sprint(i)))
	}
	for _, status := range []string{"", fact.Unresolved} {
		seen := map[string]bool{}
		q := fact.ConflictQuery{Status: status, Limit: 4}
		for range n {
			page, err := m.Conflicts(t.Context(), alice, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page.Conflicts {
				if seen[c.ID] || c.FactA == nil || c.FactB == nil || c.FactA.ID != c.A {
					t.Fatalf("%+v (seen %v)", c, seen[c.ID])
				}
				seen[c.ID] = true
			}
			if page.Next.IsZero() {
				break
			}
			if q.After, err = fact.ParseCursor(page.Next.String()); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != n {
			t.Errorf("status %q: %d conflicts, want %d", status, len(seen), n)
		}
	}
	if got := m.conflicts("anything"); len(got) != 0 {
		t.Errorf("of an unknown status: %d", len(got))
	}
}

func TestGetVerifyAndProvenance(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	ctx := t.Context()
	source := m.assert(alice, says("a")).Fact
	derived := says("b")
	derived.Entity = "user:y"
	derived.DerivedFrom = fmt.Appendf(nil, `[{"fact_id":%q,"hash":"h"},{"hash":%q},{"hash":"sha256:zz"},{"fact_id":"nosuch"},{"fact_id":7},{}]`, source.ID, source.CID)
	f := m.assert(alice, derived).Fact

	for _, ref := range []string{string(f.ID), string(f.CID)} {
		if got, err := m.Get(ctx, alice, ref); err != nil || got.ID != f.ID || string(got.DerivedFrom) != string(derived.DerivedFrom) {
			t.Errorf("Get(%q): %+v, %v", ref, got, err)
		}
	}
	for _, tt := range []struct {
		ref  string
		kind errs.Kind
	}{{"nosuch", errs.NotFound}, {"sha256:" + strings.Repeat("0", 64), errs.NotFound}, {"sha256:zz", errs.Invalid}, {"sha256:" + strings.Repeat("A", 64), errs.Invalid}, {"\xff", errs.NotFound}, {"", errs.NotFound}} {
		if _, err := m.Get(ctx, alice, tt.ref); !errs.Is(err, tt.kind) {
			t.Errorf("Get(%q): %v, want %v", tt.ref, err, tt.kind)
		}
	}

	_, sources, err := m.Provenance(ctx, alice, string(f.ID))
	known := fact.Source{Hash: "h", FactID: string(source.ID), Entity: "user:x", Exists: true}
	byHash := known
	byHash.Hash = string(source.CID)
	want := []fact.Source{known, byHash, {Hash: "sha256:zz"}, {}, {}, {}}
	if err != nil || fmt.Sprint(sources) != fmt.Sprint(want) {
		t.Errorf("Provenance: %+v, %v", sources, err)
	}

	v, err := m.VerifyCID(ctx, alice, string(f.ID))
	if err != nil || !v.Valid || v.Computed != f.CID || v.Stored != f.CID || v.Reason != "" {
		t.Errorf("VerifyCID: %+v, %v", v, err)
	}
	for _, run := range []func(ref string) error{
		func(ref string) error { _, err := m.VerifyCID(ctx, alice, ref); return err },
		func(ref string) error { _, _, err := m.Provenance(ctx, alice, ref); return err },
	} {
		if err := run(string(f.CID)); !errs.Is(err, errs.NotFound) {
			t.Errorf("by content id: %v, want not found", err)
		}
	}
	nobody := principal.Principal{Entity: "agent:w", Tenant: "default", Permissions: []principal.Permission{principal.Write}}
	for name, err := range map[string]error{
		"Get":        second(m.Get(ctx, nobody, string(f.ID))),
		"VerifyCID":  second(m.VerifyCID(ctx, nobody, string(f.ID))),
		"Query":      second(m.Query(ctx, nobody, fact.Query{Limit: 1})),
		"Conflicts":  second(m.Conflicts(ctx, nobody, fact.ConflictQuery{Limit: 1})),
		"Provenance": func() error { _, _, err := m.Provenance(ctx, nobody, string(f.ID)); return err }(),
	} {
		if !errs.Is(err, errs.Forbidden) || err.Error() != "read permission required" {
			t.Errorf("%s without the permission to read: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// tamper changes a stored fact as whoever holds the file could.
func (m *memory) tamper(f fact.Fact, set string) {
	m.t.Helper()
	err := m.store.Update(m.t.Context(), func(tx *store.Tx) error {
		for _, q := range []string{"DROP TRIGGER facts_no_update", "UPDATE facts SET " + set + " WHERE id = '" + string(f.ID) + "'"} {
			if _, err := tx.Exec(m.t.Context(), q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func TestATamperedFactIsNotServed(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"value_v = 'CEO'", "confidence = 0.5", "scope = 'public'", "relation = 'memory:x'", "source = 'agent:x'", "value_type = 'text'"} {
		m := newMemory(t)
		f := m.assert(alice, says("a")).Fact
		m.tamper(f, set)
		for name, err := range map[string]error{
			"Query":   second(m.Query(t.Context(), alice, fact.Query{Limit: 5})),
			"history": second(m.Query(t.Context(), alice, fact.Query{Limit: 5, IncludeContradicted: true})),
			"Get":     second(m.Get(t.Context(), alice, string(f.ID))),
		} {
			if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "stored CID does not match") {
				t.Errorf("%s after %s: %v", name, set, err)
			}
		}
		v, err := m.VerifyCID(t.Context(), alice, string(f.ID))
		if err != nil || v.Valid || v.Stored != f.CID || v.Computed == f.CID || v.Reason != "stored_cid does not match computed_cid" {
			t.Errorf("VerifyCID after %s: %+v, %v", set, v, err)
		}
	}
}
