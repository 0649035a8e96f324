package authn

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/scrypt"

	"symbolon/internal/id"
	"symbolon/internal/identity"
)

// An Algorithm is a way to hash passwords, named as Keystone's
// password_hash_algorithm names it.
type Algorithm string

// The algorithms that new hashes are made with.
const (
	Bcrypt       Algorithm = "bcrypt"
	BcryptSHA256 Algorithm = "bcrypt_sha256"
	Scrypt       Algorithm = "scrypt"
	PBKDF2SHA512 Algorithm = "pbkdf2_sha512"
)

// The default work factors: Keystone's.
const (
	DefaultBcryptCost   = 12
	DefaultScryptLn     = 16
	DefaultPBKDF2Rounds = 25000
)

// Bounds on what a stored hash may ask for. A row that asks for more is not
// verified: it would hold a worker for minutes.
const (
	minBcryptCost   = 4
	maxBcryptCost   = 18
	maxScryptMemory = 256 << 20 // bytes
	maxPBKDF2Rounds = 5_000_000
)

// errUnusable is what makes a stored hash unverifiable: not the password's
// fault, but no password can match.
var errUnusable = errors.New("the stored password hash cannot be used")

// A scheme is a parsed hash.
type scheme struct {
	algorithm Algorithm
	// cost is bcrypt's cost, scrypt's ln or PBKDF2's rounds.
	cost      int
	r, p      int
	salt, sum []byte
	// v1 marks the first form of bcrypt_sha256, which hashed without the salt.
	v1 bool
}

// parse reads the text forms that Keystone stores, told apart by their prefix.
func parse(h identity.PasswordHash) (scheme, error) {
	s := string(h)
	switch {
	case strings.HasPrefix(s, "$bcrypt-sha256$"):
		return parseBcryptSHA256(s)
	case strings.HasPrefix(s, "$2"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$scrypt$"):
		return parseScrypt(s)
	case strings.HasPrefix(s, "$pbkdf2-sha512$"):
		return parsePBKDF2(s)
	}
	return scheme{}, fmt.Errorf("%w: unknown form", errUnusable)
}

func parseBcrypt(s string) (scheme, error) {
	parts := strings.Split(s, "$") // "", ident, cost, salt and sum
	if len(parts) != 4 || len(parts[3]) != 53 || len(parts[2]) != 2 {
		return scheme{}, fmt.Errorf("%w: not a bcrypt hash", errUnusable)
	}
	return bcryptScheme(Bcrypt, parts[1], parts[2], parts[3][:22], parts[3][22:])
}

// parseBcryptSHA256 reads $bcrypt-sha256$v=2,t=2b,r=12$salt$sum and the older
// $bcrypt-sha256$2b,12$salt$sum.
func parseBcryptSHA256(s string) (scheme, error) {
	parts := strings.Split(s, "$") // "", name, options, salt, sum
	if len(parts) != 5 || len(parts[3]) != 22 || len(parts[4]) != 31 {
		return scheme{}, fmt.Errorf("%w: not a bcrypt_sha256 hash", errUnusable)
	}
	ident, cost, v1 := "", "", true
	for _, o := range strings.Split(parts[2], ",") {
		switch k, v, named := strings.Cut(o, "="); {
		case named && k == "v" && v == "2":
			v1 = false
		case named && k == "t":
			ident = v
		case named && k == "r":
			cost = v
		case !named && ident == "":
			ident = o
		case !named && cost == "":
			cost = o
		default:
			return scheme{}, fmt.Errorf("%w: bcrypt_sha256 option %q", errUnusable, o)
		}
	}
	sch, err := bcryptScheme(BcryptSHA256, ident, cost, parts[3], parts[4])
	sch.v1 = v1
	return sch, err
}

func bcryptScheme(a Algorithm, ident, cost, salt, sum string) (scheme, error) {
	n, err := strconv.Atoi(cost)
	switch ident {
	case "2", "2a", "2b", "2x", "2y":
	default:
		return scheme{}, fmt.Errorf("%w: bcrypt variant", errUnusable)
	}
	if err != nil || n < minBcryptCost || n > maxBcryptCost {
		return scheme{}, fmt.Errorf("%w: bcrypt cost", errUnusable)
	}
	return scheme{algorithm: a, cost: n, salt: []byte(salt), sum: []byte(sum)}, nil
}

func parseScrypt(s string) (scheme, error) {
	parts := strings.Split(s, "$") // "", name, options, salt, sum
	if len(parts) != 5 {
		return scheme{}, fmt.Errorf("%w: not a scrypt hash", errUnusable)
	}
	sch := scheme{algorithm: Scrypt}
	for _, o := range strings.Split(parts[2], ",") {
		k, v, _ := strings.Cut(o, "=")
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return scheme{}, fmt.Errorf("%w: scrypt option", errUnusable)
		}
		switch k {
		case "ln":
			sch.cost = n
		case "r":
			sch.r = n
		case "p":
			sch.p = n
		}
	}
	if sch.cost < 1 || sch.cost > 24 || sch.r < 1 || sch.p < 1 || sch.p > 16 || sch.r > 64 || (128*sch.r)<<sch.cost > maxScryptMemory {
		return scheme{}, fmt.Errorf("%w: scrypt cost", errUnusable)
	}
	return sch, sch.decode(parts[3], parts[4])
}

