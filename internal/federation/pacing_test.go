package federation

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// After 429 a peer is left alone for 2, 4 … 300 s, each 20 % more or less (failure
// mode C3b), and for as long as it asks within bounds; after other failures it is
// asked no less often than when all is well.
func TestPacing(t *testing.T) {
	t.Parallel()
	busy := func(after time.Duration) error {
		return &pullError{reason: pullBusy, status: http429, retryAfter: after}
	}
	down := &pullError{reason: pullUnreachable, err: errors.New("down")}
	waits := func(n int, interval time.Duration, jitter float64, err error) (out []time.Duration) {
		var p pacing
		for range n {
			out = append(out, p.next(err, interval, func() float64 { return jitter }))
		}
		return out
	}
	s := func(list ...float64) (out []time.Duration) {
		for _, x := range list {
			out = append(out, time.Duration(x*float64(time.Second)))
		}
		return out
	}
	for _, tt := range []struct {
		name      string
		got, want []time.Duration
	}{
		{"429", waits(11, 30*time.Second, 0.5, busy(0)), s(2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300)},
		{"429, least jitter", waits(3, time.Second, 0, busy(0)), s(1.6, 3.2, 6.4)},
		{"429, most jitter", waits(9, time.Second, 1, busy(0)), s(2.4, 4.8, 9.6, 19.2, 38.4, 76.8, 153.6, 307.2, 360)},
		{"429 with a longer wish", waits(2, time.Second, 0.5, busy(time.Minute)), s(60, 60)},
		{"429 with a shorter wish", waits(3, time.Second, 0.5, busy(3*time.Second)), s(3, 4, 8)},
		{"429 with a wish beyond reason", waits(1, time.Second, 0.5, busy(24*time.Hour)), s(900)},
		{"down", waits(6, 30*time.Second, 0.5, down), s(2, 4, 8, 16, 30, 30)},
		{"down, asked often", waits(3, 100*time.Millisecond, 0.5, down), s(2, 2, 2)},
		{"well", waits(2, 30*time.Second, 0.5, nil), s(30, 30)},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	var p pacing
	for _, err := range []error{busy(0), busy(0), nil, busy(0)} {
		p.next(err, time.Second, func() float64 { return 0.5 })
	}
	if p.failures != 1 {
		t.Errorf("after a success the failures count from %d, want 1", p.failures)
	}
}

func TestRewound(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	for _, tt := range []struct{ cursor, want string }{
		{"1700000200000.9", "1700000200000."}, {"1700000200000.0", "1700000200000."}, {"1700000200000.12345", "1700000200000."},
		{"1700000000000.9", "1700000000000.9"}, // the time has come to it: nothing more is written there
		{"1699999999999.9", "1699999999999.9"}, {"1700000200000.000009", "1700000200000.000009"}, {"1700000200000.009", "1700000200000.009"},
		{"", ""}, {"1700000200000", "1700000200000"}, {"opaque", "opaque"}, {"99999999999999.1", "99999999999999.1"},
	} {
		if got := rewound(tt.cursor, now); got != tt.want {
			t.Errorf("rewound(%q) = %q, want %q", tt.cursor, got, tt.want)
		}
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0)
	b := newBuckets(2, 3, 2)
	for i := range 3 {
		if _, ok := b.take("a", now); !ok {
			t.Errorf("the burst ends at %d, want 3", i)
		}
	}
	if wait, ok := b.take("a", now); ok || wait != 500*time.Millisecond {
		t.Errorf("the fourth: %v, %v; want to wait half a second", wait, ok)
	}
	if _, ok := b.take("b", now); !ok {
		t.Error("another key has no share of its own")
	}
	if _, ok := b.take("c", now); ok {
		t.Error("a third of two keys is remembered")
	}
	now = now.Add(500 * time.Millisecond)
	if _, ok := b.take("a", now); !ok {
		t.Error("after the wait there is still nothing")
	}
	if _, ok := b.take("a", now.Add(-time.Hour)); ok {
		t.Error("a clock that went back gave something")
	}
	now = now.Add(time.Hour)
	for range 3 {
		if _, ok := b.take("c", now); !ok {
			t.Error("keys that are full again are not forgotten")
		}
	}
	if _, ok := b.take("c", now); ok {
		t.Error("an idle hour gave more than the burst")
	}
	if _, ok := newBuckets(-1, 1, 1).take("x", now); !ok {
		t.Error("a negative rate bounds something")
	}
}
