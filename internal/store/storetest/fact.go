package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"symbolon/internal/apikey"
	"symbolon/internal/audit"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/store"
)

func factCases() []Case {
	return []Case{
		{Name: "a fact is kept whole", Fn: factKept},
		{Name: "a fact is neither changed nor removed", Fn: factAppendOnly},
		{Name: "the nth fact of a content is stored once", Fn: factNth},
		{Name: "texts of any length are kept", Fn: factLong},
		{Name: "a voice has one head for each key", Fn: factHeads},
		{Name: "of many heads those that matter are found", Fn: factManyHeads},
		{Name: "an override shows in the fact and in its head", Fn: factOverride},
		{Name: "what may go to a peer is listed in order, and nothing else", Fn: factReplicable},
		{Name: "history comes in order, whatever index it is read from", Fn: factHistory},
		{Name: "a fact in quarantine is in no list", Fn: factQuarantine},
		{Name: "simultaneous writers of one content store one fact", Fn: factIdempotentRace},
		{Name: "simultaneous writers of one key make one conflict each", Fn: factConflictRace},
		{Name: "a conflict is settled once", Fn: factSettled},
		{Name: "the audit log shows the facts it is about", Fn: factAudit},
		{Name: "an API key is kept whole, rehashed and removed", Fn: keyKept},
		{Name: "the secret of API keys is made once", Fn: keySecret},
	}
}

func someFact(n int) fact.Fact {
	trust, until := 0.25, "2030-01-01T00:00:00Z"
	scopes := id.ScopesOf(id.Company, id.Public)
	f := fact.Fact{
		ID: id.NewUUID(), Tenant: "default", Entity: "user:x", Relation: "memory:röle", Source: "agent:s",
		Value:      fact.Value{Type: canon.String, V: fmt.Sprint("v", n), InterpretAs: fact.Content},
		Confidence: 0.30000000000000004, Scope: id.Public, Timestamp: fmt.Sprintf("2026-05-02T10:00:00.%06d+00:00", n), HLC: fmt.Sprintf("1777716000000.%06d", n),
		ValidUntil: &until, CID: id.CIDOf([32]byte{1, byte(n), byte(n >> 8)}), DerivedFrom: []byte(`[{"hash":"h"}]`),
		AssertedBy: "agent:a", OnBehalfOf: []string{"user:o", "user:p"}, ReceivedFrom: "stigmem:node:p", OriginNodeID: "stigmem:node:o",
		OriginAllowedScopes: &scopes, ReFederationBlocked: true, GardenID: "g", AttestedKeyID: "k", SourceTrust: &trust,
	}
	f.QuarantineStatus, f.QuarantineGarden, f.QuarantineReason = fact.Promoted, "q", "why"
	return f
}

// plainFact is a fact that was asserted here.
func plainFact(n int, change func(f *fact.Fact)) fact.Fact {
	f := fact.Fact{
		ID: id.NewUUID(), Tenant: "default", Entity: "user:x", Relation: "memory:role", Source: "agent:s",
		Value:      fact.Value{Type: canon.String, V: fmt.Sprint("v", n), InterpretAs: fact.Content},
		Confidence: 1, Scope: id.Local, Timestamp: fmt.Sprintf("2026-05-02T10:00:00.%06d+00:00", n), HLC: fmt.Sprintf("1777716000000.%06d", n),
		CID: id.CIDOf([32]byte{2, byte(n), byte(n >> 8)}), AssertedBy: "agent:a",
	}
	if change != nil {
		change(&f)
	}
	return f
}

