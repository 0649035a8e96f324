package keytoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/testkit"
)

const (
	benchUser    = "ee11cbb19052e40b07aac0ca060c23ee"
	benchProject = "46f86faa6bbf9ac94a7e459509a20ed0"
	benchAudit   = "69UkFeEtD1pD7Kzj3t92FA"
	benchKey     = "vevj9Zc0mJmmtDbWgncA6c-eNKhDVRa2ShkI_89-YGE="
)

const benchNow epoch.Seconds = 1790000000

func projectClaims() Claims {
	return Claims{
		UserID: benchUser, Methods: []string{"password"}, ProjectID: benchProject, AuditIDs: []string{benchAudit},
		ExpiresAt: benchNow + 3600,
	}
}

func benchTokens(tb testing.TB) (*Tokens, *fernet.Ring) {
	tb.Helper()
	k, err := fernet.ParseKey(benchKey)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := fernet.NewRing(
		fernet.NumberedKey{ID: 3, Key: k}, fernet.NumberedKey{ID: 2, Key: fernet.NewKey()}, fernet.NumberedKey{ID: 0, Key: fernet.NewKey()},
	)
	if err != nil {
		tb.Fatal(err)
	}
	ts, err := NewFernet(Fixed(r), Format{}, Limits{Leeway: DefaultLeeway})
	if err != nil {
		tb.Fatal(err)
	}
	return ts, r
}

var sink int

// The floor of package fernet: what it costs to open a 100-byte payload with
// everything prepared and nothing checked but the MAC.
func openFloor(b *testing.B, r *fernet.Ring) func() {
	b.Helper()
	text, err := r.Seal(benchNow, make([]byte, 100))
	if err != nil {
		b.Fatal(err)
	}
	key, err := base64.URLEncoding.DecodeString(benchKey)
	if err != nil {
		b.Fatal(err)
	}
	block, err := aes.NewCipher(key[16:])
	if err != nil {
		b.Fatal(err)
	}
	mode := cipher.NewCBCDecrypter(block, key[:16])
	dec := mode.(interface{ SetIV([]byte) })
	mac := hmac.New(sha256.New, key[:16])
	var chars, raw [512]byte
	var sum [32]byte
	return func() {
		n, err := base64.RawURLEncoding.Decode(raw[:], chars[:copy(chars[:], text)])
		if err != nil {
			b.Fatal(err)
		}
		mac.Reset()
		mac.Write(raw[:n-32])
		if !hmac.Equal(mac.Sum(sum[:0]), raw[n-32:n]) {
			b.Fatal("bad MAC")
		}
		out := make([]byte, n-32-25)
		dec.SetIV(raw[9:25])
		mode.CryptBlocks(out, raw[25:n-32])
		sink += len(out) - int(out[len(out)-1])
	}
}

func verifyProject(b *testing.B, ts *Tokens) func() {
	b.Helper()
	now := benchNow.Time()
	text, err := ts.Mint(projectClaims(), now)
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		v, rej := ts.Verify(text, now, Options{})
		if rej != nil {
			b.Fatal(rej)
		}
		sink += len(v.d.claims.ProjectID)
	}
}

func BenchmarkVerify(b *testing.B) {
	ts, r := benchTokens(b)
	for _, one := range []struct {
		name string
		f    func()
	}{{"floor", openFloor(b, r)}, {"project", verifyProject(b, ts)}} {
		b.Run(one.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				one.f()
			}
		})
	}
}

// BenchmarkRatio takes turns with both, so that whatever else the machine does
// falls on both alike, and reports how many floors a verification costs: the
// median over the turns.
func BenchmarkRatio(b *testing.B) {
	ts, r := benchTokens(b)
	floor, verify := openFloor(b, r), verifyProject(b, ts)
	turn := func(f func()) float64 {
		start := time.Now()
		for range 100 {
			f()
		}
		return float64(time.Since(start))
	}
	var ratios []float64
	for b.Loop() {
		f := turn(floor)
		ratios = append(ratios, turn(verify)/f)
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x-floor")
}

func BenchmarkMint(b *testing.B) {
	ts, _ := benchTokens(b)
	now := benchNow.Time()
	c := projectClaims()
	b.ReportAllocs()
	for b.Loop() {
		text, err := ts.Mint(c, now)
		if err != nil {
			b.Fatal(err)
		}
		sink += len(text)
	}
}

// The budget that a noisy machine cannot hide.
func TestVerifyAllocatesLittle(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector makes pools forget; the plain run keeps this budget")
	}
	ts, _ := benchTokens(t)
	text := mint(t, ts, projectClaims())
	if n := testing.AllocsPerRun(1000, func() { _, _ = ts.Verify(text, benchNow.Time(), Options{}) }); n > 3 {
		t.Errorf("Verify makes %v allocations, want at most 3", n)
	}
}
