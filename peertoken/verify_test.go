package peertoken_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/peertoken"
	"symbolon/token"
)

const (
	nodeN = "stigmem:node:n" // we
	nodeP = "stigmem:node:p" // an active peer
	nodeQ = "stigmem:node:q" // another one

	nowMS = epoch.Millis(1_795_289_057_807)
	nowS  = 1_795_289_057
	hour  = 3_600_000
)

type signer struct{ key ed25519.PrivateKey }

func (s signer) Sign(m []byte) []byte { return ed25519.Sign(s.key, m) }

// world is N with its peers P and Q, and what it needs to be asked.
type world struct {
	p, q   ed25519.PrivateKey
	peers  map[string]peertoken.Peer
	store  *nonces
	now    epoch.Millis
	seen   []*token.Rejection
	config peertoken.Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{p: seed(t, 0), q: seed(t, 1), store: &nonces{}, now: nowMS}
	w.peers = map[string]peertoken.Peer{
		nodeP: {Standing: peertoken.Active, NodeID: nodeP, Key: public(w.p)},
		nodeQ: {Standing: peertoken.Active, NodeID: nodeQ, Key: public(w.q)},
	}
	w.config = peertoken.Config{
		Audience: nodeN,
		Lookup:   func(_ context.Context, iss string) (peertoken.Peer, error) { return w.peers[iss], nil },
		Nonces:   w.store,
		Now:      func() time.Time { return w.now.Time() },
		Leeway:   peertoken.DefaultLeeway, MaxAge: peertoken.DefaultMaxAge, NonceWindow: peertoken.DefaultNonceWindow,
		Observer: func(_ context.Context, r *token.Rejection) { w.seen = append(w.seen, r) },
	}
	return w
}

func (w *world) verify(t testing.TB, text string) (peertoken.Verified, error) {
	t.Helper()
	v, err := peertoken.NewVerifier(w.config)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), text)
}

// claims are those of a good token of P, by their JSON texts.
type claims map[string]string

func (c claims) with(pairs ...any) claims {
	out := claims{}
	for k, v := range c {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		k := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case nil:
			delete(out, k)
		case string:
			out[k] = v
		case int:
			out[k] = strconv.Itoa(v)
		case epoch.Millis:
			out[k] = strconv.FormatInt(int64(v), 10)
		}
	}
	return out
}

var nonceCount atomic.Int64

func good() claims {
	return claims{
		"iss": `"` + nodeP + `"`, "sub": `"` + nodeN + `"`, "scopes": `["company","public"]`,
		"nonce": fmt.Sprintf(`"nonce-%d"`, nonceCount.Add(1)),
	}.with("iat", nowMS, "exp", nowMS+hour)
}

func (c claims) sign(k ed25519.PrivateKey) string {
	return seal(k, `{"alg":"EdDSA","typ":"JWT"}`, c.payload())
}

func (c claims) payload() string {
	members := make([]string, 0, len(c))
	for k, v := range c {
		members = append(members, `"`+k+`":`+v)
	}
	slices.Sort(members)
	return "{" + strings.Join(members, ",") + "}"
}

func seal(k ed25519.PrivateKey, header, payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	m := b64([]byte(header)) + "." + b64([]byte(payload))
	return m + "." + b64(ed25519.Sign(k, []byte(m)))
}

type want struct {
	reason token.Reason
	detail string
	claim  string
	unit   epoch.Unit
}

// check verifies text and compares the answer; the zero want is acceptance.
func (w *world) check(t *testing.T, text string, want want) {
	t.Helper()
	got, err := w.verify(t, text)
	if want.reason == "" {
		if err != nil || got.Issuer() == "" {
			t.Errorf("%v, want it accepted", err)
		}
		return
	}
	var r *token.Rejection
	if !errors.As(err, &r) {
		t.Fatalf("%v, want a rejection as %s", err, want.reason)
	}
	if got.Issuer() != "" {
		t.Error("refused, and yet claims are returned")
	}
	if r.Kind != token.Peer || r.Reason != want.reason || r.Claim != want.claim || r.LooksLike != want.unit || peertoken.Detail(err) != want.detail {
		t.Errorf("%s, claim %q, looks like %v, detail %q; want %+v", r.Reason, r.Claim, r.LooksLike, peertoken.Detail(err), want)
	}
	if !slices.Contains(token.Reasons(), r.Reason) {
		t.Errorf("reason %q is not on the closed list", r.Reason)
	}
}

