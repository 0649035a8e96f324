package epoch

import (
	"math"
	"testing"
	"time"
)

func TestANumberHasAtMostOnePlausibleUnit(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	first, last := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		n    float64
		want Unit
	}{
		{"now in seconds", float64(now.Unix()), UnitSeconds},
		{"now in milliseconds", float64(now.UnixMilli()), UnitMillis},
		{"now in microseconds", float64(now.UnixMicro()), UnitMicros},
		{"now in nanoseconds", float64(now.UnixNano()), UnitNanos},
		{"the first instant", float64(first.Unix()), UnitSeconds},
		{"just before it", float64(first.Unix()) - 1, UnitUnknown},
		{"the last second", float64(last.Unix()) - 1, UnitSeconds},
		{"just after it", float64(last.Unix()), UnitUnknown},
		{"the last millisecond", float64(last.UnixMilli()) - 1, UnitMillis},
		{"the millisecond after", float64(last.UnixMilli()), UnitUnknown},
		{"zero", 0, UnitUnknown},
		{"negative", -1e12, UnitUnknown},
		{"not a number", math.NaN(), UnitUnknown},
		{"infinite", math.Inf(1), UnitUnknown},
		{"huge", 1e300, UnitUnknown},
	} {
		if got := UnitOf(tt.n); got != tt.want {
			t.Errorf("%s: UnitOf(%v) = %v, want %v", tt.name, tt.n, got, tt.want)
		}
	}
	// The ranges do not meet: the latest of one unit lies below the earliest of the next.
	for _, u := range []Unit{UnitSeconds, UnitMillis, UnitMicros} {
		if latest*u.perSecond() >= earliest*(u+1).perSecond() {
			t.Errorf("the ranges of %v and %v meet", u, u+1)
		}
	}
}

func TestAMistakeOfUnitIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		n        float64
		declared Unit
		looks    Unit
		mistaken bool
	}{
		{"milliseconds as declared", 1.79e12, UnitMillis, UnitMillis, false},
		{"seconds where milliseconds are declared", 1.79e9, UnitMillis, UnitSeconds, true},
		{"microseconds where milliseconds are declared", 1.79e15, UnitMillis, UnitMicros, true},
		{"milliseconds where seconds are declared", 1.79e12, UnitSeconds, UnitMillis, true},
		{"a number of no unit is no mistake of unit", 5, UnitMillis, UnitUnknown, false},
	} {
		if looks, mistaken := Mistaken(tt.n, tt.declared); looks != tt.looks || mistaken != tt.mistaken {
			t.Errorf("%s: %v, %v", tt.name, looks, mistaken)
		}
	}
}

func TestConversions(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 123_456_789, time.UTC)
	if got := SecondsOf(at); got != 1795262400 || !got.Time().Equal(at.Truncate(time.Second)) {
		t.Errorf("SecondsOf: %d, %v", got, got.Time())
	}
	if got := MillisOf(at); got != 1795262400123 || !got.Time().Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("MillisOf: %d, %v", got, got.Time())
	}
	if got := MicrosOf(at); got != 1795262400123456 || !got.Time().Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("MicrosOf: %d, %v", got, got.Time())
	}
	if got := Seconds(10).Add(1500 * time.Millisecond); got != 11 {
		t.Errorf("Seconds.Add: %d", got)
	}
	if got := Millis(10).Add(1500 * time.Microsecond); got != 11 {
		t.Errorf("Millis.Add: %d", got)
	}
	if got := Seconds(math.MaxInt64 - 1).Add(time.Hour); got != math.MaxInt64 {
		t.Errorf("adding past the end: %d", got)
	}
	if got := Millis(math.MinInt64 + 1).Add(-time.Hour); got != math.MinInt64 {
		t.Errorf("adding past the beginning: %d", got)
	}
	if !Seconds(1).Before(2) || Millis(2).Before(2) {
		t.Error("Before is wrong")
	}
	if !Seconds(1.79e9).Plausible() || Seconds(1.79e12).Plausible() || !Millis(1.79e12).Plausible() || Millis(1.79e9).Plausible() {
		t.Error("Plausible is wrong")
	}
}

