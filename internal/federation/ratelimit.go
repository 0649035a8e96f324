package federation

import (
	"sync"
	"time"
)

// buckets bounds how often each key may act: burst at once, rate per second over
// time. A key that has been idle long enough to be full again is forgotten, and at
// most maxKeys are remembered, so that callers cannot make it grow.
type buckets struct {
	rate    float64
	burst   float64
	maxKeys int

	mu sync.Mutex
	m  map[string]bucket // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets(rate float64, burst, maxKeys int) *buckets {
	return &buckets{rate: rate, burst: float64(max(burst, 1)), maxKeys: maxKeys, m: make(map[string]bucket)}
}

// take takes one token of key, or says how long to wait for one. A rate that is
// not positive bounds nothing.
func (b *buckets) take(key string, now time.Time) (wait time.Duration, ok bool) {
	if b.rate <= 0 {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, known := b.m[key]
	if !known {
		if len(b.m) >= b.maxKeys {
			b.sweep(now)
		}
		if len(b.m) >= b.maxKeys {
			return time.Second, false
		}
		k = bucket{tokens: b.burst, at: now}
	}
	if d := now.Sub(k.at); d > 0 {
		k.tokens = min(b.burst, k.tokens+d.Seconds()*b.rate)
	}
	k.at = now // also when the clock went back: else nothing comes in until it is where it was
	if k.tokens < 1 {
		b.m[key] = k
		return time.Duration((1 - k.tokens) / b.rate * float64(time.Second)), false
	}
	k.tokens--
	b.m[key] = k
	return 0, true
}

// sweep forgets the keys that are full again. The caller holds mu.
func (b *buckets) sweep(now time.Time) {
	for key, k := range b.m {
		if k.tokens+now.Sub(k.at).Seconds()*b.rate >= b.burst {
			delete(b.m, key)
		}
	}
}
