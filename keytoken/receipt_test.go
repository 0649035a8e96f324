package keytoken

import (
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/token"
)

func benchReceipts(t testing.TB) *Receipts {
	t.Helper()
	_, ring := benchTokens(t)
	rs, err := NewReceipts(Fixed(ring), Format{}, Limits{Leeway: DefaultLeeway, MaxLifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestReceipts(t *testing.T) {
	rs := benchReceipts(t)
	c := Receipt{UserID: benchUser, Methods: []string{"password", "token"}, ExpiresAt: benchNow + 300}
	now := benchNow.Time()
	text, err := rs.Mint(c, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 119 {
		t.Errorf("a receipt of %d characters, want 119 as the reference's", len(text))
	}
	got, rej := rs.Verify(text, now)
	if rej != nil || got.UserID != c.UserID || got.ExpiresAt != c.ExpiresAt || got.IssuedAt != benchNow || got.Identity == (Identity{}) {
		t.Fatalf("Verify = %+v, %v", got, rej)
	}
	if want := []string{"token", "password"}; !slices.Equal(got.Methods, want) {
		t.Errorf("Methods = %q, want %q", got.Methods, want)
	}
	if padded, rej := rs.Verify(text+strings.Repeat("=", 1), now); rej != nil || padded.Identity != got.Identity {
		t.Errorf("with its padding: %v", rej)
	}
	for at, want := range map[time.Duration]token.Reason{
		299 * time.Second: "", 300 * time.Second: token.Expired, -2 * time.Minute: token.IssuedInFuture,
	} {
		_, rej := rs.Verify(text, now.Add(at))
		if reasonOf(rej) != want {
			t.Errorf("%v after issue: %v, want %q", at, rej, want)
		}
		if rej != nil && (rej.Kind != token.Receipt || rej.KeyID != "3" || rej.Now.IsZero() || rej.Expires.IsZero()) {
			t.Errorf("rejection %+v lacks kind, key or times", rej)
		}
	}
	for name, c := range map[string]Receipt{
		"no user":         {Methods: c.Methods, ExpiresAt: c.ExpiresAt},
		"no method":       {UserID: benchUser, ExpiresAt: c.ExpiresAt},
		"unknown method":  {UserID: benchUser, Methods: []string{"kerberos"}, ExpiresAt: c.ExpiresAt},
		"method twice":    {UserID: benchUser, Methods: []string{"password", "password"}, ExpiresAt: c.ExpiresAt},
		"expired":         {UserID: benchUser, Methods: c.Methods, ExpiresAt: benchNow},
		"too long a life": {UserID: benchUser, Methods: c.Methods, ExpiresAt: benchNow + 3601},
		"milliseconds":    {UserID: benchUser, Methods: c.Methods, ExpiresAt: benchNow * 1000},
	} {
		if text, err := rs.Mint(c, now); err == nil {
			t.Errorf("%s: Mint made %q", name, text)
		}
	}
}

// The reference reads receipts with no fallback for old packing; we refuse
// whatever is not [[flag, id], methods, expiry].
func TestReceiptPayloads(t *testing.T) {
	rs := benchReceipts(t)
	_, ring := benchTokens(t)
	exp := pFloat(float64(benchNow + 300))
	for name, tt := range map[string]struct {
		payload string
		want    token.Reason
	}{
		"a good one":             {"93" + pUser + "02" + exp, ""},
		"a good one with a text": {"93" + "92c2a3616263" + "02" + exp, ""},
		"nothing":                {"", token.BadLayout},
		"an empty array":         {"90", token.BadLayout},
		"a map":                  {"83" + pUser + "02" + exp, token.BadLayout},
		"two elements":           {"92" + pUser + "02", token.BadLayout},
		"four elements":          {"94" + pUser + "02" + exp + "c0", token.BadLayout},
		"a count short by one":   {"92" + pUser + "02" + exp, token.BadLayout},
		"a count long by one":    {"94" + pUser + "02" + exp, token.BadLayout},
		"trailing bytes":         {"93" + pUser + "02" + exp + "00", token.BadLayout},
		"a version":              {"9300" + pUser + "02", token.WrongKind},
		"an empty user":          {"93" + "92c2a0" + "02" + exp, token.BadLayout},
		"no user":                {"93" + "92c2c0" + "02" + exp, token.BadLayout},
		"a bare user":            {"93" + "c410" + hexUser + "02" + exp, token.BadLayout},
		"old packing":            {"93" + "92c3b0" + hexUser + "02" + exp, token.BadLayout},
		"methods as text":        {"93" + pUser + "a132" + exp, token.BadLayout},
		"an expiry of text":      {"93" + pUser + "02" + "a132", token.BadLayout},
		"milliseconds":           {"93" + pUser + "02" + pFloat(float64(benchNow+300)*1000), token.UnitMismatch},
		"the past":               {"93" + pUser + "02" + pFloat(1), token.Expired},
		"nested":                 {strings.Repeat("93", 1000), token.BadLayout},
	} {
		text, err := ring.Seal(benchNow, unhex(t, tt.payload))
		if err != nil {
			t.Fatal(err)
		}
		if got, rej := rs.Verify(text, benchNow.Time()); reasonOf(rej) != tt.want {
			t.Errorf("%s: %+v, %v, want %q", name, got, rej, tt.want)
		}
	}
	ts, _ := benchTokens(t)
	if _, rej := rs.Verify("F00"+mint(t, ts, projectClaims()), benchNow.Time()); reasonOf(rej) != token.NotCanonical && reasonOf(rej) != token.Malformed {
		t.Errorf("a prefixed token as a receipt: %v", rej)
	}
}
