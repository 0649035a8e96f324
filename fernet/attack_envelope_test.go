package fernet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
	reason "symbolon/token"
)

var seed = flag.Uint64("seed", 0, "seed of the randomised tests; 0 picks one")

// random returns a source whose seed a failing test prints.
func random(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed=%d", s)
	return rand.New(rand.NewPCG(s, s))
}

const issued epoch.Seconds = 1790000000

// newTestRing makes a ring of fresh keys under the given numbers.
func newTestRing(t testing.TB, ids ...KeyID) *Ring {
	t.Helper()
	var ks []NumberedKey
	for _, id := range ids {
		ks = append(ks, NumberedKey{id, NewKey()})
	}
	r, err := NewRing(ks...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seal(t testing.TB, r *Ring, payload string) string {
	t.Helper()
	text, err := r.Seal(issued, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func rawOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func textOf(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// forge makes a token under a key that the test knows, of any envelope: what a
// holder of the key could make.
func forge(k Key, ver byte, sec uint64, iv, padded []byte) string {
	raw := binary.BigEndian.AppendUint64([]byte{ver}, sec)
	raw = append(raw, iv...)
	block, err := aes.NewCipher(k.encryption())
	if err != nil {
		panic(err)
	}
	body := make([]byte, len(padded))
	if len(padded)%aes.BlockSize == 0 {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(body, padded)
	}
	raw = append(raw, body...)
	m := hmac.New(sha256.New, k.signing())
	m.Write(raw)
	return textOf(m.Sum(raw))
}

const projectSized = "sixty-nine bytes, as many as the payload of a project token will have"

// refused fails the test unless text is refused, for one of the reasons if any
// are given.
func refused(t *testing.T, r *Ring, text string, want ...reason.Reason) {
	t.Helper()
	o, rej := r.Open(text)
	switch {
	case rej == nil:
		t.Errorf("Open(%.60q…) accepted it with payload %q", text, o.Payload())
	case len(want) > 0 && !slices.Contains(want, rej.Reason):
		t.Errorf("Open(%.60q…): %s, want one of %s", text, rej.Reason, want)
	case o.Payload() != nil || o.IssuedAt() != 0 || o.KeyID() != 0:
		t.Errorf("Open(%.60q…) refused it and yet told what is in it", text)
	}
	if rej != nil && len(text) > 8 && strings.Contains(rej.Error(), text[:8]) {
		t.Errorf("the rejection repeats the token: %v", rej)
	}
}

// A: whoever holds a token changes its envelope.
func TestEnvelopeTampering(t *testing.T) {
	r := newTestRing(t, 0, 1, 2)
	texts := []string{seal(t, r, projectSized)}
	for n := range 40 {
		texts = append(texts, seal(t, r, strings.Repeat("x", n)))
	}
	text := texts[0]
	raw := rawOf(t, text)
	if o, rej := r.Open(text); rej != nil || string(o.Payload()) != projectSized {
		t.Fatalf("the token to be altered: %q, %v", o.Payload(), rej)
	}
	blocks := func(b []byte) (head, body, mac []byte) {
		return b[:headerLen], b[headerLen : len(b)-macLen], b[len(b)-macLen:]
	}
	head, body, mac := blocks(raw)

	t.Run("A1_prefix", func(t *testing.T) {
		for _, tok := range texts {
			padded := tok + strings.Repeat("=", (4-len(tok)%4)%4)
			for _, p := range []string{"F00", "F01", "F02", "F03", "f00", "F0"} {
				refused(t, r, p+tok, reason.NotCanonical, reason.Malformed)
				refused(t, r, p+padded, reason.NotCanonical, reason.Malformed)
			}
		}
	})
	flipped := func(from, to int) func(t *testing.T) {
		return func(t *testing.T) {
			for i := from; i < to; i++ {
				for bit := range 8 {
					b := bytes.Clone(raw)
					b[i] ^= 1 << bit
					refused(t, r, textOf(b), reason.BadMAC)
				}
			}
		}
	}
	t.Run("A2_version", flipped(0, 1))
	t.Run("A3_timestamp", flipped(1, ivAt))
	t.Run("A4_iv", flipped(ivAt, headerLen))
	t.Run("A5_ciphertext", flipped(headerLen, len(raw)-macLen))
	t.Run("A6_hmac", func(t *testing.T) {
		flipped(len(raw)-macLen, len(raw))(t)
		_, _, other := blocks(rawOf(t, seal(t, r, projectSized)))
		refused(t, r, textOf(slices.Concat(head, body, make([]byte, macLen))), reason.BadMAC)
		refused(t, r, textOf(slices.Concat(head, body, other)), reason.BadMAC)
	})
	t.Run("A7_splice", func(t *testing.T) {
		h2, b2, m2 := blocks(rawOf(t, seal(t, r, projectSized)))
		for _, parts := range [][][]byte{
			{head, b2, m2}, {h2, body, mac}, {head, b2, mac}, {h2, body, m2}, {h2, b2, mac}, {head, body, m2},
			{raw[:ivAt], h2[ivAt:], body, mac}, {raw[:ivAt], h2[ivAt:], b2, m2},
		} {
			if b := slices.Concat(parts...); !bytes.Equal(b, raw) && !bytes.Equal(b, slices.Concat(h2, b2, m2)) {
				refused(t, r, textOf(b), reason.BadMAC)
			}
		}
	})
	t.Run("A8_blocks", func(t *testing.T) {
		const n = aes.BlockSize
		swapped := slices.Concat(body[n:2*n], body[:n], body[2*n:])
		refused(t, r, textOf(slices.Concat(head, swapped, mac)), reason.BadMAC)
		refused(t, r, textOf(slices.Concat(head, body[:len(body)-n], mac)), reason.BadMAC)
		refused(t, r, textOf(slices.Concat(head, body, body[len(body)-n:], mac)), reason.BadMAC)
		refused(t, r, textOf(slices.Concat(head, body[:n], body, mac)), reason.BadMAC)
	})
	t.Run("A9_truncated", func(t *testing.T) {
		for n := range len(text) {
			refused(t, r, text[:n], reason.Malformed, reason.NotCanonical, reason.BadMAC)
		}
		refused(t, r, "gAAAAA", reason.Malformed, reason.NotCanonical)
		refused(t, r, textOf(raw[:24]), reason.Malformed)
		refused(t, r, textOf(raw[:72]), reason.Malformed)
	})
	t.Run("A10_appended", func(t *testing.T) {
		for _, tok := range texts {
			b := rawOf(t, tok)
			refused(t, r, textOf(append(bytes.Clone(b), 0)), reason.Malformed)
			refused(t, r, textOf(append(bytes.Clone(b), make([]byte, aes.BlockSize)...)), reason.BadMAC)
			refused(t, r, tok+text)
			refused(t, r, textOf(append(bytes.Clone(b), raw...)))
			refused(t, r, tok+"A")
			refused(t, r, tok+"AAAA")
		}
	})
	t.Run("A11_length", func(t *testing.T) {
		for _, s := range []string{"", " ", "        ", "g", "=", "==", "====", "A==="} {
			refused(t, r, s, reason.Malformed, reason.NotCanonical)
		}
		for _, n := range []int{9000, 100_000, 10 << 20} {
			long := strings.Repeat("gAAAAAB_", n/8)
			start := time.Now()
			refused(t, r, long)
			if took := time.Since(start); took > time.Second {
				t.Errorf("%d characters were refused after %v", n, took)
			}
			allocs := testing.AllocsPerRun(10, func() { r.Open(long) })
			if n > MaxText && allocs > 2 {
				t.Errorf("%d characters cost %v allocations", n, allocs)
			}
		}
	})
	t.Run("A12_not_ascii", func(t *testing.T) {
		for _, s := range []string{"\xef\xbb\xbf", "\x00", "\r\n", "%0d%0a", "é", "\u2028", "\x80", "\t"} {
			refused(t, r, s+text, reason.NotCanonical, reason.Malformed)
			refused(t, r, text+s, reason.NotCanonical, reason.Malformed)
			refused(t, r, text[:40]+s+text[40:], reason.NotCanonical, reason.Malformed)
			refused(t, r, text[:40]+s+text[40+min(len(s), 40):], reason.NotCanonical, reason.Malformed)
		}
	})
	t.Run("A13_other_things", func(t *testing.T) {
		for _, s := range []string{
			"ee11cbb19052e40b07aac0ca060c23ee", "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
			"MIIE0wYJKoZIhvcNAQcCoIIExDCCBMACAQExCTAHBgUrDgMCGjCCArwGCSqGSIb3DQEH",
			"eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "PKIZ_eJytVEmzm0YQvvMr5p5yiU1P4uBDs2",
			"invalid", "null", "{}", "0", NewKey().reveal(),
		} {
			refused(t, r, s, reason.NotCanonical, reason.Malformed)
		}
	})
	// A14, the specification's invalid vectors, is TestSpecInvalid.
	t.Run("A15_random_edits", func(t *testing.T) {
		rnd := random(t)
		b := make([]byte, len(raw))
		for range 100_000 {
			copy(b, raw)
			b[rnd.IntN(len(b))] ^= byte(1 + rnd.IntN(255))
			refused(t, r, textOf(b), reason.BadMAC)
		}
	})
	t.Run("A16_constant_time", func(t *testing.T) {
		checkComparison(t)
		// The histogram: refusing a MAC wrong in its first byte and one wrong
		// in its last byte takes as long.
		first, last := bytes.Clone(raw), bytes.Clone(raw)
		first[len(raw)-macLen] ^= 1
		last[len(raw)-1] ^= 1
		var a, z []time.Duration
		for range 4000 {
			a = append(a, took(r, textOf(first)))
			z = append(z, took(r, textOf(last)))
		}
		slices.Sort(a)
		slices.Sort(z)
		t.Logf("median refusal: first byte wrong %v, last byte wrong %v", a[len(a)/2], z[len(z)/2])
		if q := float64(a[len(a)/2]) / float64(z[len(z)/2]); q < 0.5 || q > 2 {
			t.Errorf("the medians differ by a factor of %.2f", q)
		}
	})
}

func took(r *Ring, text string) time.Duration {
	start := time.Now()
	r.Open(text)
	return time.Since(start)
}

// checkComparison reads the source: open compares MACs with
// subtle.ConstantTimeCompare, and ring.go has no other comparison of bytes.
func checkComparison(t *testing.T) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "ring.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imp := range f.Imports {
		if imp.Path.Value == `"bytes"` {
			t.Error("ring.go imports bytes, whose comparisons stop at the first difference")
		}
	}
	found := 0
	ast.Inspect(f, func(n ast.Node) bool {
		fn, ok := n.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "open" {
			return true
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if n.Sel.Name == "ConstantTimeCompare" {
					found++
				}
			case *ast.BinaryExpr:
				for _, side := range []ast.Expr{n.X, n.Y} {
					if id, ok := side.(*ast.Ident); ok && id.Name == "mac" {
						t.Error("open compares the MAC with an operator")
					}
				}
			}
			return true
		})
		return false
	})
	if found != 2 {
		t.Errorf("open compares in constant time at %d places, want 2: the keys in use and those retired", found)
	}
}

// B: one token, many spellings.
func TestSpellings(t *testing.T) {
	r := newTestRing(t, 0, 1)
	// One token of each length modulo three, so of each amount of padding,
	// and with every character of the alphabet.
	var texts []string
	for n := range 48 {
		texts = append(texts, seal(t, r, strings.Repeat("y", n)))
	}
	padding := func(s string) string { return strings.Repeat("=", (4-len(s)%4)%4) }
	each := func(f func(t *testing.T, text string)) func(*testing.T) {
		return func(t *testing.T) {
			for _, text := range texts {
				f(t, text)
			}
		}
	}
	seen := map[int]bool{}
	t.Run("B1_padded", each(func(t *testing.T, text string) {
		seen[len(padding(text))] = true
		plain, rej := r.Open(text)
		if rej != nil {
			t.Fatal(rej)
		}
		padded, rej := r.Open(text + padding(text))
		if rej != nil {
			t.Fatal(rej)
		}
		if plain.Identity() != padded.Identity() {
			t.Error("the padded spelling has another identity")
		}
	}))
	if len(seen) != 3 {
		t.Errorf("tokens with %d amounts of padding were tried, want 3", len(seen))
	}
	t.Run("B2_percent_3D", each(func(t *testing.T, text string) {
		refused(t, r, text+"%3D", reason.NotCanonical, reason.Malformed)
		refused(t, r, text+"%3D%3D", reason.NotCanonical, reason.Malformed)
	}))
	t.Run("B3_surplus_padding", each(func(t *testing.T, text string) {
		for n := range 10 {
			if n != 0 && n != len(padding(text)) {
				refused(t, r, text+strings.Repeat("=", n), reason.NotCanonical, reason.Malformed)
			}
		}
		refused(t, r, "="+text, reason.NotCanonical)
		refused(t, r, text[:8]+"===="+text[8:], reason.NotCanonical)
	}))
	t.Run("B4_standard_alphabet", each(func(t *testing.T, text string) {
		for _, swap := range []string{"-+", "_/"} {
			if other := strings.ReplaceAll(text, swap[:1], swap[1:]); other != text {
				refused(t, r, other, reason.NotCanonical)
			}
		}
	}))
	t.Run("B5_junk_inside", each(func(t *testing.T, text string) {
		for _, junk := range []string{"!!!!", "    ", "\n", "\r", "\r\n", "\n\n\n\n", "\r\n\r\n", "!", ".", "\x00\x00\x00\x00"} {
			for _, at := range []int{0, 4, 40, len(text)} {
				refused(t, r, text[:at]+junk+text[at:], reason.NotCanonical, reason.Malformed)
			}
			p := text + padding(text)
			refused(t, r, p[:4]+junk+p[4:], reason.NotCanonical, reason.Malformed)
			refused(t, r, p+junk, reason.NotCanonical, reason.Malformed)
		}
	}))
	t.Run("B6_unused_bits", each(func(t *testing.T, text string) {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		unused := map[int]int{0: 1, 2: 16, 3: 4}[len(text)%4]
		last := strings.IndexByte(alphabet, text[len(text)-1])
		for bits := 1; bits < unused; bits++ {
			other := text[:len(text)-1] + string(alphabet[last|bits])
			refused(t, r, other, reason.NotCanonical)
			refused(t, r, other+padding(other), reason.NotCanonical)
		}
	}))
	t.Run("B7_length_1_mod_4", each(func(t *testing.T, text string) {
		for n := 1; n < len(text); n += 4 {
			refused(t, r, text[:n], reason.NotCanonical)
		}
	}))
	// B8, the same of a revoked token: no variant but padding opens, and that
	// one has the identity of the token.
	t.Run("B9_one_identity", func(t *testing.T) {
		ids := map[Identity]bool{}
		for _, text := range texts {
			for _, s := range []string{text, text + padding(text)} {
				o, rej := r.Open(s)
				if rej != nil {
					t.Fatal(rej)
				}
				ids[o.Identity()] = true
			}
		}
		if len(ids) != len(texts) {
			t.Errorf("%d tokens have %d identities", len(texts), len(ids))
		}
	})
	t.Run("B10_case", each(func(t *testing.T, text string) {
		refused(t, r, strings.ToLower(text))
		refused(t, r, strings.ToUpper(text))
	}))
}

// What a holder of the key can make beyond what Seal makes.
func TestForgedEnvelopes(t *testing.T) {
	k := NewKey()
	r, err := NewRing(NumberedKey{7, k})
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, aes.BlockSize)
	block := bytes.Repeat([]byte{16}, 16)
	if o, rej := r.Open(forge(k, version, 5, iv, block)); rej != nil || len(o.Payload()) != 0 || o.IssuedAt() != 5 || o.KeyID() != 7 {
		t.Errorf("a forged token that is as it should be: %+v, %v", o, rej)
	}
	for _, tt := range []struct {
		name string
		text string
		want reason.Reason
	}{
		{"version 0x81", forge(k, 0x81, 5, iv, block), reason.UnknownVersion},
		{"version 0", forge(k, 0, 5, iv, block), reason.UnknownVersion},
		{"issue time beyond int64", forge(k, version, 1<<63, iv, block), reason.Malformed},
		{"issue time of all ones", forge(k, version, 1<<64-1, iv, block), reason.Malformed},
		{"padding of no bytes", forge(k, version, 5, iv, make([]byte, 16)), reason.Malformed},
		{"padding longer than a block", forge(k, version, 5, iv, bytes.Repeat([]byte{17}, 32)), reason.Malformed},
		{"padding of unequal bytes", forge(k, version, 5, iv, append(bytes.Repeat([]byte{9}, 13), 3, 9, 3)), reason.Malformed},
		{"no ciphertext", forge(k, version, 5, iv, nil), reason.Malformed},
		{"longer than a token can be", forge(k, version, 5, iv, bytes.Repeat([]byte{16}, MaxText)), reason.Malformed},
		{"fifteen bytes of ciphertext", forge(k, version, 5, iv, make([]byte, 15)), reason.Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, r, tt.text, tt.want)
			if _, rej := r.Open(tt.text); tt.want == reason.UnknownVersion && rej.KeyID != "7" {
				t.Errorf("KeyID = %q, want 7: the MAC was good", rej.KeyID)
			}
		})
	}
	// An issue time that is in range as a number but not as a time of ours.
	far := forge(k, version, 1<<63-1, iv, block)
	if _, rej := r.OpenWithin(far, time.Unix(1790000000, 0), epoch.Window{Leeway: time.Minute, MaxAge: time.Hour}); rej == nil || rej.Reason != reason.IssuedInFuture {
		t.Errorf("OpenWithin of a token issued in the year 292277026596: %v", rej)
	}
}

