// Package postgres keeps the store in a PostgreSQL database, which several
// processes may share.
//
// One connection writes and a pool reads. A write transaction begins by locking
// the node's row, so that transactions of all processes follow each other and the
// order of clocks is the order of commits. Nothing here needs more of the engine
// than transactions: advisory locks and notifications are not used.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"symbolon/internal/store/sqltext"
)

const (
	maxReaders = 8
	// dialTimeout bounds one attempt to connect.
	dialTimeout = 5 * time.Second
	// txTimeout bounds a write transaction as seen from here; a connection
	// that does not answer for so long is given up.
	txTimeout = 60 * time.Second
	// statements is how many prepared statements each connection keeps.
	statements = 256
)

// The server gives up on us as well: a process that stops in the middle of a
// transaction must not keep the node's row locked.
var sessionParams = map[string]string{
	"application_name":                    "symbolon",
	"statement_timeout":                   "30000",
	"lock_timeout":                        "20000",
	"idle_in_transaction_session_timeout": "30000",
	"client_encoding":                     "UTF8",
}

// An Engine is an open database.
type Engine struct {
	pool   *pgxpool.Pool
	config *pgx.ConnConfig // of the writer
	writer *pgx.Conn       // nil until the first use and after a failure
}

// Open connects to the database that url names. It does not look at the schema.
func Open(ctx context.Context, url string) (*Engine, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for k, v := range sessionParams {
		pc.ConnConfig.RuntimeParams[k] = v
	}
	pc.ConnConfig.ConnectTimeout = dialTimeout
	pc.ConnConfig.StatementCacheCapacity = statements
	pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	wc := pc.ConnConfig.Copy()
	pc.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	pc.MaxConns = maxReaders
	pc.MinConns = 0
	pc.MaxConnIdleTime = 5 * time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, classify(err)
	}
	e := &Engine{pool: pool, config: wc}
	if err := e.connect(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return e, nil
}

// Name returns the host and the database, without the user's secrets.
func (e *Engine) Name() string {
	return fmt.Sprintf("%s:%d/%s", e.config.Host, e.config.Port, e.config.Database)
}

// ConnConfig returns a copy of the writer's settings, for the migrations.
func (e *Engine) ConnConfig() *pgx.ConnConfig { return e.config.Copy() }

// durable undoes a server's setting that lets a crash lose acknowledged commits;
// one that asks for more than a local disk is left alone.
const durable = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"

func (e *Engine) connect(ctx context.Context) error {
	if e.writer != nil && !e.writer.IsClosed() {
		return nil
	}
	c, err := pgx.ConnectConfig(ctx, e.config)
	if err != nil {
		e.writer = nil
		return classify(err)
	}
	if _, err := c.Exec(ctx, durable); err != nil {
		_ = c.Close(ctx) // the statement's error says more
		e.writer = nil
		return classify(err)
	}
	e.writer = c
	return nil
}

// LockSuffix is what a SELECT appends to lock its row until the transaction ends.
func (e *Engine) LockSuffix() string { return " FOR UPDATE" }

// Begin starts the write transaction and runs first, in one round trip. A
// connection that was lost is made anew.
func (e *Engine) Begin(ctx context.Context, first string) (sqltext.WriteTx, sqltext.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	if err := e.connect(ctx); err != nil {
		cancel()
		return nil, nil, err
	}
	t := &writeTx{ctx: ctx, cancel: cancel, c: e.writer}
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue(first)
	br := e.writer.SendBatch(ctx, b)
	_, err := br.Exec()
	var r row
	if err == nil {
		var pr pgx.Rows
		pr, err = br.Query()
		if err == nil {
			r = readFirst(&rows{r: pr})
			err = r.err
		}
	}
	if cerr := br.Close(); err == nil {
		err = cerr
	}
	if err != nil && !errors.Is(err, sqltext.ErrNoRows) {
		err = classify(err)
		t.Rollback(ctx)
		return nil, nil, err
	}
	return t, r, nil
}

