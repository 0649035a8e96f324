package keytoken

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"symbolon/epoch"
)

const cases = 100_000

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

// A maker makes claims at random, of every layout, that Mint takes.
type maker struct{ *rand.Rand }

func (m maker) bytes16() []byte {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return b
}

func (m maker) hex() string { return hex.EncodeToString(m.bytes16()) }

func (m maker) audit() string { return base64.RawURLEncoding.EncodeToString(m.bytes16()) }

// id returns an id as there are: 32 hex digits for the most part, and then other
// spellings of them, and text of any length.
func (m maker) id() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_. é日"
	switch m.IntN(6) {
	case 0:
		r := []rune(letters)
		out := make([]rune, 1+m.IntN(300))
		for i := range out {
			out[i] = r[m.IntN(len(r))]
		}
		return string(out)
	case 1:
		h := m.hex()
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case 2:
		return m.hex() + m.hex()
	case 3:
		return string(bytes.ToUpper([]byte(m.hex())))
	}
	return m.hex()
}

func (m maker) claims(f Format) Claims {
	c := Claims{UserID: m.id(), AuditIDs: []string{m.audit()}, Methods: []string{}}
	if m.IntN(2) == 0 {
		c.AuditIDs = append(c.AuditIDs, m.audit())
	}
	// In the order in which they come back.
	names := append(slices.Clone(f.Methods), MethodEC2, MethodOAuth2)
	for _, name := range slices.Backward(names) {
		if m.IntN(3) == 0 {
			c.Methods = append(c.Methods, name)
		}
	}
	domain := func() string {
		if m.IntN(2) == 0 {
			return f.DefaultDomainID
		}
		return m.hex()
	}
	federated := func() {
		c.IdentityProviderID, c.ProtocolID, c.FederatedGroupIDs = m.id(), m.id(), []string{}
		for range m.IntN(5) {
			c.FederatedGroupIDs = append(c.FederatedGroupIDs, m.id())
		}
	}
	maybe := func() string {
		if m.IntN(2) == 0 {
			return ""
		}
		return m.id()
	}
	switch Version(m.IntN(int(lastVersion) + 1)) {
	case Domain:
		c.DomainID = domain()
	case Project:
		c.ProjectID = m.id()
	case Trust:
		c.ProjectID, c.TrustID = maybe(), m.hex()
	case FederatedUnscoped:
		federated()
	case FederatedProject:
		federated()
		c.ProjectID = m.id()
	case FederatedDomain:
		federated()
		c.DomainID = m.id()
	case OAuth1:
		c.ProjectID, c.AccessTokenID = m.id(), m.id()
	case System:
		c.System = "all"
	case AppCred:
		c.ProjectID, c.AppCredID = maybe(), m.id()
	case OAuth2:
		c.ProjectID, c.DomainID, c.Thumbprint = maybe(), maybe(), m.id()
	}
	c.IssuedAt = benchNow + epoch.Seconds(m.IntN(1e8))
	c.ExpiresAt = c.IssuedAt + 1 + epoch.Seconds(m.IntN(1e8))
	return c
}

