package keytoken

import (
	"bytes"
	"encoding/base64"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/errs"
	"symbolon/token"
)

// layoutClaims is a set of claims for each layout.
func layoutClaims() []Claims {
	base := Claims{UserID: benchUser, Methods: []string{"password"}, AuditIDs: []string{benchAudit}, ExpiresAt: benchNow + 3600}
	with := func(set func(c *Claims)) Claims {
		c := base
		set(&c)
		return c
	}
	federated := func(c *Claims) {
		c.Methods, c.IdentityProviderID, c.ProtocolID = []string{"mapped"}, "acme", "saml2"
		c.FederatedGroupIDs = []string{"513772ee53011ad9f4dc374b2d34d0e9", "engineers"}
	}
	return []Claims{
		Unscoped:          base,
		Domain:            with(func(c *Claims) { c.DomainID = "default" }),
		Project:           with(func(c *Claims) { c.ProjectID = benchProject }),
		Trust:             with(func(c *Claims) { c.ProjectID, c.TrustID = benchProject, "ac05c7d8f4406c971085f947e43ef730" }),
		FederatedUnscoped: with(federated),
		FederatedProject:  with(func(c *Claims) { federated(c); c.ProjectID = "a project of text" }),
		FederatedDomain:   with(func(c *Claims) { federated(c); c.DomainID, c.FederatedGroupIDs = "any domain", []string{} }),
		OAuth1:            with(func(c *Claims) { c.ProjectID, c.AccessTokenID = benchProject, "9df3b01c60df20d13843841ff0d4482c" }),
		System:            with(func(c *Claims) { c.System = "all" }),
		AppCred:           with(func(c *Claims) { c.AppCredID = "b1825bf6eabfaa12fcf398482e239108" }),
		OAuth2:            with(func(c *Claims) { c.Methods, c.DomainID, c.Thumbprint = []string{MethodOAuth2}, "default", "Rg8t0GLz" }),
	}
}

