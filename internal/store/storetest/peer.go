package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/federation"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
	"symbolon/internal/store"
)

func peerCases() []Case {
	return []Case{
		{Name: "a peer is kept whole, replaced and removed", Fn: peerKept},
		{Name: "a node has one peer", Fn: peerNodeUnique},
		{Name: "texts that no engine keeps name no peer", Fn: peerUnstorable},
		{Name: "positions follow their peer", Fn: peerPositions},
		{Name: "a nonce is used once, by each node", Fn: nonceOnce},
		{Name: "of simultaneous uses of a nonce exactly one wins", Fn: nonceRace},
		{Name: "a nonce outlives restart and peer", On: nonceOutlives},
		{Name: "expired nonces are pruned, others are not", Fn: noncesPruned},
		{Name: "the federation log shows each of its entries once", Fn: federationLog},
		{Name: "a peer and a fact commit together or not at all", Fn: peerAndFact},
	}
}

func somePeer(node string) federation.Peer {
	at := time.UnixMicro(1_700_000_000_123_456).UTC()
	return federation.Peer{
		ID: id.NewUUID(), NodeID: node, NodeURL: "https://" + node + ".example:8765", PubKey: "KEY", PrevPubKey: "OLD",
		PrevUntil: at.Add(time.Hour), AllowedScopes: id.ScopesOf(id.Public, id.Company), Status: federation.Active, Wire: "2.1",
		DeclarationSig: "SIG", SignedAt: "2026-05-02T00:00:00Z", Why: "ä", RegisteredBy: "user:r", ApprovedBy: "user:a",
		CreatedAt: at, VerifiedAt: at.Add(1 * time.Microsecond), ApprovedAt: at.Add(2 * time.Microsecond), UpdatedAt: at.Add(3 * time.Microsecond),
	}
}

func putPeer(t *testing.T, s *store.Store, p federation.Peer) error {
	t.Helper()
	return s.UpdatePeers(t.Context(), func(tx federation.Tx) error { return tx.PutPeer(t.Context(), p) })
}

func mustPut(t *testing.T, s *store.Store, p federation.Peer) {
	t.Helper()
	if err := putPeer(t, s, p); err != nil {
		t.Fatal(err)
	}
}

func peerKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p, q := somePeer("node-p"), somePeer("node-q")
	q.PrevUntil, q.VerifiedAt, q.ApprovedAt, q.AllowedScopes = time.Time{}, time.Time{}, time.Time{}, 0
	q.CreatedAt = q.CreatedAt.Add(time.Second)
	mustPut(t, s, q)
	mustPut(t, s, p)
	for _, want := range []federation.Peer{p, q} {
		if got, err := s.Peer(ctx, want.ID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Peer = %+v, %v; want %+v", got, err, want)
		}
		if got, err := s.PeerByNode(ctx, want.NodeID); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("PeerByNode = %+v, %v; want %+v", got, err, want)
		}
	}
	if all, err := s.Peers(ctx); err != nil || len(all) != 2 || all[0].ID != p.ID || all[1].ID != q.ID {
		t.Errorf("Peers = %+v, %v; want the older one first", all, err)
	}
	p.Status, p.PubKey, p.PrevUntil = federation.Revoked, "NEW", time.Time{}
	mustPut(t, s, p)
	if got, err := s.Peer(ctx, p.ID); err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("after replacing: %+v, %v; want %+v", got, err, p)
	}
	remove := func(row id.UUID) error {
		return s.UpdatePeers(ctx, func(tx federation.Tx) error { return tx.DeletePeer(ctx, row) })
	}
	if err := remove(p.ID); err != nil {
		t.Error(err)
	}
	if err := remove(p.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("DeletePeer twice: %v, want NotFound", err)
	}
	if _, err := s.Peer(ctx, p.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("Peer after DeletePeer: %v, want NotFound", err)
	}
	err := s.UpdatePeers(ctx, func(tx federation.Tx) error {
		if n, err := tx.CountPeers(ctx); err != nil || n != 1 {
			t.Errorf("CountPeers = %d, %v; want 1", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func peerNodeUnique(t *testing.T, s *store.Store) {
	mustPut(t, s, somePeer("node"))
	if err := putPeer(t, s, somePeer("node")); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second peer of the node: %v, want Conflict", err)
	}
	other := somePeer("Node")
	if err := putPeer(t, s, other); err != nil {
		t.Errorf("a node whose id differs in case is another one: %v", err)
	}
}

func peerUnstorable(t *testing.T, s *store.Store) {
	for _, node := range []string{"a\x00b", "a\xff"} {
		if _, err := s.PeerByNode(t.Context(), node); !errs.Is(err, errs.NotFound) {
			t.Errorf("PeerByNode(%q): %v, want NotFound", node, err)
		}
		if _, err := s.FederationAudit(t.Context(), federation.AuditQuery{PeerID: node, Limit: 1}); err != nil {
			t.Errorf("FederationAudit of %q: %v, want nothing", node, err)
		}
	}
}

func peerPositions(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := somePeer("node")
	mustPut(t, s, p)
	save := func(cursor string) error {
		return s.UpdatePeers(ctx, func(tx federation.Tx) error {
			return tx.SavePosition(ctx, federation.Position{PeerID: p.ID, Cursor: cursor, SavedAt: p.CreatedAt})
		})
	}
	want := federation.Position{PeerID: p.ID}
	if got, err := s.PeerPosition(ctx, p.ID); err != nil || got != want {
		t.Errorf("PeerPosition of a peer never read = %+v, %v", got, err)
	}
	for _, c := range []string{"1700000000000.000001", "1700000000000.000002"} {
		if err := save(c); err != nil {
			t.Fatal(err)
		}
		want.Cursor, want.SavedAt = c, p.CreatedAt
		if got, err := s.PeerPosition(ctx, p.ID); err != nil || got != want {
			t.Errorf("PeerPosition = %+v, %v; want %+v", got, err, want)
		}
	}
	if err := s.UpdatePeers(ctx, func(tx federation.Tx) error { return tx.DeletePeer(ctx, p.ID) }); err != nil {
		t.Fatal(err)
	}
	if got, err := s.PeerPosition(ctx, p.ID); err != nil || got.Cursor != "" {
		t.Errorf("PeerPosition of a removed peer = %+v, %v", got, err)
	}
	if err := save("x"); err == nil {
		t.Error("a position of a removed peer was saved")
	}
}

const nonceNow epoch.Millis = 1_700_000_000_000

func consume(t *testing.T, s *store.Store, node, nonce string, now, until epoch.Millis) bool {
	t.Helper()
	fresh, err := s.ConsumePeerNonce(t.Context(), node, nonce, now, until)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func nonceOnce(t *testing.T, s *store.Store) {
	const until = nonceNow + 1000
	for _, tt := range []struct {
		node, nonce string
		now         epoch.Millis
		want        bool
	}{
		{"p", "n", nonceNow, true},
		{"p", "n", nonceNow, false},
		{"q", "n", nonceNow, true}, // nonces of another node are its own
		{"p", "N", nonceNow, true},
		{"p", "n", until, false}, // still good at the instant of its end
		{"p", "n", until + 1, true},
		{"p", "n", until + 1, true}, // kept until an instant that has passed
	} {
		if got := consume(t, s, tt.node, tt.nonce, tt.now, until); got != tt.want {
			t.Errorf("nonce %s of %s at %d: fresh %v, want %v", tt.nonce, tt.node, tt.now, got, tt.want)
		}
	}
}

func nonceRace(t *testing.T, s *store.Store) {
	const callers, nonces = 16, 10
	for n := range nonces {
		var wg sync.WaitGroup
		won := make(chan struct{}, callers)
		for range callers {
			wg.Go(func() {
				fresh, err := s.ConsumePeerNonce(t.Context(), "p", fmt.Sprint(n), nonceNow, nonceNow+1)
				if err != nil {
					t.Error(err)
				}
				if fresh {
					won <- struct{}{}
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Errorf("%d of %d simultaneous uses of one nonce won, want 1", len(won), callers)
		}
	}
}

func nonceOutlives(t *testing.T, o store.Options) {
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	p := somePeer("node")
	mustPut(t, s, p)
	consume(t, s, "node", "n", nonceNow, nonceNow+1)
	if err := s.UpdatePeers(t.Context(), func(tx federation.Tx) error { return tx.DeletePeer(t.Context(), p.ID) }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if consume(t, Open(t, o), "node", "n", nonceNow, nonceNow+1) {
		t.Error("a nonce was used again after its peer was removed and the store opened anew")
	}
}

func noncesPruned(t *testing.T, s *store.Store) {
	const many = 100
	for i := range many {
		consume(t, s, "p", fmt.Sprint("old", i), nonceNow, nonceNow+epoch.Millis(i%2)*1_000_000)
	}
	for i := range many {
		consume(t, s, "p", fmt.Sprint("new", i), nonceNow+1000, nonceNow+2_000_000)
	}
	var left int64
	if err := s.Reader().QueryRow(t.Context(), `SELECT COUNT(*) FROM peer_nonces`).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != many/2+many {
		t.Errorf("%d nonces are left, want the %d that have not expired", left, many/2+many)
	}
}

func federationLog(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var want []string
	for i := range 12 {
		e := audit.Event{Type: "rejected_token", At: 7, PeerID: fmt.Sprint("peer", i%3), Detail: json.RawMessage(fmt.Sprintf(`{"i":%d}`, i))}
		record(t, s, e) // all of one instant
		want = append([]string{string(e.Detail)}, want...)
		record(t, s, audit.Event{Type: "fact_write", At: 7})
		record(t, s, audit.Event{Type: "peer_hlc_anomaly", At: 7, PeerID: "peer0"}) // no type of this log
	}
	var got []string
	for q := (federation.AuditQuery{Limit: 5}); ; {
		page, err := s.FederationAudit(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			got = append(got, string(e.Detail))
			if e.Type != "rejected_token" || e.At != 7 || e.ID == "" || !strings.HasPrefix(e.PeerID, "peer") {
				t.Errorf("entry %+v", e)
			}
		}
		if page.Next == 0 {
			break
		}
		q.Before = page.Next
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("paging gave %v, want %v", got, want)
	}
	for _, q := range []federation.AuditQuery{{PeerID: "peer1", Limit: 500}, {PeerID: "peer1", Type: "rejected_token", Limit: 4}} {
		if page, err := s.FederationAudit(ctx, q); err != nil || len(page.Entries) != 4 || page.Next != 0 {
			t.Errorf("FederationAudit(%+v) = %d entries, next %d, %v; want 4 and no more", q, len(page.Entries), page.Next, err)
		}
	}
	if page, err := s.FederationAudit(ctx, federation.AuditQuery{Type: "san_mismatch", Limit: 9}); err != nil || len(page.Entries) != 0 {
		t.Errorf("entries of another type: %+v, %v", page, err)
	}
}

func peerAndFact(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := somePeer("node")
	boom := errors.New("boom")
	err := s.UpdatePeers(ctx, func(tx federation.Tx) error {
		if err := tx.PutPeer(ctx, p); err != nil {
			return err
		}
		if _, err := tx.Observe(hlc.HLC{Wall: epoch.MillisOf(time.Now().Add(time.Hour))}, time.Minute, 0); err == nil {
			t.Error("a clock value an hour ahead was taken")
		}
		tx.Audit(audit.Event{Type: "peer_approved", At: 1, PeerID: p.ID.String()})
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := s.Peer(ctx, p.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("the peer of a failed transaction: %v, want NotFound", err)
	}
	wantSound(t, s, 0)
}
