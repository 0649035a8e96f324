package keystone_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/id"
	"symbolon/internal/issuer"
	"symbolon/internal/testkit/cloud"
	"symbolon/keytoken"
	"symbolon/token"
)

var b64 = base64.RawURLEncoding

func raw(t testing.TB, tok string) []byte {
	t.Helper()
	b, err := b64.DecodeString(tok)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Attack cases A: what somebody does to the envelope of a good token.
func TestEnvelopeTampering(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, _, tok := f.member("alice")
	other := f.admin()
	good, foreign := raw(t, tok), raw(t, other)
	edit := func(do func(b []byte) []byte) string { return b64.EncodeToString(do(slices.Clone(good))) }
	flip := func(from, to int) map[string]string {
		out := map[string]string{}
		for i := from; i < to; i++ {
			for bit := range 8 {
				out[fmt.Sprintf("byte %d bit %d", i, bit)] = edit(func(b []byte) []byte { b[i] ^= 1 << bit; return b })
			}
		}
		return out
	}
	n := len(good)
	cases := map[string]map[string]string{
		"A1 prefixes":   {},
		"A2 version":    flip(0, 1),
		"A3 timestamp":  flip(1, 9),
		"A4 IV":         flip(9, 25),
		"A5 ciphertext": flip(25, n-32),
		"A6 HMAC":       flip(n-32, n),
		"A7 splices": {
			"header and IV of a, rest of b": b64.EncodeToString(append(slices.Clone(good[:25]), foreign[25:]...)),
			"HMAC of another":               b64.EncodeToString(append(slices.Clone(good[:n-32]), foreign[len(foreign)-32:]...)),
		},
		"A8 blocks": {
			"swapped": edit(func(b []byte) []byte {
				first := slices.Clone(b[25:41])
				copy(b[25:41], b[41:57])
				copy(b[41:57], first)
				return b
			}),
			"last dropped": edit(func(b []byte) []byte { return append(b[:n-48], good[n-32:]...) }),
			"first twice":  edit(func(b []byte) []byte { return slices.Insert(b, 25, good[25:41]...) }),
			"HMAC zeroed":  edit(func(b []byte) []byte { clear(b[n-32:]); return b }),
		},
		"A9 cuts": {
			"1": tok[:len(tok)-1], "4": tok[:len(tok)-4], "32": tok[:len(tok)-32], "stub": tok[:40], "start": "gAAAAA",
			"24 bytes": b64.EncodeToString(good[:24]), "72 bytes": b64.EncodeToString(good[:72]),
		},
		"A10 additions": {"a byte": b64.EncodeToString(append(slices.Clone(good), 0)), "another token": tok + other},
		"A11 sizes":     {"one": "x", "9000": strings.Repeat("a", 9000), "100 kB": strings.Repeat("A", 100_000), "9000 of a token": strings.Repeat(tok, 50)[:9000]},
		"A12 odd": {
			"not ASCII": tok + "é", "NUL": url.QueryEscape(tok + "\x00"), "CRLF": url.QueryEscape(tok + "\r\n"), "BOM": "\ufeff" + tok, "inner space": tok[:50] + " " + tok[50:],
		},
		"A13 others": {
			"UUID": id.NewHex().String(), "PKI": "MIIDbQYJKoZIhvcNAQcCoIIDXjCCA1o", "JWS": "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.c2ln",
			"secret": id.Secret(), "URL": "https://example.org/" + tok,
		},
		"B refused": {
			"B2 %3D": tok + "%3D", "B3 surplus =": tok + "==", "B3 four =": tok + "====", "B5 junk": tok[:40] + "!!!!" + tok[40:],
			"B5 blanks": tok[:40] + "    " + tok[40:], "B7 length 1 mod 4": tok[:len(tok)-len(tok)%4] + "A", "B10 lower case": strings.ToLower(tok),
			"B4 +": strings.ReplaceAll(withDashes(t, f), "-", "+"), "B4 /": strings.ReplaceAll(withDashes(t, f), "_", "/"),
			"B6 trailing bits": trailing(tok),
		},
	}
	for _, p := range []string{"F00", "F01", "F02", "F03", "f00", "F0"} {
		cases["A1 prefixes"][p] = p + tok
	}
	admin := f.admin()
	for group, texts := range cases {
		t.Run(group, func(t *testing.T) {
			for name, text := range texts {
				if text == tok {
					continue // the edit changed nothing
				}
				f.Rejections()
				if got := f.do("GET", "/v3/auth/tokens", nil, as(admin), subject(text)).status; got != 404 {
					t.Errorf("%s: as a subject %d, want 404", name, got)
				}
				if got := f.c(text); got != 401 {
					t.Errorf("%s: as a caller's %d, want 401", name, got)
				}
				if got := f.login(byToken(text, nil)).status; got != 404 && got != 400 {
					t.Errorf("%s: in a login %d, want 404", name, got)
				}
				for _, r := range f.reasons() {
					switch r {
					case token.Malformed, token.NotCanonical, token.BadMAC, token.UnknownVersion, token.BadLayout:
					default:
						t.Errorf("%s: refused for %q", name, r)
					}
				}
			}
		})
	}
	f.good(tok)
	// B1: the same token with its padding is the same token.
	f.good(tok + strings.Repeat("=", (4-len(tok)%4)%4))
	for _, h := range []header{subject(""), subject(" ")} {
		if a := f.do("GET", "/v3/auth/tokens", nil, as(admin), h); a.status != 404 {
			t.Errorf("without a subject: %d", a.status)
		}
	}
	if a := f.do("GET", "/v3/auth/tokens", nil, as(admin), subject(tok), subject(tok)); a.status != 404 {
		t.Errorf("with two subjects: %d", a.status)
	}
	if a := f.do("GET", "/v3/auth/projects", nil, as(tok), as(admin)); a.status != 401 {
		t.Errorf("with two callers: %d", a.status)
	}
}

// withDashes returns a token in whose text both special characters occur.
func withDashes(t testing.TB, f *face) string {
	t.Helper()
	for range 50 {
		if tok := f.admin(); strings.Contains(tok, "-") && strings.Contains(tok, "_") {
			return tok
		}
	}
	t.Fatal("no token has - and _")
	return ""
}

// trailing sets an unused bit of the last character, or returns the text as it is
// when it has none.
func trailing(tok string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(tok)%4 == 0 {
		return tok
	}
	i := strings.IndexByte(alphabet, tok[len(tok)-1])
	return tok[:len(tok)-1] + string(alphabet[i|1])
}

// Whatever is done to a good token's bytes or text, it is good for nothing.
func TestNoMutationOfATokenPasses(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, _, tok := f.member("alice")
	good := raw(t, tok)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	try := func(text string) {
		if text == tok {
			return
		}
		if got, err := f.Issuer.Validate(t.Context(), text, issuer.Options{AllowExpired: true}); err == nil {
			t.Fatalf("accepted %q as %+v", text, got)
		}
	}
	for range 20_000 {
		b := slices.Clone(good)
		for range 1 + rng.IntN(3) {
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		}
		try(b64.EncodeToString(b))
		s := []byte(tok)
		s[rng.IntN(len(s))] = byte(rng.IntN(256))
		try(string(s))
	}
	// A hundred of them over HTTP.
	for range 100 {
		b := slices.Clone(good)
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		f.refused(b64.EncodeToString(b))
	}
}

// B8 and F22: no spelling of a revoked token comes back to life.
func TestVariantsOfARevokedToken(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, _, tok := f.member("alice")
	f.do("DELETE", "/v3/auth/tokens", nil, as(tok), subject(tok)).want(204)
	for _, text := range []string{tok, tok + strings.Repeat("=", (4-len(tok)%4)%4), tok + "====", trailing(tok), strings.ReplaceAll(tok, "-", "+"), tok[:8] + "!!!!" + tok[8:], "MII" + tok} {
		f.refused(text)
	}
}

// mint makes a token that the keys vouch for and no login would give.
func (f *face) mint(t testing.TB, c keytoken.Claims, at time.Time) string {
	t.Helper()
	if c.AuditIDs == nil {
		c.AuditIDs = []string{id.NewAudit().String()}
	}
	if c.Methods == nil {
		c.Methods = []string{"password"}
	}
	text, err := f.Tokens.Mint(c, at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Attack cases D: time.
func TestTimes(t *testing.T) {
	f := newFace(t, cloud.Config{})
	_, _, tok := f.member("alice")
	life := f.Issuer.Config().Expiration
	born := f.Clock.Now().Truncate(time.Second)

	f.Clock.Set(born.Add(life - time.Nanosecond))
	f.good(tok)
	f.reasons()
	t.Run("D2 at its expiry it is expired", func(t *testing.T) {
		f.Clock.Set(born.Add(life))
		f.refused(tok)
		if got := f.reasons(); !slices.Equal(got, []token.Reason{token.Expired, token.Expired}) {
			t.Errorf("refused for %v", got)
		}
	})
	t.Run("D1 a second later too", func(t *testing.T) {
		f.Clock.Set(born.Add(life + time.Second))
		f.refused(tok)
	})
	admin := f.admin()
	look := func(query string) int {
		t.Helper()
		return f.do("GET", "/v3/auth/tokens"+query, nil, as(admin), subject(tok)).status
	}
	t.Run("D5 D6 allow_expired takes the words for true", func(t *testing.T) {
		for q, want := range map[string]int{
			"1": 200, "true": 200, "TRUE": 200, "yes": 200, "on": 200, "t": 200, "y": 200, "%20true%20": 200,
			"": 404, "false": 404, "0": 404, "2": 404, "no": 404, "truee": 404,
		} {
			if got := look("?allow_expired=" + q); got != want {
				t.Errorf("allow_expired=%s: %d, want %d", q, got, want)
			}
		}
		if got := look("?allow_expired"); got != 404 {
			t.Errorf("allow_expired without a value: %d, want 404", got)
		}
	})
	t.Run("D8 an expired caller is nobody", func(t *testing.T) {
		f.do("GET", "/v3/auth/projects?allow_expired=1", nil, as(tok)).want(401)
		f.do("GET", "/v3/auth/tokens?allow_expired=1", nil, as(tok), subject(tok)).want(401)
	})
	t.Run("D9 nothing is made of it", func(t *testing.T) { f.login(byToken(tok, nil)).want(404) })
	t.Run("D10 it is not revoked either", func(t *testing.T) {
		f.do("DELETE", "/v3/auth/tokens?allow_expired=1", nil, as(admin), subject(tok)).want(404)
	})
	t.Run("D7 beyond the window it is gone", func(t *testing.T) {
		f.Clock.Set(born.Add(life + f.Issuer.Config().AllowExpiredWindow - time.Second))
		admin = f.admin()
		if got := look("?allow_expired=1"); got != 200 {
			t.Errorf("inside the window: %d", got)
		}
		f.Clock.Set(born.Add(life + f.Issuer.Config().AllowExpiredWindow))
		if got := look("?allow_expired=1"); got != 404 {
			t.Errorf("at its end: %d", got)
		}
	})
}

// Where the window is closed, an expired token is gone for everybody.
func TestNoWindow(t *testing.T) {
	f := newFace(t, cloud.Config{Issuer: issuer.Config{AllowExpiredWindow: time.Nanosecond}})
	_, _, tok := f.member("alice")
	f.Clock.Advance(time.Hour)
	f.do("GET", "/v3/auth/tokens?allow_expired=1", nil, as(f.admin()), subject(tok)).want(404)
}

func TestTimesOnlyTheKeysCanMake(t *testing.T) {
	f := newFace(t, cloud.Config{})
	now := f.Clock.Now()
	claims := keytoken.Claims{UserID: f.AdminID, ExpiresAt: 1_900_000_000}
	for name, tt := range map[string]struct {
		at   time.Time
		want token.Reason
	}{
		"D3 a day ahead":          {now.Add(24 * time.Hour), token.IssuedInFuture},
		"beyond the leeway":       {now.Add(keytoken.DefaultLeeway + time.Second), token.IssuedInFuture},
		"within the leeway":       {now.Add(keytoken.DefaultLeeway - time.Second), ""},
		"D3 years ago, not ended": {now.AddDate(-3, 0, 0), ""},
	} {
		f.reasons()
		tok := f.mint(t, claims, tt.at)
		if tt.want == "" {
			f.good(tok)
			continue
		}
		f.refused(tok)
		if got := f.reasons(); !slices.Equal(got, []token.Reason{tt.want, tt.want}) {
			t.Errorf("%s: refused for %v, want %s", name, got, tt.want)
		}
	}
	// D4: instants that no clock shows, sealed with the right key.
	opened, rej := f.Ring.Open(f.mint(t, claims, now))
	if rej != nil {
		t.Fatal(rej)
	}
	for _, at := range []epoch.Seconds{0, 1, 1 << 33, 1 << 62, 1<<63 - 1} {
		text, err := f.Ring.Seal(at, opened.Payload())
		if err != nil {
			t.Fatal(err)
		}
		f.refused(text)
	}
	// D15: a clock that steps back brings nothing expired to life that it does not
	// say is alive, and breaks nothing.
	_, _, tok := f.member("alice")
	f.Clock.Advance(-time.Hour)
	f.do("GET", "/v3/auth/projects", nil, as(tok)).want(401)
	f.Clock.Advance(time.Hour)
	f.good(tok)
}

// D11: however often a token is rescoped, it ends when the first one does.
func TestRescopingGainsNoTime(t *testing.T) {
	f := newFace(t, cloud.Config{})
	user, project, tok := f.member("alice")
	first := f.validate(tok)
	root := first.at("token", "audit_ids", 0)
	for i := range 5 {
		f.Clock.Advance(7 * time.Minute)
		scope := any(onProject(project.ID))
		if i%2 == 0 {
			scope = "unscoped"
		}
		a := f.login(byToken(tok, scope)).want(201)
		if got, want := a.at("token", "expires_at"), first.at("token", "expires_at"); got != want {
			t.Errorf("after %d times it expires at %v, want %v", i+1, got, want)
		}
		ids, _ := a.at("token", "audit_ids").([]any)
		if len(ids) != 2 || ids[1] != root || ids[0] == root {
			t.Errorf("audit ids %v, want a new one and %v", ids, root)
		}
		if got := a.at("token", "methods"); fmt.Sprint(got) != "[token password]" {
			t.Errorf("methods %v", got)
		}
		if a.at("token", "user", "id") != user.ID || a.at("token", "issued_at") == first.at("token", "issued_at") {
			t.Errorf("user %v issued at %v", a.at("token", "user", "id"), a.at("token", "issued_at"))
		}
		tok = a.token()
	}
	f.Clock.Set(cloud.Start.Truncate(time.Second).Add(time.Hour - time.Nanosecond))
	f.login(byToken(tok, nil)).want(201)
	f.Clock.Set(cloud.Start.Truncate(time.Second).Add(time.Hour))
	f.login(byToken(tok, nil)).want(404)
}