func onFacts(t *testing.T, s *store.Store, fn func(tx fact.Tx) error) {
	t.Helper()
	if err := s.UpdateFacts(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// putFacts stores facts and makes each the head of its voice.
func putFacts(t *testing.T, s *store.Store, facts ...fact.Fact) {
	t.Helper()
	onFacts(t, s, func(tx fact.Tx) error {
		for i := range facts {
			if ok, err := tx.Insert(t.Context(), &facts[i], 0); err != nil || !ok {
				return fmt.Errorf("insert of fact %d: %v, %w", i, ok, err)
			}
			if err := tx.PutHead(t.Context(), &facts[i], false); err != nil {
				return err
			}
		}
		return nil
	})
}

func factKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	full, bare := someFact(1), plainFact(2, func(f *fact.Fact) { f.CID = "" })
	putFacts(t, s, full, bare)
	for _, want := range []fact.Fact{full, bare} {
		got, err := s.Fact(ctx, "default", want.ID)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Fact: %v\n got %+v\nwant %+v", err, got, want)
		}
	}
	if got, err := s.FactByCID(ctx, "default", full.CID); err != nil || !reflect.DeepEqual(got, full) {
		t.Errorf("FactByCID: %+v, %v", got, err)
	}
	got, err := s.Facts(ctx, "default", []id.UUID{full.ID, "unknown", bare.ID})
	if err != nil || len(got) != 2 || !reflect.DeepEqual(got[full.ID], full) || !reflect.DeepEqual(got[bare.ID], bare) {
		t.Errorf("Facts: %+v, %v", got, err)
	}
	for _, miss := range []struct {
		tenant id.Tenant
		id     id.UUID
	}{{"other", full.ID}, {"default", "unknown"}, {"default", "a\x00"}, {"default", "\xff"}} {
		if _, err := s.Fact(ctx, miss.tenant, miss.id); !errs.Is(err, errs.NotFound) {
			t.Errorf("Fact(%q, %q): %v, want not found", miss.tenant, miss.id, err)
		}
	}
	if _, err := s.FactByCID(ctx, "other", full.CID); !errs.Is(err, errs.NotFound) {
		t.Errorf("FactByCID of another tenant: %v", err)
	}
}

func factAppendOnly(t *testing.T, s *store.Store) {
	f := plainFact(1, nil)
	putFacts(t, s, f)
	for _, q := range []string{"UPDATE facts SET confidence = 0", "DELETE FROM facts"} {
		err := s.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), q); return err })
		if err == nil {
			t.Errorf("%s is not refused", q)
		}
	}
	if got, err := s.Fact(t.Context(), "default", f.ID); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

func factNth(t *testing.T, s *store.Store) {
	ctx := t.Context()
	first := plainFact(1, nil)
	again := plainFact(2, func(f *fact.Fact) { f.CID = first.CID })
	elsewhere := plainFact(3, func(f *fact.Fact) { f.CID, f.Tenant = first.CID, "other" })
	sameID := plainFact(4, func(f *fact.Fact) { f.ID = first.ID })
	onFacts(t, s, func(tx fact.Tx) error {
		for _, step := range []struct {
			f    fact.Fact
			nth  int
			want bool
		}{{first, 0, true}, {again, 0, false}, {elsewhere, 0, true}, {sameID, 0, false}, {again, 1, true}, {plainFact(5, func(f *fact.Fact) { f.CID = first.CID }), 1, false}} {
			if got, err := tx.Insert(ctx, &step.f, step.nth); err != nil || got != step.want {
				t.Errorf("Insert of %s as %d: %v, %v, want %v", step.f.HLC, step.nth, got, err, step.want)
			}
		}
		latest, n, err := tx.Latest(ctx, &first)
		if err != nil || n != 2 || latest.ID != again.ID {
			t.Errorf("Latest: %s of %d, %v; want %s of 2", latest.ID, n, err, again.ID)
		}
		return nil
	})
	if got, err := s.FactByCID(ctx, "default", first.CID); err != nil || got.ID != again.ID {
		t.Errorf("FactByCID: %s, %v; want the newest", got.ID, err)
	}
}

