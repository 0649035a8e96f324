package federation

import (
	"testing"
	"time"
)

// A peer that has used up its burst when the clock goes back waits as long as ever, and
// not until the clock is where it was.
func TestARateIsKeptWhenTheClockGoesBack(t *testing.T) {
	b := newBuckets(1, 2, 10)
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for range 2 {
		if _, ok := b.take("peer", now); !ok {
			t.Fatal("refused within the burst")
		}
	}
	now = now.Add(-time.Hour)
	if _, ok := b.take("peer", now); ok {
		t.Fatal("let in beyond the burst because the clock went back")
	}
	if _, ok := b.take("peer", now.Add(time.Second)); !ok {
		t.Error("a second after the clock went back nothing has come in")
	}
}
