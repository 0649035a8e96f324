// Package fedtest runs nodes that federate, and peers that lie, for tests.
//
// A [Node] is a real one: a store in a directory of its own, the domains on it, and
// the memory face on a loopback socket. A [Peer] is a node of the test's own making
// that has a key and serves whatever the test wants.
package fedtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/internal/api/stigmem"
	"symbolon/internal/apikey"
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
	// Jitter replaces the middle.
	Jitter func() float64
	// OnRefusedFact is told of facts that the node refused.
	OnRefusedFact func(node, reason string, facts int)
	// Log replaces the test's own output.
	Log io.Writer
	// Postgres has the node keep its store there.
	Postgres bool
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
	tap   atomic.Pointer[Tap]

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
	srv := httptest.NewUnstartedServer(http.HandlerFunc(n.serve))
	n.URL = "http://" + srv.Listener.Addr().String()
	n.opts = storetest.SQLite(t)
	if o.Postgres {
		n.opts = storetest.Postgres(t)
	}
	n.opts.Now = n.Clock.Now
	n.Config = federation.Config{
		NodeID: n.ID, NodeURL: n.URL, Enabled: true, PushEnabled: true, Leeway: 30 * time.Second,
		MaxFutureSkew: hlc.DefaultLimits.Future, MaxPastSkew: hlc.DefaultLimits.Past,
	}
	if o.Config != nil {
		o.Config(&n.Config)
	}
	log := io.Writer(t.Output())
	if o.Log != nil {
		log = o.Log
	}
	remote := peerhttp.New(peerhttp.Config{AllowLoopback: true})
	n.parts = federation.Parts{
		Remote: remote, Key: n.Key, Now: n.Clock.Now, OnReject: n.observe, Jitter: o.Jitter, OnRefusedFact: o.OnRefusedFact,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	n.open(t)
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

func (n *Node) open(t testing.TB) {
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
	said := stigmem.Node{ID: n.ID, URL: n.URL}
	if n.Config.Enabled {
		said.Federation = &stigmem.FederationInfo{PubKey: n.Key.Public().String(), Version: "0.5", Push: n.Config.PushEnabled}
	}
	h := http.Handler(stigmem.New(stigmem.Deps{
		Facts: n.Facts, Keys: apikey.New(n.Store, n.Clock.Now, apikey.Options{}), Audit: n.Store, Authenticate: authenticate,
		Node: said, Now: n.Clock.Now, Log: n.parts.Log, More: stigmem.FederationRoutes(n.Federation),
	}))
	n.face.Store(&h)
}

// The bearer texts of the face's principals. A key that is checked in earnest takes
// tens of milliseconds, and is tested elsewhere.
const (
	AdminKey    = "admin"    // every permission
	FederateKey = "federate" // federate and read
	ReaderKey   = "reader"   // read
)

func authenticate(r *http.Request) (principal.Principal, error) {
	text, _ := stigmem.BearerToken(r)
	p := Admin()
	switch text {
	case AdminKey:
	case FederateKey:
		p.Entity, p.Permissions = "agent:federate", []principal.Permission{principal.Federate, principal.Read}
	case ReaderKey:
		p.Entity, p.Permissions = "agent:reader", []principal.Permission{principal.Read}
	default:
		return principal.Principal{}, stigmem.ErrNoCredential
	}
	return p, nil
}

// A Tap stands between the network and a node's face.
type Tap func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Intercept has every request go through a tap; nil takes it away.
func (n *Node) Intercept(t Tap) { n.tap.Store(&t) }

func (n *Node) serve(w http.ResponseWriter, r *http.Request) {
	next := *n.face.Load()
	if t := n.tap.Load(); t != nil && *t != nil {
		(*t)(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// Restart stops the node and starts it on what it left on disk.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	n.open(t)
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

// A Response is what the face answered.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request to the node's face. The authorization is sent as it is unless it
// is empty; the body is JSON unless it is nil, text or bytes.
func (n *Node) Do(t testing.TB, method, path, authorization string, body any) Response {
	t.Helper()
	var b []byte
	switch v := body.(type) {
	case nil:
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		var err error
		if b, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, n.URL+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return n.Send(t, req)
}

// client is what tests ask nodes with.
var client = &http.Client{Timeout: time.Minute}

// Send sends a request of the test's own making.
func (n *Node) Send(t testing.TB, req *http.Request) Response {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Response{Status: res.StatusCode, Header: res.Header, Body: body}
}

// Want checks the status and, unless it is empty, the detail of an error.
func (r Response) Want(t testing.TB, status int, detail string) {
	t.Helper()
	if got := r.Detail(); r.Status != status || detail != "" && got != detail {
		t.Errorf("the answer is %d %s, want %d %q", r.Status, r.Body, status, detail)
	}
}

// Detail returns the detail of an error when it is a text.
func (r Response) Detail() string {
	var e struct {
		Detail any `json:"detail"`
	}
	_ = json.Unmarshal(r.Body, &e) // what is no JSON has no detail
	text, _ := e.Detail.(string)
	return text
}

// JSON decodes the body into v.
func (r Response) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
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