// What is minted verifies as it was, and, spelled with its padding, as the same
// token.
func TestMintVerifyIsIdentity(t *testing.T) {
	m := maker{random(t)}
	for _, f := range []Format{
		{Methods: DefaultMethods(), DefaultDomainID: "default"},
		{Methods: append(DefaultMethods(), "totp", "kerberos", "x509", "webauthn"), DefaultDomainID: "0123456789abcde!"},
	} {
		_, ring := benchTokens(t)
		ts, err := NewFernet(Fixed(ring), f, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for range cases / 2 {
			c := m.claims(f)
			text, err := ts.Mint(c, c.IssuedAt.Time().Add(time.Duration(m.IntN(1e9))))
			if err != nil {
				t.Fatalf("Mint(%+v): %v", c, err)
			}
			v, rej := ts.Verify(text, c.ExpiresAt.Time().Add(-1), Options{})
			if rej != nil || !reflect.DeepEqual(v.Claims(), c) {
				t.Fatalf("Verify(Mint):\n got %+v, %v\nwant %+v", v.Claims(), rej, c)
			}
		}
	}
}

// Any one bit changed anywhere in the bytes is refused.
func TestAnyBitFlippedIsRefused(t *testing.T) {
	m := maker{random(t)}
	f := Format{Methods: DefaultMethods(), DefaultDomainID: "default"}
	ts, _ := benchTokens(t)
	for n := 0; n < cases; {
		c := m.claims(f)
		text, err := ts.Mint(c, c.IssuedAt.Time())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			bit := m.IntN(8 * len(raw))
			raw[bit/8] ^= 1 << (bit % 8)
			if v, rej := ts.Verify(base64.RawURLEncoding.EncodeToString(raw), c.IssuedAt.Time(), Options{}); rej == nil {
				t.Fatalf("bit %d of %s changed, and it verifies as %+v", bit, text, v.Claims())
			}
			raw[bit/8] ^= 1 << (bit % 8)
			n++
		}
	}
}

// The front of one token and the back of another are refused, whatever the two
// are and wherever they are cut; so are their texts.
func TestAnySpliceIsRefused(t *testing.T) {
	m := maker{random(t)}
	f := Format{Methods: DefaultMethods(), DefaultDomainID: "default"}
	ts, _ := benchTokens(t)
	var texts []string
	for range 200 {
		c := m.claims(f)
		c.IssuedAt, c.ExpiresAt = benchNow, benchNow+3600
		texts = append(texts, mint(t, ts, c))
	}
	for n := range cases {
		a, b := texts[m.IntN(len(texts))], texts[m.IntN(len(texts))]
		i, j := m.IntN(len(a)+1), m.IntN(len(b)+1)
		if n%2 == 0 { // a length that a token can have
			j = min(i, len(b))
		}
		if s := a[:i] + b[j:]; s != a && s != b {
			if v, rej := ts.Verify(s, benchNow.Time(), Options{}); rej == nil {
				t.Fatalf("%s and %s spliced at %d and %d verify as %+v", a, b, i, j, v.Claims())
			}
		}
	}
}

// The same of signed tokens, of which fewer are tried: a signature costs a
// hundred times as much.
func TestJWSProperties(t *testing.T) {
	m := maker{random(t)}
	f := Format{Methods: DefaultMethods(), DefaultDomainID: "default"}
	for _, a := range Algorithms() {
		ts := jwsTokens(t, a)
		var texts []string
		for range 10 {
			c := m.claims(f)
			text, err := ts.Mint(c, c.IssuedAt.Time())
			if err != nil {
				t.Fatal(err)
			}
			v, rej := ts.Verify(text, c.IssuedAt.Time(), Options{})
			if rej != nil || !reflect.DeepEqual(v.Claims(), c) {
				t.Fatalf("%s: Verify(Mint):\n got %+v, %v\nwant %+v", a, v.Claims(), rej, c)
			}
			texts = append(texts, text)
			for range 20 {
				b := []byte(text)
				bit := m.IntN(8 * len(b))
				b[bit/8] ^= 1 << (bit % 8)
				if v, rej := ts.Verify(string(b), c.IssuedAt.Time(), Options{}); rej == nil {
					t.Fatalf("%s: bit %d of %s changed, and it verifies as %+v", a, bit, text, v.Claims())
				}
			}
		}
		for range 100 {
			x, y := texts[m.IntN(len(texts))], texts[m.IntN(len(texts))]
			if s := x[:m.IntN(len(x))] + y[m.IntN(len(y)):]; s != x && s != y {
				if v, rej := ts.Verify(s, benchNow.Time(), Options{}); rej == nil {
					t.Fatalf("%s: %s and %s spliced verify as %+v", a, x, y, v.Claims())
				}
			}
		}
	}
}