func parsePBKDF2(s string) (scheme, error) {
	parts := strings.Split(s, "$") // "", name, rounds, salt, sum
	if len(parts) != 5 {
		return scheme{}, fmt.Errorf("%w: not a pbkdf2_sha512 hash", errUnusable)
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil || n < 1 || n > maxPBKDF2Rounds {
		return scheme{}, fmt.Errorf("%w: pbkdf2 rounds", errUnusable)
	}
	sch := scheme{algorithm: PBKDF2SHA512, cost: n}
	return sch, sch.decode(parts[3], parts[4])
}

// plain is the base64 of these forms: unpadded, with "." for "+" in some.
var plain = base64.RawStdEncoding

func (s *scheme) decode(salt, sum string) error {
	var err1, err2 error
	s.salt, err1 = plain.DecodeString(strings.ReplaceAll(salt, ".", "+"))
	s.sum, err2 = plain.DecodeString(strings.ReplaceAll(sum, ".", "+"))
	if err := errors.Join(err1, err2); err != nil || len(s.sum) < 16 || len(s.sum) > 128 || len(s.salt) > 1024 {
		return fmt.Errorf("%w: salt or sum", errUnusable)
	}
	return nil
}

// matches hashes the password as s was made and compares in constant time.
func (s *scheme) matches(password []byte) (bool, error) {
	switch s.algorithm {
	case Bcrypt:
		return s.bcrypt(password)
	case BcryptSHA256:
		return s.bcrypt(s.prehash(password))
	case Scrypt:
		sum, err := scrypt.Key(password, s.salt, 1<<s.cost, s.r, s.p, len(s.sum))
		return subtle.ConstantTimeCompare(sum, s.sum) == 1, err
	case PBKDF2SHA512:
		sum, err := pbkdf2.Key(sha512.New, string(password), s.salt, s.cost, len(s.sum))
		return subtle.ConstantTimeCompare(sum, s.sum) == 1, err
	}
	return false, errUnusable
}

func (s *scheme) bcrypt(key []byte) (bool, error) {
	sum, err := bcryptSum(key, s.salt, s.cost)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnusable, err)
	}
	return subtle.ConstantTimeCompare(sum, s.sum) == 1, nil
}

// prehash makes of a password of any length one that bcrypt looks at whole.
func (s *scheme) prehash(password []byte) []byte {
	var sum []byte
	if s.v1 {
		d := sha256.Sum256(password)
		sum = d[:]
	} else {
		m := hmac.New(sha256.New, s.salt)
		m.Write(password)
		sum = m.Sum(nil)
	}
	return base64.StdEncoding.AppendEncode(nil, sum)
}

