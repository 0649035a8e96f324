package federation

import (
	"sync"
	"time"
)

// A Clock is what is known of a peer's clock: how far it is ahead of ours
// (negative: behind). All of it is the peer's word and serves to tell an operator,
// and to mint tokens that the peer accepts; nothing is accepted because of it.
type Clock struct {
	Ahead time.Duration
	// Resolution is how exact Ahead can be at best.
	Resolution time.Duration
	At         time.Time // when it was measured; zero: never
}

// skewMap keeps the newest measurement of each peer, by node id. Its size is
// bounded by the number of peers.
type skewMap struct {
	mu sync.Mutex
	m  map[string]Clock // guarded by mu
	// onClock is told of every measurement; nil is nobody.
	onClock func(node string, c Clock)
}

func (s *skewMap) put(node string, c Clock) {
	s.mu.Lock()
	if s.m == nil {
		s.m = make(map[string]Clock)
	}
	s.m[node] = c
	s.mu.Unlock()
	if s.onClock != nil {
		s.onClock(node, c)
	}
}

func (s *skewMap) get(node string) Clock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[node]
}

func (s *skewMap) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, node)
}
