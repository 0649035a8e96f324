package store

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/store/sqltext"
)

const (
	// maxTries bounds how often a transaction that lost to another is run.
	maxTries = 12
	// maxDials bounds how often a lost connection is made anew for one batch.
	maxDials = 4
	maxWait  = 500 * time.Millisecond
	// idleAfter is how long nothing must be written before the engine tidies up.
	idleAfter = 500 * time.Millisecond
	// pressureEvery is after how many transactions the engine is asked whether
	// it must tidy up without waiting for a pause.
	pressureEvery = 32
	// retryAfter is what callers are told when the queue is full.
	retryAfter = time.Second
)

// A job is one call of Update.
type job struct {
	ctx   context.Context
	fn    func(*Tx) error
	taken atomic.Bool // set by the writer that runs it or by the caller that gives up, whoever is first
	err   error
	after []func()
	done  chan struct{}
}

// Update runs fn in a transaction and returns when it is durable. It shares the
// transaction with other callers; an error or a panic of fn undoes fn's part alone.
// fn may run more than once and must do nothing but use tx: no calls to other nodes,
// no channels, no Update of this store, which would wait for itself. When ctx ends
// before fn was begun, Update returns its error and fn does not run; after that
// Update waits for the outcome. The error is fn's own, or of kind Unavailable when
// the queue is full, the store is closed or the database cannot be written.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := s.enqueue(j); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-j.done
	}
	if j.err != nil {
		return j.err
	}
	for _, fn := range j.after {
		fn()
	}
	return nil
}

func (s *Store) enqueue(j *job) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed()
	}
	select {
	case s.queue <- j:
		return nil
	default:
		return &errs.Error{Kind: errs.Unavailable, Msg: "too many writes are waiting", RetryAfter: retryAfter}
	}
}

// write is the only goroutine that writes. It ends when the queue is closed and
// empty.
func (s *Store) write() {
	var batch []*job
	ended := false
	defer func() {
		if ended {
			close(s.stopped)
			return
		}
		// A function ended its goroutine, as testing.T.Fatal does, and this is
		// it. Nothing of the batch was committed.
		for _, j := range batch {
			j.err = errs.E(errs.Internal, "store: a function ended the writer's goroutine")
			close(j.done)
		}
		go s.write()
	}()
	ctx := context.Background()
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for n := 1; ; n++ {
		var first *job
		var open bool
		idle.Reset(idleAfter)
		for first == nil {
			select {
			case first, open = <-s.queue:
				if !open {
					ended = true
					return
				}
			case <-idle.C:
				s.eng.Idle(ctx)
			}
		}
		batch = s.gather(batch[:0], first)
		s.commit(ctx, batch)
		for i, j := range batch {
			close(j.done)
			batch[i] = nil
		}
		batch = batch[:0]
		if n%pressureEvery == 0 {
			s.eng.Pressure(ctx)
		}
	}
}

// gather takes what else is queued and still wanted.
func (s *Store) gather(batch []*job, first *job) []*job {
	// Callers that the last commit released are about to queue again; letting
	// them do so first makes one transaction of what would become two.
	runtime.Gosched()
	take := func(j *job) {
		if j.taken.CompareAndSwap(false, true) {
			batch = append(batch, j)
		}
	}
	take(first)
	for len(batch) < s.batch {
		select {
		case j, open := <-s.queue:
			if !open {
				return batch
			}
			take(j)
		default:
			return batch
		}
	}
	return batch
}

// commit brings every job of the batch to its end: its err is set or it is
// durable.
func (s *Store) commit(ctx context.Context, batch []*job) {
	if len(batch) == 0 {
		return
	}
	for try, dials := 1, 1; ; try++ {
		err := s.attempt(ctx, batch)
		if err == nil {
			return
		}
		class := sqltext.ClassOf(err)
		switch {
		case class == sqltext.Retry && try < maxTries:
		case class == sqltext.Unreachable && dials < maxDials:
			dials++
		case (class == sqltext.Retry || class == sqltext.Busy || class == sqltext.Other || isConstraint(class)) && len(batch) > 1:
			// One of them may be the cause; alone, it fails alone.
			for i := range batch {
				s.commit(ctx, batch[i:i+1])
			}
			return
		default:
			s.giveUp(ctx, batch, class, err)
			return
		}
		time.Sleep(rand.N(min(maxWait, 5*time.Millisecond<<min(try, 10))))
	}
}

func isConstraint(c sqltext.Class) bool {
	return c == sqltext.Unique || c == sqltext.ForeignKey || c == sqltext.Check
}

