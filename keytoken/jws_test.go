package keytoken

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/token"
)

// pair makes a key pair, read back from its PEM text.
func pair(t testing.TB, a Algorithm, name string) (SigningKey, VerifyingKey) {
	t.Helper()
	priv, pub, err := NewKeyPair(a)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSigningKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVerifyingKey(name, pub)
	if err != nil {
		t.Fatal(err)
	}
	if s.Algorithm() != a || v.Algorithm() != a || v.Name() != name {
		t.Fatalf("a pair for %s reads as one for %s and %s", a, s.Algorithm(), v.Algorithm())
	}
	return s, v
}

func jwsTokens(t testing.TB, a Algorithm) *Tokens {
	t.Helper()
	s, v := pair(t, a, "public.pem")
	return jwsOf(t, s, []Algorithm{a}, v)
}

func jwsOf(t testing.TB, s SigningKey, accept []Algorithm, vs ...VerifyingKey) *Tokens {
	t.Helper()
	ks, err := NewJWSKeys(s, accept, vs...)
	if err != nil {
		t.Fatal(err)
	}
	return NewJWS(FixedJWS(ks), Limits{Leeway: DefaultLeeway})
}

// The same claims through the same Verify, whatever signs.
func TestJWSCarriesEveryLayout(t *testing.T) {
	for _, a := range Algorithms() {
		ts := jwsTokens(t, a)
		for v, c := range layoutClaims() {
			text := mint(t, ts, c)
			got, rej := ts.Verify(text, benchNow.Time(), Options{})
			c.IssuedAt = benchNow
			if rej != nil || !reflect.DeepEqual(got.Claims(), c) || got.KeyID() != "public.pem" || got.Version() != NoVersion {
				t.Errorf("%s, %v: Verify = %+v, %v, want %+v", a, Version(v), got, rej, c)
			}
		}
		if err := ts.Ready(); err != nil {
			t.Errorf("%s: Ready = %v", a, err)
		}
	}
}

// The text is what the reference's is: its header, its members, nothing null.
func TestJWSWireForm(t *testing.T) {
	ts := jwsTokens(t, ES256)
	c := layoutClaims()[FederatedProject]
	parts := strings.Split(mint(t, ts, c), ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"alg":"ES256","typ":"JWT"}`; string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"sub":"` + benchUser + `","iat":1790000000,"exp":1790003600,"openstack_methods":["mapped"],"openstack_audit_ids":["` + benchAudit +
		`"],"openstack_project_id":"a project of text","openstack_group_ids":[{"id":"513772ee53011ad9f4dc374b2d34d0e9"},{"id":"engineers"}],` +
		`"openstack_idp_id":"acme","openstack_protocol_id":"saml2"}`
	if string(payload) != want {
		t.Errorf("payload\n got %s\nwant %s", payload, want)
	}
}

// sign makes a JWS of any header and payload under a real key.
func sign(t testing.TB, s SigningKey, header, payload string) string {
	t.Helper()
	head := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(head))
	k, ok := s.signer().(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("the test signs with ES256 only")
	}
	r, v, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	return head + "." + base64.RawURLEncoding.EncodeToString(sig)
}

const (
	goodHeader  = `{"alg":"ES256","typ":"JWT"}`
	goodPayload = `{"sub":"u","iat":1790000000,"exp":1790003600,"openstack_methods":["password"],"openstack_audit_ids":["` + benchAudit + `"]}`
)