func factLong(t *testing.T, s *store.Store) {
	long := strings.Repeat("ü", id.MaxEntityLen/2)
	f := plainFact(1, func(f *fact.Fact) {
		f.Entity, f.Source, f.AssertedBy = id.Entity(long), id.Entity(long), id.Entity(long)
		f.Relation, f.Value.V = strings.Repeat("r\u20ac", 50_000), strings.Repeat("v", 900_000)
		f.ID, f.GardenID = id.UUID(strings.Repeat("i", fact.MaxForeignID)), string(id.NewUUID())
	})
	putFacts(t, s, f)
	if got, err := s.Fact(t.Context(), "default", f.ID); err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("Fact: %v", err)
	}
	got, _, err := s.Current(t.Context(), fact.Query{Tenant: "default", Entity: f.Entity, Relation: f.Relation, Source: f.Source, Limit: 2}, "2026")
	if err != nil || len(got) != 1 {
		t.Errorf("Current: %d, %v", len(got), err)
	}
}

func factHeads(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one, two := plainFact(1, nil), plainFact(2, nil)
	other := plainFact(3, func(f *fact.Fact) { f.AssertedBy = "agent:b" })
	elsewhere := plainFact(4, func(f *fact.Fact) { f.GardenID = "g" })
	peer := plainFact(5, func(f *fact.Fact) { f.AssertedBy, f.ReceivedFrom = "", "agent:a" })
	onFacts(t, s, func(tx fact.Tx) error {
		for i, f := range []*fact.Fact{&one, &two, &other, &elsewhere, &peer} {
			if _, err := tx.Insert(ctx, f, 0); err != nil {
				return err
			}
			first, err := tx.PutFirstHead(ctx, f)
			if err != nil {
				return err
			}
			if want := i == 0 || i == 3; first != want {
				t.Errorf("PutFirstHead of fact %d: %v, want %v", i, first, want)
			}
			if !first {
				if err := tx.PutHead(ctx, f, false); err != nil {
					return err
				}
			}
		}
		return nil
	})
	heads, err := s.Heads(ctx, one.Key())
	slices.SortFunc(heads, func(a, b fact.Head) int { return strings.Compare(a.HLC, b.HLC) })
	if err != nil || len(heads) != 3 || heads[0].FactID != two.ID || heads[1].FactID != other.ID || heads[2].FactID != peer.ID {
		t.Fatalf("Heads: %+v, %v", heads, err)
	}
	if h := heads[0]; h.Voice != two.Voice() || h.Value != two.Value.Digest() || h.Confidence != 1 || h.HLC != two.HLC || h.Disputed || h.Overruled {
		t.Errorf("the head is %+v", h)
	}
	onFacts(t, s, func(tx fact.Tx) error {
		if err := tx.MarkDisputed(ctx, one.Key()); err != nil {
			return err
		}
		if err := tx.Overrule(ctx, &one); err != nil { // is no head
			return err
		}
		return tx.Overrule(ctx, &other)
	})
	for _, f := range []*fact.Fact{&two, &other, &elsewhere} {
		onFacts(t, s, func(tx fact.Tx) error {
			h, ok, err := tx.Head(ctx, f)
			if err != nil || !ok || h.FactID != f.ID || h.Disputed != (f != &elsewhere) || h.Overruled != (f == &other) {
				t.Errorf("Head: %+v, %v, %v", h, ok, err)
			}
			return nil
		})
	}
	current, _, err := s.Current(ctx, fact.Query{Tenant: "default", Limit: 10}, "2026")
	if err != nil || len(current) != 3 {
		t.Errorf("%d current facts, want those not overruled: %v", len(current), err)
	}
}

