package federation_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

type servedPage struct {
	V       *int             `json:"v"`
	Facts   []map[string]any `json:"facts"`
	Cursor  *string          `json:"cursor"`
	HasMore bool             `json:"has_more"`
}

// ask has a peer pull one page.
func ask(t *testing.T, n *fedtest.Node, p *fedtest.Peer, query string) servedPage {
	t.Helper()
	res := n.Do(t, "GET", pullPath+query, "Bearer "+p.Token(n), nil)
	res.Want(t, 200, "")
	var page servedPage
	res.JSON(t, &page)
	return page
}

func entities(p servedPage) (list []string) {
	for _, f := range p.Facts {
		list = append(list, f["entity"].(string))
	}
	return list
}

// serveCases holds C2e and D3: what a peer gets.
func serveCases(t *testing.T) {
	t.Helper()
	t.Run("C2e_a scope that was not agreed is refused and audited", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		for _, scope := range []string{"team", "local", "galaxy"} {
			n.Do(t, "GET", pullPath+"?scope="+scope, "Bearer "+p.Token(n), nil).Want(t, 403, "scope not permitted for this peer")
		}
		d := n.AuditDetails(t, p.RowID, "scope_violation")
		if len(d) != 3 || d[0]["requested_scope"] != "team" || fmt.Sprint(d[0]["permitted"]) != "[company public]" {
			t.Errorf("audited %v", d)
		}
		n.Do(t, "GET", pullPath+"?scope=", "Bearer "+p.Token(n), nil).Want(t, 200, "")
	})

	t.Run("C2e_a token cannot ask for more than was agreed", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{})
		p := fedtest.Join(t, n, id.Public)
		n.Assert(t, "user:public", "v", id.Public)
		n.Assert(t, "user:company", "v", id.Company)
		if got := entities(ask(t, n, p, "")); !slices.Equal(got, []string{"user:public"}) {
			t.Errorf("sent %v, agreed on public", got)
		}
		n.Do(t, "GET", pullPath+"?scope=company", "Bearer "+p.Token(n), nil).Want(t, 403, "scope not permitted for this peer")
		f := p.Fact(n, "user:x", "v", id.Company)
		if out := push(t, n, p, f); out.Rejected != 1 || out.Errors[0].Error != "scope_not_permitted" {
			t.Errorf("pushed %+v", out)
		}
		taken(t, n, false, f)
	})

	t.Run("D3_only what may leave is sent", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		assert := func(entity, relation string, scope id.Scope, edit func(*fact.Assertion)) {
			t.Helper()
			a := fact.Assertion{
				Entity: entity, Relation: relation, Source: "agent:x", Type: "string", RawValue: []byte(`"v"`), InterpretAs: fact.Content,
				Confidence: 1, Scope: scope, WriteMode: fact.WriteAssert,
			}
			if edit != nil {
				edit(&a)
			}
			if _, err := n.Facts.Assert(t.Context(), fedtest.Admin(), a); err != nil {
				t.Fatal(err)
			}
		}
		past := "2020-01-01T00:00:00+00:00"
		assert("user:public", "memory:note", id.Public, nil)
		assert("user:company", "memory:note", id.Company, nil)
		assert("user:team", "memory:note", id.Team, nil)
		assert("user:local", "memory:note", id.Local, nil)
		assert("user:expired", "memory:note", id.Public, func(a *fact.Assertion) { a.ValidUntil = &past })
		assert("user:retracted", "memory:note", id.Public, func(a *fact.Assertion) { a.Confidence = 0 })
		assert("user:derived", "memory:note", id.Public, func(a *fact.Assertion) {
			a.WriteMode, a.DerivedFrom = fact.WriteSummarize, json.RawMessage(`[{"hash":"sha256:0"}]`)
		})
		assert("user:system", "stigmem:note", id.Public, nil)
		assert("stigmem:conflict:x", "memory:note", id.Public, nil)
		elsewhere := fedtest.Admin()
		elsewhere.Tenant = "other"
		if _, err := n.Facts.Assert(t.Context(), elsewhere, fact.Assertion{
			Entity: "user:tenant", Relation: "memory:note", Source: "agent:x", Type: "string", RawValue: []byte(`"v"`), InterpretAs: fact.Content,
			Confidence: 1, Scope: id.Public, WriteMode: fact.WriteAssert,
		}); err != nil {
			t.Fatal(err)
		}
		q := fedtest.Join(t, n, id.Public, id.Company)
		q.Offer(q.Fact(n, "user:received", "v", id.Public), q.Fact(n, "user:received-company", "v", id.Company))
		mustPull(t, n, q)

		page := ask(t, n, p, "")
		want := []string{"user:public", "user:company", "user:expired", "user:retracted"}
		if got := entities(page); !slices.Equal(got, want) || page.HasMore || page.V != nil {
			t.Errorf("sent %v, want %v", got, want)
		}
		if got := entities(ask(t, n, p, "?scope=company")); !slices.Equal(got, []string{"user:company"}) {
			t.Errorf("of scope company %v was sent", got)
		}
		f := page.Facts[0]
		for _, name := range []string{
			"id", "entity", "relation", "value", "source", "timestamp", "hlc", "received_from", "valid_until", "confidence", "scope",
			"cid", "garden_id", "derived_from", "effective_confidence", "contradicted",
		} {
			if _, ok := f[name]; !ok {
				t.Errorf("a fact is sent without %s", name)
			}
		}
		if f["cid"] != cidOver(f, "v") {
			t.Errorf("the content id is %v, what is sent has %s", f["cid"], cidOver(f, "v"))
		}
	})

	t.Run("D3_pages follow one another by the clock", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		if page := ask(t, n, p, ""); page.Cursor != nil || page.Facts == nil || page.HasMore {
			t.Errorf("of an empty node: %+v", page)
		}
		for i := range 10 {
			n.Assert(t, fmt.Sprint("user:", i), "v", id.Public)
		}
		one := ask(t, n, p, "?limit=5")
		if len(one.Facts) != 5 || !one.HasMore || one.Cursor == nil || *one.Cursor != one.Facts[4]["hlc"] {
			t.Fatalf("the first page: %d facts, more %v, cursor %v", len(one.Facts), one.HasMore, one.Cursor)
		}
		two := ask(t, n, p, "?limit=5&cursor="+url.QueryEscape(*one.Cursor))
		if len(two.Facts) != 5 || two.HasMore {
			t.Errorf("the second page: %d facts, more %v", len(two.Facts), two.HasMore)
		}
		all := append(one.Facts, two.Facts...)
		for i := range all {
			if all[i]["entity"] != fmt.Sprint("user:", i) || i > 0 && all[i]["hlc"].(string) <= all[i-1]["hlc"].(string) {
				t.Errorf("fact %d is %v at %v", i, all[i]["entity"], all[i]["hlc"])
			}
		}
		end := ask(t, n, p, "?cursor="+url.QueryEscape(*two.Cursor))
		if len(end.Facts) != 0 || end.Cursor == nil || *end.Cursor != *two.Cursor {
			t.Errorf("after the end: %d facts, cursor %v; want the cursor that was given", len(end.Facts), end.Cursor)
		}
	})

	t.Run("D3_a clock pinned ahead loses nothing", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		q := fedtest.Join(t, n, id.Public)
		ahead := q.Fact(n, "user:ahead", "v", id.Public)
		ahead["hlc"] = fmt.Sprintf("%d.0", n.Clock.Now().Add(200*time.Second).UnixMilli())
		q.Offer(ahead)
		mustPull(t, n, q)
		cursor, got := "", []string{}
		for i := range 25 {
			n.Assert(t, fmt.Sprint("user:", i), "v", id.Public)
			page := ask(t, n, p, "?cursor="+cursor)
			got = append(got, entities(page)...)
			cursor = *page.Cursor
		}
		if len(got) != 25 {
			t.Errorf("%d of 25 facts arrived: %v", len(got), got)
		}
	})

	t.Run("D3_facts of one key on one page are marked", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		n.Assert(t, "user:twice", "a", id.Public)
		n.Assert(t, "user:twice", "b", id.Public)
		n.Assert(t, "user:once", "a", id.Public)
		for _, f := range ask(t, n, p, "").Facts {
			if f["contradicted"] != (f["entity"] == "user:twice") {
				t.Errorf("%v is marked %v", f["entity"], f["contradicted"])
			}
		}
	})
}

