package fernet

import (
	"bytes"
	"slices"
	"testing"

	"symbolon/epoch"
)

const cases = 100_000

// What is sealed opens as it was, by whichever key of the ring.
func TestSealOpenIsIdentity(t *testing.T) {
	rnd := random(t)
	r := newTestRing(t, 0, 1, 2)
	payload := make([]byte, 200)
	for range cases {
		for i := range payload {
			payload[i] = byte(rnd.Uint32())
		}
		p := payload[:rnd.IntN(len(payload))]
		at := epoch.Seconds(rnd.Int64())
		text, err := r.Seal(at, p)
		if err != nil {
			t.Fatal(err)
		}
		if o, rej := r.Open(text); rej != nil || !bytes.Equal(o.Payload(), p) || o.IssuedAt() != at || o.KeyID() != 2 {
			t.Fatalf("Open(Seal(%d, %x)) = %+v, %v", at, p, o, rej)
		}
	}
}

// Any one bit changed anywhere is refused: in the bytes, and in the text.
func TestAnyBitFlippedIsRefused(t *testing.T) {
	rnd := random(t)
	r := newTestRing(t, 0, 1)
	for i := 0; i < cases; {
		text := seal(t, r, projectSized[:rnd.IntN(len(projectSized))])
		raw := rawOf(t, text)
		for bit := range 8 * len(raw) {
			raw[bit/8] ^= 1 << (bit % 8)
			if _, rej := r.Open(textOf(raw)); rej == nil {
				t.Fatalf("bit %d of %s changed, and it opens", bit, text)
			}
			raw[bit/8] ^= 1 << (bit % 8)
			i++
		}
		chars := []byte(text)
		for bit := range 8 * len(chars) {
			chars[bit/8] ^= 1 << (bit % 8)
			if _, rej := r.Open(string(chars)); rej == nil {
				t.Fatalf("bit %d of the text %s changed, and it opens", bit, text)
			}
			chars[bit/8] ^= 1 << (bit % 8)
			i++
		}
	}
}

// The front of one token and the back of another are refused, wherever each is
// cut.
func TestAnySpliceIsRefused(t *testing.T) {
	rnd := random(t)
	r := newTestRing(t, 0, 1)
	var raws [][]byte
	for n := range 64 {
		raws = append(raws, rawOf(t, seal(t, r, projectSized[:n])))
	}
	for range cases {
		a, b := raws[rnd.IntN(len(raws))], raws[rnd.IntN(len(raws))]
		i := rnd.IntN(len(a) + 1)
		j := rnd.IntN(len(b) + 1)
		if rnd.IntN(2) == 0 { // a length that a token can have
			j = min(i, len(b))
		}
		s := slices.Concat(a[:i], b[j:])
		if bytes.Equal(s, a) || bytes.Equal(s, b) {
			continue
		}
		if _, rej := r.Open(textOf(s)); rej == nil {
			t.Fatalf("the first %d bytes of %x and those of %x from %d open", i, a, b, j)
		}
	}
}
