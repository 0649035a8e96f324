package federation_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/sign"
	"symbolon/internal/testkit/fedtest"
	"symbolon/token"
)

const pullPath = "/v1/federation/facts"

// tokenCases holds A1 to A18, B20 to B22, C4 and D2: what a peer token must be.
func tokenCases(t *testing.T) {
	t.Helper()
	millis := func(c fedtest.Claims, name string) int64 { return c[name].(int64) }
	type ask struct {
		name   string
		edit   func(c fedtest.Claims) fedtest.Claims
		detail string // of the 401; empty: 200
		reason token.Reason
		unit   epoch.Unit
		leeway time.Duration // zero: 30 s; negative: none
	}
	set := func(name string, f func(now int64) any) func(fedtest.Claims) fedtest.Claims {
		return func(c fedtest.Claims) fedtest.Claims { return c.With(name, f(millis(c, "iat"))) }
	}
	fixed := func(name string, v any) func(fedtest.Claims) fedtest.Claims {
		return func(c fedtest.Claims) fedtest.Claims { return c.With(name, v) }
	}
	without := func(name string) func(fedtest.Claims) fedtest.Claims {
		return func(c fedtest.Claims) fedtest.Claims { return c.Without(name) }
	}
	later := func(d time.Duration) func(int64) any { return func(now int64) any { return now + d.Milliseconds() } }
	for _, tt := range []ask{
		{name: "A1_milliseconds are right", edit: set("exp", later(10*time.Second))},
		{
			name: "A2_both in seconds", detail: "token_expired", reason: token.UnitMismatch, unit: epoch.UnitSeconds,
			edit: func(c fedtest.Claims) fedtest.Claims {
				now := millis(c, "iat") / 1000
				return c.With("iat", now).With("exp", now+3600)
			},
		},
		{
			name: "A3_iat in seconds", detail: "iat_too_old", reason: token.UnitMismatch, unit: epoch.UnitSeconds,
			edit: set("iat", func(now int64) any { return now / 1000 }),
		},
		{
			name: "A4_exp in seconds", detail: "token_expired", reason: token.UnitMismatch, unit: epoch.UnitSeconds,
			edit: set("exp", func(now int64) any { return now/1000 + 3600 }),
		},
		{
			name: "A5_exp in microseconds", detail: "token_expired", reason: token.UnitMismatch, unit: epoch.UnitMicros,
			edit: set("exp", func(now int64) any { return now*1000 + 3_600_000_000 }),
		},
		{
			name: "A5_exp in nanoseconds", detail: "token_expired", reason: token.UnitMismatch, unit: epoch.UnitNanos,
			edit: set("exp", func(now int64) any { return now*1_000_000 + 3_600_000_000_000 }),
		},
		{name: "A5_exp beyond the year 9999", detail: "lifetime_too_long", reason: token.LifetimeTooLong, edit: fixed("exp", int64(400_000_000_000_000))},
		{name: "A5_exp beyond every number", detail: "lifetime_too_long", reason: token.LifetimeTooLong, edit: fixed("exp", json.Number("1e999"))},
		{name: "A6_no exp", detail: "token_expired", reason: token.BadLayout, edit: without("exp")},
		{name: "A7_no iat", detail: "iat_too_old", reason: token.BadLayout, edit: without("iat")},
		{name: "A8_expired within the leeway", edit: set("exp", later(-10*time.Second))},
		{name: "A9_expired beyond the leeway", detail: "token_expired", reason: token.Expired, edit: set("exp", later(-31*time.Second))},
		{name: "A10_issued 20 s ahead", edit: set("iat", later(20*time.Second))},
		{name: "A10_issued 60 s ahead", detail: "iat_in_future", reason: token.IssuedInFuture, edit: set("iat", later(time.Minute))},
		{name: "A11_issued 25 h ago", detail: "iat_too_old", reason: token.IssuedTooLongAgo, edit: set("iat", later(-25*time.Hour))},
		{name: "A12_nbf 20 s ahead", edit: set("nbf", later(20*time.Second))},
		{name: "A12_nbf 60 s ahead", detail: "nbf_in_future", reason: token.NotYetValid, edit: set("nbf", later(time.Minute))},
		{name: "A12_nbf of 5", edit: fixed("nbf", 5)},
		{name: "A13_exp as a float", edit: set("exp", func(now int64) any { return json.Number(fmt.Sprintf("%d.0", now+3_600_000)) })},
		{name: "A14_exp a word", detail: "token_expired", reason: token.BadLayout, edit: fixed("exp", "soon")},
		{name: "A14_exp a list", detail: "token_expired", reason: token.BadLayout, edit: fixed("exp", []int{1})},
		{name: "A14_exp null", detail: "token_expired", reason: token.BadLayout, edit: fixed("exp", nil)},
		{name: "A14_exp a boolean", detail: "token_expired", reason: token.BadLayout, edit: fixed("exp", true)},
		{
			name: "A15_ten years of life", detail: "lifetime_too_long", reason: token.LifetimeTooLong,
			edit: set("exp", later(10*365*24*time.Hour)),
		},
		{
			name: "A18_no leeway at all", detail: "token_expired", reason: token.Expired, leeway: -1,
			edit: set("exp", later(-time.Second)),
		},
		{name: "D2_another audience", detail: "invalid_sub", reason: token.WrongAudience, edit: fixed("sub", "stigmem:node:other")},
		{name: "D2_no nonce", detail: "missing_nonce", reason: token.MissingNonce, edit: without("nonce")},
		{name: "D2_an empty nonce", detail: "missing_nonce", reason: token.MissingNonce, edit: fixed("nonce", "")},
		{
			name: "D2_wrong audience and expired", detail: "token_expired", reason: token.Expired,
			edit: func(c fedtest.Claims) fedtest.Claims {
				return c.With("sub", "x").With("exp", millis(c, "iat")-3_600_000).With("iat", millis(c, "iat")-7_200_000)
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) {
				if tt.leeway < 0 {
					c.Leeway = 0
				}
			}})
			res := n.Do(t, "GET", pullPath, "Bearer "+p.Sign(tt.edit(p.Claims(n))), nil)
			if tt.detail == "" {
				res.Want(t, 200, "")
				if r := n.Rejections(); len(r) != 0 {
					t.Errorf("refused: %v", r)
				}
				return
			}
			res.Want(t, 401, tt.detail)
			if h := res.Header.Get("WWW-Authenticate"); h != "" {
				t.Errorf("a peer is told to authenticate by %q", h)
			}
			if r := n.LastRejection(); len(n.Rejections()) != 1 || r.Reason != tt.reason || r.LooksLike != tt.unit || r.Kind != token.Peer {
				t.Errorf("refused as %+v, want once, for %s, looking like %v", n.Rejections(), tt.reason, tt.unit)
			}
			d := n.AuditDetails(t, p.RowID, "rejected_token")
			if len(d) != 1 || d[0]["reason"] != tt.detail || d[0]["rejection"] != string(tt.reason) {
				t.Errorf("audited %v, want %s for %s", d, tt.detail, tt.reason)
			}
			if tt.unit != epoch.UnitUnknown && len(d) == 1 && d[0]["looks_like"] != tt.unit.String() {
				t.Errorf("audited %v, want the unit %v", d, tt.unit)
			}
		})
	}

	t.Run("A17_seconds on push without a capability", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		c := p.Claims(n)
		now := millis(c, "iat") / 1000
		res := n.Do(t, "POST", "/v1/federation/facts/push", "Bearer "+p.Sign(c.With("iat", now).With("exp", now+3600)), map[string]any{"facts": []any{}})
		res.Want(t, 401, "peer token or X-Stigmem-Capability header required")
		if d := n.Audit(t, "", "rejected_token"); len(d) != 0 {
			t.Errorf("audited %v, want nothing", d)
		}
		if r := n.LastRejection(); r.Reason != token.UnitMismatch {
			t.Errorf("the observer was told %v, want the unit", r.Reason)
		}
	})

	t.Run("B20_a nonce is kept as long as its token lives", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.NonceWindow = time.Second }})
		c := p.Claims(n)
		text := "Bearer " + p.Sign(c.With("exp", millis(c, "iat")+60_000))
		n.Do(t, "GET", pullPath, text, nil).Want(t, 200, "")
		n.Clock.Advance(5 * time.Second)
		n.Do(t, "GET", pullPath, text, nil).Want(t, 401, "nonce_already_seen")
		n.Clock.Advance(84 * time.Second) // within the leeway after its end
		n.Do(t, "GET", pullPath, text, nil).Want(t, 401, "nonce_already_seen")
		n.Clock.Advance(2 * time.Second)
		n.Do(t, "GET", pullPath, text, nil).Want(t, 401, "token_expired")
	})

	t.Run("B21_a peer cannot speak for another", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		q := fedtest.Join(t, n, id.Public)
		n.Do(t, "GET", pullPath, "Bearer "+p.Sign(q.Claims(n)), nil).Want(t, 401, "invalid_signature")
		if d := n.AuditDetails(t, q.RowID, "rejected_token"); len(d) != 1 || d[0]["reason"] != "invalid_signature" {
			t.Errorf("audited %v", d)
		}
	})

	t.Run("B22_any claims are answered with 200, 401 or 403", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.RequestsPerSecond = -1 }})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		odd := func(now int64) any {
			return []any{
				nil, true, "", "x", "\u0000", strings.Repeat("n", 5000), []any{}, map[string]any{"a": 1}, 0, -1, 1.5, now, now / 1000, now * 1000,
				json.Number("1e400"), json.Number("-1e400"), json.Number("9223372036854775808"), json.Number("0.000001"), []any{"public", nil, 7}, "public",
			}[r.IntN(20)]
		}
		names := []string{"iss", "sub", "iat", "exp", "nbf", "nonce", "scopes", "aud", "jti", "cnf"}
		for range 300 {
			c := p.Claims(n)
			now := millis(c, "iat")
			for range 1 + r.IntN(3) {
				c = c.With(names[r.IntN(len(names))], odd(now))
			}
			if res := n.Do(t, "GET", pullPath, "Bearer "+p.Sign(c), nil); res.Status != 200 && res.Status != 401 && res.Status != 403 {
				t.Errorf("claims %v: %d %s", c, res.Status, res.Body)
			}
		}
	})

	t.Run("C4_a token is used once", func(t *testing.T) {
		t.Parallel()
		o := fedtest.Options{}
		n, p := joined(t, o)
		q := fedtest.Join(t, n, id.Public)
		c := p.Claims(n)
		first := "Bearer " + p.Sign(c)
		n.Do(t, "GET", pullPath, first, nil).Want(t, 200, "")                   // a
		n.Do(t, "GET", pullPath, first, nil).Want(t, 401, "nonce_already_seen") // b
		again := "Bearer " + p.Sign(c.With("iat", millis(c, "iat")-1))          //
		n.Do(t, "GET", pullPath, again, nil).Want(t, 401, "nonce_already_seen") // c
		old := p.Claims(n).With("iat", millis(c, "iat")-3*3_600_000).With("exp", millis(c, "iat")-2*3_600_000)
		n.Do(t, "GET", pullPath, "Bearer "+p.Sign(old), nil).Want(t, 401, "token_expired") // d
		if d := n.AuditDetails(t, p.RowID, "replay_attempt"); len(d) != 2 || d[0]["reason"] != "nonce_already_seen" {
			t.Errorf("C4e: replays audited %v, want two", d)
		}
		if d := n.AuditDetails(t, p.RowID, "rejected_token"); len(d) != 1 || d[0]["reason"] != "token_expired" {
			t.Errorf("C4e: refusals audited %v, want one", d)
		}
		n.Do(t, "GET", pullPath, "Bearer "+q.Sign(q.Claims(n).With("nonce", c["nonce"])), nil).Want(t, 200, "") // h
		n.Restart(t)
		n.Do(t, "GET", pullPath, first, nil).Want(t, 401, "nonce_already_seen") // i
	})

	t.Run("C4f_of simultaneous uses exactly one is served", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		for range 5 {
			text := "Bearer " + p.Token(n)
			const callers = 8
			status := make(chan int, callers)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() { status <- n.Do(t, "GET", pullPath, text, nil).Status })
			}
			wg.Wait()
			close(status)
			served := 0
			for s := range status {
				if s == 200 {
					served++
				}
			}
			if served != 1 {
				t.Errorf("%d of %d simultaneous uses of one token were served", served, callers)
			}
		}
	})

	t.Run("C4g_a token is used up by a request that is refused", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		text := "Bearer " + p.Token(n)
		n.Do(t, "GET", pullPath+"?scope=local", text, nil).Want(t, 403, "scope not permitted for this peer")
		n.Do(t, "GET", pullPath, text, nil).Want(t, 401, "nonce_already_seen")
	})

	t.Run("D2_what is no token of a peer's", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		stranger := fedtest.NewPeer(t)
		other := sign.GenerateKey()
		head := func(h string) string { return "Bearer " + fedtest.SignToken(p.Key, h, p.Claims(n)) }
		for _, tt := range []struct{ name, authorization, detail string }{
			{"nothing", "", "peer token required"},
			{"another scheme", "Basic x", "peer token required"},
			{"an API key", "Bearer " + fedtest.AdminKey, "malformed token"},
			{"garbage", "Bearer a.b.c", "malformed token"},
			{"a stranger", "Bearer " + stranger.Token(n), "peer not registered"},
			{"another key", "Bearer " + fedtest.SignToken(other, `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n)), "invalid_signature"},
			{"no algorithm", head(`{"alg":"none","typ":"JWT"}`), "invalid_token"},
			{"another algorithm", head(`{"alg":"HS256","typ":"JWT"}`), "invalid_token"},
			{"the scheme in any case", "bEaReR " + p.Token(n), ""},
		} {
			res := n.Do(t, "GET", pullPath, tt.authorization, nil)
			if tt.detail == "" {
				res.Want(t, 200, "")
				continue
			}
			if res.Status != 401 || res.Detail() != tt.detail {
				t.Errorf("%s: %d %s, want 401 %s", tt.name, res.Status, res.Body, tt.detail)
			}
		}
		if d := n.AuditDetails(t, stranger.ID, "rejected_token"); len(d) != 1 || d[0]["reason"] != "peer_not_found" || d[0]["iss"] != stranger.ID {
			t.Errorf("the stranger is audited as %v", d)
		}
		// Faults of the query come after those of the token.
		n.Do(t, "GET", pullPath+"?limit=0", "Bearer x", nil).Want(t, 401, "malformed token")
		n.Do(t, "GET", pullPath+"?limit=501", "Bearer "+p.Token(n), nil).Want(t, 422, "")
		n.Do(t, "POST", pullPath, "", nil).Want(t, 401, "peer token required")
		if res := n.Do(t, "POST", pullPath, "Bearer "+p.Token(n), nil); res.Status != 405 || res.Header.Get("Allow") != "GET" {
			t.Errorf("a peer posts where it pulls: %d, Allow %q", res.Status, res.Header.Get("Allow"))
		}
	})

	t.Run("D2_scopes of the token and of the agreement", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		for _, tt := range []struct {
			name   string
			scopes any
			status int
		}{
			{"none", []string{}, 403}, {"only local", []string{"local"}, 403}, {"null", nil, 403}, {"a text", "public", 403},
			{"only unknown ones", []string{"galaxy"}, 403}, {"more than agreed", []string{"public", "team", "local", "galaxy"}, 200},
		} {
			res := n.Do(t, "GET", pullPath, "Bearer "+p.Sign(p.Claims(n).With("scopes", tt.scopes)), nil)
			if res.Status != tt.status || tt.status == 403 && res.Detail() != "no permitted scopes" {
				t.Errorf("%s: %d %s, want %d", tt.name, res.Status, res.Body, tt.status)
			}
		}
	})
}

// A peer's share of requests is its own, and a stranger cannot use it up.
func TestRequestsOfAPeerAreBounded(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{Config: func(c *federation.Config) { c.RequestsPerSecond, c.RequestBurst = 0.001, 3 }})
	q := fedtest.Join(t, n, id.Public)
	forged := "Bearer " + fedtest.SignToken(sign.GenerateKey(), `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n))
	for range 10 {
		n.Do(t, "GET", pullPath, forged, nil).Want(t, 401, "invalid_signature")
	}
	for range 3 {
		n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(t, 200, "")
	}
	res := n.Do(t, "GET", pullPath, "Bearer "+p.Token(n), nil)
	if res.Status != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the fourth request: %d, Retry-After %q; want 429 and how long to wait", res.Status, res.Header.Get("Retry-After"))
	}
	n.Do(t, "GET", pullPath, "Bearer "+q.Token(n), nil).Want(t, 200, "")
}

