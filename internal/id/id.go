// Package id holds the identifiers of both faces as types, and makes new ones.
//
// Every type here is text of one form. A value made by a New or a Parse function
// has that form; a conversion from string has whatever the string had, and is for
// rows that such a value was stored in. New identifiers come from crypto/rand.
package id

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"

	"symbolon/epoch"
	"symbolon/internal/errs"
)

// A Hex is a Keystone resource id: a random UUID (RFC 9562, version 4) as 32
// lower-case hexadecimal digits.
type Hex string

// NewHex returns a new random Hex.
func NewHex() Hex {
	u := random4()
	var b [32]byte
	hex.Encode(b[:], u[:])
	return Hex(b[:])
}

// ParseHex returns s when it is 32 lower-case hexadecimal digits.
func ParseHex(s string) (Hex, error) {
	if len(s) != 32 || !lowerHex(s) {
		return "", errs.E(errs.Invalid, "an id must be 32 lower-case hexadecimal digits")
	}
	return Hex(s), nil
}

// String returns the id's text.
func (h Hex) String() string { return string(h) }

// A UUID is a Stigmem row id: a UUID in its dashed lower-case form.
type UUID string

// NewUUID returns a new random UUID (RFC 9562, version 4).
func NewUUID() UUID { return uuidText(random4()) }

func uuidText(u [16]byte) UUID {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return UUID(b[:])
}

// NewUUIDAt returns a new UUID whose text sorts by at and is random within the
// millisecond (RFC 9562, version 7), so that rows keyed by it are stored side by side.
func NewUUIDAt(at epoch.Millis) UUID {
	u := random4()
	binary.BigEndian.PutUint64(u[:8], uint64(at)<<16|uint64(u[6]&0x0f|0x70)<<8|uint64(u[7]))
	return uuidText(u)
}

// ParseUUID returns s when it is a UUID of any version in dashed lower-case form.
func ParseUUID(s string) (UUID, error) {
	ok := len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		lowerHex(s[0:8]) && lowerHex(s[9:13]) && lowerHex(s[14:18]) && lowerHex(s[19:23]) && lowerHex(s[24:])
	if !ok {
		return "", errs.E(errs.Invalid, "an id must be a UUID in dashed lower-case form")
	}
	return UUID(s), nil
}

// String returns the id's text.
func (u UUID) String() string { return string(u) }

// An Audit is an audit id of an identity token: 16 random bytes as 22
// characters of unpadded base64url.
type Audit string

// NewAudit returns a new random audit id.
func NewAudit() Audit {
	u := random4()
	return Audit(base64.RawURLEncoding.EncodeToString(u[:]))
}

// ParseAudit returns s when it is the canonical unpadded base64url of 16 bytes.
func ParseAudit(s string) (Audit, error) {
	if len(s) == 22 && !hasNewline(s) {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(s); err == nil {
			return Audit(s), nil
		}
	}
	return "", errs.E(errs.Invalid, "an audit id must be 22 characters of base64url")
}

// String returns the id's text.
func (a Audit) String() string { return string(a) }

// A CID is a fact's content id: "sha256:" and 64 lower-case hexadecimal digits.
type CID string

const cidPrefix = "sha256:"

// CIDOf returns the content id of a SHA-256 digest.
func CIDOf(digest [32]byte) CID {
	var b [len(cidPrefix) + 64]byte
	copy(b[:], cidPrefix)
	hex.Encode(b[len(cidPrefix):], digest[:])
	return CID(b[:])
}

// ParseCID returns s when it has the form of a content id.
func ParseCID(s string) (CID, error) {
	if len(s) != len(cidPrefix)+64 || s[:len(cidPrefix)] != cidPrefix || !lowerHex(s[len(cidPrefix):]) {
		return "", errs.E(errs.Invalid, "CID must be 'sha256:' followed by 64 hex chars")
	}
	return CID(s), nil
}

// LooksLikeCID reports whether s claims to be a content id by its prefix,
// well formed or not.
func LooksLikeCID(s string) bool { return len(s) >= len(cidPrefix) && s[:len(cidPrefix)] == cidPrefix }

// String returns the id's text.
func (c CID) String() string { return string(c) }

// Bytes returns n random bytes from the system's generator.
func Bytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: the runtime aborts when the system has no randomness
	return b
}

// Secret returns 32 random bytes as 43 characters of unpadded base64url: a
// password, an API key or the secret of an application credential.
func Secret() string { return base64.RawURLEncoding.EncodeToString(Bytes(32)) }

func random4() (u [16]byte) {
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// hasNewline reports whether s holds a byte that encoding/base64 would skip.
func hasNewline(s string) bool {
	for i := range len(s) {
		if s[i] == '\n' || s[i] == '\r' {
			return true
		}
	}
	return false
}
