package keytoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// An Algorithm signs tokens of the JWS provider. A key is for one algorithm, by
// its kind and curve; what a token's header says never chooses how a key is used.
type Algorithm string

// The algorithms, ES256 the reference's default. There is no other: neither
// "none", nor one whose key both signs and verifies.
const (
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

// Algorithms returns all of them.
func Algorithms() []Algorithm { return []Algorithm{ES256, ES384, ES512, EdDSA} }

var curves = map[Algorithm]elliptic.Curve{ES256: elliptic.P256(), ES384: elliptic.P384(), ES512: elliptic.P521()}

// algorithmOf returns the algorithm that a public key is for.
func algorithmOf(pub any) (Algorithm, error) {
	switch k := pub.(type) {
	case ed25519.PublicKey:
		return EdDSA, nil
	case *ecdsa.PublicKey:
		for a, c := range curves {
			if k.Curve == c {
				return a, nil
			}
		}
	}
	return "", errors.New("not a key for ES256, ES384, ES512 or EdDSA")
}

const signingKeyText = "[token signing key]"

// A SigningKey signs tokens. It is a secret: printing, logging or encoding one
// never yields it. The zero SigningKey signs nothing.
type SigningKey struct {
	alg Algorithm
	// A function, for fmt follows pointers.
	signer func() crypto.Signer
}

// ParseSigningKey reads a private key in PKCS #8 and PEM, as private.pem holds
// it.
func ParseSigningKey(text []byte) (SigningKey, error) {
	der, err := onePEM(text, "PRIVATE KEY")
	if err != nil {
		return SigningKey{}, fmt.Errorf("keytoken: signing key: %w", err)
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return SigningKey{}, errors.New("keytoken: signing key: not a PKCS #8 private key")
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return SigningKey{}, errors.New("keytoken: signing key: not a key that signs")
	}
	alg, err := algorithmOf(s.Public())
	if err != nil {
		return SigningKey{}, fmt.Errorf("keytoken: signing key: %w", err)
	}
	return SigningKey{alg: alg, signer: func() crypto.Signer { return s }}, nil
}

// Algorithm returns the algorithm that the key is for, or "" for no key.
func (k SigningKey) Algorithm() Algorithm { return k.alg }

// String returns a text that tells nothing.
func (SigningKey) String() string { return signingKeyText }

// Format writes a text that tells nothing, whatever the verb.
func (SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, signingKeyText) }

// LogValue returns a text that tells nothing.
func (SigningKey) LogValue() slog.Value { return slog.StringValue(signingKeyText) }

// MarshalText fails: a signing key has no text form outside its file.
func (SigningKey) MarshalText() ([]byte, error) {
	return nil, errors.New("keytoken: a signing key has no text form outside its file")
}

// A VerifyingKey verifies tokens.
type VerifyingKey struct {
	name string
	alg  Algorithm
	pub  crypto.PublicKey
}

// ParseVerifyingKey reads a public key in SubjectPublicKeyInfo and PEM. The name,
// that of its file, names the key in logs.
func ParseVerifyingKey(name string, text []byte) (VerifyingKey, error) {
	der, err := onePEM(text, "PUBLIC KEY")
	if err != nil {
		return VerifyingKey{}, fmt.Errorf("keytoken: public key %q: %w", name, err)
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return VerifyingKey{}, fmt.Errorf("keytoken: public key %q: %w", name, err)
	}
	alg, err := algorithmOf(pub)
	if err != nil {
		return VerifyingKey{}, fmt.Errorf("keytoken: public key %q: %w", name, err)
	}
	return VerifyingKey{name, alg, pub}, nil
}

// Name returns the key's name.
func (k VerifyingKey) Name() string { return k.name }

// Algorithm returns the algorithm that the key is for.
func (k VerifyingKey) Algorithm() Algorithm { return k.alg }

func (k VerifyingKey) equal(pub crypto.PublicKey) bool {
	e, ok := k.pub.(interface{ Equal(crypto.PublicKey) bool })
	return ok && e.Equal(pub)
}

// onePEM returns what a text of one PEM block of the given type holds.
func onePEM(text []byte, typ string) ([]byte, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != typ || len(block.Headers) > 0 {
		return nil, fmt.Errorf("not a PEM block of type %q", typ)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block")
	}
	return block.Bytes, nil
}

// NewKeyPair makes a key pair for a, as the files private.pem and public.pem hold
// it.
func NewKeyPair(a Algorithm) (private, public []byte, err error) {
	var s crypto.Signer
	if c, ok := curves[a]; ok {
		s, err = ecdsa.GenerateKey(c, rand.Reader)
	} else if a == EdDSA {
		_, s, err = ed25519.GenerateKey(rand.Reader)
	} else {
		err = fmt.Errorf("unknown algorithm %q", a)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("keytoken: new key pair: %w", err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(s)
	if err != nil {
		return nil, nil, fmt.Errorf("keytoken: new key pair: %w", err)
	}
	pub, err := x509.MarshalPKIXPublicKey(s.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("keytoken: new key pair: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), nil
}

// JWSKeys is an immutable set of keys of the JWS provider.
type JWSKeys struct {
	signer jose.Signer // nil: verifies only
	verify []VerifyingKey
	accept []jose.SignatureAlgorithm
}

// NewJWSKeys makes a set of keys. Tokens are accepted whose algorithm is in
// accept, or is ES256 when accept is empty, and whose signature any of the
// verifying keys made. A signing key must have its public half among them, or
// this node would refuse its own tokens; the zero SigningKey makes a set that
// only verifies.
func NewJWSKeys(sign SigningKey, accept []Algorithm, verify ...VerifyingKey) (*JWSKeys, error) {
	if len(accept) == 0 {
		accept = []Algorithm{ES256}
	}
	ks := &JWSKeys{verify: slices.Clone(verify)}
	for _, a := range accept {
		if !slices.Contains(Algorithms(), a) {
			return nil, fmt.Errorf("keytoken: unknown algorithm %q", a)
		}
		ks.accept = append(ks.accept, jose.SignatureAlgorithm(a))
	}
	if len(verify) == 0 {
		return nil, errors.New("keytoken: no public key to verify tokens with")
	}
	for _, k := range verify {
		if !slices.Contains(accept, k.alg) {
			return nil, fmt.Errorf("keytoken: public key %q is for %s, which is not among the accepted algorithms", k.name, k.alg)
		}
	}
	if sign.signer == nil {
		return ks, nil
	}
	own := func(k VerifyingKey) bool { return k.equal(sign.signer().Public()) }
	if !slices.ContainsFunc(verify, own) {
		return nil, errors.New("keytoken: the signing key's public half is not among the public keys")
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(sign.alg), Key: sign.signer()},
		(&jose.SignerOptions{}).WithType("JWT"),
	)
	if err != nil {
		return nil, fmt.Errorf("keytoken: signing key: %w", err)
	}
	ks.signer = signer
	return ks, nil
}

// A JWSKeyring gives the keys of now. A [JWSWatcher] is one; [FixedJWS] makes one
// of keys that never change.
type JWSKeyring interface{ JWSKeys() *JWSKeys }

// FixedJWS returns a JWSKeyring that always gives k.
func FixedJWS(k *JWSKeys) JWSKeyring { return fixedJWS{k} }

type fixedJWS struct{ k *JWSKeys }

func (f fixedJWS) JWSKeys() *JWSKeys { return f.k }
