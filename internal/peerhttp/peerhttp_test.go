package peerhttp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/federation"
)

func TestOnlyPublicAddressesAreAllowedByDefault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addr                     string
		public, loopback, anyOne bool // allowed by the zero Config, with AllowLoopback, with AllowPrivate
	}{
		{"93.184.215.14", true, true, true},
		{"2606:2800:21f:cb07:6820:80da:af6b:8b2c", true, true, true},
		{"127.0.0.1", false, true, true},
		{"127.255.255.254", false, true, true},
		{"::1", false, true, true},
		{"::ffff:127.0.0.1", false, true, true},
		{"10.0.0.1", false, false, true},
		{"172.16.0.1", false, false, true},
		{"192.168.1.1", false, false, true},
		{"::ffff:192.168.1.1", false, false, true},
		{"169.254.169.254", false, false, true},
		{"fe80::1", false, false, true},
		{"fe80::1%eth0", false, false, true},
		{"fc00::1", false, false, true},
		{"100.64.0.1", false, false, true},
		{"198.18.0.1", false, false, true},
		{"64:ff9b::a00:1", false, false, true},
		{"2002:a00:1::", false, false, true},
		{"::10.0.0.1", false, false, true},
		{"240.0.0.1", false, false, true},
		{"0.0.0.0", false, false, false},
		{"::", false, false, false},
		{"255.255.255.255", false, false, false},
		{"224.0.0.1", false, false, false},
		{"ff02::1", false, false, false},
	} {
		a := netip.MustParseAddr(tt.addr)
		for _, c := range []struct {
			cfg  Config
			want bool
		}{{Config{}, tt.public}, {Config{AllowLoopback: true}, tt.loopback}, {Config{AllowPrivate: true}, tt.anyOne}} {
			if got := c.cfg.allowed(a); got != c.want {
				t.Errorf("%+v allows %s: %v, want %v", c.cfg, tt.addr, got, c.want)
			}
		}
	}
}

func TestGuardRefusesWhatIsNoTCPAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ network, addr string }{
		{"udp4", "93.184.215.14:80"}, {"unix", "/run/x"}, {"tcp4", "example.org:80"}, {"tcp4", "93.184.215.14"},
	} {
		if err := (Config{}).guard(tt.network, tt.addr, nil); !errors.Is(err, errAddress) {
			t.Errorf("guard(%s, %s) = %v, want a refusal", tt.network, tt.addr, err)
		}
	}
}

// The guard judges what is dialled: a name that resolves to loopback is refused
// although the name looks public.
func TestAddressIsJudgedAfterResolution(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	t.Cleanup(srv.Close)
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	for _, host := range []string{"localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433"} {
		c := New(Config{})
		_, err := c.Discover(t.Context(), "http://"+net.JoinHostPort(host, itoa(port)))
		if err == nil || errs.Is(err, errs.Forbidden) == false && host == "127.0.0.1" {
			t.Errorf("Discover(%s) = %v, want a refusal", host, err)
		}
	}
	c := New(Config{AllowLoopback: true})
	t.Cleanup(c.Close)
	if r, err := c.Discover(t.Context(), srv.URL); err != nil || r.Status != 200 {
		t.Errorf("Discover with loopback allowed = %+v, %v", r, err)
	}
}

func itoa(n int) string {
	b := []byte{}
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

func client(t *testing.T, c Config) *Client {
	t.Helper()
	c.AllowLoopback = true
	out := New(c)
	t.Cleanup(out.Close)
	return out
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	r, err := client(t, Config{}).Discover(t.Context(), url)
	if err != nil || r.Status != http.StatusFound || followed {
		t.Errorf("Discover = %d, %v, followed %v; want 302 as it is", r.Status, err, followed)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("x", 32<<10))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	c := client(t, Config{})
	if _, err := c.Discover(t.Context(), url); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Discover of an endless body: %v, want TooLarge", err)
	}
	if _, err := c.Pull(t.Context(), url, "t", federation.PullQuery{Limit: 1}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("Pull of an endless body: %v, want TooLarge", err)
	}
}

func TestCompressionIsNotAskedFor(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if e := r.Header.Get("Accept-Encoding"); e != "" {
			t.Errorf("Accept-Encoding is %q, want none: a small body could become a large one", e)
		}
	})
	if _, err := client(t, Config{}).Discover(t.Context(), url); err != nil {
		t.Error(err)
	}
}

func TestABodyThatNeverEndsTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	start := time.Now()
	_, err := client(t, Config{PullTimeout: 100 * time.Millisecond}).Pull(t.Context(), url, "t", federation.PullQuery{Limit: 1})
	if !errs.Is(err, errs.Unavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("Pull = %v after %v, want Unavailable at once", err, time.Since(start))
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c := client(t, Config{})
	r, err := c.Pull(t.Context(), url, "TOKEN", federation.PullQuery{Cursor: "17 &x", Limit: 100})
	if err != nil || r.Status != 429 || r.RetryAfter != 7*time.Second || r.Date.IsZero() {
		t.Errorf("Pull = %+v, %v", r, err)
	}
	if got.URL.String() != "/v1/federation/facts?cursor=17+%26x&limit=100" || got.Header.Get("Authorization") != "Bearer TOKEN" ||
		got.Header.Get("Stigmem-Verify") != "full" {
		t.Errorf("Pull sent %s %v", got.URL, got.Header)
	}
	if _, err := c.Declare(t.Context(), url, "KEY", []byte("{}")); err != nil {
		t.Error(err)
	}
	if got.Method != "POST" || got.URL.Path != "/v1/federation/peers" || got.Header.Get("Authorization") != "Bearer KEY" || string(body) != "{}" {
		t.Errorf("Declare sent %s %s %v %q", got.Method, got.URL, got.Header, body)
	}
}

// A token is used once: when a kept connection breaks under a request, the request
// fails and is not sent again under the caller's feet.
func TestARequestIsSentOnce(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			t.Errorf("a request for facts has a body of %d bytes", r.ContentLength)
		}
		if n.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	})
	c := client(t, Config{})
	if _, err := c.Pull(t.Context(), url, "t", federation.PullQuery{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), url, "t", federation.PullQuery{Limit: 1}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("the second pull: %v, want Unavailable", err)
	}
	if n.Load() != 2 {
		t.Errorf("two pulls sent %d requests", n.Load())
	}
}

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	proxied := false
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { proxied = true })
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	c := New(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }})
	if _, err := c.Discover(t.Context(), "http://node.example"); !errs.Is(err, errs.Unavailable) || proxied {
		t.Errorf("Discover = %v, proxied %v; want Unavailable without a proxy", err, proxied)
	}
}

func TestErrorsHoldNoAddressOfTheCaller(t *testing.T) {
	t.Parallel()
	c := New(Config{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }})
	_, err := c.Pull(t.Context(), "http://node.example", "SECRET", federation.PullQuery{Cursor: "c", Limit: 1})
	if err == nil || strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "cursor") {
		t.Errorf("Pull: %v", err)
	}
}
