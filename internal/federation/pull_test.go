package federation_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

// joined is a node with one active peer for company and public.
func joined(t *testing.T, o fedtest.Options) (*fedtest.Node, *fedtest.Peer) {
	t.Helper()
	n := fedtest.Start(t, o)
	return n, fedtest.Join(t, n, id.Company, id.Public)
}

func mustPull(t *testing.T, n *fedtest.Node, p *fedtest.Peer) {
	t.Helper()
	if err := n.Pull(t, p.ID); err != nil {
		t.Fatalf("pull: %v", err)
	}
}

func factID(f map[string]any) string { return f["id"].(string) }

// taken checks which of the offered facts the node has.
func taken(t *testing.T, n *fedtest.Node, want bool, facts ...map[string]any) {
	t.Helper()
	for _, f := range facts {
		if _, ok := n.Get(t, factID(f)); ok != want {
			t.Errorf("fact %v (%v): stored %v, want %v", f["entity"], f["value"], ok, want)
		}
	}
}

// refusedOnce checks that a fact is absent and that exactly one entry of the
// federation log is about it.
func refusedOnce(t *testing.T, n *fedtest.Node, p *fedtest.Peer, f map[string]any, kind, reason string) map[string]any {
	t.Helper()
	taken(t, n, false, f)
	var mine []map[string]any
	for _, k := range []string{"rejected_fact", "scope_violation"} {
		for _, d := range n.AuditDetails(t, p.RowID, k) {
			if d["fact_id"] == f["id"] {
				d["type"] = k
				mine = append(mine, d)
			}
		}
	}
	if len(mine) != 1 {
		t.Fatalf("%d entries about fact %v: %v; want 1", len(mine), f["entity"], mine)
	}
	if mine[0]["type"] != kind || reason != "" && mine[0]["reason"] != reason {
		t.Errorf("fact %v: audited as %v, want %s for %q", f["entity"], mine[0], kind, reason)
	}
	return mine[0]
}

