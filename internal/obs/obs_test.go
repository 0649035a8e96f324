package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/token"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestARejectionIsLoggedAndCounted(t *testing.T) {
	var out bytes.Buffer
	m := NewMetrics("test")
	observe := Rejections(NewLog(&out, "json", slog.LevelInfo), m)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ctx context.Context
	httpx.WithRequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	observe(ctx, &token.Rejection{Reason: token.IssuedInFuture, Kind: token.Peer, KeyID: "stigmem:node:b", Peer: "stigmem:node:b",
		Now: now, IssuedAt: now.Add(45 * time.Second), Leeway: 30 * time.Second})
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	for k, want := range map[string]any{"msg": "auth.rejected", "kind": "peer", "reason": "issued_in_future", "peer": "stigmem:node:b",
		"key_id": "stigmem:node:b", "skew_seconds": 45.0, "leeway_seconds": 30.0, "level": "WARN"} {
		if line[k] != want {
			t.Errorf("%s is %v, want %v", k, line[k], want)
		}
	}
	if id, _ := line["request_id"].(string); !strings.HasPrefix(id, "req-") {
		t.Errorf("request_id is %q", id)
	}
	got := scrape(t, m)
	for _, want := range []string{
		`symbolon_token_rejections_total{kind="peer",reason="issued_in_future"} 1`,
		`symbolon_token_rejections_total{kind="identity",reason="bad_mac"} 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestPeersCannotFillTheMetrics(t *testing.T) {
	m := NewMetrics("test")
	m.PeerSkew("first", 45*time.Second)
	if got := scrape(t, m); !strings.Contains(got, `symbolon_peer_clock_skew_seconds_bucket{peer="first",le="60"} 1`) ||
		!strings.Contains(got, `symbolon_peer_clock_skew_seconds_bucket{peer="first",le="30"} 0`) {
		t.Error("the skew of a peer is not in its bucket")
	}
	for i := range 2 * maxPeerLabels {
		m.PeerSkew(fmt.Sprintf("peer-%d", i), time.Second)
		m.FactsRefused(fmt.Sprintf("peer-%d", i), "malformed", 2)
	}
	got := scrape(t, m)
	if n := strings.Count(got, "symbolon_federation_facts_refused_total{"); n > maxPeerLabels+1 {
		t.Errorf("%d peers have a label, want %d at most", n, maxPeerLabels+1)
	}
	if want := `symbolon_federation_facts_refused_total{peer="other",reason="malformed"} `; !strings.Contains(got, want) {
		t.Errorf("no %s", want)
	}
	if n := strings.Count(got, "symbolon_peer_clock_skew_seconds_count{"); n != maxPeerLabels+1 {
		t.Errorf("%d peers have a label, want %d", n, maxPeerLabels+1)
	}
}

func TestRequestsAreCountedUnderFewLabels(t *testing.T) {
	m := NewMetrics("test")
	h := m.Observe("identity", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, method := range []string{"GET", "BREW", "ANYTHING"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
	}
	got := scrape(t, m)
	for _, want := range []string{`{code="418",face="identity",method="GET"} 1`, `{code="418",face="identity",method="other"} 2`} {
		if !strings.Contains(got, "symbolon_http_requests_total"+want) {
			t.Errorf("no %s", want)
		}
	}
}
