package authn

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

type goldenHash struct {
	MadeBy   string `json:"made_by"`
	Password string
	Hash     identity.PasswordHash
}

func goldenHashes(t testing.TB) (out []goldenHash) {
	t.Helper()
	b, err := os.ReadFile("testdata/keystone-hashes.json")
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil || len(out) < 20 {
		t.Fatalf("%d golden hashes, %v", len(out), err)
	}
	return out
}

// Every hash that a real Keystone stored verifies with its password and with no
// other.
func TestHashesOfKeystoneVerify(t *testing.T) {
	h := cheapHasher(t)
	for _, g := range goldenHashes(t) {
		if ok, _, err := h.Verify(t.Context(), g.Hash, g.Password); !ok || err != nil {
			t.Errorf("%s, password of %d bytes: Verify = %v, %v", g.MadeBy, len(g.Password), ok, err)
		}
		if ok, _, err := h.Verify(t.Context(), g.Hash, "!"+g.Password[1:]); ok || err != nil {
			t.Errorf("%s, another password: Verify = %v, %v", g.MadeBy, ok, err)
		}
	}
}

func TestBcryptAgreesWithXCrypto(t *testing.T) {
	for _, pw := range []string{"a", "swordfish", "päss", strings.Repeat("z", 71), strings.Repeat("z", 72)} {
		theirs, err := bcrypt.GenerateFromPassword([]byte(pw), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parse(identity.PasswordHash(theirs))
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.matches([]byte(pw)); !ok || err != nil {
			t.Errorf("password of %d bytes: their hash: %v, %v", len(pw), ok, err)
		}
		ours, err := Params{Algorithm: Bcrypt, Cost: 4}.hash([]byte(pw))
		if err != nil {
			t.Fatal(err)
		}
		if err := bcrypt.CompareHashAndPassword([]byte(ours), []byte(pw)); err != nil {
			t.Errorf("password of %d bytes: our hash %.7s: %v", len(pw), string(ours), err)
		}
	}
}

// Every byte of a password counts in a hash that we make, whatever the algorithm,
// although bcrypt itself stops at 72.
func TestEveryByteOfALongPasswordCounts(t *testing.T) {
	for _, p := range []Params{{Bcrypt, 4}, {BcryptSHA256, 4}, {Scrypt, 4}, {PBKDF2SHA512, 10}} {
		h, err := NewHasher(HasherConfig{Params: p})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 72, 73, 200, MaxPassword} {
			pw := strings.Repeat("k", n-1) + "1"
			hash, err := h.Hash(t.Context(), pw)
			if err != nil {
				t.Fatal(err)
			}
			if ok, renew, err := h.Verify(t.Context(), hash, pw); !ok || renew || err != nil {
				t.Errorf("%s, %d bytes: Verify = %v, renew %v, %v", p.Algorithm, n, ok, renew, err)
			}
			if ok, _, _ := h.Verify(t.Context(), hash, pw[:n-1]+"2"); ok {
				t.Errorf("%s, %d bytes: another last byte verifies", p.Algorithm, n)
			}
		}
	}
}

// A bcrypt hash that Keystone made of a longer password was made of its first 72
// bytes: whoever logs in there logs in here.
func TestKeystonesTruncationIsKept(t *testing.T) {
	h := cheapHasher(t)
	for _, g := range goldenHashes(t) {
		if len(g.Password) <= 72 || !strings.HasPrefix(string(g.Hash), "$2b$") {
			continue
		}
		if ok, _, err := h.Verify(t.Context(), g.Hash, g.Password[:72]); !ok || err != nil {
			t.Errorf("the first 72 bytes: Verify = %v, %v", ok, err)
		}
		return
	}
	t.Fatal("no golden bcrypt hash of a long password")
}

