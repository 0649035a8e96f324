package keytoken

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"unicode/utf8"

	"symbolon/fernet"
)

// The part of msgpack that token payloads use, written by hand so that every
// type and every bound is in view: no other type is read, nothing is allocated,
// and a length is compared with the bytes that are there before it is used.

// First bytes of the encodings.
const (
	mpFixArray = 0x90
	mpFixStr   = 0xa0
	mpNil      = 0xc0
	mpFalse    = 0xc2
	mpTrue     = 0xc3
	mpBin8     = 0xc4
	mpBin16    = 0xc5
	mpBin32    = 0xc6
	mpFloat64  = 0xcb
	mpUint8    = 0xcc
	mpUint16   = 0xcd
	mpUint32   = 0xce
	mpUint64   = 0xcf
	mpInt8     = 0xd0
	mpInt16    = 0xd1
	mpInt32    = 0xd2
	mpInt64    = 0xd3
	mpStr8     = 0xd9
	mpStr16    = 0xda
	mpStr32    = 0xdb
	mpArray16  = 0xdc
	mpArray32  = 0xdd
	mpNegative = 0xe0
)

// Writing: always the shortest form, and floats in 64 bits, as the reference's
// packer does.

func appendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, mpFixArray|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpArray16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, mpArray32), uint32(n)) // #nosec G115 -- bounded by MaxGroups
}

// appendUint writes v, which is not negative.
func appendUint(b []byte, v int64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, mpUint8, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpUint16), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, mpUint32), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, mpUint64), uint64(v)) // #nosec G115 -- not negative
}

func appendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, mpFloat64), math.Float64bits(f))
}

func appendText(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, mpFixStr|byte(n))
	case n <= math.MaxUint8:
		b = append(b, mpStr8, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, mpStr16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, mpStr32), uint32(n)) // #nosec G115 -- too long for a token anyway
	}
	return append(b, s...)
}

func appendBin16(b []byte, v [16]byte) []byte { return append(append(b, mpBin8, 16), v[:]...) }

// A reader reads elements off the front of a payload. The first one that is not
// what was asked for sets bad, after which every read gives a zero: callers read
// on and ask once.
type reader struct {
	b   []byte
	at  int // of the next element
	bad bool
	// A packer before msgpack 1.0 wrote bytes as text. The reference notices
	// by some text of the payload not being UTF-8, and only then takes text
	// for bytes; so do we.
	textAsBytes bool
	notUTF8     bool
	// arena holds the texts that were read, one after the other, in one piece
	// of memory.
	arena strings.Builder
}

// newReader reads the payload of an authentic token, the only bytes there are to
// read.
func newReader(o *fernet.Opened) reader {
	r := reader{b: o.Payload()}
	return r
}

// keep returns b as a string in the arena.
func (r *reader) keep(b []byte) string {
	at := r.arena.Len()
	if at == 0 {
		// Ids of sixteen bytes become texts of twice that.
		r.arena.Grow(len(b) + r.left() + 16)
	}
	r.arena.Write(b)
	return r.arena.String()[at:]
}

// hex returns the text of an id.
func (r *reader) hex(id [16]byte) string {
	var b [32]byte
	hex.Encode(b[:], id[:])
	return r.keep(b[:])
}

// base64 returns the text of an audit id.
func (r *reader) base64(id [16]byte) string {
	var b [22]byte
	base64.RawURLEncoding.Encode(b[:], id[:])
	return r.keep(b[:])
}

func (r *reader) fail() { r.bad, r.at = true, len(r.b) }

// left returns how many bytes are left.
func (r *reader) left() int { return len(r.b) - r.at }

// take cuts n bytes off the front.
func (r *reader) take(n uint64) []byte {
	if n > uint64(r.left()) { // #nosec G115 -- not negative
		r.fail()
		return nil
	}
	at := r.at
	r.at += int(n) // #nosec G115 -- at most left
	return r.b[at:r.at:r.at]
}

func (r *reader) byte() byte {
	if r.at < len(r.b) {
		r.at++
		return r.b[r.at-1]
	}
	r.fail()
	return mpNil
}

// number reads a big-endian number of width bytes.
func (r *reader) number(width uint64) uint64 {
	var v uint64
	for _, c := range r.take(width) {
		v = v<<8 | uint64(c)
	}
	return v
}

