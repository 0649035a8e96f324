// Package fedtest runs nodes that federate, and peers that lie, for tests.
//
// A [Node] is a real one: a store in a directory of its own, the domains on it, and
// the memory face on a loopback socket. A [Peer] is a node of the test's own making
// that has a key and serves whatever the test wants.
package fedtest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
	"symbolon/internal/peerhttp"
	"symbolon/internal/principal"
	"symbolon/internal/sign"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
	"symbolon/token"
)

// A Clock is the wall clock, off by what a test sets.
type Clock struct{ off atomic.Int64 }

// Now returns the time by the clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

// Set puts the clock ahead of the wall clock, or behind it.
func (c *Clock) Set(ahead time.Duration) { c.off.Store(int64(ahead)) }

// Advance puts the clock on.
func (c *Clock) Advance(d time.Duration) { c.off.Add(int64(d)) }

// Options change a node from what it is by default: federation and push enabled, a
// leeway of 30 s, the limits of the reference.
type Options struct {
	// Config is edited before the node starts.
	Config func(*federation.Config)
	// Handler builds the memory face; nil serves the well-known document alone.
	Handler func(n *Node) http.Handler
	// Jitter replaces the middle.
	Jitter func() float64
}

// A Node is a running node.
type Node struct {
	ID, URL    string
	Key        sign.PrivateKey
	Store      *store.Store
	Federation *federation.Service
	Facts      *fact.Service
	Clock      *Clock
	Config     federation.Config

	opts  store.Options
	parts federation.Parts
	face  atomic.Pointer[http.Handler]

	mu         sync.Mutex
	rejections []token.Rejection // guarded by mu
}

// Admin is a principal with every permission on the default tenant.
func Admin() principal.Principal {
	return principal.Principal{Entity: "agent:admin", Tenant: id.DefaultTenant.String(), Permissions: principal.All()}
}

// Start starts a node for the length of the test.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	n := &Node{ID: "stigmem:node:" + id.NewUUID().String(), Key: sign.GenerateKey(), Clock: &Clock{}}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*n.face.Load()).ServeHTTP(w, r) }))
	n.URL = "http://" + srv.Listener.Addr().String()
	n.opts = storetest.SQLite(t)
	n.opts.Now = n.Clock.Now
	n.Config = federation.Config{
		NodeID: n.ID, NodeURL: n.URL, Enabled: true, PushEnabled: true, Leeway: 30 * time.Second,
		MaxFutureSkew: hlc.DefaultLimits.Future, MaxPastSkew: hlc.DefaultLimits.Past,
	}
	if o.Config != nil {
		o.Config(&n.Config)
	}
	remote := peerhttp.New(peerhttp.Config{AllowLoopback: true})
	n.parts = federation.Parts{
		Remote: remote, Key: n.Key, Now: n.Clock.Now, OnReject: n.observe, Jitter: o.Jitter,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	n.open(t, o)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		remote.Close()
		if err := n.Store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

func (n *Node) open(t testing.TB, o Options) {
	t.Helper()
	var err error
	if n.Store, err = store.Open(t.Context(), n.opts); err != nil {
		t.Fatal(err)
	}
	n.parts.Store = n.Store
	if n.Federation, err = federation.New(n.Config, n.parts); err != nil {
		t.Fatal(err)
	}
	n.Facts = fact.New(n.Store, n.Clock.Now)
	h := http.Handler(http.HandlerFunc(n.wellKnown))
	if o.Handler != nil {
		h = o.Handler(n)
	}
	n.face.Store(&h)
}

// Restart stops the node and starts it on what it left on disk.
func (n *Node) Restart(t testing.TB, o Options) {
	t.Helper()
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	n.open(t, o)
}

func (n *Node) observe(_ context.Context, r *token.Rejection) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rejections = append(n.rejections, *r)
}

// Rejections returns the peer tokens that the node refused, in order.
func (n *Node) Rejections() []token.Rejection {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]token.Rejection(nil), n.rejections...)
}

// LastRejection returns the newest refusal, or a zero one.
func (n *Node) LastRejection() token.Rejection {
	if all := n.Rejections(); len(all) > 0 {
		return all[len(all)-1]
	}
	return token.Rejection{}
}