// Params choose how new hashes are made. The zero Params are bcrypt with twelve
// rounds.
type Params struct {
	Algorithm Algorithm
	// Cost is bcrypt's cost (4 to 18), scrypt's ln (1 to 20) or PBKDF2's rounds
	// (1 to 5,000,000); zero is the default.
	Cost int
}

func (p Params) withDefaults() (Params, error) {
	if p.Algorithm == "" {
		p.Algorithm = Bcrypt
	}
	def, lo, hi := 0, 1, 0
	switch p.Algorithm {
	case Bcrypt, BcryptSHA256:
		def, lo, hi = DefaultBcryptCost, minBcryptCost, maxBcryptCost
	case Scrypt:
		def, hi = DefaultScryptLn, 17 // 128 MiB with blocks of 8
	case PBKDF2SHA512:
		def, hi = DefaultPBKDF2Rounds, maxPBKDF2Rounds
	default:
		return p, fmt.Errorf("authn: password hash algorithm %q is not known", p.Algorithm)
	}
	if p.Cost == 0 {
		p.Cost = def
	}
	if p.Cost < lo || p.Cost > hi {
		return p, fmt.Errorf("authn: %s cost is %d, want %d to %d", p.Algorithm, p.Cost, lo, hi)
	}
	return p, nil
}

// hash makes a new hash. A password longer than bcrypt looks at is hashed with
// bcrypt_sha256, so that every byte of it counts.
func (p Params) hash(password []byte) (identity.PasswordHash, error) {
	a := p.Algorithm
	if a == Bcrypt && len(password) > bcryptMax {
		a = BcryptSHA256
	}
	switch a {
	case Bcrypt, BcryptSHA256:
		return p.hashBcrypt(a, password)
	case Scrypt:
		salt := id.Bytes(16)
		sum, err := scrypt.Key(password, salt, 1<<p.Cost, 8, 1, 32)
		if err != nil {
			return "", err
		}
		return identity.PasswordHash(fmt.Sprintf("$scrypt$ln=%d,r=8,p=1$%s$%s", p.Cost, plain.EncodeToString(salt), plain.EncodeToString(sum))), nil
	case PBKDF2SHA512:
		salt := id.Bytes(16)
		sum, err := pbkdf2.Key(sha512.New, string(password), salt, p.Cost, 64)
		if err != nil {
			return "", err
		}
		dots := strings.NewReplacer("+", ".")
		return identity.PasswordHash(fmt.Sprintf("$pbkdf2-sha512$%d$%s$%s", p.Cost,
			dots.Replace(plain.EncodeToString(salt)), dots.Replace(plain.EncodeToString(sum)))), nil
	}
	return "", fmt.Errorf("authn: password hash algorithm %q is not known", a)
}

func (p Params) hashBcrypt(a Algorithm, password []byte) (identity.PasswordHash, error) {
	sch := scheme{salt: bcrypt64.AppendEncode(nil, id.Bytes(bcryptSaltLen))}
	form := "$2b$%02d$%s%s"
	if a == BcryptSHA256 {
		form = "$bcrypt-sha256$v=2,t=2b,r=%d$%s$%s"
		password = sch.prehash(password)
	}
	sum, err := bcryptSum(password, sch.salt, p.Cost)
	if err != nil {
		return "", err
	}
	return identity.PasswordHash(fmt.Sprintf(form, p.Cost, sch.salt, sum)), nil
}

// weaker reports whether a stored hash was made with less work, or another
// algorithm, than p asks for, so that it is worth making anew.
func (p Params) weaker(s *scheme) bool {
	if s.algorithm != p.Algorithm && (s.algorithm != BcryptSHA256 || p.Algorithm != Bcrypt) {
		return true
	}
	return s.cost < p.Cost
}
