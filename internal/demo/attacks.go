package demo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"symbolon/epoch"
	"symbolon/internal/id"
	"symbolon/internal/sign"
	"symbolon/peertoken"
)

// Places in a Fernet token, and in the payload of an identity token.
const (
	fernetVersion = 0 // one byte, 0x80
	fernetIV      = 9 // sixteen bytes, which CBC adds to the first block of what is encrypted
	payloadVer    = 1 // the second byte of a payload is its version
	projectLayout = 2
	systemLayout  = 8
)

// relabelled plays the first attack: a token whose version is not the one that it was
// made with.
func (p *play) relabelled() error {
	p.begin("First attack: a token relabelled with another version", `Keystone's first Fernet tokens had the version of their payload in a clear prefix, F00, F01 or F02, outside
the MAC: whoever held a token chose how its authenticated bytes were read (LP 1427485). Here the version is
part of the payload. A project token of athens is relabelled in every way there is and given back to athens.`)
	n := p.athens
	ring, err := n.ring()
	if err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.project)
	if err != nil {
		return err
	}
	opened, rej := ring.Open(p.project)
	if rej != nil {
		return rej
	}
	payload := opened.Payload()
	if len(payload) <= payloadVer || payload[payloadVer] != projectLayout {
		return errors.New("demo: the payload of a project token does not begin with its version")
	}
	changed := func(b []byte, at int, to byte) []byte {
		out := append([]byte(nil), b...)
		out[at] = to
		return out
	}
	encode := base64.RawURLEncoding.EncodeToString
	sealed := func(version byte) (string, error) {
		return ring.Seal(epoch.SecondsOf(p.Now()), changed(payload, payloadVer, version))
	}
	unknown, err := sealed(11)
	if err != nil {
		return err
	}
	unscoped, err := sealed(0)
	if err != nil {
		return err
	}
	iv := fernetIV + payloadVer
	for _, s := range []struct {
		what, text string
		want       expect
	}{
		{"as it was issued", p.project, expect{status: http.StatusOK}},
		{"with the prefix F00, in the form of old", "F00" + base64.URLEncoding.EncodeToString(raw), expect{http.StatusNotFound, "not_canonical",
			"No prefix is ever looked for: the text is not canonical base64url, and nothing is decoded."}},
		{"with the version turned from 2 to 8, a project's to the system's, by flipping two bits", encode(changed(raw, iv, raw[iv]^projectLayout^systemLayout)),
			expect{http.StatusNotFound, "bad_mac",
				"CBC passes a flipped bit of the vector on to the payload, exactly. The MAC covers both and is checked before anything is read."}},
		{"with another version of Fernet itself, the one byte in the clear", encode(changed(raw, fernetVersion, 0x81)), expect{http.StatusNotFound, "bad_mac",
			"That byte is under the MAC like all others, and nothing is decided by it."}},
		{"with version 11, made with athens's own key", p.keep(unknown), expect{http.StatusNotFound, "unknown_version",
			"The bytes are authentic, and still no parser is guessed. Only a holder of the key can do this: the rule symbolon_identity_token_relabelled fires."}},
		{"with version 0, unscoped, made with athens's own key", p.keep(unscoped), expect{http.StatusNotFound, "bad_layout",
			"A payload has exactly the elements of its layout or is refused: none is read as another."}},
	} {
		p.keep(s.text)
		a, err := n.do(p.ctx, request{method: http.MethodGet, path: "/v3/auth/tokens", token: p.project, subject: s.text})
		if err != nil {
			return err
		}
		said := a.message()
		if a.status == http.StatusOK {
			var t tokenBody
			if err := a.json(&t); err != nil {
				return err
			}
			said = t.String()
		}
		p.show(s.what, n, a, said, s.want)
	}
	return nil
}

// The claims of a peer token, as an attacker writes them.
type claims = map[string]any

// signed returns a peer token with any claims, under a key.
func signed(key sign.PrivateKey, c claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode(body)
	return text + "." + key.SignText([]byte(text)), nil
}