func factManyHeads(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const n = 40
	var facts []fact.Fact
	for i := range n {
		facts = append(facts, plainFact(i, func(f *fact.Fact) {
			f.Source, f.Value.V = id.Entity(fmt.Sprint("agent:", i)), "same"
			if i == 17 {
				f.Value.V = "other"
			}
		}))
	}
	putFacts(t, s, facts...)
	mine := plainFact(n, func(f *fact.Fact) { f.Source, f.Value.V = "agent:5", "same" })
	onFacts(t, s, func(tx fact.Tx) error {
		heads, disputed, err := tx.Rivals(ctx, &mine)
		if err != nil || disputed || len(heads) != 2 || heads[0].FactID != facts[5].ID || heads[1].FactID != facts[17].ID {
			t.Errorf("Rivals: %+v, %v, %v; want one's own and the one that differs", heads, disputed, err)
		}
		return nil
	})
}

func factOverride(t *testing.T, s *store.Store) {
	ctx := t.Context()
	f := plainFact(1, nil)
	putFacts(t, s, f)
	half, until := 0.5, "2027-01-01T00:00:00+00:00"
	for _, o := range []fact.Override{{Confidence: &half}, {ValidUntil: &until}, {ValidUntil: &until, Confidence: &half}, {}} {
		onFacts(t, s, func(tx fact.Tx) error {
			g := f
			return tx.SetOverride(ctx, &g, o, "why")
		})
		got, err := s.Fact(ctx, "default", f.ID)
		if err != nil || !reflect.DeepEqual(got.Override, &o) || got.Confidence != 1 || got.ValidUntil != nil {
			t.Errorf("Fact: %+v, %v; want the override %+v", got, err, o)
		}
		heads, err := s.Heads(ctx, f.Key())
		if err != nil || len(heads) != 1 || heads[0].Confidence != got.EffectiveConfidence() || !reflect.DeepEqual(heads[0].ValidUntil, got.EffectiveValidUntil()) {
			t.Errorf("Heads: %+v, %v", heads, err)
		}
	}
}

func factReplicable(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var want []id.UUID
	var facts []fact.Fact
	for i, c := range []struct {
		goes   bool
		change func(f *fact.Fact)
	}{
		{true, func(*fact.Fact) {}},
		{false, func(f *fact.Fact) { f.Scope = id.Local }},
		{true, func(f *fact.Fact) { f.Scope = id.Company }},
		{false, func(f *fact.Fact) { f.Scope = id.Team }}, // not asked for
		{false, func(f *fact.Fact) { f.ReceivedFrom = "stigmem:node:p" }},
		{false, func(f *fact.Fact) { f.GardenID = "g" }},
		{false, func(f *fact.Fact) { f.DerivedFrom = []byte(`[{"hash":"h"}]`) }},
		{false, func(f *fact.Fact) { f.Entity = "stigmem:conflict:1" }},
		{false, func(f *fact.Fact) { f.Relation = "stigmem:x" }},
		{false, func(f *fact.Fact) { f.ReFederationBlocked = true }},
		{false, func(f *fact.Fact) { f.Tenant = "other" }},
		{false, func(f *fact.Fact) { f.QuarantineStatus = fact.Pending }},
		{true, func(f *fact.Fact) { f.QuarantineStatus = fact.Promoted }},
		{true, func(f *fact.Fact) { f.Confidence = 0 }},
		{true, func(f *fact.Fact) { f.Entity = "stigmem:resolution:1" }},
		{true, func(f *fact.Fact) { f.Value.InterpretAs = fact.Instruction }},
	} {
		f := plainFact(i, func(f *fact.Fact) { f.Scope = id.Public })
		c.change(&f)
		facts = append(facts, f)
		if c.goes {
			want = append(want, f.ID)
		}
	}
	putFacts(t, s, facts...)
	scopes := id.ScopesOf(id.Public, id.Company, id.Local)
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []id.UUID
		after := ""
		for {
			page, err := s.Replicable(ctx, scopes, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				got, after = append(got, f.ID), f.HLC
			}
			if len(page) < limit {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	if got, err := s.Replicable(ctx, id.ScopesOf(id.Local), "", 10); err != nil || len(got) != 0 {
		t.Errorf("of scope local: %v, %v", got, err)
	}
}

func factHistory(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var facts []fact.Fact
	for i := range 30 {
		facts = append(facts, plainFact(i, func(f *fact.Fact) {
			f.Scope = []id.Scope{id.Local, id.Public, id.Company}[i%3]
			f.Entity = id.Entity(fmt.Sprint("user:", i%2))
		}))
	}
	putFacts(t, s, facts...)
	for _, entity := range []id.Entity{"", "user:1"} {
		q := fact.Query{Tenant: "default", Entity: entity, Limit: 4}
		var got []string
		for {
			page, err := s.History(ctx, q, "2026")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				got = append(got, f.HLC)
				q.Cursor = fact.Cursor{At: f.HLC}
			}
			if len(page) < q.Limit {
				break
			}
		}
		want := 30
		if entity != "" {
			want = 15
		}
		if len(got) != want || !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b, a) }) {
			t.Errorf("entity %q: %d facts in the order %v, want %d", entity, len(got), got, want)
		}
	}
}

