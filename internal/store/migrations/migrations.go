// Package migrations holds the schema as numbered files and brings a database up
// to it.
//
// A file is written once for both engines. {{text}} is text that compares by bytes;
// {{bytes}}, {{bigint_key}} and {{without_rowid}} are the other tokens; what one engine
// alone has stands between a line "-- +sqlite" or "-- +postgres" and "-- +both".
// Migrations go forward only, and a file that was released is never changed.
package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"symbolon/internal/store/sqltext"
)

//go:embed *.sql
var files embed.FS

// Table is where a database records which migrations it has.
const Table = "symbolon_migrations"

// A Migration is one numbered file.
type Migration struct {
	Version int64
	Name    string
	Text    string // before rendering
}

// All returns the migrations in order.
func All() ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []Migration
	for _, name := range names {
		number, rest, ok := strings.Cut(strings.TrimSuffix(name, ".sql"), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("migrations: %s: want NNNN_name.sql", name)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, Migration{Version: v, Name: rest, Text: string(text)})
	}
	return out, nil
}

// Latest is the version that this binary brings a database to.
func Latest() int64 {
	all, err := All()
	if err != nil || len(all) == 0 {
		return 0 // the files are embedded; a test reads them all
	}
	return all[len(all)-1].Version
}

// Up applies what is missing, each migration in a transaction of its own. With a
// locker, processes that start together take turns.
func Up(ctx context.Context, db *sql.DB, d sqltext.Dialect, locker lock.SessionLocker) error {
	rendered, err := render(d)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{goose.WithTableName(Table), goose.WithDisableGlobalRegistry(true)}
	if locker != nil {
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	dialect := goose.DialectSQLite3
	if d == sqltext.PostgreSQL {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db, rendered, opts...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

// Applied reads which versions the database has; none when it never was
// migrated.
func Applied(ctx context.Context, q sqltext.Querier) ([]int64, error) {
	rows, err := q.Query(ctx, "SELECT version_id FROM "+Table+" WHERE is_applied AND version_id > 0 ORDER BY version_id")
	if sqltext.ClassOf(err) == sqltext.NoTable {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if err := rows.Err(); sqltext.ClassOf(err) != sqltext.NoTable && err != nil {
		return nil, err
	}
	return out, nil
}

func render(d sqltext.Dialect) (fs.FS, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	m := memory{}
	for _, f := range all {
		name := fmt.Sprintf("%04d_%s.sql", f.Version, f.Name)
		text, err := d.Render(f.Text)
		if err != nil {
			return nil, fmt.Errorf("migrations: %s: %w", name, err)
		}
		m[name] = text
	}
	return m, nil
}

// memory is a file system of one directory, for the rendered texts.
type memory map[string]string

func (m memory) Open(name string) (fs.File, error) {
	if name == "." {
		return &dir{m: m}, nil
	}
	text, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{info: info{name: name, size: int64(len(text))}, Reader: bytes.NewReader([]byte(text))}, nil
}

type file struct {
	info
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Size() int64                { return f.size }
func (f *file) Close() error               { return nil }

type dir struct {
	m    memory
	done bool
}

func (d *dir) Stat() (fs.FileInfo, error) { return info{name: ".", dir: true}, nil }
func (d *dir) Read([]byte) (int, error)   { return 0, errors.New("is a directory") }
func (d *dir) Close() error               { return nil }

func (d *dir) ReadDir(int) ([]fs.DirEntry, error) {
	if d.done {
		return nil, io.EOF
	}
	d.done = true
	var out []fs.DirEntry
	for name, text := range d.m {
		out = append(out, fs.FileInfoToDirEntry(info{name: name, size: int64(len(text))}))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string       { return path.Base(i.name) }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o500
	}
	return 0o400
}