// A peer of the newer wire gets envelopes that it can verify, and is known to be one
// by what it serves.
func TestNewerPeersGetEnvelopes(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	n.Assert(t, "user:x", "ä", id.Public)
	if page := ask(t, n, p, ""); page.V != nil {
		t.Errorf("a peer that says 0.5 is sent version %v", page.V)
	}
	raw, err := json.Marshal(p.Seal(p.Fact(n, "user:sealed", "v", id.Public)))
	if err != nil {
		t.Fatal(err)
	}
	p.AnswerText(`{"v":2,"facts":[` + string(raw) + `],"cursor":"1","has_more":false}`)
	mustPull(t, n, p)
	if row, err := n.Store.PeerByNode(t.Context(), p.ID); err != nil || !row.Wire.Envelopes() {
		t.Fatalf("the peer is of wire %q, %v", row.Wire, err)
	}
	page := ask(t, n, p, "")
	if page.V == nil || *page.V != 2 || len(page.Facts) != 1 {
		t.Fatalf("the page is %+v", page)
	}
	e := page.Facts[0]
	f, origin := e["fact"].(map[string]any), e["origin"].(map[string]any)
	if origin["node_id"] != n.ID || origin["entity_uri"] != n.URL || origin["tenant"] != "default" {
		t.Errorf("the envelope is %v", origin)
	}
	signed := `{"cid":"` + f["cid"].(string) + `","entity_uri":"` + n.URL + `","fact_id":"` + f["id"].(string) +
		`","origin_allowed_scopes":["public"],"origin_allowed_tenants":["default"],"origin_node_id":"` + n.ID +
		`","origin_tenant":"default","tv":"2.1","valid_until":null}`
	if !n.Key.Public().VerifyText([]byte(signed), e["origin_sig"].(string)) {
		t.Error("the envelope's signature does not verify")
	}
	res := n.Do(t, "GET", "/.well-known/stigmem-manifest.json", "", nil)
	var m map[string]any
	res.JSON(t, &m)
	if m["public_key"] != n.Key.Public().String() || !slices.Contains(m["entities"].([]any), any(n.ID)) || m["entity_uri"] != n.URL {
		t.Errorf("the manifest is %s", res.Body)
	}
}