func TestSealBounds(t *testing.T) {
	r := newTestRing(t, 0)
	text, err := r.SealPadded(issued, make([]byte, MaxPayload))
	if err != nil || len(text) > MaxText {
		t.Fatalf("the longest payload: %d characters, %v", len(text), err)
	}
	if o, rej := r.Open(text); rej != nil || len(o.Payload()) != MaxPayload {
		t.Errorf("Open of the longest token: %v", rej)
	}
	if _, err := r.Seal(issued, make([]byte, MaxPayload+1)); err == nil {
		t.Error("a payload longer than MaxPayload was sealed")
	}
	if _, err := r.Seal(-1, nil); err == nil {
		t.Error("a token was issued before 1970")
	}
	if _, err := r.WithIVs(bytes.NewReader(make([]byte, 15))).Seal(issued, nil); err == nil {
		t.Error("a token was sealed with half an initialisation vector")
	}
	if MaxText-len(text) > 32 {
		t.Errorf("MaxPayload leaves %d characters of MaxText unused", MaxText-len(text))
	}
}

func TestOpenIsSafeForConcurrentUse(t *testing.T) {
	r := newTestRing(t, 0, 1, 2)
	done := make(chan struct{})
	for g := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 2000 {
				want := strings.Repeat(string(rune('a'+g)), i%100)
				text, err := r.Seal(issued, []byte(want))
				if err != nil {
					t.Error(err)
					return
				}
				if o, rej := r.Open(text); rej != nil || string(o.Payload()) != want {
					t.Errorf("Open = %q, %v, want %q", o.Payload(), rej, want)
					return
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
