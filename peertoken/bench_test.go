package peertoken_test

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"symbolon/peertoken"
)

// subject is a verifier without a nonce store, a token for it, and the bare
// signature check that is the floor under it.
func subject(tb testing.TB) (verify, floor func()) {
	tb.Helper()
	w := newWorld(tb)
	v := anyPeer(tb, w)
	text, err := peertoken.Mint(signer{w.p}, peertoken.Params{Issuer: nodeP, Audience: nodeN, Scopes: []string{"company", "public"}}, nowMS)
	if err != nil {
		tb.Fatal(err)
	}
	message := []byte(text[:strings.LastIndexByte(text, '.')])
	sig, key := ed25519.Sign(w.p, message), public(w.p)
	verify = func() {
		if _, err := v.Verify(tb.Context(), text); err != nil {
			tb.Fatal(err)
		}
	}
	floor = func() {
		if !ed25519.Verify(key, message, sig) {
			tb.Fatal("refused")
		}
	}
	return verify, floor
}

func BenchmarkVerify(b *testing.B) {
	verify, _ := subject(b)
	b.ReportAllocs()
	for b.Loop() {
		verify()
	}
}

// BenchmarkFloor is the bare signature check under BenchmarkVerify.
func BenchmarkFloor(b *testing.B) {
	_, floor := subject(b)
	b.ReportAllocs()
	for b.Loop() {
		floor()
	}
}

// BenchmarkRatio takes turns with both, so that whatever else the machine does
// falls on both alike, and reports how many floors a verification costs.
func BenchmarkRatio(b *testing.B) {
	verify, floor := subject(b)
	var spent [2]time.Duration
	for b.Loop() {
		for i, fn := range [2]func(){verify, floor} {
			start := time.Now()
			fn()
			spent[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "x-floor")
}

func BenchmarkMint(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peertoken.Mint(signer{w.p}, peertoken.Params{Issuer: nodeP, Audience: nodeN, Scopes: []string{"company", "public"}}, nowMS); err != nil {
			b.Fatal(err)
		}
	}
}

// The budget that a noisy machine cannot hide.
func TestVerifyAllocatesLittle(t *testing.T) {
	verify, _ := subject(t)
	if n := testing.AllocsPerRun(50, verify); n > 10 {
		t.Errorf("Verify makes %v allocations, want at most 10", n)
	}
}