// A writeTx sends its savepoints along with the statement that follows them, so
// that they cost no round trip of their own.
type writeTx struct {
	ctx    context.Context // bounds the whole transaction
	cancel context.CancelFunc
	c      *pgx.Conn
	cur    *rows
	done   bool
	wanted bool // a savepoint is to be set before the next statement
	set    bool // one exists on the server
}

// ahead is what must be sent before the next statement.
func (t *writeTx) ahead() []string {
	switch {
	case !t.wanted:
		return nil
	case t.set:
		t.wanted = false
		return []string{"RELEASE SAVEPOINT job", "SAVEPOINT job"}
	}
	t.wanted, t.set = false, true
	return []string{"SAVEPOINT job"}
}

func (t *writeTx) Exec(_ context.Context, query string, args ...any) (int64, error) {
	if t.cur != nil {
		return 0, sqltext.ErrRowsOpen
	}
	ahead := t.ahead()
	if ahead == nil {
		return execute(t.ctx, t.c, query, args)
	}
	br, err := t.send(ahead, query, args)
	if err != nil {
		return 0, err
	}
	tag, err := br.Exec()
	if cerr := br.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), classify(err)
}

func (t *writeTx) Query(_ context.Context, query string, args ...any) (sqltext.Rows, error) {
	if t.cur != nil {
		return nil, sqltext.ErrRowsOpen
	}
	r, err := t.start(query, args)
	if err != nil {
		return nil, err
	}
	t.cur = r
	return r, nil
}

func (t *writeTx) start(query string, args []any) (*rows, error) {
	ahead := t.ahead()
	if ahead == nil {
		return start(t.ctx, t.c, query, args, func() error { t.cur = nil; return nil })
	}
	br, err := t.send(ahead, query, args)
	if err != nil {
		return nil, err
	}
	pr, err := br.Query()
	if err != nil {
		_ = br.Close() // the query's error says more
		return nil, classify(err)
	}
	return &rows{r: pr, done: func() error { t.cur = nil; return br.Close() }}, nil
}

// send sends statements in one round trip and returns the results at the last
// one.
func (t *writeTx) send(ahead []string, query string, args []any) (pgx.BatchResults, error) {
	conv, err := sqltext.Args(args)
	if err != nil {
		t.wanted = true // nothing was sent
		t.set = len(ahead) > 1
		return nil, err
	}
	b := &pgx.Batch{}
	for _, q := range ahead {
		b.Queue(q)
	}
	b.Queue(query, conv...)
	br := t.c.SendBatch(t.ctx, b)
	for range ahead {
		if _, err := br.Exec(); err != nil {
			_ = br.Close() // the statement's error says more
			return nil, classify(err)
		}
	}
	return br, nil
}

func (t *writeTx) QueryRow(_ context.Context, query string, args ...any) sqltext.Row {
	if t.cur != nil {
		return row{err: sqltext.ErrRowsOpen}
	}
	r, err := t.start(query, args)
	if err != nil {
		return row{err: err}
	}
	return readFirst(r)
}

func (t *writeTx) abandon() {
	if t.cur != nil {
		t.cur.Close()
	}
}

func (t *writeTx) Savepoint(context.Context) error {
	t.wanted = true
	return nil
}

// Release leaves the savepoint to the next one, or to the commit.
func (t *writeTx) Release(context.Context) error {
	t.abandon()
	t.wanted = false
	return nil
}

func (t *writeTx) RollbackTo(context.Context) error {
	t.abandon()
	if t.wanted {
		t.wanted = false
		return nil // nothing was sent since
	}
	return t.do("ROLLBACK TO SAVEPOINT job")
}

func (t *writeTx) do(text string) error {
	_, err := execute(t.ctx, t.c, text, nil)
	return err
}

