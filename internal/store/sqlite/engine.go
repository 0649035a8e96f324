// Package sqlite keeps the store in one SQLite file beside the server.
//
// One connection writes and a few read. The file is in WAL mode with full
// synchronisation: a commit has reached the disk when it returns. Cancelling a
// statement of SQLite inside a transaction rolls the whole transaction back, so the
// writer's statements are never cancelled; a reader's are.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"symbolon/internal/store/sqltext"
)

// FileName is the database's name in the data directory.
const FileName = "symbolon.db"

// ApplicationID marks the file as ours in its header: "SYMB".
const ApplicationID = 0x53594d42

const (
	maxReaders = 6
	// busyTimeout is how long a statement waits for another process, such as
	// a command beside the server.
	busyTimeout = 10 * time.Second
	// cacheKiB bounds each connection's page cache. The file is not mapped into
	// memory: a read error would end the process instead of failing a statement.
	cacheKiB = 4096
	// logBytes is how long the write-ahead log may grow before it is copied back
	// without waiting for a pause.
	logBytes = 16 << 20
	pageSize = 4096
	// readerWait bounds how long writers wait for readers that keep the log from
	// starting anew. If they do not finish, the log grows by another logBytes.
	readerWait = 250 * time.Millisecond
	// logWarn is the length at which a reader that never finishes is reported.
	logWarn = 1 << 30
)

// An Engine is an open database file.
type Engine struct {
	path    string
	uri     string // that connections open
	log     *slog.Logger
	writer  *conn         // nil when the file is only looked at
	readers chan *conn    // idle ones
	slots   chan struct{} // one per reader that exists or may be opened
	fresh   int           // pages written since the last checkpoint
	logged  int           // pages in the log, at most
	due     int           // how many may be there before the log must be copied back
	limit   int           // by how much due grows each time
}

// Open opens the file in dir, creating it and the directory when they are
// missing. It does not look at the schema.
func Open(ctx context.Context, dir string, log *slog.Logger) (*Engine, error) {
	path, err := prepareFile(dir, FileName)
	if err != nil {
		return nil, err
	}
	w, err := dial(ctx, uri(path), writerPragmas())
	if err != nil {
		return nil, err
	}
	return newEngine(path, uri(path), w, log), nil
}

func newEngine(path, uri string, w *conn, log *slog.Logger) *Engine {
	e := &Engine{path: path, uri: uri, log: log, writer: w, readers: make(chan *conn, maxReaders), slots: make(chan struct{}, maxReaders), due: logBytes / pageSize, limit: logBytes / pageSize}
	for range maxReaders {
		e.slots <- struct{}{}
	}
	return e
}

// Path returns the file's path.
func (e *Engine) Path() string { return e.path }

func uri(path string) string {
	path = filepath.ToSlash(path)
	if path[0] != '/' {
		path = "/" + path // a drive's letter
	}
	u := url.URL{Scheme: "file", Path: path}
	return u.String() + "?_dqs=0&_error_rc=1"
}

func commonPragmas() []string {
	return []string{
		wait(busyTimeout),
		"PRAGMA foreign_keys = ON",
		"PRAGMA case_sensitive_like = ON", // as on PostgreSQL
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheKiB),
		"PRAGMA temp_store = MEMORY",
		"PRAGMA trusted_schema = OFF",
	}
}

func writerPragmas() []string {
	return append(commonPragmas(),
		"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = FULL",
		"PRAGMA wal_autocheckpoint = 0", // the writer does it when idle
		fmt.Sprintf("PRAGMA journal_size_limit = %d", logBytes),
	)
}

func wait(d time.Duration) string {
	return fmt.Sprintf("PRAGMA busy_timeout = %d", d.Milliseconds())
}

func readerPragmas() []string { return append(commonPragmas(), "PRAGMA query_only = ON") }

