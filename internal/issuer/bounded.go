package issuer

import (
	"sync"
	"sync/atomic"
)

// A bounded cache keeps at most limit values. It has two halves: what is put goes
// into the young one, and when that is full it becomes the old one and what the
// old one held is forgotten, unless it was asked for since. Whoever fills it with
// values of one use thus pushes out each other's rather than everybody's.
type bounded[K comparable, V any] struct {
	mu         sync.RWMutex // guards young and old
	young, old map[K]V
	half       int
}

func newBounded[K comparable, V any](limit int) *bounded[K, V] {
	return &bounded[K, V]{young: make(map[K]V), half: max(1, limit/2)}
}

// get returns the value of k, which is what fresh returns when there is none.
func (b *bounded[K, V]) get(k K, fresh func() V) V {
	b.mu.RLock()
	v, ok := b.young[k]
	b.mu.RUnlock()
	if ok {
		return v
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if v, ok = b.young[k]; ok {
		return v
	}
	if v, ok = b.old[k]; !ok {
		v = fresh()
	}
	if len(b.young) >= b.half {
		b.young, b.old = make(map[K]V, b.half), b.young
	}
	b.young[k] = v
	return v
}

// len is how many values are kept, those in both halves counted twice.
func (b *bounded[K, V]) len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.young) + len(b.old)
}

// A lazy value is computed by the first who needs it, while the others wait, and
// kept unless that failed.
type lazy[T any] struct {
	done atomic.Bool // set after v
	mu   sync.Mutex  // held while computing
	v    T
}

func (l *lazy[T]) get(compute func() (T, error)) (T, error) {
	if l.done.Load() {
		return l.v, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done.Load() {
		return l.v, nil
	}
	v, err := compute()
	if err == nil {
		l.v = v
		l.done.Store(true)
	}
	return v, err
}
