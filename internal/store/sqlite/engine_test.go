package sqlite

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"symbolon/internal/store/sqltext"
)

func open(t *testing.T) *Engine {
	t.Helper()
	e, err := Open(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	write(t, e, "CREATE TABLE node_state (id TEXT)")
	write(t, e, "INSERT INTO node_state VALUES (1)")
	return e
}

func write(t *testing.T, e *Engine, query string, args ...any) {
	t.Helper()
	w, _, err := e.Begin(t.Context(), "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func logSize(t *testing.T, e *Engine) int64 {
	t.Helper()
	fi, err := os.Stat(e.Path() + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

func TestADirectoryMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b%41?c=d#ü&'")
	e, err := Open(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	write(t, e, "CREATE TABLE node_state (id TEXT)")
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, FileName)); err != nil || fi.Size() == 0 {
		t.Errorf("the file is not where it belongs: %v", err)
	}
}

// The log stays short under load without a pause, with readers that come and go.
func TestTheLogIsCopiedBackUnderLoad(t *testing.T) {
	t.Parallel()
	e := open(t)
	e.limit, e.due = 64, 64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range 2 {
		go func() {
			for ctx.Err() == nil {
				_ = e.Snapshot(ctx, func(sqltext.Querier) error { time.Sleep(time.Millisecond); return nil })
			}
			done <- struct{}{}
		}()
	}
	pad := strings.Repeat("x", 3000)
	for range 250 {
		write(t, e, "INSERT INTO node_state VALUES ($1)", pad)
		e.Pressure(t.Context())
	}
	cancel()
	<-done
	<-done
	if got, most := logSize(t, e), int64(500*pageSize); got > most {
		t.Errorf("the log has %d bytes, want at most %d", got, most)
	}
}

// A reader that does not finish must not stop the writer: the log grows instead.
func TestALongReaderDelaysTheWriterLittle(t *testing.T) {
	t.Parallel()
	e := open(t)
	e.limit, e.due = 64, 64
	release, reading := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- e.Snapshot(t.Context(), func(sqltext.Querier) error { close(reading); <-release; return nil })
	}()
	<-reading
	pad := strings.Repeat("x", 3000)
	waited := 0
	for range 150 {
		write(t, e, "INSERT INTO node_state VALUES ($1)", pad)
		start := time.Now()
		e.Pressure(t.Context())
		if time.Since(start) > readerWait/2 {
			waited++
		}
	}
	if waited == 0 || waited > 150*4/64 {
		t.Errorf("the writer waited %d times for the reader; want at most once for 64 pages", waited)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for range 64 {
		write(t, e, "INSERT INTO node_state VALUES ($1)", pad)
		e.Pressure(t.Context())
	}
	if e.logged > 100 {
		t.Errorf("the log still has %d pages after the reader has gone", e.logged)
	}
}

func TestAPauseEmptiesTheLog(t *testing.T) {
	t.Parallel()
	e := open(t)
	e.Idle(t.Context())
	if e.fresh != 0 {
		t.Errorf("%d pages are not copied back", e.fresh)
	}
	var busy, inLog, copied int
	if err := e.writer.first(t.Context(), "PRAGMA wal_checkpoint(PASSIVE)", nil).Scan(&busy, &inLog, &copied); err != nil || inLog != copied {
		t.Errorf("%d pages in the log, %d copied back, %v", inLog, copied, err)
	}
}

func TestStatementsAreKeptButNotForEver(t *testing.T) {
	t.Parallel()
	e := open(t)
	for i := range 2 * maxStatements {
		q := "SELECT " + strings.Repeat(" ", i) + "$1"
		var got int
		if err := e.Reader().QueryRow(t.Context(), q, i).Scan(&got); err != nil || got != i {
			t.Fatalf("statement %d gives %d, %v", i, got, err)
		}
	}
	c := <-e.readers
	if n := len(c.cache); n != maxStatements || c.order.Len() != n {
		t.Errorf("%d statements are kept, want %d", n, maxStatements)
	}
	e.readers <- c
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := e.Reader().QueryRow(ctx, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n").Scan(new(int))
	if err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("an endless query ended with %v after %v", err, time.Since(start))
	}
	if err := e.Reader().QueryRow(t.Context(), "SELECT 1").Scan(new(int)); err != nil {
		t.Errorf("the connection is of no use afterwards: %v", err)
	}
}
