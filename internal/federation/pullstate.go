package federation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"symbolon/internal/id"
)

// A PullState is how polling one peer went last, for metrics, the console and the
// doctor.
type PullState struct {
	PeerID   id.UUID
	NodeID   string
	LastTry  time.Time
	LastGood time.Time // zero: never since the start
	NextTry  time.Time
	// Failure is empty when the last poll succeeded, else one of the closed
	// set [PullFailures]; Failures counts how many failed in a row.
	Failure  string
	Failures int
	// Clock is what the peer's answers and tokens say about its clock.
	Clock Clock
}

// PullFailures returns every value of PullState.Failure but the empty one.
func PullFailures() []string {
	return []string{
		pullUnreachable, pullForbidden, pullTooLarge, pullUnreadable, pullStuck, pullRefused, pullBusy, pullStatus, pullIdentity, pullStore,
	}
}

// pullStates keeps the newest state of each peer that is polled.
type pullStates struct {
	mu sync.Mutex
	m  map[id.UUID]PullState // guarded by mu
}

func (p *pullStates) put(st PullState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		p.m = make(map[id.UUID]PullState)
	}
	p.m[st.PeerID] = st
}

func (p *pullStates) get(peer id.UUID) PullState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m[peer]
}

func (p *pullStates) forget(peer id.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.m, peer)
}

// PullStates returns the state of every peer that is polled, sorted by node id.
func (s *Service) PullStates() []PullState {
	s.pulls.mu.Lock()
	out := make([]PullState, 0, len(s.pulls.m))
	for _, st := range s.pulls.m {
		out = append(out, st)
	}
	s.pulls.mu.Unlock()
	for i := range out {
		out[i].Clock = s.clocks.get(out[i].NodeID)
	}
	slices.SortFunc(out, func(a, b PullState) int { return strings.Compare(a.NodeID, b.NodeID) })
	return out
}

// PeerClock returns what is known of a node's clock.
func (s *Service) PeerClock(nodeID string) Clock { return s.clocks.get(nodeID) }

// report keeps and logs how a poll went. A failure is logged when it begins and
// when it ends, not each time in between.
func (s *Service) report(ctx context.Context, peer id.UUID, node string, err error, wait time.Duration, st *pacing) {
	now := s.now()
	state := s.pulls.get(peer)
	state.PeerID, state.NodeID, state.LastTry, state.NextTry, state.Failures = peer, node, now, now.Add(wait), st.failures
	state.Failure = failureOf(err)
	if err == nil {
		state.LastGood = now
	}
	s.pulls.put(state)
	if state.Failure == st.logged {
		return
	}
	st.logged = state.Failure
	attrs := []slog.Attr{slog.String("peer", node)}
	if err == nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "federation.pull_recovered", attrs...)
		return
	}
	attrs = append(attrs, slog.String("reason", state.Failure), slog.Duration("retry_in", wait))
	var pe *pullError
	if errors.As(err, &pe) && pe.err != nil {
		attrs = append(attrs, slog.String("detail", pe.err.Error()))
	}
	if c := s.clocks.get(node); !c.At.IsZero() {
		attrs = append(attrs, slog.Float64("skew_seconds", c.Ahead.Seconds()))
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "federation.pull_failed", attrs...)
}

func failureOf(err error) string {
	var pe *pullError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &pe):
		return pe.reason
	}
	return pullStore
}
