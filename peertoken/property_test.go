package peertoken_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/peertoken"
	"symbolon/token"
)

// cases is how many cases each property test makes.
func cases() int {
	if raceEnabled {
		return 5_000 // the detector makes a signature twenty times as dear
	}
	return 100_000
}

// shared runs fn n times over all cores, each call with its own generator.
func shared(n int, fn func(rng *rand.Rand, i int)) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(k), 20261121))
			for i := k; i < n; i += workers {
				fn(rng, i)
			}
		})
	}
	wg.Wait()
}

// anyPeer is a verifier that knows P and Q under every name in its closure and
// forgets nonces, so that a refusal is never for a nonce.
func anyPeer(t testing.TB, w *world) *peertoken.Verifier {
	t.Helper()
	c := w.config
	c.Nonces, c.Observer = peertoken.Forgetful, nil
	v, err := peertoken.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatMintWritesVerifyReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shared(cases(), func(rng *rand.Rand, _ int) {
		text := func(most int) string {
			rs := make([]rune, 1+rng.IntN(most))
			for i := range rs {
				rs[i] = []rune{'a', 'Z', ':', '/', '"', '\\', '\n', 0x7F, 'é', 0x2028, 0x1F600, 0xFFFD}[rng.IntN(12)]
			}
			return string(rs)
		}
		p := peertoken.Params{Issuer: text(20), Audience: text(20)}
		for range rng.IntN(5) {
			p.Scopes = append(p.Scopes, text(8))
		}
		now := nowMS.Add(time.Duration(rng.Int64N(int64(100*24*time.Hour))) - 50*24*time.Hour)
		minted, err := peertoken.Mint(signer{w.p}, p, now)
		if err != nil {
			t.Errorf("Mint(%+v): %v", p, err)
			return
		}
		at := now.Add(time.Duration(rng.Int64N(int64(time.Hour))))
		v, err := peertoken.NewVerifier(peertoken.Config{
			Audience: p.Audience, Nonces: peertoken.Forgetful, Now: at.Time,
			Lookup: func(_ context.Context, iss string) (peertoken.Peer, error) {
				return peertoken.Peer{Standing: peertoken.Active, NodeID: iss, Key: w.peers[nodeP].Key}, nil
			},
		})
		if err != nil {
			t.Error(err)
			return
		}
		got, err := v.Verify(context.Background(), minted)
		if err != nil || got.Issuer() != p.Issuer || got.Audience() != p.Audience || !slices.Equal(got.Scopes(), p.Scopes) ||
			got.IssuedAt() != now || got.Expires() != now.Add(time.Hour) || len(got.Nonce()) != 36 {
			t.Errorf("minted %+v at %d, read %+v, %v", p, now, got, err)
		}
	})
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := anyPeer(t, w)
	// Every bit of one token, then every bit of the next, all of one length.
	var pool []string
	for n := 0; n < cases(); n += 8 * len(pool[0]) {
		minted, err := peertoken.Mint(signer{w.p}, peertoken.Params{Issuer: nodeP, Audience: nodeN, Scopes: []string{"company", "public"}}, nowMS)
		if err != nil {
			t.Fatal(err)
		}
		pool = append(pool, minted)
	}
	if _, err := v.Verify(t.Context(), good().sign(w.p)); err != nil {
		t.Fatalf("unflipped: %v", err)
	}
	shared(cases(), func(_ *rand.Rand, i int) {
		text := pool[i/(8*len(pool[0]))]
		bit := i % (8 * len(text))
		b := []byte(text)
		b[bit/8] ^= 1 << (bit % 8)
		_, err := v.Verify(context.Background(), string(b))
		var r *token.Rejection
		if !errors.As(err, &r) {
			t.Errorf("bit %d of %s flipped: %v, want a rejection", bit, text, err)
		}
	})
}

func TestEverySpliceOfTwoTokensIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := anyPeer(t, w)
	type kind struct {
		key ed25519.PrivateKey
		iss string
	}
	pool := make([]string, 64)
	for i := range pool {
		k := []kind{{w.p, nodeP}, {w.q, nodeQ}}[i%2]
		pool[i] = good().with("iss", `"`+k.iss+`"`, "exp", nowMS+epoch.Millis(1000+i)).sign(k.key)
	}
	shared(cases(), func(rng *rand.Rand, i int) {
		a, b := pool[rng.IntN(len(pool))], pool[rng.IntN(len(pool))]
		var text string
		if i%2 == 0 {
			x, y := strings.Split(a, "."), strings.Split(b, ".")
			from := 1 + rng.IntN(6) // which segments come from b: some, not all
			for k := range x {
				if from>>k&1 == 1 {
					x[k] = y[k]
				}
			}
			text = strings.Join(x, ".")
		} else {
			cut := rng.IntN(min(len(a), len(b)))
			text = a[:cut] + b[cut:]
		}
		if slices.Contains(pool, text) {
			return // the splice is one of the two
		}
		_, err := v.Verify(context.Background(), text)
		var r *token.Rejection
		if !errors.As(err, &r) {
			t.Errorf("spliced of %s and %s: %v, want a rejection", a, b, err)
		}
	})
}

