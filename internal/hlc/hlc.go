// Package hlc implements the hybrid logical clock that orders facts (Stigmem
// wire §5.4).
//
// Three properties hold on one node. Now never returns a value that is not
// greater than every value returned, observed or restored before. The text of a
// value that a Clock made sorts as the value does, so that a cursor may compare
// text. And Observe never moves the clock further ahead of the wall clock than
// the limit allows, nor at all for a number of another unit: a peer cannot push
// our clock forward.
package hlc

import (
	"cmp"
	"strconv"
	"sync"

	"symbolon/epoch"
	"symbolon/internal/errs"
)

const (
	wallDigits    = 13
	counterDigits = 6

	// MaxCounter is the greatest counter that a Clock gives out. The next
	// value then has the next millisecond.
	MaxCounter = 999_999

	// TextLen is the length in bytes of the text of a value that a Clock made.
	TextLen = wallDigits + 1 + counterDigits
)

// An HLC is one instant of the clock: a wall time and a counter within it. Its
// zero value is before every other.
type HLC struct {
	Wall    epoch.Millis
	Counter uint32
}

// Parse reads "<milliseconds>.<counter>" with parts of any width, as peers write
// it; a missing counter reads as 0. It accepts ASCII digits only, at most 13 and
// 10 of them. The error is of kind Invalid.
func Parse(s string) (HLC, error) {
	wall, counter := s, "0"
	for i := range len(s) {
		if s[i] == '.' {
			wall, counter = s[:i], s[i+1:]
			break
		}
	}
	w, okWall := digits(wall, wallDigits)
	c, okCounter := digits(counter, 10)
	if !okWall || !okCounter || c > 1<<32-1 {
		return HLC{}, errs.E(errs.Invalid, "hlc must be <milliseconds>.<counter>")
	}
	return HLC{Wall: epoch.Millis(w), Counter: uint32(c)}, nil
}

// digits reads 1 to most decimal digits and nothing else.
func digits(s string, most int) (n uint64, ok bool) {
	if s == "" || len(s) > most {
		return 0, false
	}
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// Compare returns -1, 0 or 1 as h is before, equal to or after o.
func (h HLC) Compare(o HLC) int {
	if c := cmp.Compare(h.Wall, o.Wall); c != 0 {
		return c
	}
	return cmp.Compare(h.Counter, o.Counter)
}

// After reports whether h is after o.
func (h HLC) After(o HLC) bool { return h.Compare(o) > 0 }

// IsZero reports whether h is the zero value, which no Clock gives out.
func (h HLC) IsZero() bool { return h == HLC{} }

// String returns the text: 13 digits of milliseconds, a dot, and the counter in
// six digits, or more when a peer's counter needs them.
func (h HLC) String() string { return string(h.Append(make([]byte, 0, TextLen))) }

// Append appends the text of h to dst.
func (h HLC) Append(dst []byte) []byte {
	dst = pad(dst, uint64(max(h.Wall, 0)), wallDigits)
	dst = append(dst, '.')
	return pad(dst, uint64(h.Counter), counterDigits)
}

func pad(dst []byte, n uint64, width int) []byte {
	var b [20]byte
	t := strconv.AppendUint(b[:0], n, 10)
	for range width - len(t) {
		dst = append(dst, '0')
	}
	return append(dst, t...)
}

// next is the smallest value after h that a clock may give out.
func (h HLC) next() HLC {
	if h.Counter >= MaxCounter {
		return HLC{Wall: h.Wall + 1}
	}
	return HLC{Wall: h.Wall, Counter: h.Counter + 1}
}

// A Clock gives out values in order. Its zero value starts at the beginning of
// time; a store restores the highest value it holds before the first use. It is
// safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	last HLC // guarded by mu; the highest value given out or restored
}

// Restore makes every later value greater than highWater. A highWater below
// what the clock already gave out changes nothing.
func (c *Clock) Restore(highWater HLC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if highWater.After(c.last) {
		c.last = highWater
	}
}

// Last returns the highest value given out or restored.
func (c *Clock) Last() HLC {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Now returns the value of a local event at wall time now.
func (c *Clock) Now(now epoch.Millis) HLC {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.advance(HLC{}, now)
}

// Observe returns the value of receiving at wall time now an event whose value
// at its origin is remote: a value greater than remote and than all of ours. When
// remote is out of bounds it returns a *[SkewError] and leaves the clock alone.
func (c *Clock) Observe(remote HLC, now epoch.Millis, l Limits) (HLC, error) {
	if err := l.check(remote, now); err != nil {
		return HLC{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.advance(remote, now), nil
}

// advance moves the clock past itself and past remote, and to now when that is
// later than both. The caller holds mu.
func (c *Clock) advance(remote HLC, now epoch.Millis) HLC {
	top := c.last
	if remote.After(top) {
		top = remote
	}
	if now > top.Wall {
		c.last = HLC{Wall: now}
	} else {
		c.last = top.next()
	}
	return c.last
}