// wellKnown serves what registration elsewhere looks at, for a node without a face.
func (n *Node) wellKnown(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/.well-known/stigmem" {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client is a test's
		"version": "1.0", "node_id": n.ID, "node_url": n.URL, "federation": "enabled",
		"federation_pubkey": n.Key.Public().String(), "federation_version": "0.5",
	})
}

// Audit returns the federation log, the oldest first. Empty filters do not filter.
func (n *Node) Audit(t testing.TB, peer, kind string) []federation.AuditEntry {
	t.Helper()
	var all []federation.AuditEntry
	for q := (federation.AuditQuery{PeerID: peer, Type: kind, Limit: 500}); ; {
		page, err := n.Federation.AuditLog(t.Context(), Admin(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			all = append([]federation.AuditEntry{e}, all...)
		}
		if page.Next == 0 {
			return all
		}
		q.Before = page.Next
	}
}

// AuditDetails returns the details of those entries, decoded.
func (n *Node) AuditDetails(t testing.TB, peer, kind string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, e := range n.Audit(t, peer, kind) {
		var d map[string]any
		if e.Detail != nil {
			if err := json.Unmarshal(e.Detail, &d); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, d)
	}
	return out
}

// FactAudit returns the entries of the whole audit chain of one type, the oldest
// first.
func (n *Node) FactAudit(t testing.TB, kind string) (details []map[string]any) {
	t.Helper()
	for after := int64(0); ; {
		entries, err := n.Store.AuditEntries(t.Context(), after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return details
		}
		for _, e := range entries {
			after = e.Seq
			if e.Type == kind {
				d := map[string]any{}
				if e.Detail != nil {
					if err := json.Unmarshal(e.Detail, &d); err != nil {
						t.Fatal(err)
					}
				}
				d["fact_id"] = e.Subject
				details = append(details, d)
			}
		}
	}
}

// Befriend makes two nodes active peers of each other, for the given scopes.
func Befriend(t testing.TB, a, b *Node, scopes ...id.Scope) {
	t.Helper()
	for _, pair := range [][2]*Node{{a, b}, {b, a}} {
		on, of := pair[0], pair[1]
		p, err := on.Federation.Register(t.Context(), Admin(), of.Federation.Declaration(id.ScopesOf(scopes...)))
		if err != nil {
			t.Fatal(err)
		}
		if p.Status != federation.PendingApproval {
			t.Fatalf("the peer is %s: %s", p.Status, p.Why)
		}
		if _, err := on.Federation.Approve(t.Context(), Admin(), p.ID.String(), p.Fingerprint()); err != nil {
			t.Fatal(err)
		}
	}
}

// Assert stores a public or other fact as the admin and returns it.
func (n *Node) Assert(t testing.TB, entity, value string, scope id.Scope) fact.Fact {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.Facts.Assert(t.Context(), Admin(), fact.Assertion{
		Entity: entity, Relation: "memory:note", Source: "agent:" + entity, Type: "string", RawValue: raw, InterpretAs: fact.Content,
		Confidence: 1, Scope: scope, WriteMode: fact.WriteAssert,
	})
	if err != nil {
		t.Fatal(err)
	}
	return got.Fact
}

// Get returns the fact of an id, and whether there is one.
func (n *Node) Get(t testing.TB, factID string) (fact.Fact, bool) {
	t.Helper()
	f, err := n.Store.Fact(t.Context(), id.DefaultTenant, id.UUID(factID))
	return f, err == nil
}

// Pull has the node read everything new from the peer of a node id.
func (n *Node) Pull(t testing.TB, nodeID string) error {
	t.Helper()
	p, err := n.Store.PeerByNode(t.Context(), nodeID)
	if err != nil {
		t.Fatal(err)
	}
	return n.Federation.PullNow(t.Context(), p.ID)
}

// Cursor returns how far the node has read the peer of a node id.
func (n *Node) Cursor(t testing.TB, nodeID string) string {
	t.Helper()
	p, err := n.Store.PeerByNode(t.Context(), nodeID)
	if err != nil {
		t.Fatal(err)
	}
	pos, err := n.Store.PeerPosition(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	return pos.Cursor
}
