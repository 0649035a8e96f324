package fernet

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/token"
)

// specWindow is what the implementations of the specification tolerate: a
// minute of clock skew, and the age that a vector names.
func specWindow(ttl int) epoch.Window {
	return epoch.Window{Leeway: time.Minute, MaxAge: time.Duration(ttl) * time.Second}
}

type specVector struct {
	Desc, Token, Src, Secret string
	Now                      time.Time
	TTL                      int `json:"ttl_sec"`
	IV                       []int
}

func specVectors(t *testing.T, name string) []specVector {
	t.Helper()
	b, err := os.ReadFile("testdata/spec/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var out []specVector
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("%s.json holds no vector", name)
	}
	return out
}

func ringOf(t testing.TB, secret string) *Ring {
	t.Helper()
	k, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRing(NumberedKey{0, k})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSpecGenerate(t *testing.T) {
	for _, v := range specVectors(t, "generate") {
		iv := make([]byte, len(v.IV))
		for i, b := range v.IV {
			iv[i] = byte(b)
		}
		got, err := ringOf(t, v.Secret).WithIVs(bytes.NewReader(iv)).SealPadded(epoch.SecondsOf(v.Now), []byte(v.Src))
		if err != nil || got != v.Token {
			t.Errorf("SealPadded = %q, %v, want %q", got, err, v.Token)
		}
	}
}

func TestSpecVerify(t *testing.T) {
	for _, v := range specVectors(t, "verify") {
		o, rej := ringOf(t, v.Secret).OpenWithin(v.Token, v.Now, specWindow(v.TTL))
		if rej != nil || string(o.Payload()) != v.Src {
			t.Errorf("OpenWithin = %q, %v, want %q", o.Payload(), rej, v.Src)
		}
	}
}

// Six of the invalid vectors are wrong in themselves and Open refuses them; two
// are wrong by the clock and OpenWithin alone refuses those.
func TestSpecInvalid(t *testing.T) {
	want := map[string]token.Reason{
		"incorrect mac":  token.BadMAC,
		"too short":      token.Malformed,
		"invalid base64": token.NotCanonical,
		"payload size not multiple of block size": token.Malformed,
		"payload padding error":                   token.Malformed,
		"far-future TS (unacceptable clock skew)": token.IssuedInFuture,
		"expired TTL":                         token.IssuedTooLongAgo,
		"incorrect IV (causes padding error)": token.Malformed,
	}
	vs := specVectors(t, "invalid")
	if len(vs) != len(want) {
		t.Errorf("%d vectors, want %d", len(vs), len(want))
	}
	for _, v := range vs {
		r := ringOf(t, v.Secret)
		_, rej := r.OpenWithin(v.Token, v.Now, specWindow(v.TTL))
		if rej == nil || rej.Reason != want[v.Desc] {
			t.Errorf("%s: OpenWithin gives %v, want %s", v.Desc, rej, want[v.Desc])
		}
		byClock := want[v.Desc] == token.IssuedInFuture || want[v.Desc] == token.IssuedTooLongAgo
		if _, rej := r.Open(v.Token); (rej == nil) != byClock {
			t.Errorf("%s: Open gives %v, want a rejection only if the clock is not what is wrong", v.Desc, rej)
		}
	}
}
