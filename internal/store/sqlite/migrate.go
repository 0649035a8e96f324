package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	"symbolon/internal/store/migrations"
	"symbolon/internal/store/sqltext"
)

// lockName is the file that processes lock while they migrate. SQLite locks it, so
// that it works wherever the database does; it stays empty.
const lockName = "migrate.lock"

// Lock waits until no other process migrates the file in dir, and keeps others from
// it until unlock is called or the process ends. The error's class is Busy when the
// wait is over.
func Lock(ctx context.Context, dir string, wait time.Duration) (unlock func(), err error) {
	path, err := prepareFile(dir, lockName)
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, uri(path), []string{fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds()), "BEGIN EXCLUSIVE"})
	if err != nil {
		return nil, err
	}
	return func() { _ = c.close() }, nil // closing lets go of the lock in any case
}

// Migrate brings the file in dir up to the newest schema while nobody else has it
// open. The error's class is Busy when somebody has: a process that started at the
// same moment, or an older one that still runs.
func Migrate(ctx context.Context, dir string) error {
	path, err := prepareFile(dir, FileName)
	if err != nil {
		return err
	}
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{"busy_timeout(500)", "locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"} {
		q.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", uri(path)+"&"+q.Encode())
	if err != nil {
		return classify(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // the lock belongs to a connection
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(0)
	if err := migrations.Up(ctx, db, sqltext.SQLite, nil); err != nil {
		return classify(err)
	}
	return classify(db.Close())
}

// Foreign reports whether the file holds tables of another program, and that
// program's application id.
func (e *Engine) Foreign(ctx context.Context) (id int64, foreign bool, err error) {
	if err := e.Reader().QueryRow(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, false, err
	}
	if id == ApplicationID {
		return id, false, nil
	}
	var tables int64
	err = e.Reader().QueryRow(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name <> $1 AND name NOT LIKE 'sqlite#_%' ESCAPE '#'",
		migrations.Table).Scan(&tables)
	return id, tables > 0, err
}
