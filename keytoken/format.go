package keytoken

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Format is what servers that share tokens must agree on beyond their keys. Two
// that differ in it read each other's live tokens wrongly.
type Format struct {
	// Methods are the authentication methods in the order of the reference's
	// [auth] methods setting: the place of a name is the place of its bit. At
	// most 32. Nil stands for DefaultMethods.
	Methods []string
	// DefaultDomainID is the one domain id other than 32 hex digits that a
	// domain-scoped token can carry. Empty stands for "default".
	DefaultDomainID string
}

func (f Format) withDefaults() Format {
	if f.Methods == nil {
		f.Methods = DefaultMethods()
	}
	if f.DefaultDomainID == "" {
		f.DefaultDomainID = "default"
	}
	return f
}

// Fingerprint returns a short text that is equal for formats that read each
// other's tokens alike. A server that stores it beside its keys notices at its
// next start that the format was changed under tokens that are still alive.
func (f Format) Fingerprint() string {
	f = f.withDefaults()
	h := sha256.Sum256([]byte(strings.Join(append(slices.Clone(f.Methods), f.DefaultDomainID), "\x00")))
	return hex.EncodeToString(h[:8])
}

// DefaultMethods returns the reference's default list of methods.
func DefaultMethods() []string {
	return []string{"external", "password", "token", "oauth1", "mapped", "application_credential"}
}

// Methods that have bits of their own above those of the configured list, so
// that a server which reads the token knows that it came by an EC2 signature or
// a client certificate and may restrict it.
const (
	MethodEC2    = "ec2credential"
	MethodOAuth2 = "oauth2_credential"
)

const (
	bitEC2    = 1 << 32
	bitOAuth2 = 1 << 33

	maxMethods = 32
)

// A codec turns claims into payloads and back under one Format.
type codec struct {
	methods       []string
	defaultDomain string
	// uuid returns the 16 bytes that stand for an id, if any do.
	uuid func(id string) (b [16]byte, ok bool)
}

func newCodec(f Format) (*codec, error) {
	f = f.withDefaults()
	k := &codec{methods: slices.Clone(f.Methods), defaultDomain: f.DefaultDomainID, uuid: plainUUID}
	if n := len(k.methods); n > maxMethods {
		return nil, fmt.Errorf("keytoken: %d authentication methods, want at most %d", n, maxMethods)
	}
	for i, m := range k.methods {
		if m == "" || m == MethodEC2 || m == MethodOAuth2 || slices.Contains(k.methods[:i], m) {
			return nil, fmt.Errorf("keytoken: authentication method %q is empty, reserved or listed twice", m)
		}
	}
	return k, nil
}

// mask encodes a list of methods. A name that has no bit adds nothing, and a
// name given twice adds its bit twice and so becomes another: claims are checked
// for that before.
func (k *codec) mask(methods []string) int64 {
	var sum int64
	for _, m := range methods {
		switch i := slices.Index(k.methods, m); {
		case i >= 0:
			sum += 1 << i
		case m == MethodEC2:
			sum += bitEC2
		case m == MethodOAuth2:
			sum += bitOAuth2
		}
	}
	return sum
}

// names decodes what mask encoded, highest bit first. The reference divides by
// each bit in turn and takes a method whose quotient is one, so that a bit above
// those it knows hides every bit below: such a value names no method, and a
// token without a method is good for nothing but being looked at.
func (k *codec) names(v int64) []string {
	if v < 0 || v >= bitOAuth2<<1 {
		return []string{}
	}
	low := v % bitEC2
	if low >= 1<<len(k.methods) {
		low = 0
	}
	out := make([]string, 0, bits.OnesCount64(uint64(v-v%bitEC2+low))) // #nosec G115 -- not negative
	if v&bitOAuth2 != 0 {
		out = append(out, MethodOAuth2)
	}
	if v&bitEC2 != 0 {
		out = append(out, MethodEC2)
	}
	for i, m := range slices.Backward(k.methods) {
		if low&(1<<i) != 0 {
			out = append(out, m)
		}
	}
	return out
}

// plainUUID reads 32 lower-case hex digits, the one form of an id that comes
// back from 16 bytes as it went in. The reference also packs other spellings of
// a UUID, whose users then do not find themselves in their tokens; as text, those
// survive and the reference reads them too.
func plainUUID(id string) (b [16]byte, ok bool) {
	if len(id) != 2*len(b) {
		return b, false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return b, false
		}
	}
	_, err := hex.Decode(b[:], []byte(id))
	return b, err == nil
}
