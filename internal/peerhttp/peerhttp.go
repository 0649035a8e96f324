// Package peerhttp reaches other nodes over HTTP for package federation.
//
// The addresses that it is given come from strangers, so it connects to nothing
// that is not a public address unless that is allowed, judged by the address that
// is really dialled, after name resolution. It follows no redirect, uses no proxy,
// keeps no cookie, asks for no compression, and bounds every wait and every body.
package peerhttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/federation"
)

// The bounds of one exchange.
const (
	// DiscoverTimeout and DiscoverBody bound the fetch of a well-known
	// document (Stigmem wire §25.2).
	DiscoverTimeout = 5 * time.Second
	DiscoverBody    = 64 << 10
	// PullTimeout bounds one page, from the dial to the last byte of the body;
	// PullBody is over a hundred facts of the greatest size that we accept
	// ourselves on average of 40 KiB each.
	PullTimeout = 30 * time.Second
	PullBody    = 4 << 20
	// PullBodyOne bounds a page of a single fact, of which only one is read at a
	// time: so large a fact is refused, but it must be seen to be passed over.
	PullBodyOne = 32 << 20

	declareTimeout = 15 * time.Second
	// idleConn is under the 5 s after which the reference's server hangs up, so
	// that a connection is reused for the next page and never found dead.
	idleConn      = 3 * time.Second
	headerBytes   = 64 << 10
	maxRetryAfter = 24 * time.Hour
)

// Config says what may be reached. The zero Config allows public addresses only.
type Config struct {
	// AllowLoopback allows loopback addresses, for a node that is itself on
	// loopback; AllowPrivate allows private and link-local ones too.
	AllowLoopback bool
	AllowPrivate  bool
	// TLS is used for https when set: the node's certificate and the CA bundle
	// of mutual TLS. Without it the system's roots are used, and the transport
	// proves no node id.
	TLS *tls.Config
	// Mutual is set when TLS verifies peers by their node certificates.
	Mutual bool
	// PullTimeout replaces the constant of that name when set.
	PullTimeout time.Duration
	// Dial replaces the network, for tests over pipes; the address guard does
	// not apply to it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Client is a federation.Remote over HTTP/1.1 and HTTP/2.
type Client struct {
	http        *http.Client
	mutual      bool
	pullTimeout time.Duration
	large       chan struct{} // held while a page beyond PullBody is read
}

var _ federation.Remote = (*Client)(nil)

// New returns a client. Close frees its connections.
func New(c Config) *Client {
	dial := c.Dial
	if dial == nil {
		d := &net.Dialer{Timeout: 5 * time.Second, Control: c.guard}
		dial = d.DialContext
	}
	t := &http.Transport{
		Proxy:                  nil, // the environment's proxy would see every token
		DialContext:            dial,
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    5 * time.Second,
		DisableCompression:     true, // a small body must not become a large one
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        4,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        idleConn,
		MaxResponseHeaderBytes: headerBytes,
	}
	pullTimeout := c.PullTimeout
	if pullTimeout == 0 {
		pullTimeout = PullTimeout
	}
	return &Client{
		http: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		mutual:      c.Mutual,
		pullTimeout: pullTimeout,
		large:       make(chan struct{}, 1),
	}
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

var errAddress = errors.New("peerhttp: the address is not a public one")

// guard judges the address about to be connected to. It runs after resolution, so
// that a name cannot be resolved to one address for a check and to another for the
// connection.
func (c Config) guard(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return errAddress
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !c.allowed(ap.Addr()) {
		return errAddress
	}
	return nil
}

// special are the blocks that are not the public Internet and that the predicates of
// netip do not know (RFC 6890 and its registries), the translation prefixes that
// can stand for any IPv4 address among them.
var special = func() (list []netip.Prefix) {
	for _, p := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
		"3fff::/20", "5f00::/16", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()

func (c Config) allowed(a netip.Addr) bool {
	a = a.Unmap()
	switch {
	case a.IsLoopback():
		return c.AllowLoopback || c.AllowPrivate
	case a.IsPrivate() || a.IsLinkLocalUnicast():
		return c.AllowPrivate
	case !a.IsGlobalUnicast():
		return false
	}
	for _, p := range special {
		if p.Contains(a.WithZone("")) {
			return c.AllowPrivate
		}
	}
	return true
}

// Discover fetches a node's well-known document.
func (c *Client) Discover(ctx context.Context, nodeURL string) (federation.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, DiscoverTimeout)
	defer cancel()
	return c.do(ctx, http.MethodGet, nodeURL+"/.well-known/stigmem", nil, nil, DiscoverBody)
}

// Pull fetches one page of facts.
func (c *Client) Pull(ctx context.Context, nodeURL, token string, q federation.PullQuery) (federation.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pullTimeout)
	defer cancel()
	v := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	limit := int64(PullBody)
	if q.Limit == 1 {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
			limit = PullBodyOne
		default: // another is; the ordinary bound serves most
		}
	}
	return c.do(ctx, http.MethodGet, nodeURL+"/v1/federation/facts?"+v.Encode(), nil, http.Header{
		"Authorization":  {"Bearer " + token},
		"Stigmem-Verify": {"full"},
	}, limit)
}

// Declare posts a declaration.
func (c *Client) Declare(ctx context.Context, nodeURL string, key federation.APIKey, declaration []byte) (federation.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	return c.do(ctx, http.MethodPost, nodeURL+"/v1/federation/peers", declaration, http.Header{
		"Authorization": {"Bearer " + string(key)},
		"Content-Type":  {"application/json"},
	}, DiscoverBody)
}

func (c *Client) do(ctx context.Context, method, target string, body []byte, h http.Header, limit int64) (federation.Reply, error) {
	var r federation.Reply
	// A body that cannot be had a second time, empty or not, keeps the transport
	// from sending a request again by itself when a connection breaks: the node
	// may have used up the token already, and would call the second one a replay.
	req, err := http.NewRequestWithContext(ctx, method, target, io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		return r, errs.With(errs.Invalid, err, "the node URL is not usable")
	}
	if len(body) > 0 {
		req.ContentLength = int64(len(body))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "symbolon")
	for k, v := range h {
		req.Header[k] = v
	}
	res, err := c.http.Do(req)
	if err != nil {
		return r, unreachable(err)
	}
	defer res.Body.Close()
	r.Status = res.StatusCode
	r.RetryAfter = retryAfter(res.Header.Get("Retry-After"))
	if d, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		r.Date = d.UTC()
	}
	if c.mutual {
		r.Proven = true
		if res.TLS != nil && len(res.TLS.PeerCertificates) > 0 {
			for _, u := range res.TLS.PeerCertificates[0].URIs {
				r.Identities = append(r.Identities, u.String())
			}
		}
	}
	r.Body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case int64(len(r.Body)) > limit:
		return r, errs.E(errs.TooLarge, "the node's answer is over %d bytes", limit)
	case err != nil:
		return r, unreachable(err)
	}
	return r, nil
}

// unreachable gives a transport's error its kind. The URL is cut out of the text.
func unreachable(err error) error {
	if errors.Is(err, errAddress) {
		return errs.With(errs.Forbidden, err, "the node's address is not allowed")
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return errs.With(errs.Unavailable, fmt.Errorf("peerhttp: %w", err), "the node could not be reached")
}

// retryAfter reads the header's seconds; its date form is not used by any peer.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