func TestAtIsTotal(t *testing.T) {
	for _, n := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, -1e300, 253402300800} {
		if got, ok := At(n, UnitSeconds); ok {
			t.Errorf("At(%v) = %v", n, got)
		}
	}
	if _, ok := At(0, UnitUnknown); ok {
		t.Error("an unknown unit names an instant")
	}
	if got, ok := At(1795262400123, UnitMillis); !ok || got.Format(time.RFC3339Nano) != "2026-11-21T12:00:00.123Z" && got.Sub(time.UnixMilli(1795262400123)).Abs() > time.Microsecond {
		t.Errorf("At in milliseconds = %v, %v", got, ok)
	}
}

func TestWindow(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	peer := Window{Leeway: 30 * time.Second, MaxAge: 24 * time.Hour, MaxLifetime: time.Hour}
	keystone := Window{ExpiredAtExpiry: true}
	at := func(d time.Duration) time.Time { return now.Add(d) }
	for _, tt := range []struct {
		name            string
		w               Window
		issued, expires time.Duration
		want            Fault
	}{
		{"fresh", peer, 0, time.Hour, Fine},
		{"expired within the leeway", peer, -time.Hour, -30 * time.Second, Fine},
		{"expired beyond it", peer, -time.Hour, -30*time.Second - time.Nanosecond, Expired},
		{"issued in the future within the leeway", peer, 30 * time.Second, time.Hour, Fine},
		{"issued in the future beyond it", peer, 30*time.Second + time.Nanosecond, time.Hour, IssuedInFuture},
		{"a day old", Window{Leeway: time.Second, MaxAge: 24 * time.Hour}, -24 * time.Hour, time.Hour, Fine},
		{"more than a day old: no leeway is added", Window{Leeway: time.Second, MaxAge: 24 * time.Hour}, -24*time.Hour - time.Nanosecond, time.Hour, IssuedTooLongAgo},
		{"lives an hour and the leeway", peer, 0, time.Hour + 30*time.Second, Fine},
		{"lives longer", peer, 0, time.Hour + 31*time.Second, LifetimeTooLong},
		{"expiry comes first", peer, -48 * time.Hour, -24 * time.Hour, Expired},
		{"at the instant of expiry, as Keystone counts", keystone, -time.Hour, 0, Expired},
		{"just before it", keystone, -time.Hour, time.Nanosecond, Fine},
		{"at the instant of expiry, otherwise", Window{}, -time.Hour, 0, Fine},
		{"in the grace", Window{Grace: time.Hour, ExpiredAtExpiry: true}, -2 * time.Hour, -time.Hour + time.Nanosecond, Fine},
		{"at the end of the grace", Window{Grace: time.Hour, ExpiredAtExpiry: true}, -2 * time.Hour, -time.Hour, Expired},
		{"no bounds, a century", Window{}, 0, 100 * 365 * 24 * time.Hour, Fine},
	} {
		if got := tt.w.Check(now, at(tt.issued), at(tt.expires)); got != tt.want {
			t.Errorf("%s: fault %d, want %d", tt.name, got, tt.want)
		}
	}
	if peer.NotBefore(now, at(30*time.Second)) != Fine || peer.NotBefore(now, at(31*time.Second)) != NotYetValid {
		t.Error("NotBefore is wrong")
	}
}

func FuzzUnitOf(f *testing.F) {
	for _, n := range []float64{0, 1.79e9, 1.79e12, 1.79e15, 1.79e18, math.Inf(-1), -5} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n float64) {
		u := UnitOf(n)
		if got, ok := At(n, u); u != UnitUnknown && (!ok || got.Year() < 2015 || got.Year() >= 2100) {
			t.Errorf("UnitOf(%v) = %v, which is %v, %v", n, u, got, ok)
		}
	})
}
