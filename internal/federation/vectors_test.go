package federation

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/sign"
)

// A recorded is what a real node served: its well-known document and one page.
type recorded struct {
	WellKnown json.RawMessage `json:"well_known"`
	Page      json.RawMessage `json:"page"`
}

func readRecorded(t testing.TB, name string) (Peer, []byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	c, err := decodeWellKnown(r.WellKnown)
	if err != nil {
		t.Fatal(err)
	}
	return Peer{NodeID: c.NodeID, PubKey: c.PubKey, Wire: c.Wire}, r.Page
}

// Every fact that real nodes of both wires served is readable, has a content id that
// holds, and on the newer wire an envelope that its origin signed.
func TestPagesOfRealNodesAreRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file      string
		facts     int
		enveloped bool
	}{{"page-a10.json", 19, false}, {"page-a12.json", 18, true}} {
		p, body := readRecorded(t, tt.file)
		if p.Wire.Envelopes() != tt.enveloped {
			t.Errorf("%s: the node says %q", tt.file, p.Wire)
		}
		pg, err := decodePage(body, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(pg.entries) != tt.facts || pg.enveloped != tt.enveloped || pg.hasMore || pg.cursor == "" {
			t.Errorf("%s: %d facts, enveloped %v, cursor %q", tt.file, len(pg.entries), pg.enveloped, pg.cursor)
		}
		for _, e := range pg.entries {
			o, bad := decodeOffer(e.raw)
			if bad != nil {
				t.Errorf("%s: %s: %s", tt.file, e.raw, bad.reason)
				continue
			}
			if bad := e.open(p, false, &o); bad != nil {
				t.Errorf("%s: fact %s: %s", tt.file, o.fact.ID, bad.reason)
			}
			f := &o.fact
			m, err := canon.MatchReceived(canon.Fact{
				Entity: string(f.Entity), Relation: f.Relation, ValueType: f.Value.Type, Source: string(f.Source),
				Scope: f.Scope.String(), Confidence: f.Confidence, InterpretAs: f.Value.InterpretAs,
			}, o.value, o.claimed)
			if err != nil || !m.Holds {
				t.Errorf("%s: the content id of %s does not hold: %v", tt.file, e.raw, err)
			}
		}
	}
}

// An envelope is refused as soon as anything that it covers differs.
func TestEnvelopeCoversTheFact(t *testing.T) {
	t.Parallel()
	p, body := readRecorded(t, "page-a12.json")
	pg, err := decodePage(body, 500)
	if err != nil {
		t.Fatal(err)
	}
	other := sign.GenerateKey().Public().String()
	later := "2099-01-01T00:00:00+00:00"
	for _, tt := range []struct {
		name string
		edit func(p *Peer, e *entry, o *offer)
		want reason
	}{
		{"untouched", func(*Peer, *entry, *offer) {}, ""},
		{"another fact id", func(_ *Peer, _ *entry, o *offer) { o.fact.ID = "x" }, factSignature},
		{"another content id", func(_ *Peer, _ *entry, o *offer) { o.claimed = "sha256:00" }, factSignature},
		{"a longer validity", func(_ *Peer, _ *entry, o *offer) { o.fact.ValidUntil = &later }, factSignature},
		{"another key", func(p *Peer, _ *entry, _ *offer) { p.PubKey = other }, factSignature},
		{"no signature", func(_ *Peer, e *entry, _ *offer) { e.sig = "" }, factSignature},
		{"another node's envelope", func(p *Peer, _ *entry, _ *offer) { p.NodeID = "stigmem:node:q" }, factRelayed},
		{"no envelope", func(_ *Peer, e *entry, _ *offer) { e.origin = nil }, factMalformed},
		{"a wider envelope", func(_ *Peer, e *entry, _ *offer) {
			e.origin = []byte(`{"tenant":"default","node_id":"` + p.NodeID + `","allowed_scopes":["company","public"],"allowed_tenants":["default"],"entity_uri":"http://127.0.0.1:18121"}`)
		}, factSignature},
	} {
		peer, e := p, pg.entries[0]
		o, bad := decodeOffer(e.raw)
		if bad != nil {
			t.Fatal(bad.reason)
		}
		tt.edit(&peer, &e, &o)
		got := reason("")
		if bad := e.open(peer, false, &o); bad != nil {
			got = bad.reason
		}
		if got != tt.want {
			t.Errorf("%s: refused as %q, want %q", tt.name, got, tt.want)
		}
	}
	peer := p
	peer.PubKey, peer.PrevPubKey = other, p.PubKey
	o, _ := decodeOffer(pg.entries[0].raw)
	if bad := pg.entries[0].open(peer, true, &o); bad != nil {
		t.Errorf("the key before a re-key, within its window: %s", bad.reason)
	}
	if bad := pg.entries[0].open(peer, false, &o); bad == nil {
		t.Error("the key before a re-key is good after its window")
	}
}

