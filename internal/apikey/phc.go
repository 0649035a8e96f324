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

// verifyPHC returns nil when raw has the hash, an error of kind Unauthenticated when
// it has another, and Internal for a string that cannot be read.
func verifyPHC(phc, raw string) error {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return errs.E(errs.Internal, "apikey: a stored hash is not Argon2id")
	}
	var memory, time uint32
	var threads uint8
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || n != 3 {
		return errs.E(errs.Internal, "apikey: a stored hash has no parameters")
	}
	salt, err1 := b64.DecodeString(parts[4])
	want, err2 := b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) < 16 || len(want) > 64 || len(salt) < 8 ||
		time < 1 || time > maxArgonTime || memory < 8 || memory > maxArgonMemory || threads < 1 || threads > maxArgonThreads {
		return errs.E(errs.Internal, "apikey: a stored hash is out of bounds")
	}
	got := argon2.IDKey([]byte(raw), salt, time, memory, threads, uint32(len(want)))
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return errRefused
	}
	return nil
}
