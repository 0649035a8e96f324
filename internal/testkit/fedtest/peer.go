package fedtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/sign"
)

// A Peer is a node played by the test, registered on a real one.
type Peer struct {
	ID, URL string
	Key     sign.PrivateKey
	// RowID is the peer's id on the node; empty before it is registered.
	RowID string

	mu       sync.Mutex
	facts    []map[string]any // guarded by mu; in the order served
	override http.HandlerFunc // guarded by mu; serves pulls instead
	pulls    []Pull           // guarded by mu
}

// A Pull is one request for facts that the peer got.
type Pull struct {
	Cursor, Limit, Token string
	At                   time.Time
}

// NewPeer starts a peer that no node knows yet.
func NewPeer(t testing.TB) *Peer {
	t.Helper()
	p := &Peer{ID: "stigmem:node:" + id.NewUUID().String(), Key: sign.GenerateKey()}
	srv := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	p.URL = srv.URL
	return p
}

// Join starts a peer that is active on the node for the given scopes.
func Join(t testing.TB, n *Node, scopes ...id.Scope) *Peer {
	t.Helper()
	p := NewPeer(t)
	p.Register(t, n, scopes...)
	if _, err := n.Federation.Approve(t.Context(), Admin(), p.RowID, p.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Register declares the peer on the node, where it is then pending approval.
func (p *Peer) Register(t testing.TB, n *Node, scopes ...id.Scope) {
	t.Helper()
	row, err := n.Federation.Register(t.Context(), Admin(), p.Declaration(id.ScopesOf(scopes...).Names()))
	if err != nil {
		t.Fatal(err)
	}
	if row.Status != federation.PendingApproval {
		t.Fatalf("the peer is %s: %s", row.Status, row.Why)
	}
	p.RowID = row.ID.String()
}

// Declaration returns the peer's signed declaration.
func (p *Peer) Declaration(scopes []string) federation.Declaration {
	d := federation.Declaration{
		NodeURL: p.URL, NodeID: p.ID, PubKey: p.Key.Public().String(), Scopes: scopes, SignedAt: "2026-05-02T00:00:00Z",
	}
	d.Signature = p.Key.SignText(d.Canonical())
	return d
}

// Fingerprint returns what an operator approves the peer by.
func (p *Peer) Fingerprint() string { return federation.Fingerprint(p.Key.Public().String()) }

// Claims are a peer token's; tests change them.
type Claims map[string]any

// Claims returns those of a good token for the node, by the node's clock.
func (p *Peer) Claims(n *Node) Claims {
	now := n.Clock.Now().UnixMilli()
	return Claims{
		"iss": p.ID, "sub": n.ID, "iat": now, "exp": now + 3_600_000, "nonce": id.NewUUID().String(),
		"scopes": []string{"company", "public"},
	}
}

// With returns the claims with one changed; a nil value is JSON null.
func (c Claims) With(name string, v any) Claims {
	out := Claims{}
	for k, x := range c {
		out[k] = x
	}
	out[name] = v
	return out
}

// Without returns the claims without one.
func (c Claims) Without(name string) Claims {
	out := c.With(name, nil)
	delete(out, name)
	return out
}

// Token returns a good token for the node.
func (p *Peer) Token(n *Node) string { return p.Sign(p.Claims(n)) }

// Sign returns a token with these claims.
func (p *Peer) Sign(c Claims) string { return SignToken(p.Key, `{"alg":"EdDSA","typ":"JWT"}`, c) }

// SignToken returns a token with these claims under a header of the test's choice. It
// stands apart from the code that is tested.
func SignToken(key sign.PrivateKey, header string, c Claims) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(header)) + "." + enc(body)
	return text + "." + enc(key.Sign([]byte(text)))
}

