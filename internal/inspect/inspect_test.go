package inspect

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/sign"
	"symbolon/keytoken"
	"symbolon/peertoken"
	"symbolon/token"
)

type vector struct {
	Name     string
	Version  int
	Token    string
	Expected map[string]any
}

func vectors(t *testing.T) ([]vector, Keys) {
	t.Helper()
	b, err := os.ReadFile("../../keytoken/testdata/keystone-token-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Keys    map[string]string
		Methods []string `json:"auth_methods"`
		Vectors []vector
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var keys []fernet.NumberedKey
	for i, name := range []string{"0", "1", "2"} {
		k, err := fernet.ParseKey(doc.Keys[name])
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fernet.NumberedKey{ID: fernet.KeyID(i), Key: k})
	}
	ring, err := fernet.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	f := keytoken.Format{Methods: doc.Methods, DefaultDomainID: "default"}
	toks, err := keytoken.NewFernet(keytoken.Fixed(ring), f, keytoken.Limits{Leeway: keytoken.DefaultLeeway})
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := keytoken.NewReceipts(keytoken.Fixed(ring), f, keytoken.Limits{Leeway: keytoken.DefaultLeeway})
	if err != nil {
		t.Fatal(err)
	}
	return doc.Vectors, Keys{Tokens: toks, Receipts: receipts}
}

func TestEveryVectorIsExplainedUnderTheReferencesNames(t *testing.T) {
	vs, keys := vectors(t)
	at := time.Date(2026, 9, 21, 15, 0, 0, 0, time.UTC)
	for _, v := range vs {
		r := Token(v.Token, at, keys)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Kind     string
			Version  *int
			Verified bool
			Claims   map[string]any
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if v.Expected == nil { // the reference itself cannot read it back
			if got.Verified || got.Claims != nil {
				t.Errorf("%s: %s", v.Name, b)
			}
			continue
		}
		if got.Kind != "identity" || !got.Verified || got.Version == nil || *got.Version != v.Version {
			t.Errorf("%s: %s", v.Name, b)
			continue
		}
		delete(got.Claims, "thumbprint") // the release that made the vectors had none
		if diff := cmp.Diff(v.Expected, got.Claims); diff != "" {
			t.Errorf("%s (-reference +ours):\n%s", v.Name, diff)
		}
	}
}

func text(r Report) string {
	var b strings.Builder
	for _, l := range r.Lines {
		b.WriteString(l.Name + ": " + l.Value + "\n")
	}
	return b.String() + strings.Join(r.Notes, "\n")
}

func reason(r Report) token.Reason {
	if r.Reason == nil {
		return ""
	}
	return *r.Reason
}

func TestAnIdentityTokenIsJudged(t *testing.T) {
	vs, keys := vectors(t)
	var project string
	for _, v := range vs {
		if v.Name == "project" {
			project = v.Token
		}
	}
	good := time.Date(2026, 9, 21, 15, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, text       string
		at               time.Time
		keys             Keys
		verified, accept bool
		want             token.Reason
		wantKind         token.Kind
		says             string
	}{
		{"in its time", project, good, keys, true, true, "", token.Identity, "layout 2 (project scope)"},
		{"expired, and its claims still shown", project, good.AddDate(1, 0, 0), keys, true, false, token.Expired, token.Identity, "user_id: ee11cbb1"},
		{"made in the future", project, good.AddDate(-1, 0, 0), keys, true, false, token.IssuedInFuture, token.Identity, "in 36"},
		{"one character changed", project[:40] + flip(project[40]) + project[41:], good, keys, false, false, token.BadMAC, token.Identity, "nothing below is verified"},
		{"relabelled with a prefix of old", "F00" + project, good, keys, false, false, "", token.Unknown, "a prefix stands before"},
		{"without a key", project, good, Keys{}, false, false, "", token.Identity, "nothing below is verified without its key"},
		{"no token", "hello", good, keys, false, false, "", token.Unknown, "nothing that this program knows"},
	} {
		r := Token(tt.text, tt.at, tt.keys)
		if r.Verified != tt.verified || r.Accepted != tt.accept || r.Kind != tt.wantKind || tt.want != "" && reason(r) != tt.want || !strings.Contains(text(r), tt.says) {
			t.Errorf("%s: kind %s, verified %v, accepted %v, reason %q\n%s", tt.name, r.Kind, r.Verified, r.Accepted, reason(r), text(r))
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestAPeerTokenIsJudgedAndAUnitMistakeNamed(t *testing.T) {
	key := sign.GenerateKey()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tok, err := peertoken.Mint(key, peertoken.Params{Issuer: "stigmem:node:a", Audience: "stigmem:node:b", Scopes: []string{"public"}}, epoch.MillisOf(now))
	if err != nil {
		t.Fatal(err)
	}
	if r := Token(tok, now, Keys{Peer: key.Public()}); !r.Accepted || !r.Verified || !strings.Contains(text(r), "read as milliseconds = 2026-05-01T13:00:00Z (in 1h0m0s)") {
		t.Errorf("a good token: %+v\n%s", r, text(r))
	}
	if r := Token(tok, now.Add(2*time.Hour), Keys{Peer: key.Public()}); r.Accepted || !r.Verified || reason(r) != token.Expired {
		t.Errorf("an old token: %q\n%s", reason(r), text(r))
	}
	if r := Token(tok, now, Keys{Peer: sign.GenerateKey().Public()}); r.Accepted || r.Verified || reason(r) != token.BadSignature {
		t.Errorf("another's token: %q\n%s", reason(r), text(r))
	}
	if r := Token(tok, now, Keys{}); r.Accepted || r.Verified || r.Kind != token.Peer || !strings.Contains(text(r), "without the issuer's public key") {
		t.Errorf("without a key: %+v\n%s", r, text(r))
	}
	seconds := signJWT(t, key, map[string]any{"iss": "a", "sub": "b", "iat": now.Unix(), "exp": now.Unix() + 3600, "nonce": "n", "scopes": []string{}})
	r := Token(seconds, now, Keys{Peer: key.Public()})
	if r.Accepted || !r.Verified || reason(r) != token.UnitMismatch || !strings.Contains(text(r), "exp looks like seconds") {
		t.Errorf("seconds-shaped: %q\n%s", reason(r), text(r))
	}
}

func FuzzToken(f *testing.F) {
	f.Add("gAAAAABqsTuB")
	f.Add("eyJhbGciOiJFZERTQSJ9.eyJleHAiOjFlNDAwLCJpYXQiOm51bGx9.AAAA")
	f.Add("eyJhIjoxfQ.eyJvcGVuc3RhY2tfbWV0aG9kcyI6W119.x")
	key := sign.GenerateKey().Public()
	f.Fuzz(func(t *testing.T, s string) {
		if r := Token(s, time.Unix(1.7e9, 0), Keys{Peer: key}); r.Accepted {
			t.Errorf("%q is accepted", s)
		}
	})
}

func signJWT(t *testing.T, key sign.PrivateKey, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	head := enc([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + enc(b)
	return head + "." + enc(key.Sign([]byte(head)))
}
