// Package sqltext is the SQL that both engines share: the small interface that
// statements run on, how arguments and columns convert, and the few words in which
// the dialects differ.
//
// A statement is written once. Placeholders are $1, $2 …, in any order and as
// often as needed. Arguments and columns are int64, float64, bool, string, []byte or
// NULL on either engine and convert alike, so that a statement which works on one
// engine works on the other or fails in the conformance suite.
package sqltext

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// ErrNoRows is what Scan of a Row returns when the statement gave no row.
var ErrNoRows = errors.New("no rows in result set")

// ErrRowsOpen is returned by a statement that begins while a Rows of the same
// transaction is still open.
var ErrRowsOpen = errors.New("a Rows of this transaction is still open: close it before the next statement")

// A Row is the first row of a result; it is scanned once.
type Row interface {
	// Scan copies the columns into dest and returns ErrNoRows when there was
	// no row, or the statement's own error.
	Scan(dest ...any) error
}

// Rows iterates over a result. Close may be called more than once and must be
// called unless Next returned false.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	// Err returns the error that ended the iteration early, if any.
	Err() error
	Close()
}

// A Querier runs statements.
type Querier interface {
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, query string, args ...any) (affected int64, err error)
	// Query runs a statement that gives rows. Within one transaction the
	// rows must be closed before the next statement.
	Query(ctx context.Context, query string, args ...any) (Rows, error)
	// QueryRow runs a statement and keeps its first row.
	QueryRow(ctx context.Context, query string, args ...any) Row
}

// A Stmt is a statement with its arguments.
type Stmt struct {
	Query string
	Args  []any
}

// A WriteTx is the transaction of an engine's one writer.
type WriteTx interface {
	Querier
	// Savepoint marks a point to which RollbackTo returns; Release forgets
	// it. They do not nest.
	Savepoint(ctx context.Context) error
	Release(ctx context.Context) error
	RollbackTo(ctx context.Context) error
	// Commit runs the statements, each of which must change exactly one row,
	// and makes everything durable. After an error nothing is committed,
	// unless the error's class is [Unknown].
	Commit(ctx context.Context, last []Stmt) error
	// Rollback ends the transaction without effect. It is harmless after
	// Commit.
	Rollback(ctx context.Context)
}

// List returns n placeholders, numbered from first and separated by commas: the
// inside of an IN list.
func List(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return b.String()
}

// EscapeLike returns s with the wildcards of LIKE escaped by a backslash, for
// use with ESCAPE '\'.
func EscapeLike(s string) string { return likeEscaper.Replace(s) }

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