// peek returns the first byte of the next element, or that of nil at the end.
func (r *reader) peek() byte {
	if r.left() == 0 {
		return mpNil
	}
	return r.b[r.at]
}

// array reads the header of an array and returns its count. Every element has at
// least a byte, so a count beyond the bytes that are left is a lie.
func (r *reader) array() int {
	var n uint64
	switch c := r.byte(); {
	case c&0xf0 == mpFixArray:
		n = uint64(c & 0x0f)
	case c == mpArray16:
		n = r.number(2)
	case c == mpArray32:
		n = r.number(4)
	default:
		r.fail()
	}
	if n > uint64(r.left()) { // #nosec G115 -- not negative
		r.fail()
	}
	if r.bad {
		return 0
	}
	return int(n) // #nosec G115 -- at most left
}

// arrayOf reads the header of an array that must have n elements.
func (r *reader) arrayOf(n int) {
	if r.array() != n {
		r.fail()
	}
}

func isInt(c byte) bool { return c < 0x80 || c >= mpNegative || c >= mpUint8 && c <= mpInt64 }

// int reads an integer of any width. One above the range of int64 is bad.
func (r *reader) int() int64 {
	switch c := r.byte(); {
	case c < 0x80:
		return int64(c)
	case c >= mpNegative:
		return int64(int8(c))
	case c == mpUint8:
		return int64(r.number(1)) // #nosec G115 -- one byte
	case c == mpUint16:
		return int64(r.number(2)) // #nosec G115 -- two bytes
	case c == mpUint32:
		return int64(r.number(4)) // #nosec G115 -- four bytes
	case c == mpUint64:
		v := r.number(8)
		if v > math.MaxInt64 {
			r.fail()
			return 0
		}
		return int64(v)
	case c == mpInt8:
		return int64(int8(r.number(1))) // #nosec G115 -- two's complement
	case c == mpInt16:
		return int64(int16(r.number(2))) // #nosec G115 -- two's complement
	case c == mpInt32:
		return int64(int32(r.number(4))) // #nosec G115 -- two's complement
	case c == mpInt64:
		return int64(r.number(8)) // #nosec G115 -- two's complement
	}
	r.fail()
	return 0
}

// float reads a 64-bit float, or an integer in its place.
func (r *reader) float() float64 {
	switch c := r.peek(); {
	case c == mpFloat64:
		r.take(1)
		return math.Float64frombits(r.number(8))
	case isInt(c):
		return float64(r.int())
	}
	r.fail()
	return 0
}

func (r *reader) bool() bool {
	switch r.byte() {
	case mpTrue:
		return true
	case mpFalse:
		return false
	}
	r.fail()
	return false
}

// bytes reads text or bytes and says which it was.
func (r *reader) bytes() (b []byte, isText bool) {
	switch c := r.byte(); {
	case c&0xe0 == mpFixStr:
		b, isText = r.take(uint64(c&0x1f)), true
	case c == mpStr8:
		b, isText = r.take(r.number(1)), true
	case c == mpStr16:
		b, isText = r.take(r.number(2)), true
	case c == mpStr32:
		b, isText = r.take(r.number(4)), true
	case c == mpBin8:
		b = r.take(r.number(1))
	case c == mpBin16:
		b = r.take(r.number(2))
	case c == mpBin32:
		b = r.take(r.number(4))
	default:
		r.fail()
	}
	if isText && !utf8.Valid(b) {
		r.notUTF8 = true
	}
	return b, isText
}

// text reads text, or bytes that are UTF-8.
func (r *reader) text() string {
	b, _ := r.bytes()
	if !utf8.Valid(b) {
		r.fail()
	}
	if r.bad {
		return ""
	}
	return r.keep(b)
}

// sixteen reads sixteen bytes, or text in their place.
func (r *reader) sixteen() (out [16]byte) {
	b, isText := r.bytes()
	if len(b) != len(out) {
		r.fail()
		return out
	}
	r.textAsBytes = r.textAsBytes || isText
	copy(out[:], b)
	return out
}

// end reports whether all of the payload was read and all of it was as asked.
func (r *reader) end() bool {
	return !r.bad && r.left() == 0 && (!r.textAsBytes || r.notUTF8)
}
