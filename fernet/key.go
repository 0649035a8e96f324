package fernet

import (
	"crypto/rand"
	"crypto/sha1" // #nosec G505 -- names a key in credential rows, as the reference does; secures nothing
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

const (
	keyLen     = 32
	keyTextLen = 44 // in padded base64url
)

// secretText stands for a key wherever one is printed.
const secretText = "[fernet key]"

// A Key is a Fernet key: 16 bytes that sign and 16 that encrypt. It is a
// secret: printing, logging or encoding one never yields it. The zero Key is no
// key and nothing accepts it.
type Key struct {
	// A function, since fmt prints what it reaches through an unexported
	// field without asking any method, and for some verbs follows a pointer.
	// It also keeps keys from being compared with an operator.
	bytes func() *[keyLen]byte
}

func keyOf(b [keyLen]byte) Key { return Key{func() *[keyLen]byte { return &b }} }

// errKeyText says what is wrong with a key's text without repeating it.
var errKeyText = errors.New("fernet: a key is 32 bytes as 44 characters of canonical base64url with padding")

// ParseKey reads a key in the only text form that the specification has: 32
// bytes as canonical base64url with padding, 44 characters.
func ParseKey(text string) (Key, error) {
	if len(text) != keyTextLen {
		return Key{}, errKeyText
	}
	var b [keyTextLen / 4 * 3]byte
	// The decoder passes over line ends, so the count of bytes matters too.
	n, err := base64.URLEncoding.Strict().Decode(b[:], []byte(text))
	if err != nil || n != keyLen {
		return Key{}, errKeyText
	}
	return keyOf([keyLen]byte(b[:])), nil
}

// NewKey returns a fresh random key.
func NewKey() Key {
	var b [keyLen]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return keyOf(b)
}

// reveal returns the text of the key, for its file alone.
func (k Key) reveal() string { return base64.URLEncoding.EncodeToString(k.bytes()[:]) }

func (k Key) signing() []byte    { return k.bytes()[:16] }
func (k Key) encryption() []byte { return k.bytes()[16:] }

// IsZero reports whether k is the zero Key, which is no key.
func (k Key) IsZero() bool { return k.bytes == nil }

// IsNull reports whether k is the well-known key of 32 zero bytes, which
// protects nothing.
func (k Key) IsNull() bool {
	return k.Equal(keyOf([keyLen]byte{}))
}

// Equal reports, in constant time, whether two keys are the same.
func (k Key) Equal(o Key) bool {
	return !k.IsZero() && !o.IsZero() && subtle.ConstantTimeCompare(k.bytes()[:], o.bytes()[:]) == 1
}

// Hash returns the SHA-1 of the key's text in lower-case hex, by which
// Keystone's credential rows name the key that encrypted them.
func (k Key) Hash() string {
	if k.IsZero() {
		return ""
	}
	h := sha1.Sum([]byte(k.reveal())) // #nosec G401 -- see the import
	return hex.EncodeToString(h[:])
}

// String returns a text that tells nothing.
func (Key) String() string { return secretText }

// Format writes a text that tells nothing, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secretText) }

// LogValue returns a text that tells nothing.
func (Key) LogValue() slog.Value { return slog.StringValue(secretText) }

// MarshalText fails: a key has no text form outside its file.
func (Key) MarshalText() ([]byte, error) {
	return nil, errors.New("fernet: a key has no text form outside its file")
}

// A KeyID is the number that names a key in its repository.
type KeyID int64

// String returns the number in decimal, as the key's file is named.
func (id KeyID) String() string { return strconv.FormatInt(int64(id), 10) }

// A Role is what a key of a ring is used for.
type Role string

// The roles. A ring whose only key is number 0 has it as its primary.
const (
	Staged    Role = "staged"    // number 0: opens, and becomes primary next
	Primary   Role = "primary"   // the highest number: seals and opens
	Secondary Role = "secondary" // between: opens what it once sealed
)

// A KeyInfo describes a key without revealing it.
type KeyInfo struct {
	ID   KeyID
	Role Role
	// Hash is the key's [Key.Hash].
	Hash string
}