func TestFailureModesA(t *testing.T) {
	t.Parallel()
	expired := want{reason: token.Expired, detail: tokenExpired}
	tooOld := want{reason: token.IssuedTooLongAgo, detail: iatTooOld}
	unit := func(claim string, u epoch.Unit, detail string) want {
		return want{token.UnitMismatch, detail, claim, u}
	}
	shape := func(claim, detail string) want { return want{reason: token.BadLayout, detail: detail, claim: claim} }
	long := want{reason: token.LifetimeTooLong, detail: lifetimeTooLong}
	for _, tt := range []struct {
		name   string
		claims claims
		want   want
	}{
		{"A1 milliseconds are accepted", good().with("exp", nowMS+10_000), want{}},
		{"A2 iat and exp in seconds", good().with("iat", nowS, "exp", nowS+3600), unit("exp", epoch.UnitSeconds, tokenExpired)},
		{"A3 iat in seconds", good().with("iat", nowS), unit("iat", epoch.UnitSeconds, iatTooOld)},
		{"A4 exp in seconds", good().with("exp", nowS+3600), unit("exp", epoch.UnitSeconds, tokenExpired)},
		{"A5 exp in microseconds", good().with("exp", (nowMS+hour)*1000), unit("exp", epoch.UnitMicros, tokenExpired)},
		{"A5 exp in nanoseconds", good().with("exp", (nowMS+hour)*1_000_000), unit("exp", epoch.UnitNanos, tokenExpired)},
		{"A5 iat in microseconds", good().with("iat", nowMS*1000), unit("iat", epoch.UnitMicros, iatInFuture)},
		{"A5 iat in nanoseconds", good().with("iat", nowMS*1_000_000), unit("iat", epoch.UnitNanos, iatInFuture)},
		{"A5 exp a float of nanoseconds", good().with("exp", "1.7952926578e18"), unit("exp", epoch.UnitNanos, tokenExpired)},
		{"A6 exp missing", good().with("exp", nil), shape("exp", tokenExpired)},
		{"A7 iat missing", good().with("iat", nil), shape("iat", iatTooOld)},
		{"A8 expired inside the leeway", good().with("exp", nowMS-10_000), want{}},
		{"A8 expired at the leeway", good().with("exp", nowMS-30_000), want{}},
		{"A9 expired past the leeway", good().with("exp", nowMS-30_001), expired},
		{"A10 issued inside the leeway ahead", good().with("iat", nowMS+20_000), want{}},
		{"A10 issued past the leeway ahead", good().with("iat", nowMS+60_000), want{reason: token.IssuedInFuture, detail: iatInFuture}},
		{"A11 issued 25 h ago", good().with("iat", nowMS-25*hour, "exp", nowMS+1000), tooOld},
		{"A11 issued too long ago by a millisecond", good().with("iat", nowMS-24*hour-1, "exp", nowMS+1000), tooOld},
		{"A12 nbf inside the leeway", good().with("nbf", nowMS+20_000), want{}},
		{"A12 nbf past the leeway", good().with("nbf", nowMS+60_000), want{reason: token.NotYetValid, detail: nbfInFuture}},
		{"A12 nbf of 5", good().with("nbf", 5), want{}},
		{"A12 nbf in seconds", good().with("nbf", nowS), unit("nbf", epoch.UnitSeconds, nbfInFuture)},
		{"A13 exp a float", good().with("exp", "1795292657807.9"), want{}},
		{"A13 exp decimal text", good().with("exp", `"1795292657807"`), shape("exp", tokenExpired)},
		{"A14 exp a word", good().with("exp", `"soon"`), shape("exp", tokenExpired)},
		{"A14 exp a list", good().with("exp", `[1795292657807]`), shape("exp", tokenExpired)},
		{"A14 exp null", good().with("exp", `null`), shape("exp", tokenExpired)},
		{"A14 exp a boolean", good().with("exp", `true`), shape("exp", tokenExpired)},
		{"A14 exp an object", good().with("exp", `{}`), shape("exp", tokenExpired)},
		{"A14 exp 1e400", good().with("exp", `1e400`), long},
		{"A14 exp of a thousand digits", good().with("exp", strings.Repeat("9", 1000)), long},
		{"A14 exp of minus a thousand digits", good().with("exp", "-"+strings.Repeat("9", 1000)), expired},
		{"A14 exp zero", good().with("exp", 0), expired},
		{"A15 a life of ten years", good().with("exp", nowMS+10*365*24*hour), long},
		{"A15 a life at the bound", good().with("exp", nowMS+hour+30_000), want{}},
		{"A15 a life past the bound", good().with("exp", nowMS+hour+30_001), long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.check(t, tt.claims.sign(w.p), tt.want)
		})
	}
}

