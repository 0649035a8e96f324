package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"symbolon/internal/store/migrations"
	"symbolon/internal/store/sqltext"
)

// Migrate brings the database up to the newest schema. Processes that start
// together take turns.
func (e *Engine) Migrate(ctx context.Context) error {
	c := e.config.Copy()
	c.RuntimeParams["statement_timeout"] = "0" // an index on a large table takes its time
	c.RuntimeParams["lock_timeout"] = "60000"
	db := stdlib.OpenDB(*c)
	defer db.Close()
	return classify(migrations.Up(ctx, db, sqltext.PostgreSQL, &turn{}))
}

// lockKey names the advisory lock of the migrations: "symbolon" in ASCII.
const lockKey = 0x73796d626f6c6f6e

// turn takes an advisory lock where the engine has them. Where it has none the
// transaction of each migration decides, and one of two processes fails and starts
// again.
type turn struct{ held bool }

const undefinedFunction = "42883"

func (t *turn) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&t.held)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == undefinedFunction {
			return nil
		}
		if err != nil || t.held {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("another process is migrating the database: %w", ctx.Err())
		}
	}
}

func (t *turn) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if !t.held {
		return nil
	}
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(lockKey))
	return err
}