// On the newer wire too, what a peer may not send is refused.
func TestEnvelopesAreChecked(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	q := fedtest.NewPeer(t)
	good, tampered := p.Fact(n, "user:good", "v", id.Public), p.Fact(n, "user:tampered", "v", id.Public)
	relayed, widened := q.Fact(n, "user:relayed", "v", id.Public), p.Fact(n, "user:widened", "v", id.Public)
	sealedTampered := p.Seal(tampered)
	tampered["valid_until"] = "2099-01-01T00:00:00+00:00"
	sealedWide := p.Seal(widened)
	widened["scope"] = "company"
	fedtest.Recompute(widened)
	narrow := p.Fact(n, "user:narrow", "v", id.Public)
	var list []string
	for _, e := range []map[string]any{sealedTampered, q.Seal(relayed), sealedWide, p.SealFor(narrow, "company"), p.Seal(good)} {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(b))
	}
	p.AnswerText(`{"v":2,"facts":[` + strings.Join(list, ",") + `],"cursor":"1","has_more":false}`)
	mustPull(t, n, p)
	taken(t, n, true, good)
	refusedOnce(t, n, p, tampered, "rejected_fact", "origin_signature")
	refusedOnce(t, n, p, relayed, "rejected_fact", "origin_not_sender")
	refusedOnce(t, n, p, widened, "rejected_fact", "origin_signature")
	refusedOnce(t, n, p, narrow, "scope_violation", "")
}

func TestServedPageSizeIsBounded(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.RequestsPerSecond = -1 }})
	for _, q := range []string{"?limit=0", "?limit=501", "?limit=x", "?limit=-1"} {
		n.Do(t, "GET", pullPath+q, "Bearer "+p.Token(n), nil).Want(t, 422, "")
	}
	for _, q := range []string{"?limit=500", "?cursor=zz", "?cursor=%00", "?cursor=" + strings.Repeat("9", 4000), "?unknown=1"} {
		n.Do(t, "GET", pullPath+q, "Bearer "+p.Token(n), nil).Want(t, 200, "")
	}
}
