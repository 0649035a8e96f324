// Package detect holds the Sigma and Prometheus rules that ship. This test runs a
// node, lives a quiet hour on it, then attacks it, and asks the rules what they made
// of the log lines and of the metrics that the node really wrote.
package detect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/detect/sigma"
	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/obs"
	"symbolon/internal/server"
	"symbolon/internal/sign"
	"symbolon/peertoken"
)

type clock struct {
	mu sync.Mutex // guards t
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := bytes.Clone(l.b.Bytes())
	l.b.Reset()
	return out
}

// A site is a node and a peer of it, as their log sees them.
type site struct {
	t      *testing.T
	clock  clock
	log    lockedBuffer
	node   *server.Node
	url    string
	keyDir string
	peer   sign.PrivateKey
	peerID string
	nodeID string
}

const password = "a password of the test"

func start(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: clock{t: time.Now().UTC().Truncate(time.Second)}, peer: sign.GenerateKey(), peerID: "stigmem:node:peer"}
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.Bootstrap.Password = password
	cfg.Auth.BcryptRounds = 4
	cfg.Federation.Enabled, cfg.Federation.Insecure = true, true
	cfg.Federation.PullInterval = time.Hour
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = ln.Addr().String()
	s.url, s.keyDir = "http://"+cfg.Listen, filepath.Join(cfg.Data, "keys", "fernet")
	// The peer serves its well-known document and an empty page.
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/stigmem" {
			fmt.Fprint(w, `{"facts":[],"cursor":null,"has_more":false}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"node_id": s.peerID, "federation": "enabled", "federation_pubkey": s.peer.Public().String()})
	}))
	t.Cleanup(peer.Close)

	s.node, err = server.Open(t.Context(), &cfg, server.Options{Log: obs.NewLog(&s.log, "json", slog.LevelInfo), Now: s.clock.now, Version: "test", FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- s.node.Run(ctx, ln, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.node.Close()
	})

	d := federation.Declaration{NodeURL: peer.URL, NodeID: s.peerID, PubKey: s.peer.Public().String(), Scopes: []string{"public"}, SignedAt: "2026-01-01T00:00:00Z"}
	d.Signature = s.peer.SignText(d.Canonical())
	row, err := s.node.Federation.Register(t.Context(), federation.Operator(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.Federation.Approve(t.Context(), federation.Operator(), row.ID.String(), row.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	var known struct {
		NodeID string `json:"node_id"`
	}
	_, body := s.do("GET", "/.well-known/stigmem", nil, "")
	if err := json.Unmarshal(body, &known); err != nil {
		t.Fatal(err)
	}
	s.nodeID = known.NodeID
	return s
}

func (s *site) do(method, path string, header map[string]string, body string) (*http.Response, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, b
}

func (s *site) login() string {
	s.t.Helper()
	resp, body := s.do("POST", "/v3/auth/tokens", nil, `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","domain":{"id":"default"},"password":"`+
		password+`"}}},"scope":{"project":{"name":"admin","domain":{"id":"default"}}}}}`)
	if resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("login: %d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("X-Subject-Token")
}

func (s *site) validate(caller, subject string, want int) {
	s.t.Helper()
	if resp, body := s.do("GET", "/v3/auth/tokens", map[string]string{"X-Auth-Token": caller, "X-Subject-Token": subject}, ""); resp.StatusCode != want {
		s.t.Fatalf("validate: %d, want %d: %s", resp.StatusCode, want, body)
	}
}

func (s *site) pull(tok string, want int) {
	s.t.Helper()
	if resp, body := s.do("GET", "/v1/federation/facts", map[string]string{"Authorization": "Bearer " + tok}, ""); resp.StatusCode != want {
		s.t.Fatalf("pull: %d, want %d: %s", resp.StatusCode, want, body)
	}
}

func (s *site) peerToken() string {
	s.t.Helper()
	tok, err := peertoken.Mint(s.peer, peertoken.Params{Issuer: s.peerID, Audience: s.nodeID, Scopes: []string{"public"}}, epoch.MillisOf(s.clock.now()))
	if err != nil {
		s.t.Fatal(err)
	}
	return tok
}

func (s *site) signed(iat, exp int64) string {
	s.t.Helper()
	b, err := json.Marshal(map[string]any{"iss": s.peerID, "sub": s.nodeID, "iat": iat, "exp": exp, "nonce": id.NewUUID(), "scopes": []string{"public"}})
	if err != nil {
		s.t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	head := enc([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + enc(b)
	return head + "." + enc(s.peer.Sign([]byte(head)))
}

func (s *site) ring() *fernet.Ring {
	s.t.Helper()
	ring, _, err := fernet.NewRepository(s.keyDir).Load()
	if err != nil {
		s.t.Fatal(err)
	}
	return ring
}

// fired returns the ids of the rules that the log written since the last call fires,
// each once, but for informational ones.
func (s *site) fired(rules []*sigma.Rule) []string {
	s.t.Helper()
	var events []sigma.Event
	for _, line := range bytes.Split(s.log.take(), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var e sigma.Event
		if err := json.Unmarshal(line, &e); err != nil {
			s.t.Fatalf("a log line is no JSON: %q", line)
		}
		events = append(events, e)
	}
	ms, err := sigma.Evaluate(rules, events, func(e sigma.Event) time.Time {
		text, _ := e["time"].(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			s.t.Fatalf("a log line without its time: %v", e)
		}
		return at
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, m := range ms {
		if m.Rule.Level != "informational" {
			ids = append(ids, m.Rule.ID[len(m.Rule.ID)-2:])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func shipped(t *testing.T) (rules []*sigma.Rule) {
	t.Helper()
	files, err := filepath.Glob("sigma/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := sigma.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		rules = append(rules, rs...)
	}
	return rules
}

func alter(tok string) string {
	c := byte('A')
	if tok[60] == c {
		c = 'B'
	}
	return tok[:60] + string(c) + tok[61:]
}

func TestEachAttackFiresItsRuleAndAQuietHourNone(t *testing.T) {
	s, rules := start(t), shipped(t)

	// The hour: logins, validations, pulls by a peer a little ahead, one
	// forgotten token that expires, one typing error.
	old := s.login()
	for range 12 {
		s.clock.advance(5*time.Minute + time.Second)
		tok := s.login()
		s.validate(tok, tok, http.StatusOK)
		s.pull(s.peerToken(), http.StatusOK)
	}
	admin := s.login()
	s.validate(admin, old, http.StatusNotFound)
	s.validate(admin, admin+"A", http.StatusNotFound)
	if got := s.fired(rules); len(got) != 0 {
		t.Errorf("a quiet hour fires %q", got)
	}

	now := s.clock.now()
	retired := s.login()
	replayed := s.peerToken()
	s.pull(replayed, http.StatusOK)
	for _, tt := range []struct {
		name   string
		attack func()
		want   string
	}{
		{"a peer token in seconds", func() { s.pull(s.signed(now.Unix(), now.Unix()+3600), http.StatusUnauthorized) }, "01"},
		{"a peer token with its issue in seconds", func() { s.pull(s.signed(now.Unix(), now.UnixMilli()+3_600_000), http.StatusUnauthorized) }, "01"},
		{"an old peer token", func() {
			s.pull(s.signed(now.UnixMilli()-7_200_000, now.UnixMilli()-3_600_000), http.StatusUnauthorized)
		}, "01"},
		{"a peer token for ten years", func() { s.pull(s.signed(now.UnixMilli(), now.UnixMilli()+315_360_000_000), http.StatusUnauthorized) }, "01"},
		{"a replayed peer token", func() { s.pull(replayed, http.StatusUnauthorized) }, "02"},
		{"an authentic token of an unknown version", func() {
			text, err := s.ring().Seal(epoch.SecondsOf(now), []byte("\x95\x0b\x92\xc3\xc4\x10aaaaaaaaaaaaaaaa\x02\xcb\x41\xda\xac\x92\xd8\x00\x00\x00\x91\xc4\x10bbbbbbbbbbbbbbbb"))
			if err != nil {
				t.Fatal(err)
			}
			s.validate(admin, text, http.StatusNotFound)
		}, "03"},
		{"twenty altered tokens", func() {
			for range 20 {
				s.validate(admin, alter(retired), http.StatusNotFound)
			}
		}, "05"},
		{"a token under a retired key", func() {
			repo := fernet.NewRepository(s.keyDir)
			for range 3 {
				if _, err := repo.Rotate(3); err != nil {
					t.Fatal(err)
				}
			}
			deadline := time.Now().Add(5 * time.Second)
			for {
				if resp, _ := s.do("GET", "/v3/auth/tokens", map[string]string{"X-Auth-Token": retired, "X-Subject-Token": retired}, ""); resp.StatusCode == http.StatusUnauthorized {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("a retired key's token still validates after 5 s")
				}
				time.Sleep(50 * time.Millisecond)
			}
		}, "06"},
	} {
		s.log.take()
		tt.attack()
		if got := s.fired(rules); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s fires %q, want %q", tt.name, got, tt.want)
		}
	}
	_, metrics := s.do("GET", "/metrics", nil, "")
	for _, want := range []string{
		`symbolon_token_rejections_total{kind="peer",reason="unit_mismatch"} 2`, `symbolon_token_rejections_total{kind="peer",reason="expired"} 1`,
		`symbolon_token_rejections_total{kind="peer",reason="lifetime_too_long"} 1`, `symbolon_token_rejections_total{kind="peer",reason="replayed"} 1`,
		`symbolon_token_rejections_total{kind="identity",reason="unknown_version"} 1`, `symbolon_peer_clock_skew_seconds_count{peer="` + s.peerID + `"}`,
	} {
		if !bytes.Contains(metrics, []byte(want)) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}