// A17 is the push route's: without a capability, the same refusal there reads as
// "no token at all". Verify tells it what it was.
func TestA18NoLeeway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Leeway = 0
	w.check(t, good().with("exp", nowMS-1000).sign(w.p), want{reason: token.Expired, detail: tokenExpired})
	w.check(t, good().with("exp", nowMS).sign(w.p), want{})
	w.check(t, good().with("iat", nowMS+1).sign(w.p), want{reason: token.IssuedInFuture, detail: iatInFuture})
	w.check(t, good().with("exp", nowMS+hour+1).sign(w.p), want{reason: token.LifetimeTooLong, detail: lifetimeTooLong})
}

func TestFailureModesB20ToB22(t *testing.T) {
	t.Parallel()
	t.Run("B20 a nonce outlives its window as long as the token lives", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.config.NonceWindow = time.Second
		text := good().with("exp", nowMS+60_000).sign(w.p)
		w.check(t, text, want{})
		w.now += 5000
		w.check(t, text, want{reason: token.Replayed, detail: "nonce_already_seen"})
		for key, until := range w.store.until {
			if key[0] != nodeP || until != nowMS+60_000+30_000 {
				t.Errorf("nonce of %s kept until %d, want until the token's end and the leeway", key[0], until)
			}
		}
	})
	t.Run("B20 a nonce is kept for the window at least", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.check(t, good().with("exp", nowMS+1000).sign(w.p), want{})
		for _, until := range w.store.until {
			if until != nowMS+300_000+30_000 {
				t.Errorf("kept until %d", until)
			}
		}
	})
	t.Run("B21 P's key, Q's name", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.check(t, good().with("iss", `"`+nodeQ+`"`).sign(w.p), want{reason: token.BadSignature, detail: "invalid_signature"})
	})
	t.Run("B21 the row is of another node", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.peers["stigmem:node:alias"] = w.peers[nodeP]
		w.check(t, good().with("iss", `"stigmem:node:alias"`).sign(w.p), want{reason: token.WrongIssuer, detail: "invalid_iss"})
	})
	t.Run("B22 any claim of any shape", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, c := range []string{"iss", "sub", "iat", "exp", "nbf", "nonce", "scopes", "jti", "aud", "x"} {
			for _, v := range []string{
				`null`, `true`, `false`, `0`, `-1`, `1.5`, `1e400`, `1e-400`, `99999999999999999999`, `""`, `"x"`, `"\u0041\ud83d\ude00"`, `[]`, `[null,1,"a",{}]`,
				`{}`, `{"a":{"b":[1]}}`,
			} {
				_, err := w.verify(t, good().with(c, v).sign(w.p))
				var r *token.Rejection
				if err != nil && !errors.As(err, &r) {
					t.Errorf("%s = %s: %v, want acceptance or a rejection", c, v, err)
				}
			}
		}
	})
}

