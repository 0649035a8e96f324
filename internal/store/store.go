// Package store keeps the node's state on SQLite or PostgreSQL.
//
// One goroutine writes. It takes whatever callers have queued, runs each caller's
// function in a savepoint of one transaction, and commits once for all: what Update
// acknowledged is on disk. The transaction begins by locking the node's row, which
// holds the clock's high-water mark, the head of the audit chain and the revision of
// identity state; so clock values, audit entries and revisions follow the order of
// commits, also when several processes share one database.
package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/hlc"
	"symbolon/internal/store/postgres"
	"symbolon/internal/store/sqlite"
	"symbolon/internal/store/sqltext"
)

// ErrNoRows is what Scan of a Row returns when the statement gave no row.
var ErrNoRows = sqltext.ErrNoRows

type (
	// Row is the first row of a result.
	Row = sqltext.Row
	// Rows iterates over a result.
	Rows = sqltext.Rows
	// Querier runs statements.
	Querier = sqltext.Querier
)

// engine is what the store needs of SQLite and of PostgreSQL.
type engine interface {
	Begin(ctx context.Context, first string) (sqltext.WriteTx, sqltext.Row, error)
	LockSuffix() string
	Reader() sqltext.Querier
	Snapshot(ctx context.Context, fn func(q sqltext.Querier) error) error
	Idle(ctx context.Context)
	Pressure(ctx context.Context)
	Check(ctx context.Context, limit int) ([]string, error)
	Close(ctx context.Context) error
}

var (
	_ engine = (*sqlite.Engine)(nil)
	_ engine = (*postgres.Engine)(nil)
)

// Options say which database to open. Now and one of URL and Dir are required.
type Options struct {
	// URL is a postgres:// URL, or empty for the SQLite file in Dir.
	URL string
	Dir string
	// Now is the wall clock.
	Now func() time.Time
	// Log gets what nobody is told otherwise; nil discards it.
	Log *slog.Logger
	// Queue bounds how many updates may wait; zero means DefaultQueue.
	Queue int
	// Batch bounds how many updates share a transaction; zero means
	// DefaultBatch.
	Batch int
}

// The defaults of [Options]: a queue that a disk works off in about a second, and a
// transaction that holds the node's row for some milliseconds.
const (
	DefaultQueue = 4096
	DefaultBatch = 256
)

// PollInterval is how often Run looks for changes made by other processes.
const PollInterval = 200 * time.Millisecond

// closeTimeout bounds how long Close waits for readers.
const closeTimeout = 10 * time.Second

// A Store is an open database. Its methods are safe for concurrent use.
type Store struct {
	identityReads // answered from committed state, by any reader
	factReads     // likewise
	peerReads     // likewise

	eng     engine
	dialect sqltext.Dialect
	now     func() time.Time
	log     *slog.Logger
	clock   hlc.Clock // used by the writer only, between Open and Close

	batch   int
	queue   chan *job
	stopped chan struct{} // closed when the writer has ended

	mu     sync.RWMutex // guards closed, and the queue against being closed under a sender
	closed bool

	revision  atomic.Uint64
	feedMu    sync.Mutex // guards listeners, and keeps their calls in order
	listeners []func(revision uint64)
	announced uint64 // guarded by feedMu
}

// Open opens the database, migrates it and starts the writer. Processes that open
// one database at the same time take turns at migrating it. An error is an
// *[OpenError] that says in one line what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Queue == 0 {
		o.Queue = DefaultQueue
	}
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	eng, d, err := openEngine(ctx, o, true)
	if err != nil {
		return nil, err
	}
	s := &Store{
		eng: eng, dialect: d, now: o.Now, log: o.Log,
		batch: o.Batch, queue: make(chan *job, o.Queue), stopped: make(chan struct{}),
		identityReads: identityReads{q: eng.Reader()}, factReads: factReads{q: eng.Reader()},
		peerReads: peerReads{q: eng.Reader()},
	}
	var st nodeState
	if err := st.scan(eng.Reader().QueryRow(ctx, nodeStateQuery)); err != nil {
		_ = eng.Close(ctx) // the read's error says more
		return nil, damaged(o, err)
	}
	s.clock.Restore(st.hlc)
	s.revision.Store(st.revision)
	s.announced = st.revision
	go s.write()
	return s, nil
}

// Dialect names the engine.
func (s *Store) Dialect() sqltext.Dialect { return s.dialect }

// Reader runs single statements that only read. Each may see a newer state than
// the one before.
func (s *Store) Reader() Querier { return s.eng.Reader() }

// View runs fn on one unchanging state of the database. fn must not write, and must
// close its Rows before its next statement.
func (s *Store) View(ctx context.Context, fn func(q Querier) error) error {
	return s.eng.Snapshot(ctx, fn)
}

// Health reports whether the database answers and the writer runs.
func (s *Store) Health(ctx context.Context) error {
	select {
	case <-s.stopped:
		return errClosed()
	default:
	}
	var n int64
	if err := s.eng.Reader().QueryRow(ctx, "SELECT id FROM node_state").Scan(&n); err != nil {
		return errs.With(errs.Unavailable, err, "the database does not answer")
	}
	return nil
}

// Check looks for damage in the database file and describes at most limit places.
// It reads the whole file. PostgreSQL checks its own pages.
func (s *Store) Check(ctx context.Context, limit int) ([]string, error) {
	return s.eng.Check(ctx, limit)
}

// Close commits what is queued, refuses what comes later and closes the database.
// Closing twice is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.stopped
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.stopped
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.eng.Close(ctx)
}

func errClosed() error { return errs.E(errs.Unavailable, "the store is closed") }
