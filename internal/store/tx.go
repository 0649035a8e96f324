package store

import (
	"context"
	"errors"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/hlc"
	"symbolon/internal/store/sqltext"
)

// A Tx is one caller's part of a write transaction, valid until the function that
// got it returns. It is used by one goroutine. A statement that fails ends it: later
// statements give the same error and nothing of it is kept, on either engine. To
// find that something exists is no failure when the statement says ON CONFLICT.
type Tx struct {
	s       *Store
	w       sqltext.WriteTx
	ctx     context.Context // the writer's; a caller's must not cancel a statement
	events  []audit.Event
	after   []func()
	failed  error
	ticked  bool
	touched bool
	ended   bool
}

var errTxEnded = errors.New("the transaction has ended")

// usable returns why a statement may not run.
func (tx *Tx) usable(ctx context.Context) error {
	if tx.ended {
		return errTxEnded
	}
	if tx.failed == nil {
		tx.failed = ctx.Err()
	}
	return tx.failed
}

func (tx *Tx) fail(err error) error {
	if err != nil && tx.failed == nil {
		tx.failed = err
	}
	return err
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := tx.usable(ctx); err != nil {
		return 0, err
	}
	n, err := tx.w.Exec(tx.ctx, query, args...)
	return n, tx.fail(err)
}

// Query runs a statement that gives rows; they must be closed before the next
// statement.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	if err := tx.usable(ctx); err != nil {
		return nil, err
	}
	r, err := tx.w.Query(tx.ctx, query, args...)
	if err != nil {
		return nil, tx.fail(err)
	}
	return &txRows{Rows: r, tx: tx}, nil
}

// QueryRow runs a statement and keeps its first row.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) Row {
	if err := tx.usable(ctx); err != nil {
		return failedRow{err}
	}
	return txRow{tx.w.QueryRow(tx.ctx, query, args...), tx}
}

// txRows tells the transaction of a failure in the middle of a result.
type txRows struct {
	Rows
	tx *Tx
}

func (r *txRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	_ = r.tx.fail(r.Rows.Err()) // Err gives it to the caller
	return false
}

type txRow struct {
	Row
	tx *Tx
}

func (r txRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if sqltext.ClassOf(err) != sqltext.Other {
		_ = r.tx.fail(err) // returned below
	}
	return err
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// Now returns the wall clock.
func (tx *Tx) Now() time.Time { return tx.s.now() }

// Tick returns the clock value of a local event: greater than every value that
// this node ever gave out in a transaction that committed before.
func (tx *Tx) Tick() hlc.HLC {
	tx.ticked = true
	return tx.s.clock.Now(epoch.MillisOf(tx.s.now()))
}

// Observe returns the clock value of receiving an event that has the value remote
// at its origin. A remote value further ahead than maxFuture or further behind than
// maxPast (zero: no bound) is refused with an *[hlc.SkewError].
func (tx *Tx) Observe(remote hlc.HLC, maxFuture, maxPast time.Duration) (hlc.HLC, error) {
	h, err := tx.s.clock.Observe(remote, epoch.MillisOf(tx.s.now()), hlc.Limits{Future: maxFuture, Past: maxPast})
	if err == nil {
		tx.ticked = true
	}
	return h, err
}

// Audit records e with this transaction. The entry gets its place in the chain at
// the commit and is lost when the transaction fails. An event without instant gets
// the present one; one that cannot be recorded fails the transaction.
func (tx *Tx) Audit(e audit.Event) {
	if e.At == 0 {
		e.At = epoch.MicrosOf(tx.s.now())
	}
	if err := e.Check(); err != nil {
		_ = tx.fail(err) // Update returns it
		return
	}
	tx.events = append(tx.events, e)
}

// TouchIdentity says that identity state changed: the revision grows at the
// commit.
func (tx *Tx) TouchIdentity() { tx.touched = true }

// AfterCommit has fn called once the transaction is durable, before Update returns,
// on the goroutine that called Update. It is not called when the transaction fails.
func (tx *Tx) AfterCommit(fn func()) { tx.after = append(tx.after, fn) }
