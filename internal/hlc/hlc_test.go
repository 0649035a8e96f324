package hlc_test

import (
	"errors"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/hlc"
)

const now epoch.Millis = 1_795_289_057_807

func TestParseReadsWhatPeersWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want hlc.HLC
		text string
	}{
		{"1746230400000.003", hlc.HLC{Wall: 1746230400000, Counter: 3}, "1746230400000.000003"},
		{"1746230400000.10", hlc.HLC{Wall: 1746230400000, Counter: 10}, "1746230400000.000010"},
		{"1746230400000", hlc.HLC{Wall: 1746230400000}, "1746230400000.000000"},
		{"5.0", hlc.HLC{Wall: 5}, "0000000000005.000000"},
		{"0.0", hlc.HLC{}, "0000000000000.000000"},
		{"1746230400000.4294967295", hlc.HLC{Wall: 1746230400000, Counter: 4294967295}, "1746230400000.4294967295"},
	} {
		got, err := hlc.Parse(tt.in)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("Parse(%q) = %v, %v, want %v", tt.in, got, err, tt.text)
		}
	}
}

func TestParseRefusesEverythingElse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", ".", ".1", "1.", "1.2.3", "-1.0", "+1.0", "1.-1", " 1.0", "1.0 ", "1_0.0", "1e3.0", "x.y", "\u0661.0", "17462304000000.0",
		"1.4294967296", "1.00000000001", strings.Repeat("1", 1<<16), "1746230400000.0\n",
	} {
		if h, err := hlc.Parse(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("Parse(%.40q) = %v, %v, want an error of kind invalid", s, h, err)
		}
	}
}

func TestNowIsAlwaysGreaterAndItsTextSortsLikeIt(t *testing.T) {
	t.Parallel()
	var c hlc.Clock
	rng := rand.New(rand.NewPCG(1, 2))
	wall, texts, last := now, make([]string, 0, 100_000), hlc.HLC{}
	for range 100_000 {
		// The wall clock stands still, jumps ahead and steps back.
		wall = wall.Add(time.Duration(rng.IntN(7)-3) * time.Millisecond)
		h := c.Now(wall)
		if !h.After(last) || h.Wall < wall {
			t.Fatalf("Now(%d) = %v after %v", wall, h, last)
		}
		last, texts = h, append(texts, h.String())
	}
	if !sort.StringsAreSorted(texts) {
		t.Error("the texts do not sort as the values were given out")
	}
	if c.Last() != last {
		t.Errorf("Last = %v, want %v", c.Last(), last)
	}
}

// The reference's texts sort …10 before …9 once a peer pinned the wall time.
func TestTextOrderHoldsWhileTheWallTimeIsPinned(t *testing.T) {
	t.Parallel()
	var c hlc.Clock
	if _, err := c.Observe(hlc.HLC{Wall: now.Add(200 * time.Second)}, now, hlc.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	cursor := ""
	for i := range 2000 {
		s := c.Now(now.Add(time.Duration(i) * time.Millisecond)).String()
		if s <= cursor {
			t.Fatalf("value %d: %q sorts at or below the cursor %q", i, s, cursor)
		}
		cursor = s
	}
}

func TestCounterOverflowTakesTheNextMillisecond(t *testing.T) {
	t.Parallel()
	var c hlc.Clock
	c.Restore(hlc.HLC{Wall: now, Counter: hlc.MaxCounter})
	before := c.Last().String()
	got := c.Now(now)
	if want := (hlc.HLC{Wall: now + 1}); got != want {
		t.Errorf("Now = %v, want %v", got, want)
	}
	if s := got.String(); len(s) != hlc.TextLen || s <= before {
		t.Errorf("text %q after %q, want %d bytes and above", s, before, hlc.TextLen)
	}
	// A peer whose counter is wider than ours must not widen ours.
	got, err := c.Observe(hlc.HLC{Wall: now + 5, Counter: 4_000_000_000}, now, hlc.DefaultLimits)
	if want := (hlc.HLC{Wall: now + 6}); err != nil || got != want {
		t.Errorf("Observe of a wide counter = %v, %v, want %v", got, err, want)
	}
}

func TestRestoreSurvivesARestartAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	var before, after hlc.Clock
	high := before.Now(now.Add(time.Hour))
	after.Restore(high)
	if h := after.Now(now); !h.After(high) {
		t.Errorf("after a restart with the wall clock set back: %v, want above %v", h, high)
	}
	last := after.Last()
	after.Restore(hlc.HLC{Wall: 5})
	if after.Last() != last {
		t.Errorf("Restore of a lower value moved the clock from %v to %v", last, after.Last())
	}
}

