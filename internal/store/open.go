package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"symbolon/internal/store/migrations"
	"symbolon/internal/store/postgres"
	"symbolon/internal/store/sqlite"
	"symbolon/internal/store/sqltext"
)

// A Problem is why a database does not open.
type Problem uint8

// The problems.
const (
	Unusable    Problem = iota // none of the others
	Unreachable                // nothing answers at that address
	Denied                     // permissions, a wrong password
	Foreign                    // the database belongs to another program
	NotDatabase                // the file is no database
	Damaged                    // the database is ours and does not read
	Newer                      // the schema is from a newer binary
	InUse                      // another process keeps it from being migrated
	BadURL                     // the address cannot be understood
)

// An OpenError says why a database does not open and what to do, in one line.
// Nothing was changed.
type OpenError struct {
	Problem Problem
	Msg     string
	Err     error
}

// Error returns the line.
func (e *OpenError) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// migrateWait bounds how long Open waits for others that migrate.
const migrateWait = 30 * time.Second

// openEngine opens the engine that o names, with its schema checked and, if
// migrate is set, brought up to date.
func openEngine(ctx context.Context, o Options, migrate bool) (engine, sqltext.Dialect, error) {
	if o.URL == "" {
		e, err := openSQLite(ctx, o, migrate)
		if err != nil {
			return nil, 0, err
		}
		return e, sqltext.SQLite, nil
	}
	e, err := openPostgres(ctx, o, migrate)
	if err != nil {
		return nil, 0, err
	}
	return e, sqltext.PostgreSQL, nil
}

func openSQLite(ctx context.Context, o Options, migrate bool) (*sqlite.Engine, error) {
	// A file that is not ours, or newer than us, must not even be switched to
	// another journal mode.
	if exists(o) {
		l, err := LookAt(ctx, o)
		if err != nil {
			return nil, err
		}
		if err := l.Close(ctx); err != nil {
			return nil, sqliteError(o, err)
		}
	}
	e, pending, err := tryOpen(ctx, o)
	if err != nil || !pending || !migrate {
		return e, err
	}
	if err := e.Close(ctx); err != nil {
		return nil, sqliteError(o, err)
	}
	unlock, err := sqlite.Lock(ctx, o.Dir, migrateWait)
	if err != nil {
		return nil, sqliteError(o, err)
	}
	defer unlock()
	turn, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	for {
		// The holder of the lock before us may have done it.
		e, pending, err := tryOpen(ctx, o)
		if err != nil || !pending {
			return e, err
		}
		if err := e.Close(ctx); err != nil {
			return nil, sqliteError(o, err)
		}
		err = sqlite.Migrate(ctx, o.Dir)
		switch busy := sqltext.ClassOf(err) == sqltext.Busy; {
		case err != nil && !busy:
			return nil, sqliteError(o, err)
		case busy && ctx.Err() != nil:
			return nil, ctx.Err()
		case busy && turn.Err() != nil:
			return nil, &OpenError{InUse, fmt.Sprintf("%s must be brought to a newer schema and another process has it open: stop that process, then start again", dbPath(o)), err}
		}
	}
}

// tryOpen opens the file and looks at whose it is and whether its schema is
// behind.
func tryOpen(ctx context.Context, o Options) (e *sqlite.Engine, pending bool, err error) {
	if e, err = sqlite.Open(ctx, o.Dir, o.Log); err != nil {
		return nil, false, sqliteError(o, err)
	}
	pending, err = inspect(ctx, e)
	if err != nil {
		_ = e.Close(ctx) // what was found says more
		return nil, false, sqliteError(o, err)
	}
	return e, pending, nil
}

// inspect looks at whose the file is and whether its schema is behind.
func inspect(ctx context.Context, e *sqlite.Engine) (pending bool, err error) {
	id, foreign, err := e.Foreign(ctx)
	if err == nil && foreign {
		err = &OpenError{Foreign, fmt.Sprintf("%s belongs to another program (application id %#x): choose another data directory", e.Path(), uint32(id)), nil}
	}
	if err == nil {
		pending, err = check(ctx, e.Reader())
	}
	return pending, err
}

