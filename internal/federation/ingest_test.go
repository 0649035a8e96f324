package federation_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

// received returns the facts that say who sent the fact of an id.
func received(t *testing.T, n *fedtest.Node, of string) []fact.Fact {
	t.Helper()
	page, err := n.Facts.Query(t.Context(), fedtest.Admin(), fact.Query{
		Entity: id.Entity(of), Relation: "stigmem:received_from", IncludeContradicted: true, Limit: 50,
	})
	if err != nil {
		t.Fatal(err)
	}
	return page.Facts
}

// ingestCases holds what a fact becomes when it is taken (failure modes D4, D5).
func ingestCases(t *testing.T) {
	t.Helper()
	t.Run("D4_a fact is stored once with who sent it", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		f, c := p.Fact(n, "user:x", "v", id.Public), p.Fact(n, "user:y", "v", id.Company)
		none := p.Fact(n, "user:z", "v", id.Public)
		delete(none, "cid")
		delete(none, "hlc")
		p.Offer(f, f, c, none)
		before := n.Clock.Now().UnixMilli()
		mustPull(t, n, p)
		got, ok := n.Get(t, factID(f))
		if !ok || got.ReceivedFrom != p.ID || got.OriginNodeID != p.ID || got.OriginAllowedScopes == nil ||
			!slices.Equal(got.OriginAllowedScopes.Names(), []string{"company", "public"}) || got.ReFederationBlocked || string(got.CID) != f["cid"] ||
			got.Timestamp != f["timestamp"] || string(got.Source) != p.ID {
			t.Errorf("stored %+v", got)
		}
		if got.HLC <= fmt.Sprintf("%013d", before) || got.HLC == f["hlc"] {
			t.Errorf("clock value %s, want one of ours above %d", got.HLC, before)
		}
		if company, _ := n.Get(t, factID(c)); !company.ReFederationBlocked {
			t.Error("a fact of scope company may be passed on")
		}
		if bare, _ := n.Get(t, factID(none)); bare.CID != "" || bare.HLC == "" {
			t.Errorf("without cid and hlc: cid %q, hlc %q", bare.CID, bare.HLC)
		}
		meta := received(t, n, factID(f))
		if len(meta) != 1 || meta[0].Scope != id.Local || meta[0].Value.Type != "ref" || meta[0].Value.V != p.ID {
			t.Errorf("who sent it: %+v", meta)
		}
		if d := n.AuditDetails(t, p.RowID, "rejected_fact"); len(d) != 0 {
			t.Errorf("entries %v", d)
		}
	})

	t.Run("D4_a clock ahead within bounds is followed, one beyond is not", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		ahead := p.Fact(n, "user:ahead", "v", id.Public)
		wall := n.Clock.Now().Add(200 * time.Second).UnixMilli()
		ahead["hlc"] = fmt.Sprintf("%d.7", wall)
		p.Offer(ahead)
		mustPull(t, n, p)
		if got, _ := n.Get(t, factID(ahead)); got.HLC <= fmt.Sprintf("%d.000007", wall) {
			t.Errorf("clock value %s, want one above %d.7", got.HLC, wall)
		}
		beyond := p.Fact(n, "user:beyond", "v", id.Public)
		beyond["hlc"] = fmt.Sprintf("%d.0", n.Clock.Now().Add(900*time.Second).UnixMilli())
		p.Offer(beyond)
		mustPull(t, n, p)
		refusedOnce(t, n, p, beyond, "rejected_fact", "hlc_skew")
		d := n.FactAudit(t, "peer_hlc_anomaly")
		if len(d) != 1 || d[0]["direction"] != "future" || d[0]["sender_node_id"] != p.ID || d[0]["max_future_skew_ms"] != 300_000.0 {
			t.Errorf("fact audit: %v", d)
		}
		if f := n.Assert(t, "user:mine", "v", id.Public); f.HLC > fmt.Sprintf("%d", wall+60_000) {
			t.Errorf("our clock is at %s: a refused value moved it", f.HLC)
		}
	})

	t.Run("D4_a fact that disagrees with ours makes a conflict and keeps both", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		mine := n.Assert(t, "user:x", "mine", id.Public)
		theirs := p.Fact(n, "user:x", "theirs", id.Public)
		p.Offer(theirs)
		mustPull(t, n, p)
		page, err := n.Facts.Conflicts(t.Context(), fedtest.Admin(), fact.ConflictQuery{Status: fact.Unresolved, Limit: 50})
		if err != nil || len(page.Conflicts) != 1 {
			t.Fatalf("%d conflicts, %v; want 1", len(page.Conflicts), err)
		}
		c := page.Conflicts[0]
		if string(c.A) != factID(theirs) || c.B != mine.ID {
			t.Errorf("conflict of %s and %s", c.A, c.B)
		}
	})

	t.Run("D4_an id that is taken does not change its fact", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		first := p.Fact(n, "user:x", "first", id.Public)
		p.Offer(first)
		mustPull(t, n, p)
		edits := map[string]func(f map[string]any){
			"entity":     func(f map[string]any) { f["entity"] = "user:y" },
			"relation":   func(f map[string]any) { f["relation"] = "memory:other" },
			"value":      func(f map[string]any) { f["value"] = map[string]any{"type": "string", "v": "second"} },
			"type":       func(f map[string]any) { f["value"] = map[string]any{"type": "text", "v": "first"} },
			"source":     func(f map[string]any) { f["source"] = "agent:other" },
			"scope":      func(f map[string]any) { f["scope"] = "company" },
			"confidence": func(f map[string]any) { f["confidence"] = 0.5 },
		}
		for _, edit := range edits {
			f := p.Fact(n, "user:x", "first", id.Public)
			f["id"] = first["id"]
			edit(f)
			p.Offer(fedtest.Recompute(f))
		}
		again := p.Fact(n, "user:x", "first", id.Public)
		again["id"] = first["id"] // with a later clock and timestamp: the same fact
		p.Offer(again)
		mustPull(t, n, p)
		got, ok := n.Get(t, factID(first))
		if !ok || string(got.CID) != first["cid"] || got.Timestamp != first["timestamp"] {
			t.Errorf("the fact is now %+v", got)
		}
		d := n.AuditDetails(t, p.RowID, "rejected_fact")
		for _, x := range d {
			if x["reason"] != "id_taken" || x["fact_id"] != first["id"] {
				t.Errorf("audited %v", x)
			}
		}
		if len(d) != len(edits) {
			t.Errorf("%d refusals, want %d", len(d), len(edits))
		}
	})

	t.Run("D7_the settling of a conflict makes none elsewhere", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		q := fedtest.Join(t, n, id.Company, id.Public)
		for i, peer := range []*fedtest.Peer{p, q} {
			status := peer.Fact(n, "stigmem:conflict:1", fmt.Sprint("resolved", i), id.Public)
			status["relation"] = "stigmem:conflict:status"
			peer.Offer(peer.Fact(n, "stigmem:resolution:1", fmt.Sprint("winner", i), id.Public), fedtest.Recompute(status))
			mustPull(t, n, peer)
		}
		page, err := n.Facts.Conflicts(t.Context(), fedtest.Admin(), fact.ConflictQuery{Limit: 50})
		if err != nil || len(page.Conflicts) != 0 {
			t.Errorf("%d conflicts, %v; want none", len(page.Conflicts), err)
		}
	})

	t.Run("G22_a received fact is found by its content id", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		f := p.Fact(n, "user:x", "v", id.Public)
		p.Offer(f)
		mustPull(t, n, p)
		res := n.Do(t, "GET", "/v1/facts/"+f["cid"].(string), admin, nil)
		res.Want(t, 200, "")
		var got map[string]any
		if res.JSON(t, &got); got["id"] != f["id"] || got["received_from"] != p.ID {
			t.Errorf("found %s", res.Body)
		}
	})

	const t0, t1 = "2030-01-01T00:00:00+00:00", "2031-01-01T00:00:00+00:00"
	for _, tt := range []struct {
		name             string
		stored, incoming any
		refused          bool
	}{
		{"the same", t0, t0, false},
		{"later", t0, t1, true},
		{"no end", t0, nil, true},
		{"earlier", t1, t0, false},
		{"an end where there was none", nil, t0, false},
		{"the same instant in another offset", t0, "2030-01-01T02:00:00+02:00", false},
		{"a later instant in another offset", t0, "2030-01-01T01:00:00-01:00", true},
		{"no instant", t0, "never", true},
	} {
		t.Run("D5_"+tt.name, func(t *testing.T) {
			t.Parallel()
			n, p := joined(t, fedtest.Options{})
			f := p.Fact(n, "user:x", "v", id.Public)
			f["valid_until"] = tt.stored
			p.Offer(f)
			mustPull(t, n, p)
			again := fedtest.Recompute(f)
			copied := map[string]any{}
			for k, v := range again {
				copied[k] = v
			}
			copied["valid_until"] = tt.incoming
			p.Offer(copied)
			mustPull(t, n, p)
			got, _ := n.Get(t, factID(f))
			if tt.stored == nil && got.ValidUntil != nil || tt.stored != nil && (got.ValidUntil == nil || *got.ValidUntil != tt.stored) {
				t.Errorf("valid until %v, want %v", got.ValidUntil, tt.stored)
			}
			d := n.FactAudit(t, "federation_valid_until_extension_rejected")
			if (len(d) == 1) != tt.refused {
				t.Fatalf("fact audit %v, want refused %v", d, tt.refused)
			}
			if tt.refused && (d[0]["stored_valid_until"] != tt.stored || d[0]["incoming_valid_until"] != tt.incoming || d[0]["sender_node_id"] != p.ID) {
				t.Errorf("fact audit %v", d)
			}
		})
	}
}