// Commit sends the last statements and COMMIT in one round trip. If one fails the
// server skips those behind it, COMMIT included.
func (t *writeTx) Commit(ctx context.Context, last []sqltext.Stmt) error {
	t.abandon()
	b := &pgx.Batch{}
	for _, s := range last {
		args, err := sqltext.Args(s.Args)
		if err != nil {
			t.Rollback(ctx)
			return err
		}
		b.Queue(s.Query, args...)
	}
	b.Queue("COMMIT")
	br := t.c.SendBatch(t.ctx, b)
	committed, err := results(br, len(last))
	cerr := br.Close()
	if committed {
		// Whatever happened to the connection since, the server has said so.
		t.done = true
		t.cancel()
		return nil
	}
	if err == nil {
		err = cerr
	}
	err = t.commitError(err)
	t.Rollback(ctx)
	return err
}

// commitError tells a refused commit from one whose outcome is not known: the
// server had the whole transaction when the connection went.
func (t *writeTx) commitError(err error) error {
	var pe *pgconn.PgError
	refused := errors.As(err, &pe) && pe.Severity == "ERROR"
	if !refused && t.c.IsClosed() {
		return &sqltext.Error{Class: sqltext.Unknown, Err: err}
	}
	return classify(err)
}

func results(br pgx.BatchResults, n int) (committed bool, err error) {
	for range n {
		tag, err := br.Exec()
		if err != nil {
			return false, err
		}
		if tag.RowsAffected() != 1 {
			// COMMIT is on its way already.
			return false, &sqltext.Error{Class: sqltext.Unknown, Err: fmt.Errorf("a statement of the commit changed %d rows, want 1", tag.RowsAffected())}
		}
	}
	tag, err := br.Exec()
	if err == nil && tag.String() != "COMMIT" {
		return false, fmt.Errorf("commit: the server answered %q", tag.String())
	}
	return err == nil, err
}

func (t *writeTx) Rollback(context.Context) {
	if t.done {
		return
	}
	t.done = true
	t.abandon()
	if err := t.do("ROLLBACK"); err != nil {
		// What state the connection is in is not known; the next transaction
		// gets a new one.
		_ = t.c.Close(t.ctx)
	}
	t.cancel()
}

// Reader returns single statements on the reading pool.
func (e *Engine) Reader() sqltext.Querier { return reader{e.pool} }

type reader struct{ db queryer }

func (r reader) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return execute(ctx, r.db, query, args)
}

func (r reader) Query(ctx context.Context, query string, args ...any) (sqltext.Rows, error) {
	rs, err := start(ctx, r.db, query, args, nil)
	if err != nil {
		return nil, err
	}
	return rs, nil
}

func (r reader) QueryRow(ctx context.Context, query string, args ...any) sqltext.Row {
	return first(ctx, r.db, query, args)
}

// Snapshot runs fn on one unchanging state of the database.
func (e *Engine) Snapshot(ctx context.Context, fn func(q sqltext.Querier) error) error {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return classify(err)
	}
	defer c.Release()
	// The first statement, not BEGIN, decides which state is seen.
	b := &pgx.Batch{}
	b.Queue("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
	b.Queue("SELECT 1")
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return classify(err)
	}
	tctx, cancel := context.WithCancel(ctx)
	t := &writeTx{ctx: tctx, cancel: cancel, c: c.Conn()}
	defer func() {
		t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
		t.Rollback(ctx)
		cancel()
	}()
	return fn(t)
}

// Idle and Pressure do nothing: the server looks after its own log.
func (e *Engine) Idle(context.Context) {}

// Pressure does nothing.
func (e *Engine) Pressure(context.Context) {}

// Check finds nothing: the server checks its own pages.
func (e *Engine) Check(context.Context, int) ([]string, error) { return nil, nil }

// Close closes all connections; it waits for readers still at work.
func (e *Engine) Close(ctx context.Context) error {
	e.pool.Close()
	if e.writer == nil {
		return nil
	}
	return e.writer.Close(ctx)
}