func factQuarantine(t *testing.T, s *store.Store) {
	f := plainFact(1, func(f *fact.Fact) {
		f.QuarantineStatus, f.QuarantineGarden, f.QuarantineReason = fact.Pending, "q", "why"
	})
	onFacts(t, s, func(tx fact.Tx) error { _, err := tx.Insert(t.Context(), &f, 0); return err })
	for _, entity := range []id.Entity{"", f.Entity} {
		if got, err := s.History(t.Context(), fact.Query{Tenant: "default", Entity: entity, Limit: 5}, "2026"); err != nil || len(got) != 0 {
			t.Errorf("History: %v, %v", got, err)
		}
	}
	if got, err := s.Fact(t.Context(), "default", f.ID); err != nil || got.QuarantineStatus != fact.Pending {
		t.Errorf("Fact: %+v, %v", got, err)
	}
}

func racingMemory(t *testing.T, s *store.Store) (*fact.Service, func(n int, source string) fact.Assertion, principal.Principal) {
	t.Helper()
	m := fact.New(s, SQLite(t).Now)
	who := principal.Principal{Entity: "agent:a", Tenant: "default", Permissions: []principal.Permission{principal.Read, principal.Write}}
	return m, func(n int, source string) fact.Assertion {
		return fact.Assertion{
			Entity: "user:x", Relation: "memory:role", Source: source, Type: canon.Number, RawValue: []byte(fmt.Sprint(n)), InterpretAs: fact.Content,
			Confidence: 1, Scope: id.Public,
		}
	}, who
}

func factIdempotentRace(t *testing.T, s *store.Store) {
	m, says, who := racingMemory(t, s)
	ids := make([]id.UUID, 32)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			got, err := m.Assert(t.Context(), who, says(1, "agent:s"))
			if err != nil {
				t.Error(err)
			}
			ids[i] = got.Fact.ID
		})
	}
	wg.Wait()
	for _, one := range ids {
		if one != ids[0] {
			t.Fatalf("ids %v", ids)
		}
	}
}