// Any text gives a token or a rejection, and what is accepted was signed.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	v := anyPeer(f, w)
	g := readTable(f)
	for _, r := range g.Rows {
		for _, text := range r.Tokens {
			f.Add(text)
		}
	}
	accepted := map[string]bool{}
	for _, r := range g.Rows {
		for _, text := range r.Tokens {
			if _, err := v.Verify(context.Background(), text); err == nil {
				accepted[text] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := v.Verify(t.Context(), text)
		var r *token.Rejection
		switch {
		case err == nil && !accepted[text]:
			t.Fatalf("accepted %q", text)
		case err != nil && (!errors.As(err, &r) || peertoken.Detail(err) == ""):
			t.Fatalf("Verify(%q): %v", text, err)
		}
	})
}

// Whatever claims are signed, the answer is a token or a rejection.
func FuzzClaims(f *testing.F) {
	w := newWorld(f)
	v := anyPeer(f, w)
	for _, p := range []string{
		good().payload(), good().with("exp", "1e400").payload(), good().with("exp", "1.5e12", "nbf", "null").payload(), `{}`, `[]`, `{"iss":[]}`,
		good().with("scopes", `["\ud83d\ude00",{"a":[]}]`).payload(), `{"a":1,"a":2}`, good().with("jti", "5").payload(),
	} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		got, err := v.Verify(t.Context(), seal(w.p, `{"alg":"EdDSA","typ":"JWT"}`, payload))
		var r *token.Rejection
		if err != nil {
			if !errors.As(err, &r) || peertoken.Detail(err) == "" {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		var c struct{ Iss, Sub, Nonce string }
		if json.Unmarshal([]byte(payload), &struct{}{}) != nil || got.Audience() != nodeN || got.Nonce() == "" ||
			got.Expires() > nowMS.Add(2*time.Hour) || got.IssuedAt() < nowMS.Add(-24*time.Hour) {
			t.Fatalf("%q accepted as %+v", payload, got)
		}
		if json.Unmarshal([]byte(payload), &c) == nil && c.Iss == got.Issuer() && c.Nonce != got.Nonce() {
			t.Fatalf("%q: nonce %q, want %q", payload, got.Nonce(), c.Nonce)
		}
	})
}

// The scanner accepts exactly the objects that the canonical encoder accepts
// (numbers of any size apart), and reads each member as encoding/json does.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{}`, ` {"a":1} `, `{"a":[1,-0.5e+3,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{"c":{}}}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":"\ud800"}`,
		`{"a":"\u0000"}`, `{"a":01}`, `{"a":1,}`, `{"a":1}x`, `{"\u0062":"\/"}`, "{\"a\":\"\xff\"}", `[1]`, `{"a":"\udc00\ud800"}`,
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"11":1,"12":1,"13":1,"14":1,"15":1,"16":1,"17":1,"18":1,"2":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		names, raws, ok := peertoken.Object(text)
		_, err := canon.JSON(text, canon.UTF8, "\x01 no such name")
		switch {
		case ok && err != nil && !errs.Is(err, errs.Unprocessable):
			t.Fatalf("accepts %q, canonical encoder: %v", text, err)
		case !ok && err == nil && !deep(text):
			t.Fatalf("refuses %q, canonical encoder does not", text)
		}
		if !ok {
			return
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatalf("accepts %q, encoding/json: %v", text, err)
		}
		if len(m) != len(names) {
			t.Fatalf("%q: %d members, want %d", text, len(names), len(m))
		}
		for i, n := range names {
			if got, want := strings.TrimSpace(string(raws[i])), strings.TrimSpace(string(m[n])); got != want {
				t.Fatalf("%q: member %q is %q, want %q", text, n, got, want)
			}
			if raws[i][0] == '"' {
				var s string
				if err := json.Unmarshal(raws[i], &s); err != nil || s != peertoken.Unquote(raws[i]) {
					t.Fatalf("%q: string %q reads as %q, want %q", text, raws[i], peertoken.Unquote(raws[i]), s)
				}
			}
		}
	})
}

// deep reports whether a JSON text nests more than 32 deep.
func deep(text []byte) bool {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return false
	}
	var depth func(v reflect.Value) int
	depth = func(v reflect.Value) (d int) {
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		switch v.Kind() {
		case reflect.Map:
			for _, k := range v.MapKeys() {
				d = max(d, depth(v.MapIndex(k)))
			}
			return d + 1
		case reflect.Slice:
			for i := range v.Len() {
				d = max(d, depth(v.Index(i)))
			}
			return d + 1
		default:
			return 0
		}
	}
	return depth(reflect.ValueOf(v)) > 32
}
