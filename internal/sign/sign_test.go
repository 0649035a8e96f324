package sign_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/sign"
)

type keyVector struct {
	Seed        string `json:"seed_b64url"`
	Public      string `json:"public_key_b64url"`
	Fingerprint string `json:"approval_fingerprint"`
	KeyID       string `json:"manifest_key_id"`
}

func golden(t *testing.T, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// goldenKey returns the n-th key of the vectors.
func goldenKey(t *testing.T, n int) (sign.PrivateKey, keyVector) {
	t.Helper()
	var g struct{ Keys []keyVector }
	golden(t, &g)
	k, err := sign.UnmarshalSeed([]byte(g.Keys[n].Seed))
	if err != nil {
		t.Fatal(err)
	}
	return k, g.Keys[n]
}

func TestKeysAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	for n := range 2 {
		k, v := goldenKey(t, n)
		pub := k.Public()
		if pub.String() != v.Public || pub.Fingerprint() != v.Fingerprint || pub.KeyID() != v.KeyID {
			t.Errorf("key %d: %s, %s, %s; want %+v", n, pub, pub.Fingerprint(), pub.KeyID(), v)
		}
		if got, err := sign.ParsePublicKey(v.Public); err != nil || got != pub {
			t.Errorf("ParsePublicKey(%q) = %v, %v", v.Public, got, err)
		}
		if got, err := sign.ParsePublicKey(v.Public + "="); err != nil || got != pub {
			t.Errorf("with padding: ParsePublicKey = %v, %v", got, err)
		}
		if got := string(k.MarshalSeed()); got != v.Seed+"\n" {
			t.Error("the key file differs from the seed it was read from")
		}
	}
}

func TestDeclarationAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Declaration struct {
			Fields struct {
				Scopes   []string `json:"allowed_scopes"`
				Key      string   `json:"federation_pubkey"`
				NodeID   string   `json:"node_id"`
				NodeURL  string   `json:"node_url"`
				SignedAt string   `json:"signed_at"`
			}
			Canonical string
			Sig       string `json:"declaration_sig"`
		} `json:"peer_declaration"`
	}
	golden(t, &g)
	f, want := g.Declaration.Fields, g.Declaration
	d := sign.Declaration{AllowedScopes: f.Scopes, PublicKey: f.Key, NodeID: f.NodeID, NodeURL: f.NodeURL, SignedAt: f.SignedAt}
	if got := string(d.Canonical()); got != want.Canonical {
		t.Errorf("Canonical = %s, want %s", got, want.Canonical)
	}
	k, _ := goldenKey(t, 0)
	if got, err := d.Sign(k); err != nil || got != want.Sig {
		t.Errorf("Sign = %s, %v, want %s", got, err, want.Sig)
	}
	if got, err := d.Verify(want.Sig); err != nil || got != k.Public() {
		t.Errorf("Verify = %v, %v", got, err)
	}
	other, _ := goldenKey(t, 1)
	if _, err := d.Sign(other); err == nil {
		t.Error("a key signs a declaration of another key")
	}
	for name, spoil := range map[string]func(*sign.Declaration){
		"scopes in another order": func(d *sign.Declaration) { d.AllowedScopes = []string{"public", "company"} },
		"one scope more":          func(d *sign.Declaration) { d.AllowedScopes = append(slices.Clone(d.AllowedScopes), "team") },
		"another key":             func(d *sign.Declaration) { d.PublicKey = other.Public().String() },
		"another node":            func(d *sign.Declaration) { d.NodeID += "x" },
		"another URL":             func(d *sign.Declaration) { d.NodeURL += "/" },
		"another time":            func(d *sign.Declaration) { d.SignedAt += "Z" },
	} {
		bad := d
		spoil(&bad)
		if _, err := bad.Verify(want.Sig); !errs.Is(err, errs.Forbidden) {
			t.Errorf("%s: %v, want an error of kind forbidden", name, err)
		}
	}
	// B16: a signature that is not base64 is refused, and told apart.
	for _, sig := range []string{"", "!!!", want.Sig[1:], want.Sig + "A", want.Sig[:85] + "B", want.Sig + "\n"} {
		if _, err := d.Verify(sig); !errs.Is(err, errs.Invalid) {
			t.Errorf("Verify(%q): %v, want an error of kind invalid", sig, err)
		}
	}
	if _, err := d.Verify(want.Sig + "=="); err != nil {
		t.Errorf("a padded signature: %v, want it accepted", err)
	}
	d.PublicKey = "x"
	if _, err := d.Verify(want.Sig); !errs.Is(err, errs.Invalid) {
		t.Errorf("a key that is none: %v, want an error of kind invalid", err)
	}
}

func TestAttestationAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Attestation struct{ Message, Signature string }
	}
	golden(t, &g)
	value, err := canon.ReferenceValue(canon.Number, []byte("42"))
	if err != nil {
		t.Fatal(err)
	}
	m := sign.Attestation("stigmem://acme.example/user/alice", "memory:age", "number", value, "agent:cto")
	k, _ := goldenKey(t, 0)
	if string(m) != g.Attestation.Message || !k.Public().VerifyText(m, g.Attestation.Signature) || k.SignText(m) != g.Attestation.Signature {
		t.Errorf("message %q, want %q; or its signature does not verify", m, g.Attestation.Message)
	}
}

// Every signature among the vectors is made and verified over the canonical
// bytes of its document.
func TestSignaturesOfDocumentsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Manifest, Rotated struct {
			Document json.RawMessage
		}
		ManifestRotated struct {
			Document     json.RawMessage
			RotationBody string `json:"rotation_signing_body"`
		} `json:"manifest_rotated"`
		RotationLog struct {
			Fields json.RawMessage
			Sig    string `json:"rotation_sig"`
		} `json:"key_rotation_log_entry"`
		Capability struct {
			Token string `json:"token_json"`
		} `json:"capability_token"`
		Revocation struct {
			Event     json.RawMessage
			Signature string
		} `json:"capability_revocation"`
		Tombstone struct {
			Body      string `json:"signing_body"`
			Signature string
		}
		TombstoneRevocation struct {
			Body      string `json:"signing_body"`
			Signature string
		} `json:"tombstone_revocation"`
	}
	golden(t, &g)
	signature := func(raw []byte) string {
		var d struct {
			Signature string
			Events    []struct{ Signature string } `json:"rotation_events"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		return d.Signature
	}
	var rotated struct {
		Events []struct{ Signature string } `json:"rotation_events"`
	}
	if err := json.Unmarshal(g.ManifestRotated.Document, &rotated); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		key  int
		raw  string
		sig  string
	}{
		{"manifest", 0, string(g.Manifest.Document), signature(g.Manifest.Document)},
		{"rotated manifest", 1, string(g.ManifestRotated.Document), signature(g.ManifestRotated.Document)},
		{"rotation event, by the previous key", 0, g.ManifestRotated.RotationBody, rotated.Events[0].Signature},
		{"rotation log entry", 0, string(g.RotationLog.Fields), g.RotationLog.Sig},
		{"capability token", 0, g.Capability.Token, signature([]byte(g.Capability.Token))},
		{"capability revocation", 0, string(g.Revocation.Event), g.Revocation.Signature},
		{"tombstone", 0, g.Tombstone.Body, g.Tombstone.Signature},
		{"tombstone revocation", 0, g.TombstoneRevocation.Body, g.TombstoneRevocation.Signature},
	} {
		body, err := canon.JSON([]byte(tt.raw), canon.UTF8, "signature")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		k, _ := goldenKey(t, tt.key)
		if tt.sig == "" || !k.Public().VerifyText(body, tt.sig) || k.SignText(body) != tt.sig {
			t.Errorf("%s: signature %q does not verify over %s", tt.name, tt.sig, body)
		}
		if k.Public().VerifyText(append(body, ' '), tt.sig) {
			t.Errorf("%s: the signature verifies over other bytes", tt.name)
		}
	}
}

func TestPublicKeysThatProveNothingAreRefused(t *testing.T) {
	t.Parallel()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 32 {
			t.Fatalf("bad test key %q", s)
		}
		return b
	}
	ff := strings.Repeat("ff", 30)
	for name, raw := range map[string][]byte{
		"order 1":                     unhex("01" + strings.Repeat("00", 31)),
		"order 1, sign set":           unhex("01" + strings.Repeat("00", 30) + "80"),
		"order 2":                     unhex("ec" + ff + "7f"),
		"order 2, sign set":           unhex("ec" + ff + "ff"),
		"order 4":                     unhex(strings.Repeat("00", 32)),
		"order 4, sign set":           unhex(strings.Repeat("00", 31) + "80"),
		"order 8":                     unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
		"order 8, sign set":           unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
		"order 8, the other":          unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
		"order 8, the other, sign":    unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
		"y = p, a second 0":           unhex("ed" + ff + "7f"),
		"y = p+1, a second 1":         unhex("ee" + ff + "7f"),
		"y = 2^255-1":                 unhex("ff" + ff + "7f"),
		"y = p+3, of a point":         unhex("f0" + ff + "7f"),
		"not on the curve":            unhex("02" + strings.Repeat("00", 31)),
		"too short":                   make([]byte, 31),
		"too long":                    make([]byte, 33),
		"not a point, high bytes set": unhex(strings.Repeat("07", 32)),
	} {
		if k, err := sign.NewPublicKey(raw); !errs.Is(err, errs.Invalid) || !k.IsZero() {
			t.Errorf("%s: NewPublicKey = %v, %v, want an error of kind invalid", name, k, err)
		}
	}
}

func TestKeysOnTheCurveAreAccepted(t *testing.T) {
	t.Parallel()
	for range 200 {
		k := sign.GenerateKey()
		got, err := sign.NewPublicKey(k.Public().Ed25519())
		if err != nil || got != k.Public() {
			t.Fatalf("a generated key: %v", err)
		}
		if m := []byte("m"); !got.Verify(m, k.Sign(m)) {
			t.Fatal("its signature does not verify")
		}
	}
	points := 0
	for i := range 200 {
		if _, err := sign.NewPublicKey(slices.Concat([]byte{byte(i)}, make([]byte, 30), []byte{1})); err == nil {
			points++
		}
	}
	if points < 60 || points > 140 {
		t.Errorf("of 200 y coordinates %d are points, want about half", points)
	}
	var zero sign.PublicKey
	if zero.Verify(nil, make([]byte, ed25519.SignatureSize)) {
		t.Error("the zero key verifies a signature")
	}
}

func TestKeyTextsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	_, v := goldenKey(t, 0)
	for name, s := range map[string]string{
		"empty":                 "",
		"short":                 v.Public[1:],
		"standard alphabet":     strings.NewReplacer("_", "/", "-", "+").Replace(v.Public),
		"two padding marks":     v.Public + "==",
		"newline":               v.Public + "\n",
		"newline for a letter":  v.Public[:10] + "\n" + v.Public[11:],
		"blank before":          " " + v.Public,
		"bits beyond the bytes": v.Public[:42] + "h",
	} {
		if k, err := sign.ParsePublicKey(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: ParsePublicKey(%q) = %v, %v, want an error of kind invalid", name, s, k, err)
		}
	}
}

func TestSeedsOfAnotherFormAreRefusedWithoutBeingShown(t *testing.T) {
	t.Parallel()
	_, v := goldenKey(t, 0)
	for _, s := range []string{"", "secret-that-is-no-seed", v.Seed[1:], v.Seed + v.Seed, "-----BEGIN PRIVATE KEY-----"} {
		_, err := sign.UnmarshalSeed([]byte(s))
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("UnmarshalSeed of %d bytes: %v, want an error of kind invalid", len(s), err)
		} else if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
	if _, err := sign.UnmarshalSeed([]byte(" " + v.Seed + "=\r\n")); err != nil {
		t.Errorf("a padded seed with blanks around it: %v, want it accepted", err)
	}
	if _, err := sign.PrivateKeyOf(make([]byte, 64)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a seed of 64 bytes: %v, want an error of kind invalid", err)
	}
}

// L10: no way of printing a private key shows it.
func TestPrivateKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k, v := goldenKey(t, 0)
	seed, err := base64.RawURLEncoding.DecodeString(v.Seed)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%o", "%b"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+" "+verb+"\n", k, &k, struct{ K sign.PrivateKey }{k}, struct{ k sign.PrivateKey }{k})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k, "in", struct{ K sign.PrivateKey }{k})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", k, "in", struct{ K sign.PrivateKey }{k})
	if b, err := json.Marshal(k); err == nil {
		t.Errorf("json.Marshal gives %s, want an error", b)
	}
	for name, secret := range map[string]string{
		"text": v.Seed, "hex": hex.EncodeToString(seed[:8]), "HEX": strings.ToUpper(hex.EncodeToString(seed[:8])),
		"decimal": strings.Trim(fmt.Sprint(seed[:8]), "[]"), "bytes": string(seed[:8]),
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the seed is printed as %s", name)
		}
	}
	var zero sign.PrivateKey
	if !zero.IsZero() || k.IsZero() || zero.LogValue().String() == "" {
		t.Error("IsZero is wrong")
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg")
	f.Add("A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=")
	f.Add(strings.Repeat("A", 43))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := sign.ParsePublicKey(s)
		if err != nil {
			return
		}
		if strings.TrimSuffix(s, "=") != k.String() {
			t.Fatalf("ParsePublicKey(%q) = %v: a second spelling", s, k)
		}
	})
}
