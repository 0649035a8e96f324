package sign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"

	"symbolon/internal/errs"
)

// A PrivateKey signs. It has no text form on purpose: printing, logging or
// encoding one yields "[private key]" or an error. MarshalSeed is the one way out.
type PrivateKey struct {
	// A function, because fmt calls no method of a key that is an unexported
	// field of something else, and follows even a pointer for a wrong verb.
	key    func() ed25519.PrivateKey
	public PublicKey
}

// GenerateKey returns a new random key.
func GenerateKey() PrivateKey {
	seed := generate()
	k, err := PrivateKeyOf(seed[:])
	if err != nil {
		panic("sign: a key made of a fresh seed is not usable: " + err.Error())
	}
	return k
}

// PrivateKeyOf returns the key of a 32-byte seed (RFC 8032).
func PrivateKeyOf(seed []byte) (PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return PrivateKey{}, errs.E(errs.Invalid, "a private key's seed has %d bytes, not %d", ed25519.SeedSize, len(seed))
	}
	priv := ed25519.NewKeyFromSeed(seed)
	return PrivateKey{
		key:    func() ed25519.PrivateKey { return priv },
		public: PublicKey{raw: [ed25519.PublicKeySize]byte(priv[ed25519.SeedSize:])},
	}, nil
}

// UnmarshalSeed reads what MarshalSeed wrote, or the text in which a reference
// node keeps its key: base64url of the seed, padded or not, white space around it.
// The error never holds any of data.
func UnmarshalSeed(data []byte) (PrivateKey, error) {
	seed, err := decode(string(bytes.TrimSpace(data)), ed25519.SeedSize)
	if err != nil {
		return PrivateKey{}, errs.E(errs.Invalid, "a private key is base64url of a seed of %d bytes", ed25519.SeedSize)
	}
	return PrivateKeyOf(seed)
}

// MarshalSeed returns the content of a key file: the seed's base64url and a
// newline. The caller writes it with mode 0600.
func (k PrivateKey) MarshalSeed() []byte {
	return append(base64.RawURLEncoding.AppendEncode(nil, k.key().Seed()), '\n')
}

// Public returns the public half.
func (k PrivateKey) Public() PublicKey { return k.public }

// IsZero reports whether k is no key.
func (k PrivateKey) IsZero() bool { return k.key == nil }

// Sign returns the signature of message. The zero key panics.
func (k PrivateKey) Sign(message []byte) []byte { return ed25519.Sign(k.key(), message) }

// SignText returns the text of the signature of message.
func (k PrivateKey) SignText(message []byte) string {
	return base64.RawURLEncoding.EncodeToString(k.Sign(message))
}

const hidden = "[private key]"

// String returns a fixed text.
func (PrivateKey) String() string { return hidden }

// GoString returns a fixed text.
func (PrivateKey) GoString() string { return hidden }

// Format writes a fixed text whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue names the key by its public half.
func (k PrivateKey) LogValue() slog.Value {
	if k.IsZero() {
		return slog.StringValue(hidden)
	}
	return slog.StringValue(k.public.KeyID())
}

// MarshalText always fails.
func (PrivateKey) MarshalText() ([]byte, error) {
	return nil, errors.New("sign: a private key has no text form")
}