// The manifest that a real node's operator made verifies by the rule under which
// ours is made.
func TestManifestIsSignedAsRealNodesExpect(t *testing.T) {
	t.Parallel()
	verify := func(doc []byte) bool {
		t.Helper()
		var m struct {
			PublicKey string `json:"public_key"`
			Signature string `json:"signature"`
		}
		if err := json.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
		body, err := canon.JSON(doc, canon.UTF8, "signature")
		if err != nil {
			t.Fatal(err)
		}
		pub, err := sign.ParsePublicKey(m.PublicKey)
		return err == nil && pub.VerifyText(body, m.Signature)
	}
	theirs, err := os.ReadFile("testdata/manifest-a12.json")
	if err != nil {
		t.Fatal(err)
	}
	if !verify(theirs) {
		t.Error("the manifest of a real node does not verify")
	}
	s := &Service{
		cfg: Config{NodeID: "stigmem:node:café", NodeURL: "https://node.example"}, key: sign.GenerateKey(),
		now: func() time.Time { return time.Date(2026, 11, 21, 23, 59, 59, 5, time.UTC) },
	}
	ours, err := s.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if !verify(ours) {
		t.Errorf("our manifest does not verify: %s", ours)
	}
	var m struct {
		Entities           []string `json:"entities"`
		IssuedAt, ExpireAt string
		Issued             string `json:"issued_at"`
		Expires            string `json:"expires_at"`
	}
	if err := json.Unmarshal(ours, &m); err != nil || m.Issued != "2026-11-21T00:00:00+00:00" || m.Expires != "2027-02-19T00:00:00+00:00" ||
		len(m.Entities) != 2 || m.Entities[1] != "stigmem:node:café" {
		t.Errorf("our manifest is %s, %v", ours, err)
	}
}

// The declaration of the reference's own vector.
func TestDeclarationAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	d := Declaration{
		Scopes: []string{"company", "public"}, PubKey: "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg", NodeID: "stigmem:node:café-1",
		NodeURL: "http://node-a:8765", SignedAt: "2026-05-02T00:00:00Z",
		Signature: "PkXJOmXiNv0u_jEvLbkav69t6tSzXwEwQD1xy4SIBWRXkJgvdmSrBTTYu_zHmI9dCFuL9nEOp0kIHp_8yzXCDQ",
	}
	const want = `{"allowed_scopes":["company","public"],"federation_pubkey":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",` +
		`"node_id":"stigmem:node:caf\u00e9-1","node_url":"http://node-a:8765","signed_at":"2026-05-02T00:00:00Z"}`
	if got := string(d.Canonical()); got != want {
		t.Errorf("Canonical = %s, want %s", got, want)
	}
	pub, err := sign.ParsePublicKey(d.PubKey)
	if err != nil || !pub.VerifyText(d.Canonical(), d.Signature) {
		t.Errorf("the reference's signature does not verify: %v", err)
	}
	const fingerprint = "sha256:b43cdfe1bf180ef4e22bb93ea9cc8f0ef23b762de714053b3bf0acdda2d7470d"
	if got := Fingerprint(d.PubKey); got != fingerprint {
		t.Errorf("Fingerprint = %s, want %s", got, fingerprint)
	}
	var back map[string]any
	if err := json.Unmarshal(d.JSON(), &back); err != nil || back["declaration_sig"] != d.Signature || back["node_id"] != d.NodeID {
		t.Errorf("JSON = %s, %v", d.JSON(), err)
	}
}