// Fact returns a fact as a peer sends it, with its content id. Tests change it
// before or, when they want the id to be wrong, after Recompute.
func (p *Peer) Fact(n *Node, entity, value string, scope id.Scope) map[string]any {
	return Recompute(map[string]any{
		"id": id.NewUUID().String(), "entity": entity, "relation": "memory:note",
		"value":  map[string]any{"type": "string", "v": value, "interpret_as": "content"},
		"source": p.ID, "timestamp": n.Clock.Now().UTC().Format("2006-01-02T15:04:05.000000+00:00"),
		"hlc": fmt.Sprintf("%d.0", n.Clock.Now().UnixMilli()), "valid_until": nil, "confidence": 1.0, "scope": scope.String(),
		"garden_id": nil, "received_from": nil,
	})
}

// Recompute gives a fact the content id of what it says.
func Recompute(f map[string]any) map[string]any {
	value := f["value"].(map[string]any)
	raw, err := json.Marshal(value["v"])
	if err != nil {
		panic(err)
	}
	t := canon.ValueType(value["type"].(string))
	text, err := canon.EncodeValue(t, raw)
	if err != nil {
		panic(err)
	}
	c := canon.Fact{
		Entity: f["entity"].(string), Relation: f["relation"].(string), ValueType: t, Value: text, Source: f["source"].(string),
		Scope: f["scope"].(string), Confidence: f["confidence"].(float64),
	}
	cid, err := c.CID()
	if err != nil {
		panic(err)
	}
	f["cid"] = string(cid)
	return f
}

// Offer adds facts to what the peer serves.
func (p *Peer) Offer(facts ...map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.facts = append(p.facts, facts...)
}

// Answer has the peer answer pulls with h, or with its facts again when h is nil.
func (p *Peer) Answer(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.override = h
}

// Pulls returns the requests for facts so far.
func (p *Peer) Pulls() []Pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Pull(nil), p.pulls...)
}

func (p *Peer) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/stigmem":
		answer(w, map[string]any{
			"version": "1.0", "node_id": p.ID, "node_url": p.URL, "federation": "enabled",
			"federation_pubkey": p.Key.Public().String(), "federation_version": "0.5",
		})
	case "/v1/federation/facts":
		q := r.URL.Query()
		p.mu.Lock()
		p.pulls = append(p.pulls, Pull{Cursor: q.Get("cursor"), Limit: q.Get("limit"), Token: r.Header.Get("Authorization"), At: time.Now()})
		h := p.override
		p.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		p.Page(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Page answers a pull with the facts offered: a cursor is the number of those
// already served.
func (p *Peer) Page(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("cursor"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	p.mu.Lock()
	defer p.mu.Unlock()
	to := min(from+limit, len(p.facts))
	var cursor any
	if to > 0 {
		cursor = fmt.Sprintf("%08d", to)
	}
	answer(w, map[string]any{"facts": p.facts[from:to], "cursor": cursor, "has_more": to < len(p.facts)})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is the test's own
}

// AnswerText has the peer answer pulls with this body.
func (p *Peer) AnswerText(body string) {
	p.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

// Seal puts a fact in an envelope of the newer wire, signed by the peer.
func (p *Peer) Seal(f map[string]any) map[string]any { return p.SealFor(f, f["scope"]) }

// SealFor seals a fact for a scope that may be another than its own.
func (p *Peer) SealFor(f map[string]any, scope any) map[string]any {
	origin := map[string]any{
		"tenant": "default", "node_id": p.ID, "allowed_scopes": []any{scope}, "allowed_tenants": []any{"default"}, "entity_uri": p.URL,
	}
	body, err := json.Marshal(map[string]any{ // encoding/json sorts names and adds no blanks
		"cid": f["cid"], "entity_uri": p.URL, "fact_id": f["id"], "origin_allowed_scopes": origin["allowed_scopes"],
		"origin_allowed_tenants": origin["allowed_tenants"], "origin_node_id": p.ID, "origin_tenant": "default", "tv": "2.1",
		"valid_until": f["valid_until"],
	})
	if err != nil {
		panic(err)
	}
	return map[string]any{"fact": f, "origin": origin, "origin_sig": p.Key.SignText(body), "origin_manifest": nil, "origin_key_proof": nil}
}
