package stigmem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"symbolon/internal/api/stigmem"
	"symbolon/internal/apikey"
	"symbolon/internal/fact"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
)

// The keys that every test node knows.
const (
	adminKey  = "admin-key-of-at-least-32-characters-x"
	readerKey = "reader-key-of-at-least-32-characters-"
	writerKey = "writer-key-of-at-least-32-characters-"
)

// A node is the whole face on an empty store.
type node struct {
	*stigmem.API
	t      testing.TB
	store  *store.Store
	frozen bool // the clock is the test's, and moves by a microsecond with each look
	clock  time.Time
}

func (n *node) now() time.Time {
	if !n.frozen {
		return time.Now()
	}
	n.clock = n.clock.Add(time.Microsecond)
	return n.clock
}

// peek looks at the clock without moving it.
func (n *node) peek() time.Time {
	if !n.frozen {
		return time.Now()
	}
	return n.clock
}

// newNode returns a node with authentication on or off.
func newNode(t testing.TB, authOff bool) *node { return newNodeOn(t, storetest.SQLite(t), authOff) }

func newNodeOn(t testing.TB, o store.Options, authOff bool) *node {
	t.Helper()
	n := &node{t: t, clock: time.Date(2026, 11, 21, 22, 36, 17, 0, time.UTC), frozen: true}
	o.Now = n.peek
	n.store = storetest.Open(t, o)
	keys := apikey.New(n.store, o.Now, apikey.Options{MaxAge: 90 * 24 * time.Hour})
	if !authOff {
		for _, k := range []struct{ raw, entity, permissions string }{
			{adminKey, "agent:admin", "admin write read federate admin:federation audit.read"}, {readerKey, "agent:reader", "read"}, {writerKey, "agent:writer", "write"},
		} {
			if _, err := keys.Create(t.Context(), apikey.Request{Raw: k.raw, Entity: k.entity, Permissions: strings.Fields(k.permissions)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.API = stigmem.New(stigmem.Deps{
		Facts: fact.New(n.store, n.now), Keys: keys, Audit: n.store, Authenticate: stigmem.Bearer(keys, nil, authOff), Now: n.now,
		Node: stigmem.Node{ID: "stigmem:node:test", URL: "http://testnode", AuthOff: authOff},
	})
	return n
}

// An answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// do sends a request; a key of "" brings none, and a body of "" neither.
func (n *node) do(method, target, key, body string, headers ...string) answer {
	n.t.Helper()
	var rd *strings.Reader
	r := httptest.NewRequest(method, "http://testnode/", nil)
	if body != "" {
		rd = strings.NewReader(body)
		r = httptest.NewRequest(method, "http://testnode/", rd)
		r.Header.Set("Content-Type", "application/json")
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		n.t.Fatal(err)
	}
	r.URL, r.RequestURI = u, target
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// object decodes an answer's body.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("%v in %q", err, a.Body)
	}
	return m
}

const plainFact = `{"entity":"user:x","relation":"memory:role","value":{"type":"string","v":"CEO"},"source":"agent:s"}`