// pullCases holds the cases in which this node reads from a peer.
func pullCases(t *testing.T) {
	t.Helper()
	t.Run("A16_tokens for outgoing pulls count milliseconds", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		before := n.Clock.Now().UnixMilli()
		mustPull(t, n, p)
		after := n.Clock.Now().UnixMilli()
		c := claimsOf(t, p.Pulls()[0].Token)
		iat, exp := int64(c["iat"].(float64)), int64(c["exp"].(float64))
		if iat < before || iat > after || exp-iat != 3_600_000 {
			t.Errorf("iat %d, exp %d; want milliseconds of now and one hour", iat, exp)
		}
		if c["iss"] != n.ID || c["sub"] != p.ID || fmt.Sprint(c["scopes"]) != "[company public]" {
			t.Errorf("claims %v", c)
		}
	})

	t.Run("C2f_over-scope and forged facts are refused and audited", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		q := fedtest.Join(t, n, id.Public)
		local := p.Fact(n, "user:local", "x", id.Local)
		team := p.Fact(n, "user:team", "x", id.Team)
		odd := p.Fact(n, "user:odd", "x", id.Public)
		odd["scope"] = "galaxy"
		forge := func(entity, source string) map[string]any {
			f := p.Fact(n, entity, "x", id.Public)
			f["source"] = source
			return fedtest.Recompute(f)
		}
		host := strings.TrimPrefix(n.URL, "http://")
		forged := []map[string]any{
			forge("user:our-node", n.ID), forge("user:our-node-shouted", strings.ToUpper(n.ID)),
			forge("user:our-agent", "stigmem://"+host+"/agent/bob"),
			forge("user:our-agent-spelt-otherwise", "stigmem://"+strings.ToUpper(host)+" /agent/bob"),
			forge("user:other-peer", q.ID), forge("user:other-peers-agent", "stigmem://"+strings.TrimPrefix(q.URL, "http://")+"/agent/eve"),
		}
		fine := []map[string]any{
			p.Fact(n, "user:own", "x", id.Company), forge("user:own-agent", "agent:planner"),
			forge("user:own-formal", "stigmem://"+strings.TrimPrefix(p.URL, "http://")+"/agent/z"),
			forge("user:stranger", "stigmem://elsewhere.example/agent/z"),
		}
		p.Offer(local, team, odd)
		p.Offer(forged...)
		p.Offer(fine...)
		mustPull(t, n, p)
		for _, f := range []map[string]any{local, team, odd} {
			if d := refusedOnce(t, n, p, f, "scope_violation", ""); d["scope"] != f["scope"] {
				t.Errorf("audited scope %v, want %v", d["scope"], f["scope"])
			}
		}
		for _, f := range forged {
			if d := refusedOnce(t, n, p, f, "rejected_fact", "source_not_owned"); d["source"] != f["source"] || d["peer_node_id"] != p.ID {
				t.Errorf("audited %v", d)
			}
		}
		taken(t, n, true, fine...)
	})

	t.Run("C2f_a scope that was not agreed is refused", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{})
		p := fedtest.Join(t, n, id.Public)
		f := p.Fact(n, "user:x", "x", id.Company)
		p.Offer(f)
		mustPull(t, n, p)
		refusedOnce(t, n, p, f, "scope_violation", "")
	})

	t.Run("C2f_team crosses only when it is allowed", func(t *testing.T) {
		t.Parallel()
		for _, allow := range []bool{false, true} {
			n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.AllowTeam = allow }})
			p := fedtest.Join(t, n, id.Team, id.Local)
			team, local := p.Fact(n, "user:t", "x", id.Team), p.Fact(n, "user:l", "x", id.Local)
			p.Offer(team, local)
			mustPull(t, n, p)
			taken(t, n, allow, team)
			taken(t, n, false, local)
		}
	})

	t.Run("C2f_facts of the protocol itself cannot be forged", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		good := p.Fact(n, "user:x", "x", id.Public)
		provenance := p.Fact(n, factID(good), "someone else", id.Public)
		provenance["relation"] = "stigmem:received_from"
		conflict := p.Fact(n, "stigmem:conflict:"+id.NewUUID().String(), "resolved", id.Public)
		system := p.Fact(n, "user:s", "x", id.Public)
		system["source"] = "system:stigmem"
		uri := p.Fact(n, "user:u", "x", id.Public)
		uri["relation"] = "stigmem://acme.example/rel/knows"
		p.Offer(good, fedtest.Recompute(provenance), conflict, fedtest.Recompute(system), fedtest.Recompute(uri))
		mustPull(t, n, p)
		for _, f := range []map[string]any{provenance, conflict, system} {
			refusedOnce(t, n, p, f, "rejected_fact", "reserved_name")
		}
		taken(t, n, true, good, uri)
	})

	t.Run("C3_a peer that dies and returns loses and repeats nothing", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.PageLimit = 4 }})
		var all []map[string]any
		for i := range 10 {
			all = append(all, p.Fact(n, fmt.Sprint("user:", i), "x", id.Public))
		}
		p.Offer(all...)
		pages := 0
		p.Answer(func(w http.ResponseWriter, r *http.Request) {
			if pages++; pages == 1 {
				p.Page(w, r)
				return
			}
			panic(http.ErrAbortHandler) // dies after the request was read
		})
		if err := n.Pull(t, p.ID); err == nil {
			t.Fatal("the pull from a dead peer succeeded")
		}
		cursor := n.Cursor(t, p.ID)
		taken(t, n, true, all[:4]...)
		taken(t, n, false, all[4:]...)
		if f := n.Assert(t, "user:meanwhile", "works", id.Public); f.ID == "" {
			t.Error("the node does not work while the peer is down")
		}
		if err := n.Pull(t, p.ID); err == nil || n.Cursor(t, p.ID) != cursor {
			t.Errorf("while the peer is down: %v, cursor %q, want %q", err, n.Cursor(t, p.ID), cursor)
		}
		p.Answer(nil)
		mustPull(t, n, p)
		pulls := p.Pulls()
		if got := pulls[3].Cursor; got != cursor {
			t.Errorf("after the return the cursor %q was sent, want the saved %q", got, cursor)
		}
		taken(t, n, true, all...)
		for _, f := range all {
			if meta := received(t, n, factID(f)); len(meta) != 1 {
				t.Errorf("%d facts say who sent %v, want 1", len(meta), f["entity"])
			}
		}
		tokens := map[string]bool{}
		for _, q := range pulls {
			tokens[q.Token] = true
		}
		if len(tokens) != len(pulls) {
			t.Errorf("%d tokens for %d requests", len(tokens), len(pulls))
		}
	})

	t.Run("C3c_all pages are drained at once", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.PageLimit = 10 }})
		var all []map[string]any
		for i := range 35 {
			all = append(all, p.Fact(n, fmt.Sprint("user:", i), "x", id.Public))
		}
		p.Offer(all...)
		mustPull(t, n, p)
		taken(t, n, true, all...)
		if got := len(p.Pulls()); got != 4 {
			t.Errorf("%d requests, want 4", got)
		}
	})

	t.Run("C3d_a bad fact costs only itself", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.PageLimit = 8 }})
		type bad struct {
			reason string
			edit   func(f map[string]any)
		}
		set := func(k string, v any) func(map[string]any) { return func(f map[string]any) { f[k] = v } }
		value := func(v any) func(map[string]any) { return func(f map[string]any) { f["value"] = v } }
		cases := []bad{
			{"cid_mismatch", set("cid", "sha256:"+strings.Repeat("0", 64))},
			{"cid_mismatch", set("cid", "nonsense")},
			{"cid_mismatch", set("confidence", 0.5)},
			{"hlc_skew", set("hlc", fmt.Sprintf("%d.0", n.Clock.Now().Add(900*time.Second).UnixMilli()))},
			{"hlc_skew", set("hlc", fmt.Sprintf("%d.0", n.Clock.Now().Add(-31*24*time.Hour).UnixMilli()))},
			{"hlc_skew", set("hlc", fmt.Sprintf("%d.0", n.Clock.Now().Unix()))},
			{"malformed", set("hlc", "soon")},
			{"malformed", set("hlc", 5)},
			{"quarantine_garden_required", func(f map[string]any) {
				f["value"] = map[string]any{"type": "string", "v": "obey", "interpret_as": "instruction"}
				fedtest.Recompute(f)
			}},
			{"quarantine_garden_required", func(f map[string]any) { f["entity"] = "instruction:x"; fedtest.Recompute(f) }},
			{"quarantine_garden_required", func(f map[string]any) { f["relation"] = "instruction:x"; fedtest.Recompute(f) }},
			{"malformed", set("confidence", 1.5)},
			{"malformed", set("confidence", "high")},
			{"malformed", set("entity", "")},
			{"malformed", set("entity", nil)},
			{"malformed", set("entity", "a\x00b")},
			{"malformed", set("entity", strings.Repeat("e", 5000))},
			{"malformed", set("timestamp", nil)},
			{"malformed", set("valid_until", 7)},
			{"malformed", value(nil)},
			{"malformed", value("x")},
			{"malformed", value(map[string]any{"type": "blob", "v": "x"})},
			{"malformed", value(map[string]any{"type": "number", "v": "many"})},
			{"malformed", value(map[string]any{"type": "string", "v": "x", "interpret_as": "order"})},
		}
		var good []map[string]any
		var refused []map[string]any
		for i, c := range cases {
			g := p.Fact(n, fmt.Sprint("user:good", i), "x", id.Public)
			b := p.Fact(n, fmt.Sprint("user:bad", i), "x", id.Public)
			c.edit(b)
			good, refused = append(good, g), append(refused, b)
			p.Offer(b, g)
		}
		mustPull(t, n, p)
		taken(t, n, true, good...)
		for i, f := range refused {
			refusedOnce(t, n, p, f, "rejected_fact", cases[i].reason)
		}
		mustPull(t, n, p)
		for i, f := range refused {
			refusedOnce(t, n, p, f, "rejected_fact", cases[i].reason)
		}
	})

	t.Run("C3d_entries that are no facts at all cost only themselves", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		g := p.Fact(n, "user:good", "x", id.Public)
		half := p.Fact(n, "user:half", "x", id.Public) // whole but for half a surrogate pair
		half["relation"] = "memory:HALF"
		delete(half, "cid")
		named := p.Fact(n, "user:named", "x", id.Public) // whole but for an id that looks like a content id
		named["id"] = "sha256:" + strings.Repeat("0", 64)
		var texts []string
		for _, f := range []map[string]any{g, half, named} {
			b, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, strings.ReplaceAll(string(b), "HALF", `\ud800`))
		}
		raw, surrogate, hash := texts[0], texts[1], texts[2]
		p.Answer(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"facts":["x",null,7,[],{},{"id":"\ud800"},%s,%s,%s],"cursor":"1","has_more":false}`, surrogate, hash, raw)
		})
		mustPull(t, n, p)
		taken(t, n, true, g)
		taken(t, n, false, half, named)
		if got := len(n.AuditDetails(t, p.RowID, "rejected_fact")); got != 8 {
			t.Errorf("%d entries about what is no fact, want 8", got)
		}
	})

	t.Run("G1_an integer that was hashed as one is taken", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		f := p.Fact(n, "user:n", "x", id.Public)
		f["value"] = map[string]any{"type": "number", "v": json.Number("42.0"), "interpret_as": "content"}
		// What the reference computes of {"type":"number","v":42}.
		f["cid"] = cidOver(f, "42")
		p.Offer(f)
		mustPull(t, n, p)
		got, ok := n.Get(t, factID(f))
		if !ok || got.Value.V != "42.0" || string(got.CID) != cidOver(f, "42.0") {
			t.Errorf("stored %v: value %q, cid %s; want 42.0 under the id of what is served", ok, got.Value.V, got.CID)
		}
	})

	t.Run("G2_only the middle one of three is skipped", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		a, b, c := p.Fact(n, "user:a", "x", id.Public), p.Fact(n, "user:b", "x", id.Public), p.Fact(n, "user:c", "x", id.Public)
		b["cid"] = a["cid"]
		p.Offer(a, b, c)
		mustPull(t, n, p)
		taken(t, n, true, a, c)
		refusedOnce(t, n, p, b, "rejected_fact", "cid_mismatch")
		if d := n.FactAudit(t, "federation_integrity_rejected"); len(d) != 1 || d[0]["fact_id"] != b["id"] || d[0]["sender_node_id"] != p.ID ||
			d[0]["stored_cid"] != a["cid"] {
			t.Errorf("fact audit: %v", d)
		}
	})
}

// TestPullSurvivesHostilePeers: whatever a peer answers, nothing breaks and the
// cursor stays or goes forward.
func TestPullSurvivesHostilePeers(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 1<<16)
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		fails  bool
	}{
		{"an endless body", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"facts":["`)
			for {
				if _, err := io.WriteString(w, huge); err != nil {
					return
				}
			}
		}, true},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, true},
		{"nesting", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("[", 1<<20)) }, true},
		{"an unknown version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"v":3,"facts":[]}`) }, true},
		{"more facts than asked for", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"facts":[0`+strings.Repeat(",0", 1000)+`],"cursor":"5"}`)
		}, true},
		{"a cursor that is a novel", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"facts":[],"cursor":"`+huge+`"}`)
		}, true},
		{"a cursor that no engine keeps", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"facts":[],"cursor":"a\u0000b"}`)
		}, true},
		{"more for ever without going on", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"facts":[],"cursor":null,"has_more":true}`)
		}, true},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, true},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, true},
		{"nothing at all", func(http.ResponseWriter, *http.Request) {}, true},
		{"null", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `null`) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, p := joined(t, fedtest.Options{})
			p.Offer(p.Fact(n, "user:a", "x", id.Public))
			mustPull(t, n, p)
			cursor := n.Cursor(t, p.ID)
			p.Answer(tt.answer)
			if err := n.Pull(t, p.ID); (err != nil) != tt.fails {
				t.Errorf("pull: %v, want failure %v", err, tt.fails)
			}
			if got := n.Cursor(t, p.ID); got != cursor {
				t.Errorf("the cursor went from %q to %q", cursor, got)
			}
			b := p.Fact(n, "user:b", "x", id.Public)
			p.Offer(b)
			p.Answer(nil)
			mustPull(t, n, p)
			taken(t, n, true, b)
		})
	}
}

