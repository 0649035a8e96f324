package peertoken_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"symbolon/epoch"
	"symbolon/peertoken"
)

// A16, and the reference's bytes.
func TestMintWritesWhatTheReferenceWrites(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Token struct {
			Claims struct {
				Iss, Sub, Nonce string
				Iat, Exp        epoch.Millis
				Scopes          []string
			}
			JWT string
		} `json:"peer_token"`
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	c := g.Token.Claims
	p := peertoken.Params{Issuer: c.Iss, Audience: c.Sub, Scopes: c.Scopes}
	if got, err := peertoken.MintWithNonce(signer{seed(t, 0)}, p, c.Iat, c.Nonce); err != nil || got != g.Token.JWT {
		t.Errorf("mint = %s, %v, want %s", got, err, g.Token.JWT)
	}
	text, err := peertoken.Mint(signer{seed(t, 0)}, p, c.Iat)
	if err != nil {
		t.Fatal(err)
	}
	u, err := peertoken.Peek(text)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Iat, Exp json.Number
		Nonce    string
	}
	if err := json.Unmarshal(u.Payload, &m); err != nil {
		t.Fatal(err)
	}
	if m.Iat != "1795289057807" || m.Exp != "1795292657807" || len(m.Nonce) != 36 || m.Nonce == c.Nonce {
		t.Errorf("minted %s", u.Payload)
	}
	if string(u.Header) != `{"alg":"EdDSA","typ":"JWT"}` {
		t.Errorf("header %s", u.Header)
	}
}

func TestMintRefusesWhatNobodyCouldAccept(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]peertoken.Params{
		"no issuer":        {Audience: nodeN},
		"no audience":      {Issuer: nodeP},
		"not Unicode":      {Issuer: nodeP, Audience: "\xff"},
		"U+0000 in scopes": {Issuer: nodeP, Audience: nodeN, Scopes: []string{"a\x00"}},
		"too long":         {Issuer: nodeP, Audience: strings.Repeat("n", peertoken.MaxLen)},
	} {
		if text, err := peertoken.Mint(signer{seed(t, 0)}, p, nowMS); err == nil || text != "" {
			t.Errorf("%s: Mint = %q, want an error", name, text)
		}
	}
}

func TestPeekShowsWithoutBelieving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := good().with("exp", nowS).sign(w.q) // neither in time nor P's
	u, err := peertoken.Peek(text)
	if err != nil || !json.Valid(u.Header) || !strings.Contains(string(u.Payload), strconv.Itoa(nowS)) {
		t.Errorf("Peek = %s, %s, %v", u.Header, u.Payload, err)
	}
	u, err = peertoken.Peek(seal(w.p, `{"alg":"none"}`, `{}`))
	if err != nil || string(u.Header) != `{"alg":"none"}` {
		t.Errorf("Peek at another header = %s, %v", u.Header, err)
	}
	for _, text := range []string{"", "a.b", "x.y.z", seal(w.p, `{}`, `[]`)} {
		if _, err := peertoken.Peek(text); peertoken.Detail(err) != tokenMalformed {
			t.Errorf("Peek(%q): %v, want malformed", text, err)
		}
	}
}
