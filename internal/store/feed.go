package store

import (
	"context"
	"log/slog"
	"time"
)

// IdentityRevision returns the number of changes of identity state, as far as this
// process knows: its own before Update returns, those of others within
// PollInterval while Run runs. What was computed from identity state is current as
// long as the number read before the computation is still the revision.
func (s *Store) IdentityRevision() uint64 { return s.revision.Load() }

// OnIdentityChange has fn called after every change of the revision, by whoever
// noticed it, one call at a time and in order; for changes made here before Update
// returns. fn must be quick and must not write to the store.
func (s *Store) OnIdentityChange(fn func(revision uint64)) {
	s.feedMu.Lock()
	defer s.feedMu.Unlock()
	s.listeners = append(s.listeners, fn)
}

// announce publishes a revision that is known to be committed.
func (s *Store) announce(revision uint64) {
	if s.revision.Load() >= revision {
		return
	}
	s.feedMu.Lock()
	defer s.feedMu.Unlock()
	if revision <= s.announced {
		return
	}
	s.announced = revision
	s.revision.Store(revision)
	for _, fn := range s.listeners {
		fn(revision)
	}
}

// Run looks for changes made by other processes until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.poll(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				s.log.LogAttrs(ctx, slog.LevelError, "store.feed_interrupted", slog.String("error", err.Error()))
			} else {
				s.log.LogAttrs(ctx, slog.LevelInfo, "store.feed_resumed")
			}
		}
	}
}

func (s *Store) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var revision uint64
	if err := s.eng.Reader().QueryRow(ctx, "SELECT identity_revision FROM node_state WHERE id = 1").Scan(&revision); err != nil {
		return err
	}
	s.announce(revision)
	return nil
}
