package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/store"
	"symbolon/internal/store/sqltext"
)

func auditCases() []Case {
	return []Case{
		{Name: "entries are kept whole and in order", Fn: entriesKept},
		{Name: "an update that fails leaves no entry", Fn: failedLeavesNone},
		{Name: "an event that cannot be recorded fails its update", Fn: badEvent},
		{Name: "the chain holds under many writers", Fn: chainUnderLoad},
		{Name: "the log cannot be changed", Fn: appendOnly},
		{Name: "tampering is found and named", Fn: tampering},
	}
}

func record(t *testing.T, s *store.Store, e audit.Event) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx *store.Tx) error { tx.Audit(e); return nil }); err != nil {
		t.Fatal(err)
	}
}

func wantSound(t *testing.T, s *store.Store, entries int64) {
	t.Helper()
	v, err := s.VerifyAudit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.Broken != nil || v.Entries != entries || v.Head.Seq != entries {
		t.Errorf("VerifyAudit = %d entries, head %d, broken %v; want %d sound ones", v.Entries, v.Head.Seq, v.Broken, entries)
	}
}

func entriesKept(t *testing.T, s *store.Store) {
	want := []audit.Event{
		{Type: "one", At: 1_700_000_000_000_001, Actor: "user:ä", Tenant: "t", Subject: "s", Source: "x", AttestedKeyID: "k", OIDCSubject: "o", PeerID: "p", Detail: json.RawMessage(`{"b":1, "a":"é\u0000"}`)},
		{Type: "two", At: 5},
		{Type: "three", At: 6, Detail: json.RawMessage(`{}`)},
	}
	for _, e := range want {
		record(t, s, e)
	}
	got, err := s.AuditEntries(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i, n := range got {
		if n.Seq != int64(i+1) || len(n.ID) != 36 {
			t.Errorf("entry %d has number %d and id %q", i, n.Seq, n.ID)
		}
		if !reflect.DeepEqual(n.Event, want[i]) {
			t.Errorf("entry %d: %+v, want %+v", i, n.Event, want[i])
		}
	}
	if page, err := s.AuditEntries(t.Context(), 1, 1); err != nil || len(page) != 1 || page[0].Type != "two" {
		t.Errorf("one entry after the first: %v, %v", page, err)
	}
	wantSound(t, s, 3)
}

func failedLeavesNone(t *testing.T, s *store.Store) {
	got := together(t, s,
		func(tx *store.Tx) error { tx.Audit(audit.Event{Type: "good"}); return nil },
		func(tx *store.Tx) error { tx.Audit(audit.Event{Type: "bad"}); return errors.New("boom") },
		func(tx *store.Tx) error { tx.Audit(audit.Event{Type: "good"}); return nil },
	)
	if got[0] != nil || got[1] == nil || got[2] != nil {
		t.Errorf("errors %v", got)
	}
	entries, err := s.AuditEntries(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 || entries[0].Type != "good" || entries[1].Type != "good" || entries[0].At == 0 {
		t.Errorf("entries %v, want two good ones with an instant", entries)
	}
	wantSound(t, s, 2)
}

func badEvent(t *testing.T, s *store.Store) {
	for _, e := range []audit.Event{
		{},
		{Type: "x", Actor: "\x00"},
		{Type: "x", Subject: "\xff"},
		{Type: "x", Detail: json.RawMessage(`[]`)},
		{Type: "x", Detail: json.RawMessage(`{`)},
		{Type: "x", Detail: json.RawMessage(`{"a":"` + string(make([]byte, audit.MaxDetail)) + `"}`)},
	} {
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			tx.Audit(e)
			return store.PutSetting(t.Context(), tx, "a", "1")
		})
		if !errs.Is(err, errs.Internal) {
			t.Errorf("recording %.60v: %v, want internal", e, err)
		}
	}
	wantSetting(t, s, "a", "")
	wantSound(t, s, 0)
}

func chainUnderLoad(t *testing.T, s *store.Store) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	failed := errors.New("boom")
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					tx.Audit(audit.Event{Type: "load", Subject: fmt.Sprint(i, "/", n)})
					tx.Audit(audit.Event{Type: "load", Subject: fmt.Sprint(i, "/", n)})
					if n%5 == 4 {
						return failed
					}
					return nil
				})
				if err != nil && !errors.Is(err, failed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantSound(t, s, writers*each*2*4/5)
	entries, err := s.AuditEntries(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(entries, 2) {
		if len(pair) != 2 || pair[0].Subject != pair[1].Subject {
			t.Fatalf("the entries of one update are apart: %v", pair)
		}
	}
}

func appendOnly(t *testing.T, s *store.Store) {
	record(t, s, audit.Event{Type: "x"})
	for _, q := range []string{"UPDATE audit_log SET actor = 'mallory'", "DELETE FROM audit_log"} {
		err := s.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), q); return err })
		if !store.IsRefused(err) {
			t.Errorf("%s: %v, want it refused", q, err)
		}
	}
	wantSound(t, s, 1)
}