// A cursor that goes back would have the same pages read for ever.
func TestCursorOnlyGoesForward(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	for _, c := range []string{"5", "3", "7"} {
		p.Answer(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"facts":[],"cursor":%q,"has_more":false}`, c)
		})
		mustPull(t, n, p)
	}
	var sent []string
	for _, q := range p.Pulls() {
		sent = append(sent, q.Cursor)
	}
	if !slices.Equal(sent, []string{"", "5", "5"}) || n.Cursor(t, p.ID) != "7" {
		t.Errorf("sent %q, now at %q", sent, n.Cursor(t, p.ID))
	}
}

// A page that is too large is asked for again in halves, and the size grows back.
func TestTooLargePagesAreHalved(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	p.Answer(func(w http.ResponseWriter, r *http.Request) {
		if l := r.URL.Query().Get("limit"); l == "100" || l == "50" {
			w.Header().Set("Content-Length", "99999999")
			_, _ = io.WriteString(w, strings.Repeat(" ", 5<<20))
			return
		}
		p.Page(w, r)
	})
	f := p.Fact(n, "user:a", "x", id.Public)
	p.Offer(f)
	run(t, n)
	eventually(t, "the fact arrives", func() bool { _, ok := n.Get(t, factID(f)); return ok })
	var limits []string
	for _, q := range p.Pulls() {
		limits = append(limits, q.Limit)
	}
	if !slices.Equal(limits[:3], []string{"100", "50", "25"}) {
		t.Errorf("asked for %v, want 100, 50, 25", limits)
	}
}

// A peer of the reference pins its clock ahead after it took a fact from the future,
// and writes counters without leading zeros: the tenth fact of that millisecond lies
// before the cursor as text. None is lost for it.
func TestAPinnedReferenceClockLosesNothing(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.PageLimit = 5 }})
	wall := n.Clock.Now().Add(200 * time.Second).UnixMilli()
	var written []map[string]any
	p.Answer(func(w http.ResponseWriter, r *http.Request) { // as the reference serves: text order, text comparison
		cursor := r.URL.Query().Get("cursor")
		var page []map[string]any
		sorted := slices.SortedFunc(slices.Values(written), func(a, b map[string]any) int { return strings.Compare(a["hlc"].(string), b["hlc"].(string)) })
		for _, f := range sorted {
			if f["hlc"].(string) > cursor {
				page = append(page, f)
			}
		}
		more := len(page) > 5
		if more {
			page = page[:5]
		}
		var next any
		if cursor != "" {
			next = cursor
		}
		if len(page) > 0 {
			next = page[len(page)-1]["hlc"]
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"facts": page, "cursor": next, "has_more": more})
	})
	for i := range 25 {
		f := p.Fact(n, fmt.Sprint("user:", i), "v", id.Public)
		f["hlc"] = fmt.Sprintf("%d.%d", wall, i)
		written = append(written, f)
		mustPull(t, n, p)
	}
	taken(t, n, true, written...)
	if got := n.FactAudit(t, "fact_write"); len(got) > 0 {
		t.Errorf("received facts are audited as written here: %v", got)
	}
}

// A fact beyond what a page may hold is passed over, and those after it arrive.
func TestAGiantFactIsPassedOver(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	told := map[string]int{}
	n, p := joined(t, fedtest.Options{OnRefusedFact: func(node, reason string, facts int) {
		mu.Lock()
		defer mu.Unlock()
		told[node+" "+reason] += facts
	}})
	before, after := p.Fact(n, "user:before", "v", id.Public), p.Fact(n, "user:after", "v", id.Public)
	giant := p.Fact(n, "user:giant", strings.Repeat("v", 6<<20), id.Public)
	p.Offer(before, giant, after)
	mustPull(t, n, p)
	taken(t, n, true, before, after)
	refusedOnce(t, n, p, giant, "rejected_fact", "malformed")
	mu.Lock()
	defer mu.Unlock()
	if told[p.ID+" malformed"] != 1 || len(told) != 1 {
		t.Errorf("the observer was told %v, want one malformed fact", told)
	}
}
