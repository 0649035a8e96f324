package sqlite

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"symbolon/internal/store/sqltext"
)

// maxStatements bounds the prepared statements that one connection keeps. The
// product has some two hundred texts; filters multiply a few of them.
const maxStatements = 256

// A conn is one connection with its prepared statements. One goroutine uses it
// at a time.
type conn struct {
	c     driver.Conn
	cache map[string]*list.Element // of *stmt
	order *list.List               // most recently used first
	named []driver.NamedValue      // reused for the arguments of every statement
	cur   *rows                    // the rows being read, or nil
}

type stmt struct {
	text string
	exec driver.StmtExecContext
	qry  driver.StmtQueryContext
	s    driver.Stmt
}

// dial opens a connection to the file that the URI names and runs the pragmas.
func dial(ctx context.Context, uri string, pragmas []string) (*conn, error) {
	dc, err := (&sqlite.Driver{}).Open(uri)
	if err != nil {
		return nil, classify(err)
	}
	c := &conn{c: dc, cache: make(map[string]*list.Element), order: list.New()}
	for _, p := range pragmas {
		if err := c.run(ctx, p); err != nil {
			_ = dc.Close() // the pragma's error says more
			return nil, err
		}
	}
	return c, nil
}

// run executes a statement without arguments and without keeping it.
func (c *conn) run(ctx context.Context, text string) error {
	ec, ok := c.c.(driver.ExecerContext)
	if !ok {
		return errors.New("sqlite: the driver's connection cannot execute")
	}
	_, err := ec.ExecContext(ctx, text, nil)
	return classify(err)
}

func (c *conn) prepare(text string) (*stmt, error) {
	if e, ok := c.cache[text]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*stmt), nil
	}
	ds, err := c.c.Prepare(text)
	if err != nil {
		return nil, classify(err)
	}
	s := &stmt{text: text, s: ds}
	var ok1, ok2 bool
	s.exec, ok1 = ds.(driver.StmtExecContext)
	s.qry, ok2 = ds.(driver.StmtQueryContext)
	if !ok1 || !ok2 {
		return nil, errors.New("sqlite: the driver's statement takes no context")
	}
	c.cache[text] = c.order.PushFront(s)
	if c.order.Len() > maxStatements {
		old := c.order.Remove(c.order.Back()).(*stmt)
		delete(c.cache, old.text)
		_ = old.s.Close() // it is idle; closing frees memory only
	}
	return s, nil
}

// bind converts the arguments into the connection's scratch list, which is valid
// until the next statement.
func (c *conn) bind(args []any) ([]driver.NamedValue, error) {
	named := c.named[:0]
	for i, a := range args {
		v, err := sqltext.Arg(a)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		named = append(named, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	c.named = named
	return named, nil
}

func (c *conn) execute(ctx context.Context, query string, args []any) (int64, error) {
	if c.cur != nil {
		return 0, sqltext.ErrRowsOpen
	}
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	named, err := c.bind(args)
	if err != nil {
		return 0, err
	}
	r, err := s.exec.ExecContext(ctx, named)
	if err != nil {
		return 0, classify(err)
	}
	return r.RowsAffected()
}

// query starts a statement; done is called once when the rows are closed.
func (c *conn) query(ctx context.Context, query string, args []any, done func()) (*rows, error) {
	if c.cur != nil {
		return nil, sqltext.ErrRowsOpen
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	named, err := c.bind(args)
	if err != nil {
		return nil, err
	}
	dr, err := s.qry.QueryContext(ctx, named)
	if err != nil {
		return nil, classify(err)
	}
	c.cur = &rows{c: c, r: dr, vals: make([]driver.Value, len(dr.Columns())), done: done}
	return c.cur, nil
}

// first runs a statement, keeps its first row and lets the statement finish.
func (c *conn) first(ctx context.Context, query string, args []any) row {
	rs, err := c.query(ctx, query, args, nil)
	if err != nil {
		return row{err: err}
	}
	if !rs.Next() {
		err := rs.Err()
		if err == nil {
			err = sqltext.ErrNoRows
		}
		rs.Close()
		return row{err: err}
	}
	// A statement that changes rows must run to its end: RETURNING hands out
	// its rows before all of them are written.
	vals := rs.vals
	rs.vals = make([]driver.Value, len(vals))
	for rs.Next() {
	}
	if err := rs.Err(); err != nil {
		return row{err: err}
	}
	return row{vals: vals}
}

// abandon closes rows that a caller forgot.
func (c *conn) abandon() {
	if c.cur != nil {
		c.cur.Close()
	}
}

// pagesWritten returns how many pages were written since the last call.
func (c *conn) pagesWritten() (int, error) {
	st, ok := c.c.(sqlite.DBStatus)
	if !ok {
		return 0, errors.New("sqlite: the driver's connection counts nothing")
	}
	n, _, err := st.Status(sqlite.DBStatusCacheWrite, true)
	return n, classify(err)
}

func (c *conn) close() error {
	for e := c.order.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*stmt).s.Close() // the connection's own close reports what matters
	}
	return classify(c.c.Close())
}

// rows reads a running statement.
type rows struct {
	c    *conn
	r    driver.Rows
	vals []driver.Value
	err  error
	done func()
	end  bool
}

func (r *rows) Next() bool {
	if r.end {
		return false
	}
	switch err := r.r.Next(r.vals); {
	case err == nil:
		return true
	case !errors.Is(err, io.EOF):
		r.err = classify(err)
	}
	r.Close()
	return false
}

func (r *rows) Scan(dest ...any) error { return scan(r.vals, dest) }

func (r *rows) Err() error { return r.err }

func (r *rows) Close() {
	if r.end {
		return
	}
	r.end = true
	r.c.cur = nil
	if err := r.r.Close(); err != nil && r.err == nil {
		r.err = classify(err)
	}
	if r.done != nil {
		r.done()
	}
}

// row is a row already read.
type row struct {
	vals []driver.Value
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return scan(r.vals, dest)
}

func scan(vals []driver.Value, dest []any) error {
	cols := make([]any, len(vals))
	for i, v := range vals {
		cols[i] = v
	}
	return sqltext.Scan(cols, dest)
}

// classify gives a driver's error its class.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	e := &sqltext.Error{Err: err}
	switch se.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		e.Class = sqltext.Unique
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		e.Class = sqltext.ForeignKey
	case lib.SQLITE_ERROR:
		// The one error that has no code of its own.
		if strings.Contains(se.Error(), "no such table") {
			e.Class = sqltext.NoTable
		}
	default:
		e.Class = classOfPrimary(se.Code() & 0xff)
	}
	return e
}

func classOfPrimary(code int) sqltext.Class {
	switch code {
	case lib.SQLITE_CONSTRAINT:
		return sqltext.Check
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return sqltext.Busy
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_NOMEM:
		return sqltext.Full
	case lib.SQLITE_CORRUPT:
		return sqltext.Corrupt
	case lib.SQLITE_NOTADB:
		return sqltext.NotADatabase
	case lib.SQLITE_CANTOPEN:
		return sqltext.Unreachable
	}
	return sqltext.Other
}