func openPostgres(ctx context.Context, o Options, migrate bool) (*postgres.Engine, error) {
	if !strings.HasPrefix(o.URL, "postgres://") && !strings.HasPrefix(o.URL, "postgresql://") {
		return nil, &OpenError{BadURL, "the database address is not one of PostgreSQL: begin it with postgres://, or leave it out for the embedded database", nil}
	}
	e, err := postgres.Open(ctx, o.URL)
	if err != nil {
		return nil, postgresError(err)
	}
	pending, err := check(ctx, e.Reader())
	if err == nil && pending && migrate {
		err = e.Migrate(ctx)
		if err != nil {
			// Without locks of the engine, another process may have been faster.
			if still, cerr := check(ctx, e.Reader()); cerr == nil && !still {
				err = nil
			}
		}
	}
	if err != nil {
		_ = e.Close(ctx) // what was found says more
		return nil, postgresError(err)
	}
	return e, nil
}

// check compares the schema of the database with what this binary knows.
func check(ctx context.Context, q Querier) (pending bool, err error) {
	applied, err := migrations.Applied(ctx, q)
	if err != nil {
		return false, err
	}
	all, err := migrations.All()
	if err != nil {
		return false, err
	}
	known := make(map[int64]bool, len(all))
	for _, m := range all {
		known[m.Version] = true
	}
	for _, v := range applied {
		if !known[v] {
			return false, &OpenError{Newer, fmt.Sprintf("the database's schema is at version %d and this binary knows versions up to %d: run the newer symbolon, or restore a backup made before the upgrade",
				applied[len(applied)-1], migrations.Latest()), nil}
		}
		delete(known, v)
	}
	return len(known) > 0, nil
}

// A MigrationState is one migration and whether the database has it.
type MigrationState struct {
	Version int64
	Name    string
	Applied bool
}

// MigrationStatus lists the migrations that this binary knows. It changes no
// schema, and makes no database that is not there yet.
func MigrationStatus(ctx context.Context, o Options) ([]MigrationState, error) {
	all, err := migrations.All()
	if err != nil {
		return nil, err
	}
	applied := map[int64]bool{}
	if o.URL != "" || exists(o) {
		l, err := LookAt(ctx, o)
		if err != nil {
			return nil, err
		}
		versions, err := migrations.Applied(ctx, l.Reader())
		if cerr := l.Close(ctx); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			applied[v] = true
		}
	}
	out := make([]MigrationState, len(all))
	for i, m := range all {
		out[i] = MigrationState{m.Version, m.Name, applied[m.Version]}
	}
	return out, nil
}

// Migrate brings the database's schema up to date, as Open does.
func Migrate(ctx context.Context, o Options) error {
	eng, _, err := openEngine(ctx, o, true)
	if err != nil {
		return err
	}
	return eng.Close(ctx)
}

func dbPath(o Options) string { return filepath.Join(o.Dir, sqlite.FileName) }

// damaged explains a database that has our schema and does not read.
func damaged(o Options, err error) error {
	var oe *OpenError
	if errors.As(err, &oe) {
		return err
	}
	where := "the database"
	if o.URL == "" {
		where = dbPath(o)
	}
	return &OpenError{Damaged, fmt.Sprintf("%s is damaged (%v): restore it from a backup", where, err), err}
}

func sqliteError(o Options, err error) error {
	var oe *OpenError
	if errors.As(err, &oe) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	path := dbPath(o)
	switch class := sqltext.ClassOf(err); {
	case errors.Is(err, fs.ErrPermission):
		return &OpenError{Denied, fmt.Sprintf("%s cannot be opened (%v): run as its owner, or give the directory to this user", path, err), err}
	case class == sqltext.NotADatabase:
		return &OpenError{NotDatabase, path + " is not a SQLite database: move it away, or restore it from a backup", err}
	case class == sqltext.Corrupt:
		return damaged(o, err)
	case class == sqltext.Busy:
		return &OpenError{InUse, path + " is locked by another process: stop it, then start again", err}
	}
	return &OpenError{Unusable, fmt.Sprintf("%s cannot be opened: %v: check the directory and the space on its disk", path, err), err}
}

func postgresError(err error) error {
	var oe *OpenError
	if errors.As(err, &oe) || errors.Is(err, context.Canceled) {
		return err
	}
	problem, advice := postgres.Explain(err)
	p := Unusable
	switch problem {
	case postgres.BadURL:
		p = BadURL
	case postgres.Denied:
		p = Denied
	case postgres.Unreachable:
		p = Unreachable
	}
	return &OpenError{p, advice, err}
}
