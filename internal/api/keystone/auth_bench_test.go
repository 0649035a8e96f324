package keystone_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
)

// busyFace is a face with a catalogue of twenty services, the request by which a
// service looks at a member's project token, and the two tokens.
func busyFace(b testing.TB) (f *face, service, tok string) {
	b.Helper()
	f = newFace(b, cloud.Config{})
	ctx := b.Context()
	for i := range 19 {
		s, err := f.Dir.CreateService(ctx, identity.Service{Type: fmt.Sprintf("type-%d", i), Name: fmt.Sprintf("service-%d", i), Enabled: true})
		if err != nil {
			b.Fatal(err)
		}
		for _, face := range []string{"public", "internal", "admin"} {
			_, err := f.Dir.CreateEndpoint(ctx, identity.Endpoint{
				ServiceID: s.ID, Interface: face, URL: fmt.Sprintf("https://%s.example.org:%d/v1/$(project_id)s", face, 8000+i), RegionID: "RegionOne", Enabled: true,
			}, false)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	_, _, tok = f.member("alice")
	nova := f.User(b, "nova", "nova password")
	f.Grant(b, cloud.On(nova.ID, "service", f.ProjectID))
	return f, f.tokenOf(nova.ID, "nova password", onProject(f.ProjectID)), tok
}

// serveOn serves h on a loopback port.
func serveOn(b testing.TB, h http.Handler) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	b.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// load sends n requests over the given number of connections, each waiting for its
// answer, and returns how many a second were answered. It does as little as can be,
// so that what is measured is the server.
func load(b testing.TB, addr string, request []byte, conns, n int) float64 {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	var failed atomic.Pointer[string]
	start := time.Now()
	for range conns {
		wg.Go(func() {
			if err := exchange(addr, request, &left); err != nil {
				s := err.Error()
				failed.Store(&s)
			}
		})
	}
	wg.Wait()
	if s := failed.Load(); s != nil {
		b.Fatal(*s)
	}
	return float64(n) / time.Since(start).Seconds()
}

func exchange(addr string, request []byte, left *atomic.Int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	for left.Add(-1) >= 0 {
		if _, err := c.Write(request); err != nil {
			return err
		}
		length := -1
		for first := true; ; first = false {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return err
			}
			if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("answered %q", line)
			}
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
					return err
				}
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(length); err != nil {
			return err
		}
	}
	return nil
}

// bare answers every request with the same bytes under the same headers: the floor
// of what net/http costs.
func bare(body []byte, header http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for k, v := range header {
			h[k] = v
		}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body)
	})
}

// BenchmarkValidateHTTP compares looking at a project's token with its catalogue,
// over TCP, with a handler that writes as many fixed bytes. The goal is 70 %.
func BenchmarkValidateHTTP(b *testing.B) {
	f, service, tok := busyFace(b)
	got := f.do("GET", "/v3/auth/tokens", nil, as(service), subject(tok)).want(200)
	header := got.header.Clone()
	request := []byte("GET /v3/auth/tokens HTTP/1.1\r\nHost: keystone.example.org\r\nUser-Agent: python-keystonemiddleware\r\nAccept: application/json\r\n" +
		"OpenStack-Identity-Access-Rules: 1.0\r\nX-Auth-Token: " + service + "\r\nX-Subject-Token: " + tok + "\r\n\r\n")
	ours, floor := serveOn(b, f.handler), serveOn(b, bare([]byte(got.raw), header))
	// Short turns, and the median of their ratios: what else the machine does hits
	// both alike.
	const conns, batch = 16, 600
	var mine, theirs, ratios []float64
	var mineCPU, theirsCPU time.Duration
	for b.Loop() {
		at := cpuTime()
		theirs = append(theirs, load(b, floor, request, conns, batch))
		between := cpuTime()
		mine = append(mine, load(b, ours, request, conns, batch))
		theirsCPU, mineCPU = theirsCPU+between-at, mineCPU+cpuTime()-between
		ratios = append(ratios, 100*mine[len(mine)-1]/theirs[len(theirs)-1])
	}
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	b.ReportMetric(median(mine), "req/s")
	b.ReportMetric(median(theirs), "floor-req/s")
	b.ReportMetric(median(ratios), "%-of-floor")
	b.ReportMetric(100*float64(theirsCPU)/float64(mineCPU), "%-of-floor-by-CPU")
	b.ReportMetric(float64(len(got.raw)), "body-bytes")
}

// BenchmarkValidate is the same without HTTP: two tokens verified, policy aside, and
// the answer rendered.
func BenchmarkValidate(b *testing.B) {
	f, _, tok := busyFace(b)
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		t, err := f.Issuer.Validate(b.Context(), tok, issuer.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if buf, err = f.Issuer.AppendCatalog(b.Context(), buf[:0], t); err != nil {
			b.Fatal(err)
		}
	}
}

// A hundred thousand different tokens leave nothing behind: what is kept is bounded
// by users and scopes, not by tokens.
func TestManyTokensLeaveNothing(t *testing.T) {
	f, _, tok := busyFace(t)
	resolved, err := f.Issuer.Validate(t.Context(), tok, issuer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mark, err := f.Issuer.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one := func() {
		text, _, err := f.Issuer.Issue(t.Context(), issuer.Grant{
			UserID: resolved.BearerID, Methods: []string{"password"}, Scope: issuer.Scope{Kind: issuer.ScopeProject, ID: resolved.ProjectID()}, Since: mark,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Issuer.Validate(t.Context(), text, issuer.Options{}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Issuer.Validate(t.Context(), strings.ToLower(text), issuer.Options{}); err == nil {
			t.Fatal("accepted")
		}
		f.Rejections()
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	for range 1000 {
		one()
	}
	before := heap()
	for range 100_000 {
		one()
	}
	after := heap()
	t.Logf("%d KiB before, %d KiB after", before>>10, after>>10)
	if after > before+2<<20 {
		t.Errorf("the heap grew from %d to %d KiB", before>>10, after>>10)
	}
}

// BenchmarkValidateHandler is the handler alone, written to nowhere.
func BenchmarkValidateHandler(b *testing.B) {
	f, service, tok := busyFace(b)
	r := httptest.NewRequestWithContext(b.Context(), "GET", "http://keystone.example.org/v3/auth/tokens", nil)
	r.Header["X-Auth-Token"], r.Header["X-Subject-Token"] = []string{service}, []string{tok}
	w := nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		f.handler.ServeHTTP(w, r)
	}
}

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
