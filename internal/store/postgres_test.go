package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
	"symbolon/internal/testkit/pgtest"
)

func raise(ctx context.Context, tx *store.Tx, state string) error {
	_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'made by the test' USING ERRCODE = '"+state+"'; END $$")
	return err
}

func TestATransactionThatLosesIsRunAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t, storetest.Postgres(t))
	for _, state := range []string{"40001", "40P01"} {
		runs := 0
		err := s.Update(ctx, func(tx *store.Tx) error {
			runs++
			tx.Audit(audit.Event{Type: "once"})
			if err := store.PutSetting(ctx, tx, state, fmt.Sprint(runs)); err != nil {
				return err
			}
			if runs < 4 {
				return raise(ctx, tx, state)
			}
			return nil
		})
		if err != nil || runs != 4 {
			t.Errorf("%s: %d runs, %v; want 4 and success", state, runs, err)
		}
		if v, _, err := store.Setting(ctx, s.Reader(), state); v != "4" || err != nil {
			t.Errorf("%s: %q, %v", state, v, err)
		}
	}
	v, err := s.VerifyAudit(ctx, nil)
	if err != nil || v.Broken != nil || v.Entries != 2 {
		t.Errorf("%d audit entries, broken %v, %v; want 2 sound ones", v.Entries, v.Broken, err)
	}
	// One that always loses gives up.
	err = s.Update(ctx, func(tx *store.Tx) error { return raise(ctx, tx, "40001") })
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("always losing: %v, want unavailable", err)
	}
}

// One update of a batch loses: the others come through with it, once each.
func TestABatchThatLosesIsRunAgainWhole(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t, storetest.Postgres(t))
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			first := true
			err := s.Update(ctx, func(tx *store.Tx) error {
				tx.Audit(audit.Event{Type: "once", Subject: fmt.Sprint(i)})
				_, err := tx.Exec(ctx, "INSERT INTO node_settings (key, value) VALUES ($1, '')", fmt.Sprint(i))
				if err == nil && i%10 == 3 && first {
					first = false
					return raise(ctx, tx, "40001")
				}
				return err
			})
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if v, err := s.VerifyAudit(ctx, nil); err != nil || v.Broken != nil || v.Entries != 40 {
		t.Errorf("%d audit entries, broken %v, %v; want 40 sound ones", v.Entries, v.Broken, err)
	}
}

// A real deadlock: the update and a foreign session take two rows in opposite
// order.
func TestADeadlockIsSurvived(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	o := storetest.Postgres(t)
	s := storetest.Open(t, o)
	err := s.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(store.PutSetting(ctx, tx, "a", "0"), store.PutSetting(ctx, tx, "b", "0"))
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(ctx, o.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	hold := func(key string) {
		if _, err := other.Exec(ctx, "SELECT 1 FROM node_settings WHERE key = $1 FOR UPDATE", key); err != nil {
			t.Log("the other session lost:", err)
		}
	}
	if _, err := other.Exec(ctx, "BEGIN"); err != nil {
		t.Fatal(err)
	}
	hold("b")
	var once sync.Once
	done := make(chan struct{})
	err = s.Update(ctx, func(tx *store.Tx) error {
		if err := store.PutSetting(ctx, tx, "a", "1"); err != nil {
			return err
		}
		once.Do(func() {
			go func() {
				defer close(done)
				hold("a")
				_, _ = other.Exec(ctx, "ROLLBACK") // it may have been undone already
			}()
			time.Sleep(50 * time.Millisecond)
		})
		return store.PutSetting(ctx, tx, "b", "1")
	})
	<-done
	if err != nil {
		t.Fatalf("Update = %v", err)
	}
	for _, key := range []string{"a", "b"} {
		if v, _, err := store.Setting(ctx, s.Reader(), key); v != "1" || err != nil {
			t.Errorf("%s = %q, %v", key, v, err)
		}
	}
}

func TestALostConnectionIsMadeAnew(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t, storetest.Postgres(t))
	runs := 0
	err := s.Update(ctx, func(tx *store.Tx) error {
		runs++
		if err := store.PutSetting(ctx, tx, "a", fmt.Sprint(runs)); err != nil {
			return err
		}
		if runs == 1 {
			_, err := tx.Exec(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
			return err
		}
		return nil
	})
	if v, _, _ := store.Setting(ctx, s.Reader(), "a"); err != nil || runs != 2 || v != "2" {
		t.Errorf("%d runs, %q, %v; want the second to succeed", runs, v, err)
	}
}

func TestAServerThatGoesAwayIsUnavailableAndComesBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := pgtest.Durable(t)
	o := storetest.SQLite(t)
	o.Dir, o.URL = "", c.Database(t)
	s := storetest.Open(t, o)
	put := func(v string) error {
		return s.Update(ctx, func(tx *store.Tx) error { return store.PutSetting(ctx, tx, "a", v) })
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	// The killed server's children may answer once more.
	last := "before"
	err := put("while")
	for n := 0; err == nil && n < 100; n++ {
		last = "while"
		time.Sleep(20 * time.Millisecond)
		err = put("while")
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("without a server: %v, want unavailable", err)
	}
	if err := s.Health(ctx); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Health without a server: %v, want unavailable", err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if v, _, err := store.Setting(ctx, s.Reader(), "a"); v != last || err != nil {
		t.Errorf("after the restart: %q, %v", v, err)
	}
	if err := put("after"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// A connection that goes during the commit leaves the outcome open: the update must
// neither be acknowledged nor run again.
func TestALossDuringTheCommitIsNotRunAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := storetest.Open(t, storetest.Postgres(t))
	err := s.Update(ctx, func(tx *store.Tx) error {
		for _, q := range []string{
			"CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$",
			"CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON node_settings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.key = 'leave') EXECUTE FUNCTION leave()",
		} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	err = s.Update(ctx, func(tx *store.Tx) error {
		runs++
		return store.PutSetting(ctx, tx, "leave", "")
	})
	if !errs.Is(err, errs.Unavailable) || runs != 1 {
		t.Errorf("%d runs, %v; want one, and unavailable", runs, err)
	}
	if err := s.Update(ctx, func(tx *store.Tx) error { return store.PutSetting(ctx, tx, "a", "b") }); err != nil {
		t.Errorf("the next update: %v", err)
	}
}

// A process that stops in the middle of a transaction must not keep the others from
// writing for ever; how long is the server's to enforce. And a server that is set to
// lose commits is told not to.
func TestTheSessionIsSetUp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	o := storetest.Postgres(t)
	admin, err := pgx.Connect(ctx, o.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.Exec(ctx, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronous_commit = off'; END $$")
	if err := errors.Join(err, admin.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, o)
	err = s.Update(ctx, func(tx *store.Tx) error {
		for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
			var v string
			if err := tx.QueryRow(ctx, "SELECT setting FROM pg_settings WHERE name = $1", name).Scan(&v); err != nil {
				return err
			}
			if v == "0" {
				t.Errorf("%s is not set", name)
			}
		}
		var v string
		err := tx.QueryRow(ctx, "SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'").Scan(&v)
		if v != "on" {
			t.Errorf("synchronous_commit is %q", v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