// tampering plays somebody with access to the database file.
func tampering(t *testing.T, s *store.Store) {
	for i := range 6 {
		record(t, s, audit.Event{Type: "x", At: epoch.Micros(i + 1), Actor: "a"})
	}
	if s.Dialect() == sqltext.PostgreSQL {
		ddl(t, s, "DROP TRIGGER audit_log_append_only ON audit_log")
	} else {
		ddl(t, s, "DROP TRIGGER audit_log_no_update", "DROP TRIGGER audit_log_no_delete")
	}
	entries, err := s.AuditEntries(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	// resum writes a sound entry after prev.
	resum := func(tx *store.Tx, prev audit.Head, e audit.Event) error {
		n, _ := audit.Append(prev, e)
		_, err := tx.Exec(t.Context(), "UPDATE audit_log SET id = $1, prev = $2, hash = $3, actor = $4 WHERE seq = $5", n.ID, n.Prev, n.Hash, n.Actor, n.Seq)
		return err
	}
	exec := func(q string) func(tx *store.Tx) error {
		return func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), q); return err }
	}
	head := func(i int) audit.Head { return audit.Head{Seq: entries[i].Seq, Hash: entries[i].Hash} }
	boom := errors.New("undo")
	for _, tt := range []struct {
		name  string
		do    func(tx *store.Tx) error
		seq   int64
		fault audit.Fault
	}{
		{"an entry's content", exec("UPDATE audit_log SET actor = 'b' WHERE seq = 3"), 3, audit.Altered},
		{"an entry's instant", exec("UPDATE audit_log SET at = at + 1 WHERE seq = 1"), 1, audit.Altered},
		{"an empty detail for none", exec("UPDATE audit_log SET detail = '' WHERE seq = 2"), 2, audit.Altered},
		{"an entry's id", exec("UPDATE audit_log SET id = 'x' WHERE seq = 4"), 4, audit.Altered},
		{"text moved between fields", exec("UPDATE audit_log SET actor = '', tenant = 'a' WHERE seq = 4"), 4, audit.Altered},
		{"an entry gone", exec("DELETE FROM audit_log WHERE seq = 3"), 3, audit.Missing},
		{"the first entries gone", exec("DELETE FROM audit_log WHERE seq < 3"), 1, audit.Missing},
		{"the last entry gone", exec("DELETE FROM audit_log WHERE seq = 6"), 6, audit.Truncated},
		{"all gone", exec("DELETE FROM audit_log"), 1, audit.Truncated},
		{"an entry gone and the rest renumbered", func(tx *store.Tx) error {
			for _, q := range []string{"DELETE FROM audit_log WHERE seq = 3", "UPDATE audit_log SET seq = 3 WHERE seq = 4", "UPDATE audit_log SET seq = 4 WHERE seq = 5", "UPDATE audit_log SET seq = 5 WHERE seq = 6"} {
				if err := exec(q)(tx); err != nil {
					return err
				}
			}
			return nil
		}, 3, audit.Altered},
		{"an entry replaced by a sound one", func(tx *store.Tx) error {
			e := entries[3].Event
			e.Actor = "b"
			return resum(tx, head(2), e)
		}, 5, audit.Inserted},
		{"the last entry replaced by a sound one", func(tx *store.Tx) error {
			e := entries[5].Event
			e.Actor = "b"
			return resum(tx, head(4), e)
		}, 6, audit.Inserted},
		{"an entry more", func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), "INSERT INTO audit_log (seq, id, prev, hash, type, at, actor, tenant, subject, source, attested_key_id, oidc_subject, peer_id) SELECT 7, id, prev, hash, type, at, actor, tenant, subject, source, attested_key_id, oidc_subject, peer_id FROM audit_log WHERE seq = 6")
			return err
		}, 7, audit.Altered},
		{"a sound entry more", func(tx *store.Tx) error {
			n, _ := audit.Append(head(5), entries[5].Event)
			if _, err := tx.Exec(t.Context(), "INSERT INTO audit_log (seq, id, prev, hash, type, at, actor, tenant, subject, source, attested_key_id, oidc_subject, peer_id) VALUES ($1,$2,$3,$4,$5,$6,$7,'','','','','','')", n.Seq, n.ID, n.Prev, n.Hash, n.Type, n.At, n.Actor); err != nil {
				return err
			}
			return nil
		}, 7, audit.Inserted},
		{"the head set back with its entries", func(tx *store.Tx) error {
			if err := exec("DELETE FROM audit_log WHERE seq > 4")(tx); err != nil {
				return err
			}
			return exec("UPDATE node_state SET audit_seq = 4")(tx)
		}, 4, audit.Inserted},
	} {
		// The damage is done and looked at in one transaction, then undone.
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			if err := tt.do(tx); err != nil {
				return err
			}
			v, err := store.VerifyAuditIn(t.Context(), tx, nil)
			if err != nil {
				return err
			}
			if v.Broken == nil || v.Broken.Seq != tt.seq || v.Broken.Fault != tt.fault {
				t.Errorf("%s: %v, want %s at %d", tt.name, v.Broken, tt.fault, tt.seq)
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	wantSound(t, s, 6)
}