func factConflictRace(t *testing.T, s *store.Store) {
	m, says, who := racingMemory(t, s)
	const n = 32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := m.Assert(t.Context(), who, says(i, fmt.Sprint("agent:", i%8))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	page, err := m.Conflicts(t.Context(), who, fact.ConflictQuery{Limit: 500})
	if err != nil || len(page.Conflicts) != n-1 {
		t.Errorf("%d conflicts, want %d: %v", len(page.Conflicts), n-1, err)
	}
	standing, err := m.Query(t.Context(), who, fact.Query{Entity: "user:x", Limit: 50})
	if err != nil || len(standing.Facts) != 1 || !standing.Facts[0].Contradicted {
		t.Errorf("what stands: %+v, %v", standing.Facts, err)
	}
	all, err := m.Query(t.Context(), who, fact.Query{Entity: "user:x", Limit: 50, IncludeContradicted: true})
	if err != nil || len(all.Facts) != n {
		t.Errorf("%d facts, want %d: %v", len(all.Facts), n, err)
	}
}

func factSettled(t *testing.T, s *store.Store) {
	m, says, who := racingMemory(t, s)
	for i := range 2 {
		if _, err := m.Assert(t.Context(), who, says(i, fmt.Sprint("agent:", i))); err != nil {
			t.Fatal(err)
		}
	}
	page, err := m.Conflicts(t.Context(), who, fact.ConflictQuery{Limit: 500, Status: fact.Unresolved})
	if err != nil || len(page.Conflicts) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	c := page.Conflicts[0]
	var wg sync.WaitGroup
	done := make([]error, 8)
	for i := range done {
		wg.Go(func() { _, done[i] = m.Resolve(t.Context(), who, c.ID, fact.Resolution{Winner: &c.B}) })
	}
	wg.Wait()
	settled := 0
	for _, err := range done {
		switch {
		case err == nil:
			settled++
		case !errs.Is(err, errs.Conflict):
			t.Error(err)
		}
	}
	if settled != 1 {
		t.Errorf("settled %d times", settled)
	}
	got, err := s.Conflict(t.Context(), "default", c.ID)
	if err != nil || got.Status != fact.Resolved || got.ResolvedBy == "" {
		t.Errorf("Conflict: %+v, %v", got, err)
	}
	open, err := m.Conflicts(t.Context(), who, fact.ConflictQuery{Limit: 500, Status: fact.Unresolved})
	if err != nil || len(open.Conflicts) != 0 {
		t.Errorf("still open: %+v, %v", open, err)
	}
}

func factAudit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	f := plainFact(1, nil)
	putFacts(t, s, f)
	record(t, s, audit.Event{Type: "fact_write", Actor: "agent:a", Tenant: "default", Subject: string(f.ID), Source: "agent:s", AttestedKeyID: "k"})
	record(t, s, audit.Event{Type: "admin_action", Actor: "agent:b", Tenant: "default", OIDCSubject: "sub"})
	record(t, s, audit.Event{Type: "fact_write", Actor: "agent:a", Tenant: "other", Subject: string(f.ID)})
	yes, no := true, false
	for _, tt := range []struct {
		name string
		q    audit.Query
		want []string
	}{
		{"the newest first", audit.Query{}, []string{"admin_action", "fact_write"}},
		{"the oldest first", audit.Query{Ascending: true}, []string{"fact_write", "admin_action"}},
		{"one actor", audit.Query{Actor: "agent:b"}, []string{"admin_action"}},
		{"one subject", audit.Query{Subject: string(f.ID)}, []string{"fact_write"}},
		{"one source", audit.Query{Source: "agent:s"}, []string{"fact_write"}},
		{"one OIDC subject", audit.Query{OIDCSubject: "sub"}, []string{"admin_action"}},
		{"one type", audit.Query{Type: "fact_write"}, []string{"fact_write"}},
		{"attested", audit.Query{Attested: &yes}, []string{"fact_write"}},
		{"not attested", audit.Query{Attested: &no}, []string{"admin_action"}},
		{"text that cannot be stored", audit.Query{Actor: "a\x00"}, nil},
	} {
		tt.q.Tenant, tt.q.Limit = "default", 10
		list, err := s.AuditPage(ctx, tt.q)
		var got []string
		for _, r := range list {
			got = append(got, r.Type)
			if (r.Fact != nil) != (r.Type == "fact_write") {
				t.Errorf("%s: %s is about %+v", tt.name, r.Type, r.Fact)
			}
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	first, err := s.AuditPage(ctx, audit.Query{Tenant: "default", Limit: 1})
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	rest, err := s.AuditPage(ctx, audit.Query{Tenant: "default", Limit: 5, Past: first[0].Seq})
	if err != nil || len(rest) != 1 || *rest[0].Fact != (audit.FactRef{Entity: "user:x", Relation: "memory:role", ValueType: "string", Value: "v1", Scope: "local"}) {
		t.Errorf("the next page: %+v, %v", rest, err)
	}
}

func keyKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	what, until := "descr", "2027-01-01T00:00:00+00:00"
	full := apikey.Key{
		ID: "k1", Entity: "agent:a", Tenant: "acme", Permissions: []principal.Permission{"write", "read"}, Description: &what,
		CreatedAt: "2026-01-02T00:00:00+00:00", ExpiresAt: &until, OIDCSubject: "sub", Lookup: []byte{1, 2, 0}, Hash: "h1",
	}
	bare := apikey.Key{ID: "k2", Entity: "agent:a", Tenant: "default", Permissions: []principal.Permission{"read"}, CreatedAt: "2026-01-01T00:00:00+00:00", Hash: "h2"}
	insert := func(k apikey.Key) error {
		return s.UpdateAPIKeys(ctx, func(tx apikey.Tx) error { return tx.InsertAPIKey(ctx, k) })
	}
	for _, k := range []apikey.Key{full, bare} {
		if err := insert(k); err != nil {
			t.Fatal(err)
		}
	}
	for _, dup := range []apikey.Key{{ID: "k3", Lookup: full.Lookup, Hash: "h3"}, {ID: "k3", Hash: "h2"}, {ID: "k1", Hash: "h3"}} {
		if err := insert(dup); !errs.Is(err, errs.Conflict) {
			t.Errorf("insert of %+v: %v, want a conflict", dup, err)
		}
	}
	for name, find := range map[string]func() (apikey.Key, error){
		"by id":      func() (apikey.Key, error) { return s.APIKey(ctx, "k1") },
		"by look-up": func() (apikey.Key, error) { return s.APIKeyByLookup(ctx, full.Lookup) },
		"by hash":    func() (apikey.Key, error) { return s.APIKeyByHash(ctx, "h1") },
	} {
		if got, err := find(); err != nil || !reflect.DeepEqual(got, full) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if got, err := s.APIKeysOf(ctx, "agent:a"); err != nil || !reflect.DeepEqual(got, []apikey.Key{full, bare}) {
		t.Errorf("APIKeysOf: %+v, %v", got, err)
	}
	if got, err := s.APIKeysExpiring(ctx, "2026", "2028"); err != nil || !reflect.DeepEqual(got, []apikey.Key{full}) {
		t.Errorf("APIKeysExpiring: %+v, %v", got, err)
	}
	err := s.UpdateAPIKeys(ctx, func(tx apikey.Tx) error {
		if ok, err := tx.RehashAPIKey(ctx, "k2", "other", []byte{9}, "h9"); ok || err != nil {
			t.Errorf("rehash of another hash: %v, %v", ok, err)
		}
		if ok, err := tx.RehashAPIKey(ctx, "k2", "h2", []byte{9}, "h9"); !ok || err != nil {
			t.Errorf("rehash: %v, %v", ok, err)
		}
		ok, err := tx.DeleteAPIKey(ctx, "k1")
		if !ok {
			t.Error("nothing was deleted")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.APIKeyByLookup(ctx, []byte{9}); err != nil || got.ID != "k2" || got.Hash != "h9" {
		t.Errorf("after the rehash: %+v, %v", got, err)
	}
	if got, err := s.APIKeys(ctx); err != nil || len(got) != 1 {
		t.Errorf("APIKeys: %+v, %v", got, err)
	}
}

func keySecret(t *testing.T, s *store.Store) {
	secrets := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = s.APIKeySecret(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, one := range secrets {
		if len(one) != 32 || string(one) != string(secrets[0]) {
			t.Fatalf("secrets %x", secrets)
		}
	}
}
