package apikey

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever is stored is read in bounded cost or refused, and has one spelling.
func FuzzPHC(f *testing.F) {
	const good = "$argon2id$v=19$m=19456,t=2,p=1$IA9jn9AvgApG0BV7EToXMw$XhohTKp+ip8scJhb1Fhfic+S46qZeFS2TuUALP1eEo4"
	for _, s := range []string{
		good, "", "$$$$$", strings.Replace(good, "m=19456", "m=4294967295", 1), strings.Replace(good, "t=2", "t=+2", 1), good + "=",
		strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "p=1", "p=1,x=1", 1),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if h.memory > maxArgonMemory || h.time > maxArgonTime || h.threads > maxArgonThreads {
			t.Fatalf("%q costs %+v", s, h)
		}
		again := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.memory, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
		if again != s {
			t.Fatalf("%q is also written %q", s, again)
		}
	})
}

func TestNewHashesAreTheWires(t *testing.T) {
	t.Parallel()
	a, b := newPHC("key"), newPHC("key")
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hashes %q and %q", a, b)
	}
	if err := verifyPHC(a, "key"); err != nil {
		t.Error(err)
	}
	if verifyPHC(a, "kez") == nil {
		t.Error("another key has the same hash")
	}
}
