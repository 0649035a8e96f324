package fact_test

import (
	"math"
	"strings"
	"testing"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
)

// received is a fact as the federation hands it on.
func received(m *memory, peer, v string) fact.Fact {
	f := fact.Fact{
		ID: id.NewUUID(), Tenant: id.DefaultTenant, Entity: "user:x", Relation: "memory:role", Source: "agent:s",
		Value: fact.Value{Type: canon.String, V: v, InterpretAs: fact.Content}, Confidence: 1, Scope: id.Public,
		Timestamp: "2026-05-02T00:00:00Z", ReceivedFrom: peer, OriginNodeID: peer,
	}
	c := canon.Fact{Entity: "user:x", Relation: "memory:role", ValueType: canon.String, Value: v, Source: "agent:s", Scope: "public", Confidence: 1}
	var err error
	if f.CID, err = c.CID(); err != nil {
		m.t.Fatal(err)
	}
	return f
}

func (m *memory) ingest(f fact.Fact) (fresh bool) {
	m.t.Helper()
	fresh, err := m.tryIngest(f)
	if err != nil {
		m.t.Fatal(err)
	}
	return fresh
}

func (m *memory) tryIngest(f fact.Fact) (fresh bool, err error) {
	err = m.store.UpdateFacts(m.t.Context(), func(tx fact.Tx) error {
		if f.HLC == "" {
			f.HLC = tx.Tick().String()
		}
		var err error
		fresh, err = fact.Ingest(m.t.Context(), tx, &f, m.clock)
		return err
	})
	return fresh, err
}

func publicly(a fact.Assertion) fact.Assertion { a.Scope = id.Public; return a }

func TestIngest(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	f := received(m, "stigmem:node:p", "a")
	if !m.ingest(f) || m.ingest(f) {
		t.Error("a fact is fresh once, and only once")
	}
	got, err := m.Get(t.Context(), alice, string(f.CID))
	if err != nil || got.ID != f.ID || got.ReceivedFrom != "stigmem:node:p" || got.HLC == "" {
		t.Errorf("by its content id: %+v, %v", got, err)
	}
	m.want("who sent it", fact.Query{Entity: id.Entity(f.ID), Relation: "stigmem:received_from"}, "stigmem:node:p")
	m.want("what stands", standing, "a")

	// The same content under another id is another fact, and no conflict.
	again := received(m, "stigmem:node:q", "a")
	if !m.ingest(again) {
		t.Error("the same content of another peer is not stored")
	}
	if known := m.assert(alice, publicly(says("a"))); !known.Known {
		t.Error("what a peer said is not known when it is asserted here")
	}
	m.want("two voices agree", standing, "a", "a")
	if got := m.conflicts(""); len(got) != 0 {
		t.Errorf("conflicts of equals: %+v", got)
	}
}

func TestAPeerSpeaksForNobodyElse(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	local := m.assert(alice, publicly(says("a"))).Fact
	m.ingest(received(m, "stigmem:node:p", "b")) // of the same source
	c := m.only(fact.Unresolved)
	if c.B != local.ID {
		t.Errorf("the conflict is %+v", c)
	}
	m.want("the history", all, "b!", "a!")
	m.want("of the two, the newer stands, marked", standing, "b!")

	m.ingest(received(m, "stigmem:node:p", "c"))
	m.want("a peer corrects itself", fact.Query{Entity: "user:x", Source: "agent:s"}, "c!", "a!")
	m.ingest(received(m, "stigmem:node:q", "d"))
	m.want("and not another peer", fact.Query{Entity: "user:x", Source: "agent:s"}, "d!", "c!", "a!")
}

func TestAPendingFactDisputesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	m.assert(alice, publicly(says("a")))
	f := received(m, "stigmem:node:p", "b")
	f.QuarantineStatus, f.QuarantineReason = fact.Pending, "instruction_federation_inbound"
	m.ingest(f)
	m.want("what stands", standing, "a")
	m.want("the history", all, "a")
	if got := m.conflicts(""); len(got) != 0 {
		t.Errorf("conflicts: %+v", got)
	}
	if _, err := m.Get(t.Context(), alice, string(f.ID)); !errs.Is(err, errs.NotFound) {
		t.Errorf("Get of a pending fact: %v", err)
	}
	if _, err := m.VerifyCID(t.Context(), alice, string(f.ID)); !errs.Is(err, errs.NotFound) {
		t.Errorf("VerifyCID of a pending fact: %v", err)
	}
}

func TestContentIDsOfEitherVersionHold(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	f := received(m, "stigmem:node:p", "a")
	c := canon.Fact{Entity: "user:x", Relation: "memory:role", ValueType: canon.String, Value: "a", Source: "agent:s", Scope: "public", Confidence: 1, InterpretAs: "content"}
	var err error
	if f.CID, err = c.CIDIn(canon.CIDv2); err != nil {
		t.Fatal(err)
	}
	m.ingest(f)
	m.want("what stands", standing, "a")
	if v, err := m.VerifyCID(t.Context(), alice, string(f.ID)); err != nil || !v.Valid || v.Computed != f.CID {
		t.Errorf("VerifyCID: %+v, %v", v, err)
	}
}

func TestWhatCannotBeStoredIsNotIngested(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	bad := "\xff"
	for name, change := range map[string]func(f *fact.Fact){
		"no id":                  func(f *fact.Fact) { f.ID = "" },
		"a long id":              func(f *fact.Fact) { f.ID = id.UUID(strings.Repeat("x", fact.MaxForeignID+1)) },
		"an id of two lines":     func(f *fact.Fact) { f.ID = "a\nb" },
		"no timestamp":           func(f *fact.Fact) { f.Timestamp = "" },
		"a long timestamp":       func(f *fact.Fact) { f.Timestamp = strings.Repeat("9", fact.MaxForeignTimestamp+1) },
		"no entity":              func(f *fact.Fact) { f.Entity = "" },
		"a long entity":          func(f *fact.Fact) { f.Entity = id.Entity(strings.Repeat("x", id.MaxEntityLen+1)) },
		"a long source":          func(f *fact.Fact) { f.Source = id.Entity(strings.Repeat("x", id.MaxEntityLen+1)) },
		"no source":              func(f *fact.Fact) { f.Source = "" },
		"no relation":            func(f *fact.Fact) { f.Relation = "" },
		"a relation with a zero": func(f *fact.Fact) { f.Relation = "a\x00" },
		"no scope":               func(f *fact.Fact) { f.Scope = id.NoScope },
		"a confidence over one":  func(f *fact.Fact) { f.Confidence = 1.1 },
		"a negative confidence":  func(f *fact.Fact) { f.Confidence = -1 },
		"no confidence":          func(f *fact.Fact) { f.Confidence = math.NaN() },
		"an unknown type":        func(f *fact.Fact) { f.Value.Type = "blob" },
		"an unknown reading":     func(f *fact.Fact) { f.Value.InterpretAs = "poem" },
		"a value of no text":     func(f *fact.Fact) { f.Value.V = "\x00" },
		"a bad end":              func(f *fact.Fact) { f.ValidUntil = &bad },
	} {
		f := received(m, "stigmem:node:p", "a")
		change(&f)
		if fresh, err := m.tryIngest(f); fresh || err == nil || errs.Is(err, errs.Internal) {
			t.Errorf("%s: fresh %v, %v", name, fresh, err)
		}
	}
	m.want("afterwards", fact.Query{})
}
