package authn

import (
	"encoding/base64"

	//lint:ignore SA1019 bcrypt is made of Blowfish
	"golang.org/x/crypto/blowfish"
)

const (
	// bcryptMax is how many bytes of a password bcrypt looks at.
	bcryptMax = 72
	// bcryptSaltLen is the length of a salt in bytes.
	bcryptSaltLen = 16
	// bcryptSumLen is how many of the 24 bytes computed are kept. That it is
	// one short is how the first bcrypt did it.
	bcryptSumLen = 23
)

// bcrypt64 is bcrypt's own base64.
var bcrypt64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcryptSum returns the sum part of the bcrypt hash of a password under a salt,
// both in bcrypt's base64. Bytes of the password beyond bcryptMax have no
// influence, in any bcrypt. Module x/crypto has bcrypt too, but draws its salts
// itself, and bcrypt_sha256 needs the salt before the password.
func bcryptSum(password, salt64 []byte, cost int) ([]byte, error) {
	salt, err := bcrypt64.AppendDecode(nil, salt64)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 0, bcryptMax+1)
	key = append(key, password[:min(len(password), bcryptMax)]...)
	key = append(key, 0) // the C string's end is part of the key

	c, err := blowfish.NewSaltedCipher(key, salt)
	if err != nil {
		return nil, err
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt, c)
	}
	sum := []byte("OrpheanBeholderScryDoubt")
	for block := range len(sum) / blowfish.BlockSize {
		b := sum[block*blowfish.BlockSize:][:blowfish.BlockSize]
		for range 64 {
			c.Encrypt(b, b)
		}
	}
	return bcrypt64.AppendEncode(nil, sum[:bcryptSumLen]), nil
}
