package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
)

// LookAt opens the file in dir for reading alone and makes, changes and recovers
// nothing: a file of another program, a damaged one, or one that a running node
// has open is left as it is. The caller must not begin a transaction. It fails with
// fs.ErrNotExist when there is no file.
func LookAt(ctx context.Context, dir string) (*Engine, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(abs, FileName)
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	var first error
	for _, how := range lookModes(path) {
		e := newEngine(path, how, nil, slog.New(slog.DiscardHandler))
		var n int64
		err := e.Reader().QueryRow(ctx, "SELECT COUNT(*) FROM sqlite_master").Scan(&n)
		if err == nil {
			return e, nil
		}
		if first == nil {
			first = err
		}
		_ = e.Close(ctx) // the query's error says more
	}
	// SQLite does not tell why a file cannot be opened. It is asked for only now:
	// closing a file drops the locks that the process's other connections hold.
	if f, err := os.Open(path); err != nil {
		return nil, err
	} else if err := f.Close(); err != nil {
		return nil, err
	}
	return nil, first
}

// lookModes are the ways of opening a file that nobody may notice, the most
// careful first. Without a log the file is all there is, and nobody writes to it.
// With one the log's index is needed: as it is, if it will do, and otherwise built
// anew in its file, which holds no data.
func lookModes(path string) []string {
	open := func(more string) string {
		u := url.URL{Scheme: "file", Path: path}
		return u.String() + "?_dqs=0&_error_rc=1&mode=ro" + more
	}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		return []string{open("&immutable=1")}
	}
	if _, err := os.Stat(path + "-shm"); err != nil {
		return []string{open("")}
	}
	return []string{open("&readonly_shm=1"), open("")}
}
