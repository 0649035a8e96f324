package federation

import (
	"bytes"
	"encoding/json"
	"testing"

	"symbolon/internal/canon"
	"symbolon/internal/id"
)

// A declaration that passes the check has one canonical text, which reads back as
// what was declared: two declarations never share a signature.
func FuzzDeclaration(f *testing.F) {
	f.Add("http://node-a:8765", "stigmem:node:café-1", "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", "company,public",
		"PkXJOmXiNv0u_jEvLbkav69t6tSzXwEwQD1xy4SIBWRXkJgvdmSrBTTYu_zHmI9dCFuL9nEOp0kIHp_8yzXCDQ", "2026-05-02T00:00:00Z")
	f.Add("http://u:p@h/?q#f", "\",\"node_id\":\"x", "\U0001F600", "local,zz", "!!", "\x00")
	f.Add("", "", "", "", "=", "\xff")
	f.Fuzz(func(t *testing.T, url, node, key, scopes, sig, at string) {
		d := Declaration{NodeURL: url, NodeID: node, PubKey: key, Signature: sig, SignedAt: at}
		if scopes != "" {
			d.Scopes = splitComma(scopes)
		}
		if d.check() != nil {
			return
		}
		var back struct {
			URL    string   `json:"node_url"`
			Node   string   `json:"node_id"`
			Key    string   `json:"federation_pubkey"`
			Scopes []string `json:"allowed_scopes"`
			At     string   `json:"signed_at"`
		}
		b := d.Canonical()
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatalf("Canonical = %q: %v", b, err)
		}
		if back.URL != url || back.Node != node || back.Key != key || back.At != at || len(back.Scopes) != len(d.Scopes) {
			t.Errorf("Canonical = %q, which reads back as %+v", b, back)
		}
		if i := bytes.IndexFunc(b, func(r rune) bool { return r > 0x7E || r < 0x20 }); i >= 0 {
			t.Errorf("Canonical = %q is not ASCII", b)
		}
		if u, err := baseURL(url); err == nil {
			if again, err := baseURL(u); err != nil && again != u {
				t.Errorf("baseURL(%q) = %q, which gives %q, %v", url, u, again, err)
			}
		}
	})
}

func splitComma(s string) (out []string) {
	for _, p := range bytes.Split([]byte(s), []byte(",")) {
		out = append(out, string(p))
	}
	return out
}

// Whatever a peer answers to a pull, reading it ends, and each fact that is taken
// can be stored: valid text within bounds, a scope, a type, a confidence.
func FuzzPage(f *testing.F) {
	for _, name := range []string{"page-a10.json", "page-a12.json"} {
		_, body := readRecorded(f, name)
		var p struct {
			V     json.RawMessage   `json:"v,omitempty"`
			Facts []json.RawMessage `json:"facts"`
		}
		if err := json.Unmarshal(body, &p); err != nil {
			f.Fatal(err)
		}
		p.Facts = p.Facts[:1] // whole pages would be minimised for minutes
		one, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(one)
	}
	f.Add([]byte(`{"v":2,"facts":[{"fact":{"id":"x"},"origin":{},"origin_sig":1}],"cursor":null,"has_more":false}`))
	f.Add([]byte(`{"facts":["x",null,{},[],{"id":"a","value":{"type":"number","v":null}}],"cursor":"\ud800"}`))
	f.Add([]byte(`{"v":3}`))
	f.Add([]byte(`[`))
	peer := Peer{NodeID: "stigmem:node:p", PubKey: "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}
	f.Fuzz(func(t *testing.T, body []byte) {
		pg, err := decodePage(body, 100)
		if err != nil {
			return
		}
		if len(pg.entries) > 100 || len(pg.cursor) > maxCursor || !storable(pg.cursor) {
			t.Fatalf("a page of %d facts with cursor %q", len(pg.entries), pg.cursor)
		}
		for _, e := range pg.entries {
			o, bad := decodeOffer(e.raw)
			if bad == nil {
				bad = e.open(peer, false, &o)
			}
			if !storable(string(o.fact.ID)) || len(o.fact.ID) > maxFactID || !storable(string(o.fact.Source)) {
				t.Errorf("%q: id %q, source %q", e.raw, o.fact.ID, o.fact.Source)
			}
			if bad != nil {
				continue
			}
			fa := &o.fact
			for _, s := range []string{string(fa.Entity), fa.Relation, fa.Value.V, fa.Timestamp} {
				if !storable(s) {
					t.Errorf("%q: text %q cannot be stored", e.raw, s)
				}
			}
			if fa.Scope == id.NoScope || !(fa.Confidence >= 0 && fa.Confidence <= 1) || fa.ValidUntil != nil && !storable(*fa.ValidUntil) {
				t.Errorf("%q: %+v", e.raw, fa)
			}
			if _, err := canon.MatchReceived(canon.Fact{
				Entity: string(fa.Entity), Relation: fa.Relation, ValueType: fa.Value.Type, Source: string(fa.Source),
				Scope: fa.Scope.String(), Confidence: fa.Confidence, InterpretAs: fa.Value.InterpretAs,
			}, o.value, o.claimed); err != nil {
				t.Errorf("%q: %v", e.raw, err)
			}
		}
	})
}

func FuzzWellKnown(f *testing.F) {
	f.Add([]byte(`{"node_id":"n","federation_pubkey":"k","federation":"enabled","federation_version":"2.1"}`))
	f.Add([]byte(`{"node_id":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeWellKnown(body)
		if err == nil && (len(c.NodeID) > maxNodeID || len(c.PubKey) > maxKeyText || !storable(c.NodeID) || !storable(c.PubKey) || len(c.Wire) > maxWire) {
			t.Errorf("decodeWellKnown(%q) = %+v", body, c)
		}
	})
}
