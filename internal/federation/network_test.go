package federation_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

// pullBoth has each of two nodes read the other.
func pullBoth(t *testing.T, a, b *fedtest.Node) {
	t.Helper()
	for range 2 {
		if err := a.Pull(t, b.ID); err != nil {
			t.Fatal(err)
		}
		if err := b.Pull(t, a.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// networkCases holds C1, C3 and G3: several nodes, some of them failing.
func networkCases(t *testing.T) {
	t.Helper()
	t.Run("C1_a split brain heals without loss", func(t *testing.T) {
		t.Parallel()
		a, b := fedtest.Start(t, fedtest.Options{}), fedtest.Start(t, fedtest.Options{})
		fedtest.Befriend(t, a, b, id.Public)
		a.Assert(t, "user:before", "synced", id.Public)
		pullBoth(t, a, b)
		fa, fb := a.Assert(t, "user:x", "from a", id.Public), b.Assert(t, "user:x", "from b", id.Public) // the link is down
		pullBoth(t, a, b)
		for name, n := range map[string]*fedtest.Node{"a": a, "b": b} {
			for _, f := range []fact.Fact{fa, fb} {
				n.Do(t, "GET", "/v1/facts/"+string(f.ID), admin, nil).Want(t, 200, "")
			}
			var conflicts struct {
				Conflicts []struct {
					A struct{ ID string } `json:"fact_a"`
					B struct{ ID string } `json:"fact_b"`
				}
			}
			n.Do(t, "GET", "/v1/conflicts?status=unresolved", admin, nil).JSON(t, &conflicts)
			if c := conflicts.Conflicts; len(c) != 1 || c[0].A.ID+c[0].B.ID != string(fa.ID+fb.ID) && c[0].A.ID+c[0].B.ID != string(fb.ID+fa.ID) {
				t.Errorf("%s: conflicts %+v, want one of the two facts", name, c)
			}
			var page struct {
				Facts []struct {
					ID           string
					Contradicted bool
				}
			}
			n.Do(t, "GET", "/v1/facts?entity=user:x&include_contradicted=true", admin, nil).JSON(t, &page)
			if len(page.Facts) != 2 || !page.Facts[0].Contradicted || !page.Facts[1].Contradicted {
				t.Errorf("%s: facts %+v, want both, contradicted", name, page.Facts)
			}
		}
	})

	t.Run("C1_what was received goes no further", func(t *testing.T) {
		t.Parallel()
		a, b, c := fedtest.Start(t, fedtest.Options{}), fedtest.Start(t, fedtest.Options{}), fedtest.Start(t, fedtest.Options{})
		fedtest.Befriend(t, a, b, id.Public)
		fedtest.Befriend(t, b, c, id.Public)
		f := a.Assert(t, "user:x", "v", id.Public)
		local := a.Assert(t, "user:l", "v", id.Local)
		pullBoth(t, a, b)
		pullBoth(t, b, c)
		if _, ok := b.Get(t, string(f.ID)); !ok {
			t.Error("the fact did not reach the peer")
		}
		if _, ok := c.Get(t, string(f.ID)); ok {
			t.Error("the fact went on to a node that its origin does not know")
		}
		if _, ok := b.Get(t, string(local.ID)); ok {
			t.Error("a local fact left its node")
		}
	})

	t.Run("C3_a node that restarts between pages is read to the end", func(t *testing.T) {
		t.Parallel()
		a := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PageLimit = 4 }})
		b := fedtest.Start(t, fedtest.Options{})
		fedtest.Befriend(t, a, b, id.Public)
		var all []fact.Fact
		for i := range 10 {
			all = append(all, b.Assert(t, fmt.Sprint("user:", i), "v", id.Public))
		}
		pages := 0
		b.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path == pullPath {
				if pages++; pages == 2 {
					next.ServeHTTP(&torn{ResponseWriter: w}, r)
					panic(http.ErrAbortHandler)
				}
			}
			next.ServeHTTP(w, r)
		})
		if err := a.Pull(t, b.ID); err == nil {
			t.Fatal("a torn page was read")
		}
		cursor := a.Cursor(t, b.ID)
		b.Restart(t)
		if err := a.Pull(t, b.ID); err != nil {
			t.Fatal(err)
		}
		if cursor != all[3].HLC || a.Cursor(t, b.ID) != all[9].HLC {
			t.Errorf("the cursor stood at %s and is at %s", cursor, a.Cursor(t, b.ID))
		}
		for _, f := range all {
			if _, ok := a.Get(t, string(f.ID)); !ok {
				t.Errorf("fact %s is missing", f.Entity)
			}
			if meta := received(t, a, string(f.ID)); len(meta) != 1 {
				t.Errorf("%d facts say who sent %s", len(meta), f.Entity)
			}
		}
	})

	t.Run("G3_a hostile peer starves nobody", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PullInterval = 50 * time.Millisecond }})
		release := make(chan struct{})
		for _, answer := range []http.HandlerFunc{
			func(w http.ResponseWriter, _ *http.Request) { // never finishes its body
				_, _ = io.WriteString(w, `{"facts":[`)
				w.(http.Flusher).Flush()
				<-release
			},
			func(_ http.ResponseWriter, r *http.Request) { // never answers
				select {
				case <-release:
				case <-r.Context().Done():
				}
			},
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"facts":[],"cursor":null,"has_more":true}`)
			},
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
			},
		} {
			fedtest.Join(t, n, id.Public).Answer(answer)
		}
		t.Cleanup(func() { close(release) }) // before the servers wait for their handlers
		poisoned, good := fedtest.Join(t, n, id.Public), fedtest.Join(t, n, id.Public)
		bad := poisoned.Fact(n, "user:bad", "v", id.Public)
		bad["cid"] = "nonsense"
		poisoned.Offer(bad)
		run(t, n)
		for i := range 3 {
			f := good.Fact(n, fmt.Sprint("user:", i), "v", id.Public)
			good.Offer(f)
			eventually(t, "the good peer's fact arrives", func() bool { _, ok := n.Get(t, factID(f)); return ok })
		}
	})

	t.Run("C2_a peer that is suspended while it is read is stored no further", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		f := p.Fact(n, "user:x", "v", id.Public)
		p.Offer(f)
		p.Answer(func(w http.ResponseWriter, r *http.Request) {
			if _, err := n.Federation.Suspend(r.Context(), fedtest.Admin(), p.RowID, ""); err != nil {
				t.Error(err)
			}
			p.Page(w, r)
		})
		mustPull(t, n, p)
		taken(t, n, false, f)
		if c := n.Cursor(t, p.ID); c != "" {
			t.Errorf("the cursor went to %s", c)
		}
	})
}

// torn writes half of what it is given.
type torn struct{ http.ResponseWriter }

func (w *torn) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b[:len(b)/2])
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
	return n, err
}

// The supervisor follows what operators do, without being told.
func TestSupervisorFollowsThePeers(t *testing.T) {
	t.Parallel()
	n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PullInterval = 20 * time.Millisecond }})
	run(t, n)
	p := fedtest.Join(t, n, id.Public)
	eventually(t, "an approved peer is polled", func() bool { return len(p.Pulls()) > 1 })
	states := n.Federation.PullStates()
	if len(states) != 1 || states[0].NodeID != p.ID || states[0].Failure != "" || states[0].LastGood.IsZero() || states[0].Clock.At.IsZero() {
		t.Errorf("states %+v", states)
	}
	if _, err := n.Federation.Suspend(t.Context(), fedtest.Admin(), p.RowID, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a suspended peer is left alone", func() bool {
		before := len(p.Pulls())
		time.Sleep(100 * time.Millisecond)
		return len(p.Pulls()) == before && len(n.Federation.PullStates()) == 0
	})
	if _, err := n.Federation.Resume(t.Context(), fedtest.Admin(), p.RowID); err != nil {
		t.Fatal(err)
	}
	before := len(p.Pulls())
	eventually(t, "a resumed peer is polled again", func() bool { return len(p.Pulls()) > before })
}

// A node that does not federate polls nobody.
func TestNoFederationNoPolling(t *testing.T) {
	t.Parallel()
	n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.Enabled = false }})
	if err := n.Federation.Run(t.Context()); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A node whose clock is off is refused with its own token's times, finds out by how
// much, and proves itself by the peer's clock the next time.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{4 * time.Minute, -4 * time.Minute} {
		a := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PullInterval = 50 * time.Millisecond }})
		b := fedtest.Start(t, fedtest.Options{})
		fedtest.Befriend(t, a, b, id.Public)
		f := b.Assert(t, "user:x", "v", id.Public)
		a.Clock.Set(off)
		run(t, a)
		eventually(t, "the fact arrives in spite of the clocks", func() bool { _, ok := a.Get(t, string(f.ID)); return ok })
		if got := a.Federation.PeerClock(b.ID).Ahead; (got + off).Abs() > 3*time.Second {
			t.Errorf("a clock that is %v ahead finds the peer %v ahead", off, got)
		}
		want := "iat_in_future"
		if off < 0 {
			want = "" // four minutes behind, a token of one hour is still good
		}
		d := b.AuditDetails(t, "", "rejected_token")
		if want == "" && len(d) != 0 || want != "" && (len(d) != 1 || d[0]["reason"] != want) {
			t.Errorf("the peer refused %v, want %q", d, want)
		}
		if got := b.Federation.PeerClock(a.ID).Ahead; want != "" && got.Abs() > 5*time.Minute {
			t.Errorf("the peer finds the node %v ahead", got)
		}
	}
}

// Two nodes on PostgreSQL exchange facts as two on SQLite do.
func TestNodesOnPostgreSQL(t *testing.T) {
	t.Parallel()
	a, b := fedtest.Start(t, fedtest.Options{Postgres: true}), fedtest.Start(t, fedtest.Options{Postgres: true})
	fedtest.Befriend(t, a, b, id.Public, id.Company)
	var facts []fact.Fact
	for i := range 120 {
		facts = append(facts, a.Assert(t, fmt.Sprint("user:a", i), "v", id.Public), b.Assert(t, fmt.Sprint("user:b", i), "v", id.Company))
	}
	pullBoth(t, a, b)
	for _, f := range facts {
		for name, n := range map[string]*fedtest.Node{"a": a, "b": b} {
			if _, ok := n.Get(t, string(f.ID)); !ok {
				t.Errorf("%s lacks fact %s", name, f.Entity)
			}
		}
	}
	p := fedtest.Join(t, a, id.Public)
	text := "Bearer " + p.Token(a)
	a.Do(t, "GET", pullPath, text, nil).Want(t, 200, "")
	a.Do(t, "GET", pullPath, text, nil).Want(t, 401, "nonce_already_seen")
	bad, good := p.Fact(a, "user:bad", "v", id.Public), p.Fact(a, "user:good", "v", id.Public)
	bad["entity"] = "a\x00b"
	p.Offer(bad, good)
	mustPull(t, a, p)
	taken(t, a, true, good)
}

// A log is written to by several goroutines and read by the test.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A peer that repeats our token to us does not get it into our log.
func TestTokensStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	var out log
	n := fedtest.Start(t, fedtest.Options{Log: &out})
	echo, honest := fedtest.Join(t, n, id.Public), fedtest.Join(t, n, id.Public)
	echo.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"detail": r.Header.Get("Authorization")})
	})
	honest.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"detail":"iat_in_future"}`)
	})
	run(t, n)
	eventually(t, "both refusals are logged", func() bool { return strings.Count(out.String(), "federation.pull_failed") == 2 })
	if got := out.String(); strings.Contains(got, "eyJ") || !strings.Contains(got, "iat_in_future") {
		t.Errorf("the log is %s", got)
	}
}

func TestAPIKeysStayOutOfErrors(t *testing.T) {
	t.Parallel()
	n := fedtest.Start(t, fedtest.Options{})
	const key = "a-key-of-their-node-that-is-secret"
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"detail": "no such key: " + r.Header.Get("Authorization") + "\x1b[2J"})
	}))
	t.Cleanup(there.Close)
	_, err := n.Federation.Declare(t.Context(), federation.Operator(), there.URL, key, 0)
	if err == nil || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("Declare: %v", err)
	}
	for _, text := range []string{fmt.Sprint(federation.APIKey(key)), fmt.Sprintf("%#v %q %x", federation.APIKey(key), federation.APIKey(key), federation.APIKey(key))} {
		if strings.Contains(text, key) || strings.Contains(text, fmt.Sprintf("%x", key)) {
			t.Errorf("an API key prints as %s", text)
		}
	}
}
