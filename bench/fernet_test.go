package bench

import (
	"testing"
	"time"

	fernetgo "github.com/fernet/fernet-go"

	"symbolon/epoch"
	"symbolon/fernet"
)

var sink int

// keyTexts are three keys, the primary first, as a server has them.
var keyTexts = []string{
	"vevj9Zc0mJmmtDbWgncA6c-eNKhDVRa2ShkI_89-YGE=", "AnEqxvAdN6wLS7oQ42kaZVgHxqVPesGtnHcESlaAxeo=",
	"npser4C8PYDeY-yZITZ6iNCZ4WBxfGU6ZxiaOELME6I=",
}

func ours(b *testing.B) *fernet.Ring {
	b.Helper()
	var ks []fernet.NumberedKey
	for i, text := range keyTexts {
		k, err := fernet.ParseKey(text)
		if err != nil {
			b.Fatal(err)
		}
		ks = append(ks, fernet.NumberedKey{ID: fernet.KeyID(len(keyTexts) - 1 - i), Key: k})
	}
	r, err := fernet.NewRing(ks...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func theirs(b *testing.B) []*fernetgo.Key {
	b.Helper()
	ks, err := fernetgo.DecodeKeys(keyTexts...)
	if err != nil {
		b.Fatal(err)
	}
	return ks
}

// BenchmarkMint makes a token of 100 bytes.
func BenchmarkMint(b *testing.B) {
	payload := make([]byte, 100)
	b.Run("symbolon", func(b *testing.B) {
		r, now := ours(b), epoch.SecondsOf(time.Now())
		b.ReportAllocs()
		for b.Loop() {
			s, err := r.Seal(now, payload)
			if err != nil {
				b.Fatal(err)
			}
			sink += len(s)
		}
	})
	b.Run("fernet-go", func(b *testing.B) {
		k := theirs(b)[0]
		b.ReportAllocs()
		for b.Loop() {
			s, err := fernetgo.EncryptAndSign(payload, k)
			if err != nil {
				b.Fatal(err)
			}
			sink += len(s)
		}
	})
}

// BenchmarkVerify reads a token of 100 bytes made with the primary key, and one
// made with the oldest of three.
func BenchmarkVerify(b *testing.B) {
	r, ks := ours(b), theirs(b)
	for _, which := range []struct {
		name string
		key  *fernetgo.Key
	}{{"primary", ks[0]}, {"third_key", ks[2]}} {
		tok, err := fernetgo.EncryptAndSign(make([]byte, 100), which.key)
		if err != nil {
			b.Fatal(err)
		}
		text := string(tok)
		b.Run(which.name+"/symbolon", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, rej := r.Open(text)
				if rej != nil {
					b.Fatal(rej)
				}
				sink += len(o.Payload())
			}
		})
		b.Run(which.name+"/fernet-go", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := fernetgo.VerifyAndDecrypt([]byte(text), time.Hour, ks)
				if p == nil {
					b.Fatal("refused")
				}
				sink += len(p)
			}
		})
	}
}

// Each reads what the other makes.
func TestInterop(t *testing.T) {
	k, err := fernet.ParseKey(keyTexts[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := fernet.NewRing(fernet.NumberedKey{ID: 0, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	ks, err := fernetgo.DecodeKeys(keyTexts[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		payload := make([]byte, n)
		tok, err := fernetgo.EncryptAndSign(payload, ks[0])
		if err != nil {
			t.Fatal(err)
		}
		if o, rej := r.Open(string(tok)); rej != nil || len(o.Payload()) != n {
			t.Errorf("%d bytes from fernet-go: %v", n, rej)
		}
		text, err := r.SealPadded(epoch.SecondsOf(time.Now()), payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := fernetgo.VerifyAndDecrypt([]byte(text), time.Hour, ks); got == nil || len(got) != n {
			t.Errorf("%d bytes to fernet-go: refused", n)
		}
	}
}