// peerTokens plays the second attack, and the mistake that it began as: peer tokens
// whose times are in another unit, skewed, too long or used before.
func (p *play) peerTokens() error {
	p.begin("Second attack: peer tokens that lie about time", `A peer token counts milliseconds where an ordinary JWT counts seconds. Two pairs of code read them
differently once, valid peers were refused as expired, and federation stopped (GHSA-xh5j-xjfq-qvvx). Every
token below is signed with corinth's real key, names corinth and athens, and asks athens for facts.`)
	n := p.athens
	key, err := p.corinth.key()
	if err != nil {
		return err
	}
	p.keep(string(key.MarshalSeed()[:43]))
	good, err := peertoken.Mint(key, peertoken.Params{Issuer: p.corinth.id, Audience: p.athens.id, Scopes: []string{"company", "public"}}, epoch.MillisOf(p.Now()))
	if err != nil {
		return err
	}
	// The times of a token are set when it is its turn, so that a slow machine
	// makes no other skew than is meant.
	forged := func(edit func(c claims, now time.Time)) func() (string, error) {
		return func() (string, error) {
			now := p.Now()
			c := claims{
				"iss": p.corinth.id, "sub": p.athens.id, "iat": now.UnixMilli(), "exp": now.Add(time.Hour).UnixMilli(),
				"nonce": id.NewUUID().String(), "scopes": []string{"company", "public"},
			}
			edit(c, now)
			return signed(key, c)
		}
	}
	again := func() (string, error) { return good, nil }
	stranger := sign.GenerateKey()
	for _, s := range []struct {
		what string
		make func() (string, error)
		want expect
	}{
		{"a token as corinth makes them", again, expect{status: http.StatusOK}},
		{"the same token a second time", again, expect{http.StatusUnauthorized, "replayed",
			"A nonce is used up in the store, in one atomic step, before anything is answered; a restart does not bring it back."}},
		{"iat and exp in seconds, as an ordinary JWT has them", forged(func(c claims, now time.Time) {
			c["iat"], c["exp"] = now.Unix(), now.Add(time.Hour).Unix()
		}), expect{http.StatusUnauthorized, "unit_mismatch",
			"The wire says what real peers expect to hear. Log, metric and audit say that the number counts seconds, so that nobody looks for a clock that is wrong."}},
		{"exp in milliseconds, iat in seconds", forged(func(c claims, now time.Time) { c["iat"] = now.Unix() }),
			expect{http.StatusUnauthorized, "unit_mismatch", "Each number is judged by itself: one that is right does not vouch for the other."}},
		{"a clock 20 seconds ahead", forged(func(c claims, now time.Time) { skew(c, now, 20*time.Second) }), expect{status: http.StatusOK,
			why: "Clocks differ. 30 seconds are tolerated either way."}},
		{"a clock 60 seconds ahead", forged(func(c claims, now time.Time) { skew(c, now, time.Minute) }), expect{http.StatusUnauthorized, "issued_in_future",
			"Beyond the leeway a token from the future is refused, and the skew is in the log and in the histogram of that peer."}},
		{"a life of ten years", forged(func(c claims, now time.Time) { c["exp"] = now.AddDate(10, 0, 0).UnixMilli() }),
			expect{http.StatusUnauthorized, "lifetime_too_long", "An hour is the longest life of a peer token. A stolen one is worth no more than that."}},
		{"a good token under the key of a stranger", func() (string, error) {
			return peertoken.Mint(stranger, peertoken.Params{Issuer: p.corinth.id, Audience: p.athens.id}, epoch.MillisOf(p.Now()))
		}, expect{http.StatusUnauthorized, "bad_signature", "The claimed issuer chooses which key to try, and nothing else."}},
	} {
		text, err := s.make()
		if err != nil {
			return err
		}
		a, err := n.do(p.ctx, request{method: http.MethodGet, path: "/v1/federation/facts?limit=500", peer: p.keep(text)})
		if err != nil {
			return err
		}
		said := a.message()
		if a.status == http.StatusOK {
			var page struct{ Facts []json.RawMessage }
			if err := a.json(&page); err != nil {
				return err
			}
			said = fmt.Sprintf("%d fact", len(page.Facts))
			if len(page.Facts) != 1 {
				said += "s"
			}
		}
		p.show(s.what, n, a, said, s.want)
	}
	return nil
}

func skew(c claims, now time.Time, by time.Duration) {
	c["iat"], c["exp"] = now.Add(by).UnixMilli(), now.Add(by+time.Hour).UnixMilli()
}
