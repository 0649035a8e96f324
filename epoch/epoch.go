// Package epoch gives a clock number its unit in its type.
//
// Both wires that Symbolon speaks carry instants as bare numbers, one in
// seconds and one in milliseconds, and a number read in the wrong unit is how
// valid peers were once shut out as expired (GHSA-xh5j-xjfq-qvvx). Outside this
// package no integer is compared with, added to or converted into a time: a wire
// format reads its number into [Seconds] or [Millis] at one place, and says
// [UnitOf] when the number cannot be meant in that unit.
//
// The package never reads the wall clock.
package epoch

import (
	"math"
	"time"
)

// Seconds is an instant in whole seconds since 1970-01-01T00:00:00Z.
type Seconds int64

// Millis is an instant in whole milliseconds since 1970-01-01T00:00:00Z.
type Millis int64

// Micros is an instant in whole microseconds since 1970-01-01T00:00:00Z, the form
// in which the store keeps instants that no wire gives a text of its own.
type Micros int64

// MicrosOf returns t cut to the microsecond.
func MicrosOf(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Time returns the instant in UTC.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }

// SecondsOf returns t cut to the second.
func SecondsOf(t time.Time) Seconds { return Seconds(t.Unix()) }

// MillisOf returns t cut to the millisecond.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns the instant in UTC.
func (s Seconds) Time() time.Time { return time.Unix(int64(s), 0).UTC() }

// Time returns the instant in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// Add returns the instant d later, cut to the second and saturating at the
// ends of the range.
func (s Seconds) Add(d time.Duration) Seconds {
	return Seconds(addSaturating(int64(s), int64(d/time.Second)))
}

// Add returns the instant d later, cut to the millisecond and saturating at the
// ends of the range.
func (m Millis) Add(d time.Duration) Millis {
	return Millis(addSaturating(int64(m), d.Milliseconds()))
}

// Before reports whether s is earlier than o.
func (s Seconds) Before(o Seconds) bool { return s < o }

// Before reports whether m is earlier than o.
func (m Millis) Before(o Millis) bool { return m < o }

// Plausible reports whether s lies in the range in which a number of seconds is
// taken for one.
func (s Seconds) Plausible() bool { return plausible(float64(s)) }

// Plausible reports whether m lies in the range in which a number of
// milliseconds is taken for one.
func (m Millis) Plausible() bool { return plausible(float64(m) / 1e3) }

func addSaturating(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// A Unit is what a clock number counts.
type Unit uint8

// The units in which clock numbers are met, named by [Unit.String].
const (
	UnitUnknown Unit = iota
	UnitSeconds
	UnitMillis
	UnitMicros
	UnitNanos
)

// String returns "seconds", "milliseconds", "microseconds", "nanoseconds" or
// "unknown".
func (u Unit) String() string {
	switch u {
	case UnitSeconds:
		return "seconds"
	case UnitMillis:
		return "milliseconds"
	case UnitMicros:
		return "microseconds"
	case UnitNanos:
		return "nanoseconds"
	case UnitUnknown:
	}
	return "unknown"
}

func (u Unit) perSecond() float64 {
	switch u {
	case UnitSeconds:
		return 1
	case UnitMillis:
		return 1e3
	case UnitMicros:
		return 1e6
	case UnitNanos:
		return 1e9
	case UnitUnknown:
	}
	return 0
}

// The plausible range of an instant, in seconds: 2015-01-01 to 2100-01-01. The
// ranges of neighbouring units do not meet, so that a number has at most one
// unit in which it is plausible.
const (
	earliest = 1420070400
	latest   = 4102444800
)

func plausible(seconds float64) bool { return seconds >= earliest && seconds < latest }

// UnitOf returns the unit in which n is plausible as an instant, or UnitUnknown
// when there is none; a NaN or an infinity has none.
func UnitOf(n float64) Unit {
	for _, u := range [...]Unit{UnitSeconds, UnitMillis, UnitMicros, UnitNanos} {
		if plausible(n / u.perSecond()) {
			return u
		}
	}
	return UnitUnknown
}

// Mistaken reports whether a number declared to be in unit declared looks like
// one in another unit, and which: it is outside the plausible range of its own
// unit and inside that of the other. A number plausible in no unit is not a
// mistake of unit, however far away it lies.
func Mistaken(n float64, declared Unit) (looksLike Unit, mistaken bool) {
	u := UnitOf(n)
	return u, u != UnitUnknown && u != declared
}

// At returns the instant that n names when it counts u, and false when n names
// none that a wire format of this product can hold (years 1 to 9999).
func At(n float64, u Unit) (time.Time, bool) {
	per := u.perSecond()
	if per == 0 || math.IsNaN(n) {
		return time.Time{}, false
	}
	sec := n / per
	const minSec, maxSec = -62135596800, 253402300799
	if sec < minSec || sec > maxSec {
		return time.Time{}, false
	}
	whole := math.Floor(sec)
	return time.Unix(int64(whole), int64((sec-whole)*1e9)).UTC(), true
}