func (s *Store) giveUp(ctx context.Context, batch []*job, class sqltext.Class, err error) {
	s.log.LogAttrs(ctx, slog.LevelError, "store.write_failed",
		slog.Int("updates", len(batch)), slog.String("error", err.Error()))
	var out error
	switch class {
	case sqltext.Unreachable:
		out = errs.With(errs.Unavailable, err, "the database cannot be reached")
	case sqltext.Unknown:
		out = errs.With(errs.Unavailable, err, "the database went away during the commit: whether the change was made is not known")
	case sqltext.Retry, sqltext.Busy:
		out = errs.With(errs.Unavailable, err, "the database is busy")
	case sqltext.Full:
		out = errs.With(errs.Unavailable, err, "the database cannot be written")
	default:
		out = errs.With(errs.Internal, err, "the change could not be committed")
	}
	for _, j := range batch {
		j.err = out
	}
}

// attempt runs the batch as one transaction. An error means that nothing was
// committed and no job has its outcome, except that a commit of class Unknown may
// have happened.
func (s *Store) attempt(ctx context.Context, batch []*job) (err error) {
	w, first, err := s.eng.Begin(ctx, nodeStateQuery+s.eng.LockSuffix())
	if err != nil {
		return err
	}
	defer w.Rollback(ctx) // without effect after Commit; also when a function ends the goroutine
	var st nodeState
	if err := st.scan(first); err != nil {
		return err
	}
	s.clock.Restore(st.hlc)
	var total Tx // what the jobs that succeeded want in common
	kept := 0
	for _, j := range batch {
		tx := &Tx{s: s, w: w, ctx: ctx}
		if err := s.part(ctx, tx, j, len(batch) > 1); err != nil {
			return err
		}
		if j.err != nil {
			continue
		}
		kept++
		j.after = tx.after
		total.events = append(total.events, tx.events...)
		total.ticked = total.ticked || tx.ticked
		total.touched = total.touched || tx.touched
	}
	if kept == 0 {
		return nil
	}
	if err := w.Commit(ctx, s.finish(&st, &total)); err != nil {
		return err
	}
	s.announce(st.revision)
	return nil
}

// part runs one job and leaves in j.err what its own failure is; it returns an
// error when the whole transaction is lost.
func (s *Store) part(ctx context.Context, tx *Tx, j *job, shared bool) error {
	if shared {
		if err := tx.w.Savepoint(ctx); err != nil {
			return err
		}
	}
	j.err = s.call(tx, j.fn)
	tx.ended = true
	if tx.failed != nil {
		switch sqltext.ClassOf(tx.failed) {
		case sqltext.Retry, sqltext.Busy, sqltext.Full, sqltext.Unreachable, sqltext.Corrupt:
			return tx.failed // these may have ended the whole transaction
		default:
		}
		if j.err == nil {
			j.err = tx.failed
		}
	}
	switch {
	case !shared:
		return nil // a failure alone in its transaction is rolled back with it
	case j.err != nil:
		return tx.w.RollbackTo(ctx)
	}
	return tx.w.Release(ctx)
}

// call runs fn and turns a panic into an error.
func (s *Store) call(tx *Tx, fn func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.LogAttrs(tx.ctx, slog.LevelError, "store.update_panicked",
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = errs.With(errs.Internal, fmt.Errorf("panic: %v", p), "store: an update panicked")
		}
	}()
	return fn(tx)
}

// finish moves the node's state on and returns the statements that record it.
func (s *Store) finish(st *nodeState, total *Tx) []sqltext.Stmt {
	if !total.ticked && !total.touched && len(total.events) == 0 {
		return nil
	}
	last := make([]sqltext.Stmt, 0, len(total.events)+1)
	for _, e := range total.events {
		var n audit.Entry
		n, st.head = audit.Append(st.head, e)
		last = append(last, insertEntry(n))
	}
	if total.ticked {
		st.hlc = s.clock.Last()
	}
	if total.touched {
		st.revision++
	}
	return append(last, st.save())
}

// IsUnique reports whether err says that a unique key exists already.
func IsUnique(err error) bool { return sqltext.ClassOf(err) == sqltext.Unique }

// IsForeignKey reports whether err says that a referenced row is missing or that a
// row is still referenced.
func IsForeignKey(err error) bool { return sqltext.ClassOf(err) == sqltext.ForeignKey }

// IsRefused reports whether err says that a CHECK, a NOT NULL or a trigger refused
// a row.
func IsRefused(err error) bool { return sqltext.ClassOf(err) == sqltext.Check }

// Collect reads all rows with scan, closes them and returns what scan gave.
func Collect[T any](rows Rows, err error, scan func(Row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
