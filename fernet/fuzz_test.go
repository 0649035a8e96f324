package fernet

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// fuzzKey is a key that seeds in testdata/fuzz were made with.
const fuzzKey = "npser4C8PYDeY-yZITZ6iNCZ4WBxfGU6ZxiaOELME6I="

// Whatever opens is one of the two spellings of what it would be encoded as.
func FuzzOpen(f *testing.F) {
	r := ringOf(f, fuzzKey)
	for n := range 20 {
		text := seal(f, r, strings.Repeat("z", n))
		f.Add(text)
		f.Add(text + strings.Repeat("=", (4-len(text)%4)%4))
		f.Add("F00" + text)
		f.Add(text[:len(text)/2] + "\r\n" + text[len(text)/2:])
	}
	f.Add("")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		o, rej := r.Open(text)
		if rej != nil {
			if o.payload != nil || rej.Reason == "" {
				t.Errorf("Open(%q) = %+v, %+v", text, o, rej)
			}
			return
		}
		w := r.pool.Get().(*worker)
		raw, _ := w.decode(text)
		canonical := textOf(raw)
		padded := canonical + strings.Repeat("=", (4-len(canonical)%4)%4)
		if text != canonical && text != padded {
			t.Errorf("Open accepted %q, which is spelled %q", text, canonical)
		}
		if again, err := r.WithIVs(bytes.NewReader(raw[ivAt:headerLen])).Seal(o.IssuedAt(), o.Payload()); err != nil || again != canonical {
			t.Errorf("what %q holds seals as %q, %v", text, again, err)
		}
	})
}

// Whatever parses as a key is the text of that key.
func FuzzParseKey(f *testing.F) {
	f.Add(fuzzKey)
	f.Add(fuzzKey[:43])
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("A", 42) + "B=")
	f.Add(fuzzKey[:43] + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err == nil && k.reveal() != text {
			t.Errorf("ParseKey accepted %q, which is spelled %q", text, k.reveal())
		}
	})
}

// Whatever is taken for the name of a key is how that number is written.
func FuzzKeyNumber(f *testing.F) {
	for _, s := range []string{"0", "1", "08", " 3", "-1", "1_0", "0.tmp", "999999999999999999", "9223372036854775807", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, ok := keyNumber(name); ok && (id.String() != name || id < 0) {
			t.Errorf("%q was taken for key %d", name, id)
		}
	})
}

// The decoder agrees with that of the standard library, made strict, on what it
// takes; the line ends which that one passes over it refuses.
func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"", "A", "AA", "AB", "AAA", "AAB", "AAAA", "-_-_", "+/AA", "AA\n", "A\r\nA", "AA==", "gAAAAAB", "\xff\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := make([]byte, decodedLen(len(text)))
		ok := decodeText(got, text)
		want, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if strict := err == nil && !strings.ContainsAny(text, "\r\n"); ok != strict || ok && !bytes.Equal(got, want) {
			t.Errorf("decodeText(%q) = %x, %v, want %x, %v", text, got, ok, want, strict)
		}
	})
}
