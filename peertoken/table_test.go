package peertoken_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/peertoken"
	"symbolon/token"
)

// nonces is a store that remembers per peer, as the interface asks.
type nonces struct {
	mu    sync.Mutex
	until map[[2]string]epoch.Millis
	err   error
}

func (n *nonces) Consume(_ context.Context, peer, nonce string, until epoch.Millis) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return false, n.err
	}
	if _, used := n.until[[2]string{peer, nonce}]; used {
		return false, nil
	}
	if n.until == nil {
		n.until = make(map[[2]string]epoch.Millis)
	}
	n.until[[2]string{peer, nonce}] = until
	return true, nil
}

// seed returns the n-th key of the vectors.
func seed(t testing.TB, n int) ed25519.PrivateKey {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Keys []struct {
			Seed string `json:"seed_b64url"`
		}
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	s, err := base64.RawURLEncoding.DecodeString(g.Keys[n].Seed)
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(s)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

type row struct {
	Name      string
	Leeway    int `json:"leeway_s"`
	Tokens    []string
	Reference []string
	Audit     [][]string
}

type table struct {
	NowMS    epoch.Millis `json:"now_ms"`
	Audience string
	Peers    map[string][2]any
	Rows     []row
}

func readTable(t testing.TB) table {
	t.Helper()
	b, err := os.ReadFile("testdata/reference_table.json")
	if err != nil {
		t.Fatal(err)
	}
	var g table
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// verifier returns a verifier of the node in the table, on a fresh store.
func (g table) verifier(t testing.TB, leeway time.Duration) *peertoken.Verifier {
	t.Helper()
	keys := [2]ed25519.PublicKey{public(seed(t, 0)), public(seed(t, 1))}
	v, err := peertoken.NewVerifier(peertoken.Config{
		Audience: g.Audience,
		Lookup: func(_ context.Context, iss string) (peertoken.Peer, error) {
			p, ok := g.Peers[iss]
			if !ok {
				return peertoken.Peer{}, nil
			}
			peer := peertoken.Peer{Standing: peertoken.NotApproved, Status: p[0].(string), NodeID: iss, Key: keys[int(p[1].(float64))]}
			if peer.Status == "active" {
				peer.Standing = peertoken.Active
			}
			return peer, nil
		},
		Nonces: &nonces{}, Now: g.NowMS.Time, Leeway: leeway, MaxAge: peertoken.DefaultMaxAge, NonceWindow: peertoken.DefaultNonceWindow,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A departure is an answer that differs from the reference's on purpose. detail
// is ours, "" for acceptance.
type departure struct {
	detail string
	reason token.Reason
}

const (
	tokenMalformed  = "malformed token"
	tokenExpired    = "token_expired"
	tokenInvalid    = "invalid_token"
	nbfInFuture     = "nbf_in_future"
	iatTooOld       = "iat_too_old"
	iatInFuture     = "iat_in_future"
	missingNonce    = "missing_nonce"
	lifetimeTooLong = "lifetime_too_long"
)

// departures lists every row of the table on which we do not agree with the
// reference. Everything else must agree, word for word.
var departures = map[string]departure{
	// The unit of a number is checked, not only its size.
	"A5 exp in microseconds":         {tokenExpired, token.UnitMismatch},
	"A5 exp in nanoseconds":          {tokenExpired, token.UnitMismatch},
	"A5 iat and exp in microseconds": {tokenExpired, token.UnitMismatch},
	"A12 nbf in seconds":             {nbfInFuture, token.UnitMismatch},
	// Milliseconds are a number; no peer writes them as text.
	"A13 exp decimal text": {tokenExpired, token.BadLayout},
	"A13 iat decimal text": {iatTooOld, token.BadLayout},
	"A13 nbf decimal text": {nbfInFuture, token.BadLayout},
	// The reference fails with an exception.
	"A14 exp is a word":                   {tokenExpired, token.BadLayout},
	"A14 exp is empty text":               {tokenExpired, token.BadLayout},
	"A14 exp is a list":                   {tokenExpired, token.BadLayout},
	"A14 exp is an empty list":            {tokenExpired, token.BadLayout},
	"A14 exp is an object":                {tokenExpired, token.BadLayout},
	"A14 exp is null":                     {tokenExpired, token.BadLayout},
	"A14 iat is a word":                   {iatTooOld, token.BadLayout},
	"A14 iat is empty text":               {iatTooOld, token.BadLayout},
	"A14 iat is a list":                   {iatTooOld, token.BadLayout},
	"A14 iat is an empty list":            {iatTooOld, token.BadLayout},
	"A14 iat is an object":                {iatTooOld, token.BadLayout},
	"A14 iat is null":                     {iatTooOld, token.BadLayout},
	"A14 nbf is a word":                   {nbfInFuture, token.BadLayout},
	"A14 nbf is empty text":               {nbfInFuture, token.BadLayout},
	"A14 nbf is a list":                   {nbfInFuture, token.BadLayout},
	"A14 nbf is an empty list":            {nbfInFuture, token.BadLayout},
	"A14 nbf is an object":                {nbfInFuture, token.BadLayout},
	"A14 exp is 1e400":                    {lifetimeTooLong, token.LifetimeTooLong},
	"A14 exp is -1e400":                   {tokenExpired, token.Expired},
	"A14 exp is a thousand digits":        {lifetimeTooLong, token.LifetimeTooLong},
	"A14 exp is 2^63":                     {lifetimeTooLong, token.LifetimeTooLong},
	"A14 exp is 1e18":                     {lifetimeTooLong, token.LifetimeTooLong},
	"A14 exp is 1e300":                    {lifetimeTooLong, token.LifetimeTooLong},
	"A14 iat is 1e400":                    {iatInFuture, token.IssuedInFuture},
	"A14 iat is -1e400":                   {iatTooOld, token.IssuedTooLongAgo},
	"A14 nbf is 1e400":                    {nbfInFuture, token.NotYetValid},
	"A14 nbf is -1e400":                   {"", ""},
	"D2 iss a list":                       {"peer not registered", token.BadLayout},
	"D2 nonce a list":                     {missingNonce, token.MissingNonce},
	"D2 scopes null":                      {"", ""}, // no scopes, hence 403 by the route
	"payload exp Infinity":                {tokenMalformed, token.Malformed},
	"payload lone surrogate in the nonce": {tokenMalformed, token.Malformed},
	// A boolean is no number.
	"A14 nbf is true":  {nbfInFuture, token.BadLayout},
	"A14 nbf is false": {nbfInFuture, token.BadLayout},
	// A life is bounded by one hour.
	"A15 a life of ten years":                     {lifetimeTooLong, token.LifetimeTooLong},
	"A15 a life of one millisecond more":          {lifetimeTooLong, token.LifetimeTooLong},
	"A15 exp in the year 9999":                    {lifetimeTooLong, token.LifetimeTooLong},
	"A15 exp in the year 10000":                   {lifetimeTooLong, token.LifetimeTooLong},
	"A11 iat exactly 24 h ago, an over-long life": {lifetimeTooLong, token.LifetimeTooLong},
	// Nonces are per peer.
	"C4h another peer uses the nonce": {"", ""},
	// A nonce is text of bounded length.
	"D2 nonce a number":     {missingNonce, token.MissingNonce},
	"D2 nonce of 300 bytes": {tokenInvalid, token.BadLayout},
	// A JWT of another declared type is another token.
	"header typ of another kind": {tokenInvalid, token.WrongKind},
	"header typ a number":        {tokenInvalid, token.WrongKind},
	// Extensions are not understood, and none is pretended to be.
	"header crit b64 true": {tokenMalformed, token.Malformed},
	"header b64 a number":  {tokenMalformed, token.Malformed},
	// Strict JSON: one value per name, UTF-8, bounded depth.
	"header alg twice":                 {tokenMalformed, token.Malformed},
	"payload exp twice, the last good": {tokenMalformed, token.Malformed},
	"payload name twice by an escape":  {tokenMalformed, token.Malformed},
	"payload NaN":                      {tokenMalformed, token.Malformed},
	"payload lone surrogate":           {tokenMalformed, token.Malformed},
	"payload U+0000 in the nonce":      {tokenMalformed, token.Malformed},
	"payload with a byte order mark":   {tokenMalformed, token.Malformed},
	"payload in UTF-16":                {tokenMalformed, token.Malformed},
	"payload 33 deep":                  {tokenMalformed, token.Malformed},
	// One spelling of a token.
	"segments: payload padded":   {tokenMalformed, token.NotCanonical},
	"segments: signature padded": {tokenMalformed, token.NotCanonical},
	// A bound on size.
	"segments: longer than 8 KiB, else good": {tokenMalformed, token.Malformed},
}

// The golden table: we answer as the reference does, in detail and in audit,
// except where departures says so; and every departure listed is one.
func TestAgreementWithTheReference(t *testing.T) {
	t.Parallel()
	g := readTable(t)
	if len(g.Rows) < 190 {
		t.Fatalf("only %d rows", len(g.Rows))
	}
	found := 0
	for _, r := range g.Rows {
		d, departs := departures[r.Name]
		if departs {
			found++
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			v := g.verifier(t, time.Duration(r.Leeway)*time.Second)
			for i, text := range r.Tokens {
				_, err := v.Verify(t.Context(), text)
				var rej *token.Rejection
				if err != nil && !errors.As(err, &rej) {
					t.Fatalf("token %d: %v is no rejection", i, err)
				}
				got, want := peertoken.Detail(err), r.Reference[i]
				if want == "ok" {
					want = ""
				}
				last := i == len(r.Tokens)-1
				if departs && last {
					if got == want {
						t.Errorf("token %d: %q is no departure from the reference", i, got)
					}
					if got != d.detail || rej != nil && rej.Reason != d.reason || rej == nil && d.reason != "" {
						t.Errorf("token %d: %q, %v; want %q, %s", i, got, err, d.detail, d.reason)
					}
					continue
				}
				if got != want {
					t.Errorf("token %d: %q (%v), want %q as the reference", i, got, err, want)
				}
				event, reason := peertoken.Audit(err)
				var wantEvent, wantReason string
				if a := r.Audit[i]; a != nil {
					wantEvent, wantReason = a[0], a[1]
				}
				if event != wantEvent || reason != wantReason {
					t.Errorf("token %d: audit %q, %q; want %q, %q", i, event, reason, wantEvent, wantReason)
				}
			}
		})
	}
	if found != len(departures) {
		t.Errorf("%d departures are listed, %d are rows of the table", len(departures), found)
	}
}