func TestHashesAreTakenOrRefusedByForm(t *testing.T) {
	h := cheapHasher(t)
	salt, sum := strings.Repeat("a", 22), strings.Repeat("b", 31)
	for _, hash := range []string{
		"", "x", "$", "$$", "$1$x$y", "plain text", "$2b$04$" + salt, "$2b$04$" + salt + sum + "c", "$2b$31$" + salt + sum,
		"$2b$99$" + salt + sum, "$2b$-4$" + salt + sum, "$2z$04$" + salt + sum, "$2b$04$" + salt[:20] + "!!" + sum,
		"$bcrypt-sha256$v=2,t=2b,r=31$" + salt + "$" + sum, "$bcrypt-sha256$v=2,t=2b$" + salt + "$" + sum,
		"$bcrypt-sha256$v=3,t=2b,r=4$" + salt + "$" + sum, "$bcrypt-sha256$2b,4,5$" + salt + "$" + sum,
		"$scrypt$ln=31,r=8,p=1$AAAA$" + sum, "$scrypt$ln=16,r=64,p=1$AAAA$" + sum + sum, "$scrypt$ln=4,r=8$AAAA$" + sum,
		"$scrypt$ln=x,r=8,p=1$AAAA$" + sum, "$scrypt$ln=4,r=8,p=1$AA!A$" + sum, "$scrypt$ln=4,r=8,p=1$AAAA$AAAA",
		"$pbkdf2-sha512$999999999$AAAA$" + sum, "$pbkdf2-sha512$-1$AAAA$" + sum, "$pbkdf2-sha512$10$AAAA$" + strings.Repeat("A", 400),
	} {
		start := time.Now()
		ok, _, err := h.Verify(t.Context(), identity.PasswordHash(hash), "swordfish")
		if ok || (hash != "") != (err != nil) {
			t.Errorf("Verify against %.40q = %v, %v", hash, ok, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("Verify against %.40q took %v", hash, d)
		}
		if err != nil && (len(hash) > 4 && strings.Contains(err.Error(), hash)) {
			t.Errorf("the error repeats the hash: %v", err)
		}
	}
}

func TestPasswordsThatAreNotHashed(t *testing.T) {
	h := cheapHasher(t)
	hash, err := h.Hash(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for name, pw := range map[string]string{"empty": "", "too long": strings.Repeat("a", MaxPassword+1), "a zero byte": "a\x00a", "a megabyte": strings.Repeat("a", 1<<20)} {
		if _, err := h.Hash(t.Context(), pw); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: Hash: %v, want invalid", name, err)
		}
		if ok, _, err := h.Verify(t.Context(), hash, pw); ok || err != nil {
			t.Errorf("%s: Verify = %v, %v, want false", name, ok, err)
		}
	}
}

func TestWeakHashesAreWorthRenewing(t *testing.T) {
	strong, err := NewHasher(HasherConfig{Params: Params{Bcrypt, 5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		p    Params
		pw   string
		want bool
	}{
		{Params{Bcrypt, 4}, "pw", true}, {Params{Bcrypt, 5}, "pw", false}, {Params{Bcrypt, 6}, "pw", false},
		{Params{BcryptSHA256, 5}, strings.Repeat("l", 100), false}, {Params{PBKDF2SHA512, 100}, "pw", true}, {Params{Scrypt, 6}, "pw", true},
	} {
		hash, err := tt.p.hash([]byte(tt.pw))
		if err != nil {
			t.Fatal(err)
		}
		ok, renew, err := strong.Verify(t.Context(), hash, tt.pw)
		if !ok || renew != tt.want || err != nil {
			t.Errorf("%+v: Verify = %v, renew %v, %v; want renew %v", tt.p, ok, renew, err, tt.want)
		}
		if _, renew, _ := strong.Verify(t.Context(), hash, "wrong"); renew {
			t.Errorf("%+v: a wrong password renews", tt.p)
		}
	}
}

// One worker and a queue of two: the fourth caller at a time is sent away at once,
// with the time after which to come back, and a caller that gives up makes room.
func TestThePoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(HasherConfig{Params: Params{Bcrypt, 4}, Workers: 1, Queue: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.acquire(t.Context()); err != nil { // somebody hashes
			t.Fatal(err)
		}
		ctx, giveUp := context.WithCancel(t.Context())
		errc := make(chan error, 2)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				_, _, err := h.Verify(ctx, "", "x")
				errc <- err
			})
		}
		synctest.Wait()
		_, _, err = h.Verify(t.Context(), "", "x")
		var e *errs.Error
		if !errs.Is(err, errs.Unavailable) || !asError(err, &e) || e.RetryAfter <= 0 {
			t.Errorf("the fourth caller: %v, want unavailable with a time to retry after", err)
		}
		giveUp()
		for range 2 {
			if err := <-errc; !errs.Is(err, errs.Unavailable) {
				t.Errorf("a caller that gave up: %v", err)
			}
		}
		wg.Wait()
		h.release()
		if ok, _, err := h.Verify(t.Context(), "", "x"); ok || err != nil {
			t.Errorf("after the crowd: %v, %v", ok, err)
		}
	})
}

func TestParamsAreChecked(t *testing.T) {
	for _, p := range []Params{{"md5", 0}, {Bcrypt, 3}, {Bcrypt, 31}, {Scrypt, 20}, {PBKDF2SHA512, -1}} {
		if _, err := NewHasher(HasherConfig{Params: p}); err == nil {
			t.Errorf("NewHasher(%+v) accepts", p)
		}
	}
	h, err := NewHasher(HasherConfig{})
	if err != nil || h.params != (Params{Bcrypt, 12}) {
		t.Errorf("the zero configuration is %+v, %v", h.params, err)
	}
}

func asError(err error, e **errs.Error) bool {
	x, ok := err.(*errs.Error)
	*e = x
	return ok
}

func cheapHasher(t testing.TB) *Hasher {
	t.Helper()
	h, err := NewHasher(HasherConfig{Params: Params{Bcrypt, 4}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Whatever a row holds, reading it gives a scheme within its bounds or an error.
func FuzzParseHash(f *testing.F) {
	for _, g := range goldenHashes(f) {
		f.Add(string(g.Hash))
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := parse(identity.PasswordHash(in))
		if err != nil {
			return
		}
		if s.cost < 1 || s.cost > maxPBKDF2Rounds || len(s.sum) == 0 {
			t.Errorf("parse(%q) = cost %d, sum of %d bytes", in, s.cost, len(s.sum))
		}
	})
}
