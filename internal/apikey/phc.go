package apikey

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// The cost of new hashes (Stigmem wire §3.1).
const (
	argonTime    = 2
	argonMemory  = 19456 // KiB
	argonThreads = 1
	argonSalt    = 16
	argonLen     = 32
)

// The highest cost that is accepted of a stored hash.
const (
	maxArgonTime    = 16
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonThreads = 16
)

var b64 = base64.RawStdEncoding.Strict()

// newPHC hashes a key's text with a new salt, in the PHC string format.
func newPHC(raw string) string {
	salt := id.Bytes(argonSalt)
	sum := argon2.IDKey([]byte(raw), salt, argonTime, argonMemory, argonThreads, argonLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// A phc is a stored hash with its cost.
type phc struct {
	time, memory uint32
	threads      uint8
	salt, sum    []byte
}

// parsePHC reads a hash in the PHC string format, in its one spelling and within the
// bounds of cost. The error is of kind Internal: what is stored is ours.
func parsePHC(s string) (phc, error) {
	var h phc
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errs.E(errs.Internal, "apikey: a stored hash is not Argon2id")
	}
	const cost = "m=%d,t=%d,p=%d"
	if _, err := fmt.Sscanf(parts[3], cost, &h.memory, &h.time, &h.threads); err != nil || fmt.Sprintf(cost, h.memory, h.time, h.threads) != parts[3] {
		return h, errs.E(errs.Internal, "apikey: a stored hash has no cost")
	}
	var err1, err2 error
	h.salt, err1 = b64.DecodeString(parts[4])
	h.sum, err2 = b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || strings.ContainsAny(s, "\r\n") || len(h.sum) < 16 || len(h.sum) > 64 || len(h.salt) < 8 || len(h.salt) > 64 ||
		h.time < 1 || h.time > maxArgonTime || h.memory < 8 || h.memory > maxArgonMemory || h.threads < 1 || h.threads > maxArgonThreads {
		return h, errs.E(errs.Internal, "apikey: a stored hash is out of bounds")
	}
	return h, nil
}

// verifyPHC returns nil when raw has the hash, an error of kind Unauthenticated when
// it has another, and Internal for a string that cannot be read.
func verifyPHC(stored, raw string) error {
	h, err := parsePHC(stored)
	if err != nil {
		return err
	}
	got := argon2.IDKey([]byte(raw), h.salt, h.time, h.memory, h.threads, uint32(len(h.sum)))
	if subtle.ConstantTimeCompare(got, h.sum) != 1 {
		return errRefused
	}
	return nil
}