// The log of refusals does not grow as fast as a stranger can ask.
func TestRefusalsOfStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	forged := "Bearer " + fedtest.SignToken(sign.GenerateKey(), `{"alg":"EdDSA","typ":"JWT"}`, p.Claims(n))
	const asked = 600
	start := time.Now()
	for range asked {
		n.Do(t, "GET", pullPath, forged, nil).Want(t, 401, "invalid_signature")
	}
	n.Clock.Advance(time.Minute)
	n.Do(t, "GET", pullPath, forged, nil).Want(t, 401, "invalid_signature")
	d := n.AuditDetails(t, p.RowID, "rejected_token")
	// The burst, what comes back over time, and a minute of that at the end.
	if most := 500 + 30 + 1 + int(time.Since(start).Seconds()/2); len(d) > most {
		t.Errorf("%d entries for %d refusals, want at most %d", len(d), asked, most)
	}
	if got := len(n.Rejections()); got != asked+1 {
		t.Errorf("the observer was told of %d refusals, want %d", got, asked+1)
	}
	counted := len(d)
	for _, e := range d {
		if n, ok := e["unwritten"].(float64); ok {
			counted += int(n)
		}
	}
	if counted != asked+1 || counted == len(d) {
		t.Errorf("%d entries speak for %d refusals, want %d", len(d), counted, asked+1)
	}
}