// prepareFile makes the directory and the file with modes that keep others out;
// SQLite gives the log and the shared memory the mode of the file.
func prepareFile(dir, name string) (string, error) {
	if dir == "" {
		return "", errors.New("no data directory is given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", err
	}
	if err := tighten(abs, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(abs, name)
	// An existing file is not opened here: closing it would drop the locks that
	// other connections of this process hold on it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	for _, suffix := range [...]string{"", "-wal", "-shm"} {
		if err := tighten(path+suffix, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return path, nil
}

// tighten takes permissions beyond mode away.
func tighten(path string, mode fs.FileMode) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode().Perm()&^mode == 0 {
		return nil
	}
	return os.Chmod(path, fi.Mode().Perm()&mode)
}

// Begin starts the write transaction at once, so that it cannot lose to another
// writer later, and runs first.
func (e *Engine) Begin(ctx context.Context, first string) (sqltext.WriteTx, sqltext.Row, error) {
	if _, err := e.writer.execute(ctx, "BEGIN IMMEDIATE", nil); err != nil {
		return nil, nil, err
	}
	return &writeTx{c: e.writer}, e.writer.first(ctx, first, nil), nil
}

// LockSuffix is what a SELECT appends to lock its row: nothing, as the whole
// database has one writer.
func (e *Engine) LockSuffix() string { return "" }

type writeTx struct {
	c    *conn
	done bool
}

func (t *writeTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return t.c.execute(ctx, query, args)
}

func (t *writeTx) Query(ctx context.Context, query string, args ...any) (sqltext.Rows, error) {
	r, err := t.c.query(ctx, query, args, nil)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (t *writeTx) QueryRow(ctx context.Context, query string, args ...any) sqltext.Row {
	return t.c.first(ctx, query, args)
}

func (t *writeTx) Savepoint(ctx context.Context) error { return t.do(ctx, "SAVEPOINT job") }

func (t *writeTx) Release(ctx context.Context) error {
	t.c.abandon()
	return t.do(ctx, "RELEASE job")
}

func (t *writeTx) RollbackTo(ctx context.Context) error {
	t.c.abandon()
	if err := t.do(ctx, "ROLLBACK TO job"); err != nil {
		return err
	}
	return t.do(ctx, "RELEASE job")
}

func (t *writeTx) do(ctx context.Context, text string) error {
	_, err := t.c.execute(ctx, text, nil)
	return err
}

func (t *writeTx) Commit(ctx context.Context, last []sqltext.Stmt) error {
	t.c.abandon()
	for _, s := range last {
		n, err := t.c.execute(ctx, s.Query, s.Args)
		if err == nil && n != 1 {
			err = fmt.Errorf("a statement of the commit changed %d rows, want 1", n)
		}
		if err != nil {
			t.Rollback(ctx)
			return err
		}
	}
	if err := t.do(ctx, "COMMIT"); err != nil {
		t.Rollback(ctx)
		return err
	}
	t.done = true
	return nil
}

func (t *writeTx) Rollback(ctx context.Context) {
	if t.done {
		return
	}
	t.done = true
	t.c.abandon()
	// Some errors have rolled the transaction back already; then this fails and
	// nothing is lost.
	_ = t.do(ctx, "ROLLBACK")
}

// acquire returns a reading connection, waiting for one if all are in use.
func (e *Engine) acquire(ctx context.Context) (*conn, error) {
	select {
	case c := <-e.readers:
		return c, nil
	default:
	}
	select {
	case c := <-e.readers:
		return c, nil
	case <-e.slots:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := dial(ctx, e.uri, readerPragmas())
	if err != nil {
		e.slots <- struct{}{}
		return nil, err
	}
	return c, nil
}

func (e *Engine) release(c *conn) { e.readers <- c }

// Reader returns single statements on the reading connections.
func (e *Engine) Reader() sqltext.Querier { return reader{e} }

type reader struct{ e *Engine }

func (r reader) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	c, err := r.e.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer r.e.release(c)
	return c.execute(ctx, query, args)
}

func (r reader) Query(ctx context.Context, query string, args ...any) (sqltext.Rows, error) {
	c, err := r.e.acquire(ctx)
	if err != nil {
		return nil, err
	}
	rs, err := c.query(ctx, query, args, func() { r.e.release(c) })
	if err != nil {
		r.e.release(c)
		return nil, err
	}
	return rs, nil
}

func (r reader) QueryRow(ctx context.Context, query string, args ...any) sqltext.Row {
	c, err := r.e.acquire(ctx)
	if err != nil {
		return row{err: err}
	}
	defer r.e.release(c)
	return c.first(ctx, query, args)
}

// Snapshot runs fn on one unchanging state of the database.
func (e *Engine) Snapshot(ctx context.Context, fn func(q sqltext.Querier) error) error {
	c, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer e.release(c)
	// A read transaction begins with its first read.
	if _, err := c.execute(context.WithoutCancel(ctx), "BEGIN", nil); err != nil {
		return err
	}
	t := &writeTx{c: c}
	defer t.Rollback(context.WithoutCancel(ctx))
	if err := t.QueryRow(ctx, "SELECT id FROM node_state").Scan(new(any)); err != nil {
		return err
	}
	return fn(t)
}

// Idle copies the write-ahead log back into the database, as far as no reader is
// in the way. The writer calls it when nothing waits to be written.
func (e *Engine) Idle(ctx context.Context) {
	if e.count(ctx); e.fresh > 0 {
		e.checkpoint(ctx, "PASSIVE")
	}
}

// Pressure does the same when the log has grown long although the writer was never
// idle, and lets it start anew. The writer calls it between transactions.
func (e *Engine) Pressure(ctx context.Context) {
	if e.count(ctx); e.logged < e.due {
		return
	}
	if err := e.writer.run(ctx, wait(readerWait)); err != nil {
		e.warn(ctx, err)
		return
	}
	e.checkpoint(ctx, "RESTART")
	if err := e.writer.run(ctx, wait(busyTimeout)); err != nil {
		e.warn(ctx, err)
	}
}

// count adds what was written since the last call.
func (e *Engine) count(ctx context.Context) {
	n, err := e.writer.pagesWritten()
	if err != nil {
		e.warn(ctx, err)
	}
	e.fresh += n
	e.logged += n
}

func (e *Engine) checkpoint(ctx context.Context, mode string) {
	var busy, inLog, copied int
	if err := e.writer.first(ctx, "PRAGMA wal_checkpoint("+mode+")", nil).Scan(&busy, &inLog, &copied); err != nil {
		e.warn(ctx, err)
		return
	}
	e.fresh, e.logged, e.due = 0, inLog, inLog+e.limit
	if mode == "RESTART" && busy == 0 {
		e.logged, e.due = 0, e.limit
	}
	if inLog*pageSize > logWarn {
		e.warn(ctx, fmt.Errorf("the write-ahead log has %d pages: a reader does not finish", inLog))
	}
}

func (e *Engine) warn(ctx context.Context, err error) {
	e.log.LogAttrs(ctx, slog.LevelWarn, "store.checkpoint_failed", slog.String("error", err.Error()))
}

// Check asks SQLite for what is wrong with the file, at most limit lines. It
// reads the whole file.
func (e *Engine) Check(ctx context.Context, limit int) ([]string, error) {
	rs, err := e.Reader().Query(ctx, fmt.Sprintf("PRAGMA integrity_check(%d)", limit))
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var lines []string
	for rs.Next() {
		var s string
		if err := rs.Scan(&s); err != nil {
			return nil, err
		}
		if s != "ok" {
			lines = append(lines, s)
		}
	}
	return lines, rs.Err()
}

// Close closes all connections. The caller has stopped using the engine; a
// reading connection still in use is waited for until ctx is done.
func (e *Engine) Close(ctx context.Context) error {
	var errList []error
	for open := maxReaders; open > 0; open-- {
		select {
		case c := <-e.readers:
			errList = append(errList, c.close())
		case <-e.slots:
		case <-ctx.Done():
			return errors.Join(append(errList, ctx.Err(), e.closeWriter())...)
		}
	}
	return errors.Join(append(errList, e.closeWriter())...)
}

func (e *Engine) closeWriter() error {
	if e.writer == nil {
		return nil
	}
	return e.writer.close()
}
