package fernet

import "encoding/binary"

// place[i][c] is what character c of the base64url alphabet adds, as the i-th of
// four, to the 24 bits that they stand for; foreign marks any other character.
var place = func() (t [4][256]uint32) {
	for i := range t {
		for c := range t[i] {
			t[i][c] = foreign
		}
		for v, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
			t[i][c] = uint32(v) << (18 - 6*i) // #nosec G115 -- below 64
		}
	}
	return t
}()

const foreign = 1 << 31

// decodedLen is how many bytes n characters without padding stand for.
func decodedLen(n int) int { return n/4*3 + n%4*6/8 }

// decodeText decodes canonical base64url without padding into dst, which has
// decodedLen(len(s)) bytes. It reports whether s was that: nothing outside the
// alphabet, line ends included, no length that no bytes have, and no bit set
// that stands for nothing. The decoder of the standard library passes over line
// ends, and takes twice as long.
func decodeText(dst []byte, s string) bool {
	t := &place
	var all uint32 // of every value: a foreign one leaves its mark
	for len(s) >= 8 && len(dst) >= 8 {
		v := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]
		w := t[0][s[4]] | t[1][s[5]] | t[2][s[6]] | t[3][s[7]]
		all |= v | w
		binary.BigEndian.PutUint64(dst, uint64(v)<<40|uint64(w)<<16) // six bytes, and two to be written over
		s, dst = s[8:], dst[6:]
	}
	for len(s) >= 4 && len(dst) >= 3 {
		v := t[0][s[0]] | t[1][s[1]] | t[2][s[2]] | t[3][s[3]]
		all |= v
		dst[0], dst[1], dst[2] = byte(v>>16), byte(v>>8), byte(v)
		s, dst = s[4:], dst[3:]
	}
	var last, idle uint32 // idle are the bits that stand for nothing
	switch {
	case len(s) == 2 && len(dst) == 1:
		last, idle = t[0][s[0]]|t[1][s[1]], 1<<16-1
		dst[0] = byte(last >> 16)
	case len(s) == 3 && len(dst) == 2:
		last, idle = t[0][s[0]]|t[1][s[1]]|t[2][s[2]], 1<<8-1
		dst[0], dst[1] = byte(last>>16), byte(last>>8)
	case len(s) != 0 || len(dst) != 0:
		return false
	}
	return (all|last)&foreign == 0 && last&idle == 0
}
