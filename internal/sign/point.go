package sign

import (
	"math/big"
	"slices"

	"symbolon/internal/errs"
)

// The field of Curve25519 and the constant d of edwards25519 (RFC 8032 §5.1).
var (
	fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	curveD     = func() *big.Int {
		d := new(big.Int).ModInverse(big.NewInt(121666), fieldPrime)
		d.Mul(d, big.NewInt(-121665))
		return d.Mod(d, fieldPrime)
	}()
	one = big.NewInt(1)
)

// checkPoint refuses 32 bytes that are no public key to trust. crypto/ed25519
// finds out only when it verifies, accepts y coordinates that are not reduced
// (a second spelling of a key), and accepts points of small order, for which one
// signature fits many messages.
func checkPoint(raw [32]byte) error {
	sign := raw[31] >> 7
	raw[31] &= 0x7F
	slices.Reverse(raw[:])
	y := new(big.Int).SetBytes(raw[:])
	if y.Cmp(fieldPrime) >= 0 {
		return errs.E(errs.Invalid, "invalid Ed25519 public key: not in canonical form")
	}
	// x² = u/v with u = y²-1 and v = dy²+1; that is a square exactly when
	// uv is one.
	y2 := new(big.Int).Mul(y, y)
	y2.Mod(y2, fieldPrime)
	u := new(big.Int).Sub(y2, one)
	v := new(big.Int).Mul(curveD, y2)
	v.Add(v, one)
	uv := new(big.Int).Mul(u, v)
	uv.Mod(uv, fieldPrime)
	if big.Jacobi(uv, fieldPrime) < 0 || u.Sign() == 0 && sign == 1 {
		return errs.E(errs.Invalid, "invalid Ed25519 public key: not a point of the curve")
	}
	if smallOrder(y2) {
		return errs.E(errs.Invalid, "invalid Ed25519 public key: a point of small order")
	}
	return nil
}

// smallOrder reports whether a point whose y has this square has an order that
// divides 8. Such a point doubled has order 1, 2 or 4, hence y = 1, -1 or 0.
// With x² = (y²-1)/(dy²+1) doubling gives y' = (x²+y²)/(2+x²-y²) on this curve,
// and clearing the denominator dy²+1 leaves polynomials in y².
func smallOrder(y2 *big.Int) bool {
	mod := func(n *big.Int) *big.Int { return n.Mod(n, fieldPrime) }
	dy2 := mod(new(big.Int).Mul(curveD, y2))
	dy4 := mod(new(big.Int).Mul(dy2, y2))
	// (x²+y²)(dy²+1) = dy⁴ + 2y² - 1
	num := new(big.Int).Add(dy4, y2)
	num.Add(num, y2).Sub(num, one)
	mod(num)
	// (2+x²-y²)(dy²+1) = 1 + 2dy² - dy⁴
	den := new(big.Int).Add(dy2, dy2)
	den.Add(den, one).Sub(den, dy4)
	mod(den)
	minus := mod(new(big.Int).Neg(den))
	return num.Sign() == 0 || num.Cmp(den) == 0 || num.Cmp(minus) == 0
}