func mint(t testing.TB, ts *Tokens, c Claims) string {
	t.Helper()
	text, err := ts.Mint(c, benchNow.Time())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func isRefused(t *testing.T, ts *Tokens, text string, want ...token.Reason) {
	t.Helper()
	v, rej := ts.Verify(text, benchNow.Time(), Options{})
	switch {
	case rej == nil:
		t.Errorf("Verify(%.60q…) accepted it: %+v", text, v.Claims())
	case !slices.Contains(want, rej.Reason):
		t.Errorf("Verify(%.60q…): %s, want one of %s", text, rej.Reason, want)
	case rej.Kind != token.Identity || rej.Now.IsZero():
		t.Errorf("Verify(%.60q…): %+v lacks its kind or clock", text, rej)
	}
}

// A, B: the holder of a token alters it. What the envelope itself does is tested
// in package fernet; here is that nothing of it gets past Verify, for a token of
// every layout.
func TestTokenAttacks(t *testing.T) {
	ts, _ := benchTokens(t)
	all := layoutClaims()
	for want, c := range all {
		text := mint(t, ts, c)
		v, rej := ts.Verify(text, benchNow.Time(), Options{})
		if rej != nil || v.Version() != Version(want) || v.KeyID() != "3" {
			t.Fatalf("%v: Verify = %+v, %v", Version(want), v, rej)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		edit := func(f func(b []byte)) string {
			b := bytes.Clone(raw)
			f(b)
			return base64.RawURLEncoding.EncodeToString(b)
		}
		padded := text + strings.Repeat("=", (4-len(text)%4)%4)
		t.Run(Version(want).String(), func(t *testing.T) {
			t.Run("A1_prefix", func(t *testing.T) {
				for _, p := range []string{"F00", "F01", "F02", "F03", "f00", "F0"} {
					isRefused(t, ts, p+text, token.NotCanonical, token.Malformed)
					isRefused(t, ts, p+padded, token.NotCanonical, token.Malformed)
				}
			})
			t.Run("A2_version", func(t *testing.T) { isRefused(t, ts, edit(func(b []byte) { b[0] ^= 1 }), token.BadMAC) })
			t.Run("A3_timestamp", func(t *testing.T) { isRefused(t, ts, edit(func(b []byte) { b[8]++ }), token.BadMAC) })
			t.Run("A4_iv", func(t *testing.T) {
				// In CBC this would turn the version of the payload into any other.
				for to := range all {
					if to != want {
						isRefused(t, ts, edit(func(b []byte) { b[10] ^= byte(want ^ to) }), token.BadMAC)
					}
				}
			})
			t.Run("A5_ciphertext", func(t *testing.T) { isRefused(t, ts, edit(func(b []byte) { b[25] ^= 1 }), token.BadMAC) })
			t.Run("A6_hmac", func(t *testing.T) { isRefused(t, ts, edit(func(b []byte) { b[len(b)-1] ^= 1 }), token.BadMAC) })
			t.Run("A7_splice", func(t *testing.T) {
				for _, c := range all {
					other, err := base64.RawURLEncoding.DecodeString(mint(t, ts, c))
					if err != nil {
						t.Fatal(err)
					}
					isRefused(t, ts, base64.RawURLEncoding.EncodeToString(slices.Concat(raw[:25], other[25:])), token.BadMAC)
				}
			})
			t.Run("A9_truncated", func(t *testing.T) {
				for _, n := range []int{1, 4, 32} {
					isRefused(t, ts, text[:len(text)-n], token.NotCanonical, token.Malformed, token.BadMAC)
				}
			})
			t.Run("A10_appended", func(t *testing.T) {
				isRefused(t, ts, text+text, token.NotCanonical, token.Malformed, token.BadMAC)
			})
			t.Run("B1_padded", func(t *testing.T) {
				p, rej := ts.Verify(padded, benchNow.Time(), Options{})
				if rej != nil || p.Identity() != v.Identity() {
					t.Errorf("with its padding: %v, and one identity %v", rej, p.Identity() == v.Identity())
				}
			})
			t.Run("B2_to_B7_spellings", func(t *testing.T) {
				for _, s := range []string{
					strings.ReplaceAll(padded, "=", "%3D") + "%3D", padded + "=", padded + "====", text[:8] + "!!!!" + text[8:],
					text[:8] + "    " + text[8:], text[:8] + "\r\n" + text[8:], text + "\n", text[:len(text)-len(text)%4-3],
				} {
					isRefused(t, ts, s, token.NotCanonical, token.Malformed)
				}
			})
			t.Run("B10_case", func(t *testing.T) {
				isRefused(t, ts, strings.ToLower(text), token.NotCanonical, token.Malformed, token.BadMAC)
			})
		})
	}
	t.Run("A11_length", func(t *testing.T) {
		for _, s := range []string{"", " ", "   ", "x", strings.Repeat("A", 9000), strings.Repeat("gAAA", 25_000)} {
			isRefused(t, ts, s, token.Malformed, token.NotCanonical, token.BadMAC)
		}
	})
	t.Run("A13_other_things", func(t *testing.T) {
		rs := benchReceipts(t)
		receipt, err := rs.Mint(Receipt{UserID: benchUser, Methods: []string{"password"}, ExpiresAt: benchNow + 300}, benchNow.Time())
		if err != nil {
			t.Fatal(err)
		}
		isRefused(t, ts, receipt, token.WrongKind)
		jws := mint(t, jwsTokens(t, ES256), projectClaims())
		isRefused(t, ts, jws, token.NotCanonical)
		for _, s := range []string{
			"ee11cbb19052e40b07aac0ca060c23ee", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "MIIE0wYJKoZIhvcNAQcCoIIExDCCBMACAQExCTAH",
			"PKIZ_eJytVEmzm0YQvvMr5p5yiU1P4uBDs2", "1c0bd2e9d4b14fd2a9d5a8eb2e0a96f1", "rY8qXf2nZ8Jk0TqkVb3cQnUe5mW7sLxA9pDh1gRo", "null",
		} {
			isRefused(t, ts, s, token.NotCanonical, token.Malformed)
		}
	})
}

// D: time.
func TestTimeAttacks(t *testing.T) {
	ts, ring := benchTokens(t)
	text := mint(t, ts, projectClaims())
	exp := projectClaims().ExpiresAt.Time()
	at := func(now time.Time, o Options) token.Reason {
		_, rej := ts.Verify(text, now, o)
		return reasonOf(rej)
	}
	t.Run("D1_expired", func(t *testing.T) {
		if got := at(exp.Add(time.Second), Options{}); got != token.Expired {
			t.Errorf("a second after: %q", got)
		}
		_, rej := ts.Verify(text, exp.Add(time.Second), Options{})
		if !rej.Expires.Equal(exp) || !rej.IssuedAt.Equal(benchNow.Time()) || !rej.Now.Equal(exp.Add(time.Second)) || rej.KeyID != "3" {
			t.Errorf("the rejection does not say when: %+v", rej)
		}
	})
	t.Run("D2_equality", func(t *testing.T) {
		for _, tt := range []struct {
			now   time.Time
			grace time.Duration
			want  token.Reason
		}{
			{exp.Add(-time.Nanosecond), 0, ""},
			{exp, 0, token.Expired},
			// D5 to D7: the window of allow_expired.
			{exp, time.Hour, ""},
			{exp.Add(time.Hour - time.Nanosecond), time.Hour, ""},
			{exp.Add(time.Hour), time.Hour, token.Expired},
			{exp.Add(48 * time.Hour), time.Hour, token.Expired},
		} {
			if got := at(tt.now, Options{Grace: tt.grace}); got != tt.want {
				t.Errorf("%v after expiry with a grace of %v: %q, want %q", tt.now.Sub(exp), tt.grace, got, tt.want)
			}
		}
	})
	issuedAt := func(s epoch.Seconds) func(now time.Time, l Limits) *token.Rejection {
		payload := unhex(t, goodPayloads()[Project]...)
		text, err := ring.Seal(s, payload)
		if err != nil {
			t.Fatal(err)
		}
		return func(now time.Time, l Limits) *token.Rejection {
			ts, err := NewFernet(Fixed(ring), Format{}, l)
			if err != nil {
				t.Fatal(err)
			}
			_, rej := ts.Verify(text, now, Options{})
			return rej
		}
	}
	leeway := Limits{Leeway: time.Minute}
	t.Run("D3_issued_in_future", func(t *testing.T) {
		now := benchNow.Time()
		for _, tt := range []struct {
			ahead epoch.Seconds
			want  token.Reason
		}{{0, ""}, {60, ""}, {61, token.IssuedInFuture}, {86400, token.IssuedInFuture}} {
			if rej := issuedAt(benchNow+tt.ahead)(now, leeway); reasonOf(rej) != tt.want {
				t.Errorf("issued %d s ahead: %v, want %q", tt.ahead, rej, tt.want)
			}
		}
		if rej := issuedAt(benchNow+1)(now, Limits{}); reasonOf(rej) != token.IssuedInFuture {
			t.Errorf("issued 1 s ahead without leeway: %v", rej)
		}
		// The leeway does not prolong a token.
		if rej := issuedAt(benchNow)(exp, leeway); reasonOf(rej) != token.Expired {
			t.Errorf("at expiry, with leeway: %v", rej)
		}
	})
	t.Run("D4_absurd_timestamp", func(t *testing.T) {
		for s, want := range map[epoch.Seconds]token.Reason{
			0: token.IssuedTooLongAgo, 1: token.IssuedTooLongAgo, 1420070399: token.IssuedTooLongAgo,
			4102444800: token.IssuedInFuture, 253402300800: token.IssuedInFuture, math.MaxInt64: token.IssuedInFuture,
			math.MaxInt64 - 62135596800 + 1: token.IssuedInFuture, // where time.Time wraps around
			benchNow * 1000:                 token.UnitMismatch,
			benchNow * 1000000:              token.UnitMismatch,
			benchNow * 1000000000:           token.UnitMismatch,
		} {
			for _, l := range []Limits{{}, leeway, {Leeway: time.Minute, MaxLifetime: 24 * time.Hour}} {
				rej := issuedAt(s)(benchNow.Time(), l)
				if reasonOf(rej) != want {
					t.Errorf("issued at %d: %v, want %s", s, rej, want)
				} else if want == token.UnitMismatch && (rej.Claim != "issued_at" || rej.LooksLike == epoch.UnitUnknown) {
					t.Errorf("issued at %d: %+v names neither the claim nor the unit", s, rej)
				}
			}
		}
	})
	t.Run("D14_lifetime", func(t *testing.T) {
		// A configuration of 3600 ms taken for seconds, or of a year.
		capped, err := NewFernet(Fixed(ring), Format{}, Limits{Leeway: time.Minute, MaxLifetime: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		c := projectClaims()
		for _, life := range []time.Duration{24*time.Hour + time.Second, 365 * 24 * time.Hour, 3600 * 1000 * time.Second} {
			c.ExpiresAt = benchNow.Add(life)
			if text, err := capped.Mint(c, benchNow.Time()); err == nil {
				t.Errorf("a token of %v was made: %s", life, text)
			}
		}
		c.ExpiresAt = benchNow.Add(24*time.Hour + 2*time.Minute)
		long := mint(t, ts, c) // by a node without the cap
		if _, rej := capped.Verify(long, benchNow.Time(), Options{}); reasonOf(rej) != token.LifetimeTooLong {
			t.Errorf("a token that lives too long: %v", rej)
		}
		c.ExpiresAt = benchNow.Add(24 * time.Hour)
		if _, rej := capped.Verify(mint(t, capped, c), benchNow.Time(), Options{}); rej != nil {
			t.Errorf("a token that lives as long as it may: %v", rej)
		}
	})
	t.Run("D15_clock_steps_back", func(t *testing.T) {
		if got := at(benchNow.Time().Add(-time.Hour), Options{}); got != token.IssuedInFuture {
			t.Errorf("an hour before it was issued: %q", got)
		}
		for _, now := range []time.Time{{}, time.Unix(0, 0), time.Unix(math.MaxInt64/2, 0), time.Unix(math.MinInt64/2, 0)} {
			if got := at(now, Options{}); got == "" {
				t.Errorf("accepted at %v", now)
			}
		}
	})
	t.Run("D16_format", func(t *testing.T) {
		c := projectClaims()
		text, err := ts.Mint(c, benchNow.Time().Add(987654321*time.Nanosecond))
		if err != nil {
			t.Fatal(err)
		}
		v, rej := ts.Verify(text, benchNow.Time().Add(time.Second), Options{})
		if rej != nil {
			t.Fatal(rej)
		}
		if got := TimeText(v.Claims().IssuedAt); got != "2026-09-21T14:13:20.000000Z" {
			t.Errorf("issued_at = %s", got)
		}
	})
}

// E, as far as it takes a whole token: keys.
func TestKeyAttacks(t *testing.T) {
	newRepo := func(t *testing.T) (*fernet.Repository, *fernet.Watcher, *Tokens) {
		t.Helper()
		p := fernet.NewRepository(filepath.Join(t.TempDir(), "keys"))
		if err := p.Setup(); err != nil {
			t.Fatal(err)
		}
		w, err := fernet.Watch(p, fernet.WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ts, err := NewFernet(w, Format{}, Limits{Leeway: DefaultLeeway})
		if err != nil {
			t.Fatal(err)
		}
		return p, w, ts
	}
	t.Run("E4_purged_key", func(t *testing.T) {
		p, w, ts := newRepo(t)
		text := mint(t, ts, projectClaims())
		for i := range 2 {
			if _, rej := ts.Verify(text, benchNow.Time(), Options{}); rej != nil {
				t.Fatalf("after %d rotations: %v", i, rej)
			}
			if _, err := p.Rotate(3); err != nil {
				t.Fatal(err)
			}
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		isRefused(t, ts, text, token.UnknownKey)
	})
	t.Run("E12_no_keys", func(t *testing.T) {
		p, w, ts := newRepo(t)
		text := mint(t, ts, projectClaims())
		if err := ts.Ready(); err != nil {
			t.Errorf("Ready with keys: %v", err)
		}
		for _, name := range []string{"0", "1"} {
			if err := os.Remove(filepath.Join(p.Dir(), name)); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.Reload()
		isRefused(t, ts, text, token.UnknownKey)
		if text, err := ts.Mint(projectClaims(), benchNow.Time()); err == nil {
			t.Errorf("without a key a token was made: %s", text)
		}
		if err := ts.Ready(); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("Ready without keys: %v, want it unavailable", err)
		}
	})
	t.Run("E16_receipt_key", func(t *testing.T) {
		_, w, ts := newRepo(t)
		_, w2, other := newRepo(t)
		isRefused(t, ts, mint(t, other, projectClaims()), token.BadMAC)
		// Shared keys do not make a receipt a token, nor a token a receipt.
		rs, err := NewReceipts(w, Format{}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := rs.Mint(Receipt{UserID: benchUser, Methods: []string{"password"}, ExpiresAt: benchNow + 300}, benchNow.Time())
		if err != nil {
			t.Fatal(err)
		}
		isRefused(t, ts, receipt, token.WrongKind)
		for _, c := range layoutClaims() {
			if _, rej := rs.Verify(mint(t, ts, c), benchNow.Time()); reasonOf(rej) != token.WrongKind || rej.Kind != token.Receipt {
				t.Errorf("a token as a receipt: %v", rej)
			}
		}
		foreign, err := NewReceipts(w2, Format{}, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, rej := foreign.Verify(receipt, benchNow.Time()); reasonOf(rej) != token.BadMAC {
			t.Errorf("a receipt of another repository: %v", rej)
		}
	})
}