func TestFailureModesC4(t *testing.T) {
	t.Parallel()
	replayed := want{reason: token.Replayed, detail: "nonce_already_seen"}
	w := newWorld(t)
	c := good()
	first := c.sign(w.p)
	w.check(t, first, want{})                                                                                             // C4a
	w.check(t, first, replayed)                                                                                           // C4b
	w.check(t, c.with("exp", nowMS+5).sign(w.p), replayed)                                                                // C4c
	w.check(t, good().with("iat", nowMS-3*hour, "exp", nowMS-2*hour).sign(w.p), want{token.Expired, tokenExpired, "", 0}) // C4d
	w.check(t, c.with("iss", `"`+nodeQ+`"`).sign(w.q), want{})                                                            // C4h

	// C4e: what the audit is told of b, c and d.
	var events []string
	for _, r := range w.seen {
		event, reason := peertoken.Audit(r)
		events = append(events, event+" "+reason)
	}
	if want := []string{"replay_attempt nonce_already_seen", "replay_attempt nonce_already_seen", "rejected_token token_expired"}; !slices.Equal(events, want) {
		t.Errorf("audit %q, want %q", events, want)
	}

	// C4g: a token that the route then answers with 403 was used up by Verify.
	none := good().with("scopes", `[]`).sign(w.p)
	w.check(t, none, want{})
	w.check(t, none, replayed)

	// C4i: a store that outlives the verifier remembers; verify makes a new
	// verifier each time.

	// A refused token does not use up its nonce.
	c = good()
	w.check(t, c.with("exp", nowMS-hour).sign(w.p), want{reason: token.Expired, detail: tokenExpired})
	w.check(t, c.sign(w.q), want{reason: token.BadSignature, detail: "invalid_signature"})
	w.check(t, c.sign(w.p), want{})
}

func TestC4fOneTokenAtOnceIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Observer = nil
	v, err := peertoken.NewVerifier(w.config)
	if err != nil {
		t.Fatal(err)
	}
	text := good().sign(w.p)
	var accepted atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), text); err == nil {
				accepted.Add(1)
			}
		})
	}
	wg.Wait()
	if accepted.Load() != 1 {
		t.Errorf("accepted %d times, want once", accepted.Load())
	}
}

func TestFailureModesD2(t *testing.T) {
	t.Parallel()
	const hs256 = `{"alg":"HS256","typ":"JWT"}`
	malformed := want{reason: token.Malformed, detail: tokenMalformed}
	algorithm := want{reason: token.WrongAlgorithm, detail: tokenInvalid}
	for _, tt := range []struct {
		name string
		text func(w *world) string
		want want
	}{
		{"an API key", func(*world) string { return strings.Repeat("k", 40) }, malformed},
		{"unknown iss", func(w *world) string { return good().with("iss", `"stigmem:node:zz"`).sign(w.p) }, want{reason: token.UnknownKey, detail: "peer not registered"}},
		{"iss missing", func(w *world) string { return good().with("iss", nil).sign(w.p) }, want{token.BadLayout, "peer not registered", "iss", 0}},
		{"other key", func(w *world) string { return good().sign(w.q) }, want{reason: token.BadSignature, detail: "invalid_signature"}},
		{"alg none", func(w *world) string { return seal(w.p, `{"alg":"none"}`, good().payload()) }, algorithm},
		{"alg HS256", func(w *world) string { return seal(w.p, hs256, good().payload()) }, algorithm},
		{"typ of another token", func(w *world) string { return seal(w.p, `{"alg":"EdDSA","typ":"dpop+jwt"}`, good().payload()) }, want{reason: token.WrongKind, detail: tokenInvalid}},
		{"sub of another node", func(w *world) string { return good().with("sub", `"stigmem:node:m"`).sign(w.p) }, want{reason: token.WrongAudience, detail: "invalid_sub"}},
		{"nonce missing", func(w *world) string { return good().with("nonce", nil).sign(w.p) }, want{reason: token.MissingNonce, detail: missingNonce}},
		{"nonce empty", func(w *world) string { return good().with("nonce", `""`).sign(w.p) }, want{reason: token.MissingNonce, detail: missingNonce}},
		{"wrong sub and expired", func(w *world) string { return good().with("sub", `"x"`, "exp", nowMS-hour).sign(w.p) }, want{reason: token.Expired, detail: tokenExpired}},
		{"not approved and expired", func(w *world) string {
			w.peers[nodeP] = peertoken.Peer{Standing: peertoken.NotApproved, Status: "pending_approval", NodeID: nodeP, Key: public(w.p)}
			return good().with("exp", 5).sign(w.p)
		}, want{reason: token.IssuerNotApproved, detail: "peer_not_approved"}},
		{"a standing that does not exist", func(w *world) string {
			w.peers[nodeP] = peertoken.Peer{Standing: 77, NodeID: nodeP, Key: public(w.p)}
			return good().sign(w.p)
		}, want{reason: token.UnknownKey, detail: "peer not registered"}},
		{"a peer without a key", func(w *world) string {
			w.peers[nodeP] = peertoken.Peer{Standing: peertoken.Active, NodeID: nodeP}
			return good().sign(w.p)
		}, want{reason: token.BadSignature, detail: "invalid_signature"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.check(t, tt.text(w), tt.want)
		})
	}
}

func TestScopesAreThoseOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for raw, want := range map[string][]string{
		`["company","public"]`:                 {"company", "public"},
		`["public","local","\u0078","public"]`: {"public", "local", "x", "public"},
		`[]`:                                   nil,
		`null`:                                 nil,
		`"public"`:                             nil,
		`{"public":true}`:                      nil,
		`[1,null,["public"],"team"]`:           {"team"},
	} {
		got, err := w.verify(t, good().with("scopes", raw).sign(w.p))
		if err != nil || !slices.Equal(got.Scopes(), want) {
			t.Errorf("scopes %s read as %q, %v, want %q", raw, got.Scopes(), err, want)
		}
	}
}

func TestVerifiedSaysWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.verify(t, good().with("nonce", `"n\u006f"`).sign(w.p))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer() != nodeP || got.Audience() != nodeN || got.Nonce() != "no" || got.IssuedAt() != nowMS || got.Expires() != nowMS+hour {
		t.Errorf("%+v", got)
	}
	if len(w.seen) != 0 {
		t.Errorf("the observer was told of an acceptance: %v", w.seen)
	}
}

// A store that cannot answer lets nobody in, and is not called a fault of the
// token.
func TestFailingStoresLetNobodyIn(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is on fire")
	for name, spoil := range map[string]func(*world){
		"lookup": func(w *world) {
			w.config.Lookup = func(context.Context, string) (peertoken.Peer, error) { return w.peers[nodeP], broken }
		},
		"nonces": func(w *world) { w.store.err = broken },
	} {
		w := newWorld(t)
		spoil(w)
		got, err := w.verify(t, good().sign(w.p))
		var r *token.Rejection
		if !errors.Is(err, broken) || errors.As(err, &r) || got.Issuer() != "" || peertoken.Detail(err) != "" || len(w.seen) != 0 {
			t.Errorf("%s: %+v, %v; want the store's own error and nobody let in", name, got, err)
		}
		if event, _ := peertoken.Audit(err); event != "" {
			t.Errorf("%s: audited as %q", name, event)
		}
	}
}