func TestJWSEnvelopeAttacks(t *testing.T) {
	s, v := pair(t, ES256, "public.pem")
	ts := jwsOf(t, s, nil, v)
	good := sign(t, s, goodHeader, goodPayload)
	if _, rej := ts.Verify(good, benchNow.Time(), Options{}); rej != nil {
		t.Fatal(rej)
	}
	parts := strings.Split(good, ".")
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

	t.Run("algorithm", func(t *testing.T) {
		pubPEM := func() []byte {
			der, err := x509.MarshalPKIXPublicKey(v.pub)
			if err != nil {
				t.Fatal(err)
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		}()
		for _, alg := range []string{"none", "None", "NONE", "", "HS256", "HS512", "RS256", "ES384", "EdDSA", "es256", "ES256K", "PS256"} {
			head := text(`{"alg":"`+alg+`","typ":"JWT"}`) + "." + parts[1]
			// With no signature to speak of, the good one, and the HMAC whose
			// key is the public key's text.
			m := hmac.New(sha256.New, pubPEM)
			m.Write([]byte(head))
			for _, sig := range []string{"AA", parts[2], base64.RawURLEncoding.EncodeToString(m.Sum(nil))} {
				isRefused(t, ts, head+"."+sig, token.WrongAlgorithm)
			}
			isRefused(t, ts, head+".", token.NotCanonical)
		}
		// A key is for the algorithm of its curve alone: a signature over
		// P-256 that says it is ES384 is none, though its arithmetic is right.
		_, v3 := pair(t, ES384, "p384.pem")
		confused := jwsOf(t, s, []Algorithm{ES256, ES384}, v, v3)
		head := text(`{"alg":"ES384","typ":"JWT"}`) + "." + parts[1]
		sum := sha512.Sum384([]byte(head))
		r1, s1, err := ecdsa.Sign(rand.Reader, s.signer().(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := append(r1.FillBytes(make([]byte, 48)), s1.FillBytes(make([]byte, 48))...)
		isRefused(t, confused, head+"."+base64.RawURLEncoding.EncodeToString(sig), token.BadSignature)
		// One that is accepted, though not this key's.
		s5, v5 := pair(t, ES512, "other.pem")
		both := jwsOf(t, s5, []Algorithm{ES512, ES256}, v, v5)
		isRefused(t, both, text(`{"alg":"ES512"}`)+"."+parts[1]+"."+parts[2], token.BadSignature)
		if _, rej := both.Verify(good, benchNow.Time(), Options{}); rej != nil {
			t.Errorf("the second of two keys: %v", rej)
		}
	})
	t.Run("header", func(t *testing.T) {
		for name, h := range map[string]string{
			"no algorithm": `{"typ":"JWT"}`, "critical": `{"alg":"ES256","crit":["exp"],"exp":1}`, "unencoded": `{"alg":"ES256","b64":false,"crit":["b64"]}`,
			"its own key": `{"alg":"ES256","jwk":{"kty":"EC"}}`, "a key elsewhere": `{"alg":"ES256","jku":"https://evil"}`, "a certificate": `{"alg":"ES256","x5c":["MII"]}`,
			"algorithm twice": `{"alg":"ES256","alg":"ES256"}`, "algorithm of a number": `{"alg":1}`, "no object": `["ES256"]`, "text": `"ES256"`,
			"more after it": `{"alg":"ES256"}{}`, "half": `{"alg":"ES256"`, "not UTF-8": "{\"alg\":\"ES256\",\"kid\":\"\xff\"}", "capitals": `{"ALG":"ES256"}`,
			"zip": `{"alg":"ES256","zip":"DEF"}`,
		} {
			v, rej := ts.Verify(sign(t, s, h, goodPayload), benchNow.Time(), Options{})
			if rej == nil || rej.Reason != token.Malformed && rej.Reason != token.WrongAlgorithm {
				t.Errorf("%s: %+v, %v", name, v.Claims(), rej)
			}
		}
		isRefused(t, ts, sign(t, s, `{"alg":"ES256","typ":"at+jwt"}`, goodPayload), token.WrongKind)
		for _, h := range []string{`{"alg":"ES256"}`, `{"typ":"jwt","alg":"ES256","kid":"1"}`} {
			if _, rej := ts.Verify(sign(t, s, h, goodPayload), benchNow.Time(), Options{}); rej != nil {
				t.Errorf("header %s: %v", h, rej)
			}
		}
	})
	t.Run("signature", func(t *testing.T) {
		other, _ := pair(t, ES256, "x")
		isRefused(t, ts, sign(t, other, goodHeader, goodPayload), token.BadSignature)
		isRefused(t, ts, parts[0]+"."+text(strings.Replace(goodPayload, `"u"`, `"v"`, 1))+"."+parts[2], token.BadSignature)
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(sig) {
			sig[bit/8] ^= 1 << (bit % 8)
			isRefused(t, ts, parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(sig), token.BadSignature)
			sig[bit/8] ^= 1 << (bit % 8)
		}
		for _, sig := range [][]byte{make([]byte, 64), sig[:63], append(slices.Clone(sig), 0), append([]byte{0}, sig...), {0}} {
			isRefused(t, ts, parts[0]+"."+parts[1]+"."+base64.RawURLEncoding.EncodeToString(sig), token.BadSignature)
		}
	})
	t.Run("spelling", func(t *testing.T) {
		for _, s := range []string{
			good + "=", good + "\n", " " + good, good[:20] + "\n" + good[20:], good[:20] + "\r\n" + good[20:], good[:20] + " " + good[20:],
			"F00" + good, good + ".", "." + good, parts[0] + "." + parts[1], parts[0] + ".." + parts[2], "..", "", good + "." + good,
			strings.ReplaceAll(good, ".", "%2E"), `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
			strings.Repeat(good+".", 10), strings.Repeat("A", 100_000), strings.Repeat(".", 100_000),
		} {
			isRefused(t, ts, s, token.Malformed, token.NotCanonical)
		}
		// The unused bits of a last character: 64 bytes of signature leave four.
		last := parts[2][len(parts[2])-1]
		isRefused(t, ts, good[:len(good)-1]+string(last+1), token.NotCanonical)
	})
	t.Run("malleable_signature", func(t *testing.T) {
		// The other signature of the same bytes verifies: it is the same
		// token, with the same identity.
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		n := v.pub.(*ecdsa.PublicKey).Params().N
		neg := new(big.Int).Sub(n, new(big.Int).SetBytes(sig[32:]))
		twin := parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append(sig[:32:32], neg.FillBytes(make([]byte, 32))...))
		a, rej := ts.Verify(good, benchNow.Time(), Options{})
		if rej != nil {
			t.Fatal(rej)
		}
		b, rej := ts.Verify(twin, benchNow.Time(), Options{})
		if rej != nil || twin == good || a.Identity() != b.Identity() {
			t.Errorf("the twin: %v, one identity %v", rej, a.Identity() == b.Identity())
		}
	})
	t.Run("fernet", func(t *testing.T) {
		fs, _ := benchTokens(t)
		isRefused(t, ts, mint(t, fs, projectClaims()), token.Malformed)
	})
}

func TestJWSPayloadAttacks(t *testing.T) {
	s, v := pair(t, ES256, "public.pem")
	ts := jwsOf(t, s, nil, v)
	with := func(replace, by string) string {
		p := strings.Replace(goodPayload, replace, by, 1)
		if p == goodPayload {
			t.Fatalf("%q is not in the payload", replace)
		}
		return p
	}
	more := func(member string) string { return with(`{"sub"`, `{`+member+`,"sub"`) }
	for name, tt := range map[string]struct {
		payload string
		want    token.Reason
	}{
		"as it is":                   {goodPayload, ""},
		"null for nothing":           {more(`"openstack_system":null`), ""},
		"a fraction":                 {with("1790003600", "1790003600.75"), ""},
		"an exponent":                {with("1790003600", "1.7900036e9"), ""},
		"system":                     {more(`"openstack_system":"all"`), ""},
		"another system":             {more(`"openstack_system":"foo"`), token.BadLayout},
		"no system":                  {more(`"openstack_system":""`), token.BadLayout},
		"milliseconds":               {with("1790003600", "1790003600000"), token.UnitMismatch},
		"issued in milliseconds":     {with("1790000000", "1790000000000"), token.UnitMismatch},
		"issued in nanoseconds":      {with("1790000000", "1790000000000000000"), token.UnitMismatch},
		"text for a number":          {with("1790003600", `"1790003600"`), token.BadLayout},
		"null for a number":          {with("1790003600", `null`), token.BadLayout},
		"true for a number":          {with("1790003600", `true`), token.BadLayout},
		"a list for a number":        {with("1790003600", `[1790003600]`), token.BadLayout},
		"1e400":                      {with("1790003600", `1e400`), token.BadLayout},
		"the year 10000":             {with("1790003600", `253402300800`), token.BadLayout},
		"expired":                    {with("1790003600", `1790000000`), token.Expired},
		"negative":                   {with("1790003600", `-1`), token.Expired},
		"issued in the future":       {with("1790000000", `1790000120`), token.IssuedInFuture},
		"issued at 0":                {with("1790000000", `0`), token.IssuedTooLongAgo},
		"no user":                    {with(`"sub":"u",`, ``), token.BadLayout},
		"an empty user":              {with(`"u"`, `""`), token.BadLayout},
		"a user of a number":         {with(`"u"`, `7`), token.BadLayout},
		"two users":                  {more(`"sub":"root"`), token.BadLayout},
		"capitals":                   {with(`"sub"`, `"SUB"`), token.BadLayout},
		"a second user in capitals":  {more(`"Sub":"root"`), token.BadLayout},
		"methods of text":            {with(`["password"]`, `"password"`), token.BadLayout},
		"methods of numbers":         {with(`["password"]`, `[1]`), token.BadLayout},
		"an empty method":            {with(`["password"]`, `[""]`), token.BadLayout},
		"no methods":                 {with(`["password"]`, `[]`), ""},
		"a thousand methods":         {with(`["password"]`, `["a"`+strings.Repeat(`,"a"`, 999)+`]`), token.BadLayout},
		"no audit id":                {with(`["`+benchAudit+`"]`, `[]`), token.BadLayout},
		"three audit ids":            {with(`["`+benchAudit+`"]`, `["`+benchAudit+`","`+benchAudit+`","`+benchAudit+`"]`), token.BadLayout},
		"an audit id of any text":    {with(benchAudit, `abc`), token.BadLayout},
		"an audit id not canonical":  {with(benchAudit, benchAudit[:21]+"B"), token.BadLayout},
		"a claim we do not know":     {more(`"openstack_restriction":"x"`), token.BadLayout},
		"not before":                 {more(`"nbf":1790000000`), token.BadLayout},
		"project and domain":         {more(`"openstack_project_id":"p","openstack_domain_id":"d"`), token.BadLayout},
		"trust and app credential":   {more(`"openstack_trust_id":"t","openstack_app_cred_id":"a"`), token.BadLayout},
		"system and project":         {more(`"openstack_system":"all","openstack_project_id":"p"`), token.BadLayout},
		"a group without a provider": {more(`"openstack_group_ids":[{"id":"g"}]`), token.BadLayout},
		"groups":                     {more(`"openstack_group_ids":[{"id":"g"}],"openstack_idp_id":"i","openstack_protocol_id":"p"`), ""},
		"a group of text":            {more(`"openstack_group_ids":["g"],"openstack_idp_id":"i","openstack_protocol_id":"p"`), token.BadLayout},
		"a group with more":          {more(`"openstack_group_ids":[{"id":"g","x":1}],"openstack_idp_id":"i","openstack_protocol_id":"p"`), token.BadLayout},
		"not an object":              {`["sub"]`, token.BadLayout},
		"nothing":                    {` `, token.BadLayout},
		"more after it":              {goodPayload + `{}`, token.BadLayout},
		"not UTF-8":                  {with(`"u"`, "\"\xff\""), token.BadLayout},
		"deep":                       {more(`"openstack_project_id":` + strings.Repeat("[", 20_000)), token.BadLayout},
	} {
		_, rej := ts.Verify(sign(t, s, goodHeader, tt.payload), benchNow.Time(), Options{})
		if reasonOf(rej) != tt.want {
			t.Errorf("%s: %v, want %q", name, rej, tt.want)
		}
		if rej != nil && rej.KeyID != "public.pem" {
			t.Errorf("%s: the rejection names key %q", name, rej.KeyID)
		}
		if tt.want == token.UnitMismatch && (rej.LooksLike == epoch.UnitUnknown || rej.Claim == "") {
			t.Errorf("%s: %+v names neither claim nor unit", name, rej)
		}
	}
}

// Another implementation reads what we sign.
func TestJWSIsReadByOthers(t *testing.T) {
	for _, a := range Algorithms() {
		s, v := pair(t, a, "public.pem")
		text := mint(t, jwsOf(t, s, []Algorithm{a}, v), projectClaims())
		sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(a)})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := sig.Verify(v.pub)
		if err != nil || !json.Valid(payload) {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestJWSKeys(t *testing.T) {
	s, v := pair(t, ES256, "a.pem")
	_, w := pair(t, ES256, "b.pem")
	s3, v3 := pair(t, ES384, "c.pem")
	for name, f := range map[string]func() error{
		"no public key":           func() error { _, err := NewJWSKeys(s, nil); return err },
		"another's public key":    func() error { _, err := NewJWSKeys(s, nil, w); return err },
		"an algorithm unaccepted": func() error { _, err := NewJWSKeys(s3, nil, v3); return err },
		"HS256":                   func() error { _, err := NewJWSKeys(s, []Algorithm{"HS256"}, v); return err },
		"none":                    func() error { _, err := NewJWSKeys(s, []Algorithm{"none"}, v); return err },
		"a new pair for RS256":    func() error { _, _, err := NewKeyPair("RS256"); return err },
	} {
		if err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	verifier := jwsOf(t, SigningKey{}, []Algorithm{ES256, ES384}, w, v3, v)
	if _, err := verifier.Mint(projectClaims(), benchNow.Time()); err == nil {
		t.Error("a node without a signing key made a token")
	}
	got, rej := verifier.Verify(mint(t, jwsOf(t, s, nil, v), projectClaims()), benchNow.Time(), Options{})
	if rej != nil || got.KeyID() != "a.pem" {
		t.Errorf("the third of three keys: %q, %v", got.KeyID(), rej)
	}

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPriv, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	rsaPub, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	priv, pub, err := NewKeyPair(EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}) }
	for name, text := range map[string][]byte{
		"nothing": nil, "not PEM": []byte("x"), "an RSA key": block("PRIVATE KEY", rsaPriv), "a public key": pub, "another type": block("EC PRIVATE KEY", rsaPriv),
		"two keys": slices.Concat(priv, priv), "half": priv[:len(priv)/2], "not PKCS #8": block("PRIVATE KEY", []byte("x")),
	} {
		if _, err := ParseSigningKey(text); err == nil {
			t.Errorf("ParseSigningKey took %s", name)
		}
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "an RSA key": block("PUBLIC KEY", rsaPub), "a private key": priv, "two keys": slices.Concat(pub, pub), "not SPKI": block("PUBLIC KEY", []byte("x")),
	} {
		if _, err := ParseVerifyingKey("x", text); err == nil {
			t.Errorf("ParseVerifyingKey took %s", name)
		}
	}
}

func TestSigningKeyIsNeverShown(t *testing.T) {
	s, v := pair(t, ES256, "public.pem")
	ks, err := NewJWSKeys(s, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.signer().(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d := new(big.Int).SetBytes(raw)
	type holder struct {
		S SigningKey
		s SigningKey
		k *JWSKeys
	}
	h := holder{s, s, ks}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, x := range []any{s, &s, h, &h, ks} {
			fmt.Fprintf(&out, verb+"\n", x)
		}
	}
	if _, err := json.Marshal(h); err == nil {
		t.Error("a signing key was encoded")
	}
	out.WriteString(s.LogValue().String())
	for _, secret := range []string{d.String(), d.Text(16), strings.ToUpper(d.Text(16))} {
		if strings.Contains(out.String(), secret) {
			t.Error("the key is seen")
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		if got := fmt.Sprintf(verb, s); got != signingKeyText {
			t.Errorf("%s prints %q, want %q", verb, got, signingKeyText)
		}
	}
}

func TestJWSWatcher(t *testing.T) {
	priv, pub := t.TempDir(), t.TempDir()
	put := func(dir, name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := JWSFiles{Private: os.DirFS(priv), Public: os.DirFS(pub)}
	if _, err := WatchJWS(files, nil); err == nil {
		t.Fatal("a watcher of nothing was made")
	}
	s1, p1, err := NewKeyPair(ES256)
	if err != nil {
		t.Fatal(err)
	}
	s2, p2, err := NewKeyPair(ES256)
	if err != nil {
		t.Fatal(err)
	}
	put(priv, PrivateKeyFile, s1)
	put(pub, "one.pem", p1)
	var told []JWSChange
	w, err := WatchJWS(files, func(c JWSChange) { told = append(told, c) })
	if err != nil {
		t.Fatal(err)
	}
	ts := NewJWS(w, Limits{Leeway: time.Minute})
	first := mint(t, ts, projectClaims())
	rev := w.Revision()
	if err := w.Reload(); err != nil || w.Revision() != rev || len(told) != 1 {
		t.Errorf("a look at what is unchanged: %v, revision %d, told %d times", err, w.Revision(), len(told))
	}
	put(pub, "two.pem", p2)
	put(pub, "readme", []byte("not a key"))
	if err := w.Reload(); err != nil || w.Revision() != rev+1 || len(told[len(told)-1].Problems) != 1 {
		t.Errorf("a second key and a file that is none: %v, %+v", err, told)
	}
	put(priv, PrivateKeyFile, s2)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	second := mint(t, ts, projectClaims())
	for _, text := range []string{first, second} {
		if _, rej := ts.Verify(text, benchNow.Time(), Options{}); rej != nil {
			t.Errorf("after the swap: %v", rej)
		}
	}
	if err := os.Remove(filepath.Join(pub, "one.pem")); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	isRefused(t, ts, first, token.BadSignature)
	// A private key alone, half a swap, changes nothing.
	put(priv, PrivateKeyFile, s1)
	if err := w.Reload(); err == nil {
		t.Error("a signing key without its public half was taken")
	}
	if _, rej := ts.Verify(second, benchNow.Time(), Options{}); rej != nil {
		t.Errorf("with half a swap: %v", rej)
	}
	if err := os.Remove(filepath.Join(pub, "two.pem")); err != nil {
		t.Fatal(err)
	}
	put(priv, PrivateKeyFile, s2)
	if err := w.Reload(); !errors.Is(err, ErrNoPublicKeys) {
		t.Errorf("without a public key: %v", err)
	}
	isRefused(t, ts, second, token.UnknownKey)
	if err := ts.Ready(); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("Ready without a public key: %v", err)
	}
	if text, err := ts.Mint(projectClaims(), benchNow.Time()); err == nil {
		t.Errorf("without a public key %q was made", text)
	}
	if err := os.RemoveAll(pub); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); !errors.Is(err, ErrNoPublicKeys) {
		t.Errorf("without the directory: %v", err)
	}
}