func TestObserveMergesAsTheReferenceDoes(t *testing.T) {
	t.Parallel()
	at := func(w epoch.Millis, n uint32) hlc.HLC { return hlc.HLC{Wall: now + w, Counter: n} }
	for _, tt := range []struct {
		name         string
		last, remote hlc.HLC
		now          epoch.Millis
		want         hlc.HLC
	}{
		{"the wall clock leads", at(0, 7), at(0, 9), now + 1, at(1, 0)},
		{"all three agree", at(0, 7), at(0, 9), now, at(0, 10)},
		{"ours leads", at(5, 7), at(0, 9), now, at(5, 8)},
		{"the peer leads", at(0, 7), at(5, 9), now, at(5, 10)},
		{"ours and the peer's agree", at(5, 9), at(5, 7), now, at(5, 10)},
		{"a missing value is a local event", at(5, 9), hlc.HLC{}, now, at(5, 10)},
	} {
		var c hlc.Clock
		c.Restore(tt.last)
		if tt.remote.IsZero() {
			if got := c.Now(tt.now); got != tt.want {
				t.Errorf("%s: Now = %v, want %v", tt.name, got, tt.want)
			}
			continue
		}
		got, err := c.Observe(tt.remote, tt.now, hlc.DefaultLimits)
		if err != nil || got != tt.want || c.Last() != tt.want {
			t.Errorf("%s: Observe = %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestObserveRefusesSkewAndLeavesTheClockAlone(t *testing.T) {
	t.Parallel()
	off := hlc.Limits{}
	for _, tt := range []struct {
		name      string
		wall      epoch.Millis
		limits    hlc.Limits
		direction string
		unit      epoch.Unit
		skew      int64
	}{
		{"at the future limit", now + 300_000, hlc.DefaultLimits, "", 0, 0},
		{"past the future limit", now + 300_001, hlc.DefaultLimits, "future", 0, 300_001},
		{"15 minutes ahead", now + 900_000, hlc.DefaultLimits, "future", 0, 900_000},
		{"at the past limit", now - 2_592_000_000, hlc.DefaultLimits, "", 0, 0},
		{"past the past limit", now - 2_592_000_001, hlc.DefaultLimits, "past", 0, -2_592_000_001},
		{"future side off", now + 900_000, off, "", 0, 0},
		{"past side off", now - 9_000_000_000, off, "", 0, 0},
		{"both off, and far in the future", 9_999_999_999_999, off, "future", 0, int64(9_999_999_999_999 - now)},
		{"seconds", now / 1000, hlc.DefaultLimits, "past", epoch.UnitSeconds, int64(now/1000 - now)},
		{"seconds with both sides off", now / 1000, off, "past", epoch.UnitSeconds, int64(now/1000 - now)},
		{"microseconds", now * 1000, off, "future", epoch.UnitMicros, int64(now*1000 - now)},
		{"nanoseconds", now * 1_000_000, off, "future", epoch.UnitNanos, int64(now*1_000_000 - now)},
	} {
		var c hlc.Clock
		before := c.Now(now)
		_, err := c.Observe(hlc.HLC{Wall: tt.wall}, now, tt.limits)
		if tt.direction == "" {
			if err != nil {
				t.Errorf("%s: %v, want it accepted", tt.name, err)
			}
			continue
		}
		var skew *hlc.SkewError
		if !errors.As(err, &skew) {
			t.Errorf("%s: %v, want a *SkewError", tt.name, err)
			continue
		}
		if skew.Direction() != tt.direction || skew.SkewMillis() != tt.skew || skew.LooksLike != tt.unit || skew.Error() == "" {
			t.Errorf("%s: %s by %d ms, looks like %v; want %s by %d, %v", tt.name, skew.Direction(), skew.SkewMillis(), skew.LooksLike,
				tt.direction, tt.skew, tt.unit)
		}
		if c.Last() != before {
			t.Errorf("%s: the clock moved from %v to %v", tt.name, before, c.Last())
		}
	}
}

func TestClockGivesEveryCallerItsOwnValue(t *testing.T) {
	t.Parallel()
	var c hlc.Clock
	var mu sync.Mutex
	seen := make(map[hlc.HLC]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				h := c.Now(now)
				mu.Lock()
				if seen[h] {
					t.Errorf("%v given out twice", h)
				}
				seen[h] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1746230400000.003", "5", "1.4294967295", "", "..", "9999999999999.999999", "1746230400.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := hlc.Parse(s)
		if err != nil {
			return
		}
		if again, err := hlc.Parse(h.String()); err != nil || again != h {
			t.Fatalf("Parse(%q) = %v, and its text reads as %v, %v", s, h, again, err)
		}
		var c hlc.Clock
		got, err := c.Observe(h, now, hlc.Limits{})
		if err == nil && (!got.After(h) || len(got.String()) != hlc.TextLen) {
			t.Fatalf("Observe(%v) = %v", h, got)
		}
	})
}

func BenchmarkNow(b *testing.B) {
	var c hlc.Clock
	b.ReportAllocs()
	for b.Loop() {
		c.Now(now)
	}
}
