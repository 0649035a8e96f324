// Package sign holds the Ed25519 keys with which nodes and agents sign, and the
// texts in which the Stigmem wire carries keys and signatures.
//
// Keys and signatures are base64url of their raw bytes. Padding may be present
// when read and is never written; nothing else that decodes to the same bytes is
// accepted. A public key that is not a point of the curve in its only spelling, or
// whose signatures prove nothing because it is of small order, cannot be made.
package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"symbolon/internal/errs"
)

// A PublicKey is a usable Ed25519 public key. The zero value verifies nothing.
type PublicKey struct{ raw [ed25519.PublicKeySize]byte }

// NewPublicKey returns the key of 32 raw bytes. The error is of kind Invalid.
func NewPublicKey(raw []byte) (PublicKey, error) {
	if len(raw) != ed25519.PublicKeySize {
		return PublicKey{}, errs.E(errs.Invalid, "invalid Ed25519 public key: %d bytes, want %d", len(raw), ed25519.PublicKeySize)
	}
	k := PublicKey{raw: [ed25519.PublicKeySize]byte(raw)}
	if err := checkPoint(k.raw); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// ParsePublicKey reads the text of a key: base64url of its raw bytes.
func ParsePublicKey(text string) (PublicKey, error) {
	raw, err := decode(text, ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, errs.E(errs.Invalid, "invalid Ed25519 public key: want base64url of %d bytes", ed25519.PublicKeySize)
	}
	return NewPublicKey(raw)
}

// String returns the key's text, without padding.
func (k PublicKey) String() string { return base64.RawURLEncoding.EncodeToString(k.raw[:]) }

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Ed25519 returns the key in the form of crypto/ed25519.
func (k PublicKey) Ed25519() ed25519.PublicKey {
	return append(make(ed25519.PublicKey, 0, ed25519.PublicKeySize), k.raw[:]...)
}

// Fingerprint is what an operator compares before approving a peer: "sha256:" and
// the SHA-256 of the key's text, not of its bytes (Stigmem wire §25.3).
func (k PublicKey) Fingerprint() string {
	sum := sha256.Sum256([]byte(k.String()))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// KeyID names the key in manifests: the first 16 hexadecimal digits of the
// SHA-256 of its bytes (Stigmem wire §19).
func (k PublicKey) KeyID() string {
	sum := sha256.Sum256(k.raw[:])
	return hex.EncodeToString(sum[:8])
}

// Verify reports whether sig is the signature of message under k.
func (k PublicKey) Verify(message, sig []byte) bool {
	return !k.IsZero() && len(sig) == ed25519.SignatureSize && ed25519.Verify(k.raw[:], message, sig)
}

// VerifyText reports whether sig is the text of a signature of message under k.
func (k PublicKey) VerifyText(message []byte, sig string) bool {
	raw, err := decode(sig, ed25519.SignatureSize)
	return err == nil && k.Verify(message, raw)
}

// CheckSignatureText reports, by an error of kind Invalid, a text that is no
// signature of any message: not base64url of 64 bytes.
func CheckSignatureText(sig string) error {
	_, err := decode(sig, ed25519.SignatureSize)
	return err
}

// generate returns a fresh seed.
func generate() (seed [ed25519.SeedSize]byte) {
	rand.Read(seed[:]) // never fails: the runtime aborts when the system has no randomness
	return seed
}

// decode reads canonical base64url, padded or not, of exactly size bytes.
func decode(text string, size int) ([]byte, error) {
	enc := base64.RawURLEncoding
	if len(text) == base64.URLEncoding.EncodedLen(size) && strings.HasSuffix(text, "=") {
		enc = base64.URLEncoding
	}
	// encoding/base64 skips newlines; the length rules them out.
	if len(text) == enc.EncodedLen(size) {
		if raw, err := enc.Strict().DecodeString(text); err == nil && len(raw) == size {
			return raw, nil
		}
	}
	return nil, errs.E(errs.Invalid, "want base64url of %d bytes", size)
}
