// Package canon makes the bytes that are hashed, signed and stored.
//
// Content ids, signatures and the wire itself depend on one spelling of every
// number and every string: the one of the reference's language, which is not RFC
// 8785 (a float keeps its ".0" and its exponent). Everything here is checked
// against vectors that the reference made.
package canon

import (
	"math"
	"strconv"
)

// AppendFloat appends the shortest text that reads back as f, in the reference's
// spelling: 42.0, 1e+22, 1e-07, 5e-324, -0.0. NaN and the infinities, which JSON
// cannot hold, become nan, inf and -inf.
func AppendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	for _, c := range dst[start:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

// AppendJSONFloat appends f as the wire's responses hold a float (Stigmem wire
// §1.1): as AppendFloat, but null for what JSON cannot hold.
func AppendJSONFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return AppendFloat(dst, f)
}

// A Float is a float64 that encoding/json writes as AppendJSONFloat does.
type Float float64

// MarshalJSON returns the wire's text of f.
func (f Float) MarshalJSON() ([]byte, error) {
	return AppendJSONFloat(make([]byte, 0, 24), float64(f)), nil
}