func TestRejectionSaysWhatAnOperatorNeedsAndNoToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	w.config.Observer = func(_ context.Context, r *token.Rejection) {
		w.seen = append(w.seen, r)
		log.Info("auth.rejected", "token", r)
	}
	texts := []string{
		good().with("iat", nowMS-2*hour, "exp", nowMS-hour, "nbf", nowMS-2*hour).sign(w.p),
		good().with("iat", nowS, "nonce", `"secret-nonce"`).sign(w.p),
		good().with("iss", strconv.Quote(strings.Repeat("é", 2000))).sign(w.p),
		seal(w.p, `{"alg":"EdDSA","zip":"secret-header"}`, `{"secret-payload"`),
		good().with("exp", "1e18").sign(w.p),
	}
	for _, text := range texts {
		if _, err := w.verify(t, text); err == nil {
			t.Error("accepted")
		}
	}
	if len(w.seen) != len(texts) {
		t.Fatalf("the observer was told %d times of %d refusals", len(w.seen), len(texts))
	}
	r := w.seen[0]
	if r.KeyID != nodeP || r.Peer != nodeP || !r.Now.Equal(nowMS.Time()) || r.Leeway != 30*time.Second ||
		!r.IssuedAt.Equal((nowMS - 2*hour).Time()) || !r.Expires.Equal((nowMS - hour).Time()) || !r.NotBefore.Equal((nowMS - 2*hour).Time()) {
		t.Errorf("expired: %+v", r)
	}
	if r = w.seen[1]; !r.IssuedAt.IsZero() || r.Expires.IsZero() || r.Skew() != 0 {
		t.Errorf("a time in another unit is reported as one of ours: %+v", r)
	}
	if r = w.seen[2]; len(r.Peer) > 300 || r.KeyID != "" {
		t.Errorf("unknown issuer: %+v", r)
	}
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ".") {
			if len(part) > 20 && strings.Contains(out.String(), part[:20]) && part[:20] != "eyJhbGciOiJFZERTQSIs" {
				t.Errorf("the log holds token text %q", part[:20])
			}
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("the log holds claims: %s", out.String())
	}
}

func TestNewVerifierWantsItsParts(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*peertoken.Config){
		"audience":  func(c *peertoken.Config) { c.Audience = "" },
		"lookup":    func(c *peertoken.Config) { c.Lookup = nil },
		"nonces":    func(c *peertoken.Config) { c.Nonces = nil },
		"clock":     func(c *peertoken.Config) { c.Now = nil },
		"leeway":    func(c *peertoken.Config) { c.Leeway = -1 },
		"age":       func(c *peertoken.Config) { c.MaxAge = -1 },
		"no window": func(c *peertoken.Config) { c.NonceWindow = -1 },
	} {
		c := newWorld(t).config
		spoil(&c)
		if v, err := peertoken.NewVerifier(c); err == nil || v != nil {
			t.Errorf("%s: NewVerifier = %v, %v, want an error", name, v, err)
		}
	}
}

// Looking at a token with the store that forgets does not use it up.
func TestForgetfulUsesNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := good().sign(w.p)
	w.config.Nonces = peertoken.Forgetful
	w.check(t, text, want{})
	w.check(t, text, want{})
	w.config.Nonces = w.store
	w.check(t, text, want{})
}

// Every reason that Verify can give has a word of its own table row, never the
// catch-all by accident.
func TestEveryReasonHasItsDetail(t *testing.T) {
	t.Parallel()
	known := map[token.Reason]string{
		token.Malformed: tokenMalformed, token.NotCanonical: tokenMalformed, token.UnknownKey: "peer not registered",
		token.IssuerNotApproved: "peer_not_approved", token.BadSignature: "invalid_signature", token.WrongAlgorithm: tokenInvalid,
		token.WrongKind: tokenInvalid, token.BadLayout: tokenInvalid, token.Expired: tokenExpired, token.WrongAudience: "invalid_sub",
		token.WrongIssuer: "invalid_iss", token.IssuedInFuture: iatInFuture, token.IssuedTooLongAgo: iatTooOld, token.NotYetValid: nbfInFuture,
		token.MissingNonce: missingNonce, token.Replayed: "nonce_already_seen", token.LifetimeTooLong: lifetimeTooLong, token.UnitMismatch: tokenInvalid,
	}
	for _, reason := range token.Reasons() {
		want, ok := known[reason]
		if !ok {
			want = tokenInvalid
		}
		if got := peertoken.Detail(&token.Rejection{Kind: token.Peer, Reason: reason}); got != want {
			t.Errorf("Detail of %s = %q, want %q", reason, got, want)
		}
		if got := peertoken.Detail(&token.Rejection{Kind: token.Identity, Reason: reason}); got != "" {
			t.Errorf("Detail of an identity token's %s = %q, want none", reason, got)
		}
	}
	if peertoken.Detail(nil) != "" || peertoken.Detail(errors.New("x")) != "" {
		t.Error("Detail of no rejection is not empty")
	}
}
