package fernet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"slices"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/testkit"
)

// The floor: what the format costs with everything that can be prepared
// prepared, no check that is not cryptographic, no key but one and no other
// caller. Seal and Open are measured against it in the same run.
type floor struct {
	mac   hash.Hash
	block cipher.Block
	enc   cbc
	dec   cbc
	raw   [512]byte
	text  [1024]byte
	sum   [32]byte
}

func newFloor(k Key) *floor {
	block, err := aes.NewCipher(k.encryption())
	if err != nil {
		panic(err)
	}
	iv := make([]byte, 16)
	return &floor{
		mac: hmac.New(sha256.New, k.signing()), block: block,
		enc: cipher.NewCBCEncrypter(block, iv).(cbc), dec: cipher.NewCBCDecrypter(block, iv).(cbc),
	}
}

func (f *floor) seal(sec uint64, payload []byte) string {
	n := headerLen + (len(payload)/16+1)*16
	b := f.raw[:n+macLen]
	b[0] = version
	binary.BigEndian.PutUint64(b[1:9], sec)
	_, _ = rand.Read(b[9:25])
	pad := byte(n - headerLen - len(payload))
	for i := 25 + copy(b[25:], payload); i < n; i++ {
		b[i] = pad
	}
	f.enc.SetIV(b[9:25])
	f.enc.CryptBlocks(b[25:n], b[25:n])
	f.mac.Reset()
	f.mac.Write(b[:n])
	f.mac.Sum(b[:n])
	t := f.text[:base64.RawURLEncoding.EncodedLen(len(b))]
	base64.RawURLEncoding.Encode(t, b)
	return string(t)
}

func (f *floor) open(text string) []byte {
	t := f.text[:copy(f.text[:], text)]
	n, err := base64.RawURLEncoding.Decode(f.raw[:], t)
	if err != nil {
		panic(err)
	}
	b := f.raw[:n-macLen]
	f.mac.Reset()
	f.mac.Write(b)
	if !hmac.Equal(f.mac.Sum(f.sum[:0]), f.raw[n-macLen:n]) {
		panic("bad MAC")
	}
	out := make([]byte, len(b)-headerLen)
	f.dec.SetIV(b[9:25])
	f.dec.CryptBlocks(out, b[25:])
	return out[:len(out)-int(out[len(out)-1])]
}

var sink int

const benchIssued epoch.Seconds = 1790000000

func benchKey(b *testing.B) (Key, *Ring) {
	b.Helper()
	k, err := ParseKey(fuzzKey)
	if err != nil {
		b.Fatal(err)
	}
	// As a server has: a staged key, a primary, a secondary.
	r, err := NewRing(NumberedKey{3, k}, NumberedKey{2, NewKey()}, NumberedKey{0, NewKey()})
	if err != nil {
		b.Fatal(err)
	}
	return k, r
}

func BenchmarkSeal100(b *testing.B) {
	k, r := benchKey(b)
	payload := make([]byte, 100)
	b.Run("floor", func(b *testing.B) {
		f := newFloor(k)
		b.ReportAllocs()
		for b.Loop() {
			sink += len(f.seal(uint64(benchIssued), payload))
		}
	})
	b.Run("ring", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, err := r.Seal(benchIssued, payload)
			if err != nil {
				b.Fatal(err)
			}
			sink += len(s)
		}
	})
}

func BenchmarkOpen100(b *testing.B) {
	k, r := benchKey(b)
	text, err := r.Seal(benchIssued, make([]byte, 100))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("floor", func(b *testing.B) {
		f := newFloor(k)
		b.ReportAllocs()
		for b.Loop() {
			sink += len(f.open(text))
		}
	})
	b.Run("ring", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, rej := r.Open(text)
			if rej != nil {
				b.Fatal(rej)
			}
			sink += len(o.payload)
		}
	})
}

// BenchmarkRatio takes turns with the ring and the floor, so that whatever else
// the machine does falls on both alike, and reports how many floors an operation
// costs: the median over the turns.
func BenchmarkRatio(b *testing.B) {
	k, r := benchKey(b)
	f := newFloor(k)
	payload := make([]byte, 100)
	text := f.seal(uint64(benchIssued), payload)
	turn := func(f func()) float64 {
		start := time.Now()
		for range 100 {
			f()
		}
		return float64(time.Since(start))
	}
	for _, one := range []struct {
		name        string
		floor, ring func()
	}{
		{"seal", func() { sink += len(f.seal(uint64(benchIssued), payload)) }, func() {
			s, err := r.Seal(benchIssued, payload)
			if err != nil {
				b.Fatal(err)
			}
			sink += len(s)
		}},
		{"open", func() { sink += len(f.open(text)) }, func() {
			o, rej := r.Open(text)
			if rej != nil {
				b.Fatal(rej)
			}
			sink += len(o.payload)
		}},
	} {
		b.Run(one.name, func(b *testing.B) {
			var ratios []float64
			for b.Loop() {
				f := turn(one.floor)
				ratios = append(ratios, turn(one.ring)/f)
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x-floor")
		})
	}
}

// The budget of allocations is kept by a test; the times are not, since they
// depend on what else the machine does.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector makes pools forget; the plain run keeps this budget")
	}
	k, err := ParseKey(fuzzKey)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing(NumberedKey{1, k})
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 100)
	text, err := r.Seal(benchIssued, payload)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = r.Seal(benchIssued, payload) }); n > 2 {
		t.Errorf("Seal allocates %v times, want at most 2", n)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Open(text) }); n > 2 {
		t.Errorf("Open allocates %v times, want at most 2", n)
	}
}
