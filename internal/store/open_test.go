package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"symbolon/internal/store"
	"symbolon/internal/store/sqlite"
	"symbolon/internal/store/storetest"
	"symbolon/internal/testkit/pgtest"
)

// wantProblem opens what must not open and returns the one line that says why.
func wantProblem(t *testing.T, o store.Options, want store.Problem) string {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err == nil {
		_ = s.Close()
		t.Fatal("the database opened")
	}
	var oe *store.OpenError
	if !errors.As(err, &oe) || oe.Problem != want {
		t.Fatalf("Open = %v (%T), want problem %d", err, err, want)
	}
	if strings.ContainsAny(err.Error(), "\n\r") || !strings.Contains(err.Error(), ": ") {
		t.Errorf("not one line with advice: %q", err)
	}
	t.Log(err)
	return err.Error()
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsNoDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	path := filepath.Join(o.Dir, sqlite.FileName)
	content := []byte(strings.Repeat("this is a diary, not a database\n", 200))
	writeFile(t, path, content)
	wantProblem(t, o, store.NotDatabase)
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestAnotherProgramsDatabaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	path := filepath.Join(o.Dir, sqlite.FileName)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"CREATE TABLE diary (day TEXT)", "PRAGMA application_id = 7"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, o, store.Foreign)
	db, err = sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables int
	if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM sqlite_master").Scan(&tables); err != nil || tables != 1 {
		t.Errorf("%d tables, %v; want the diary alone", tables, err)
	}
}

func TestADamagedDatabaseIsSaidToBeDamaged(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	s := storetest.Open(t, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(o.Dir, sqlite.FileName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 200; i < len(content); i++ {
		content[i] = 0xa5
	}
	writeFile(t, path, content)
	wantProblem(t, o, store.Damaged)
}

func TestATruncatedDatabaseIsSaidToBeDamaged(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	s := storetest.Open(t, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(o.Dir, sqlite.FileName), 8192); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, o, store.Damaged)
}

func TestNodeStateThatMakesNoSenseIsSaidToBeDamaged(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"UPDATE node_state SET hlc = 'x'", "UPDATE node_state SET audit_hash = 'abc'", "DELETE FROM node_state"} {
		o := storetest.SQLite(t)
		s := storetest.Open(t, o)
		if err := s.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), change); return err }); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, o, store.Damaged)
	}
}

func TestADirectoryThatCannotBeUsedIsSaidSo(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	file := filepath.Join(o.Dir, "file")
	writeFile(t, file, nil)
	o.Dir = filepath.Join(file, "data")
	wantProblem(t, o, store.Unusable)
	if os.Geteuid() != 0 {
		o = storetest.SQLite(t)
		if err := os.Chmod(o.Dir, 0o500); err != nil {
			t.Fatal(err)
		}
		wantProblem(t, o, store.Denied)
	}
}

func TestARunningProcessKeepsTheSchemaFromChanging(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	s := storetest.Open(t, o)
	// Somebody has the file open and the schema is behind: it must not move
	// under them.
	const last = "DELETE FROM symbolon_migrations WHERE version_id = (SELECT MAX(version_id) FROM symbolon_migrations)"
	if err := s.Update(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), last); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if _, err := store.Open(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open = %v, want it to wait for the other process", err)
	}
}

func TestTheFilesOfTheDatabaseArePrivate(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	o.Dir = filepath.Join(o.Dir, "a", "data")
	s := storetest.Open(t, o)
	if err := s.Update(t.Context(), func(tx *store.Tx) error { return store.PutSetting(t.Context(), tx, "a", "b") }); err != nil {
		t.Fatal(err)
	}
	want := func() {
		t.Helper()
		n := 0
		err := filepath.WalkDir(o.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err != nil {
				return err
			}
			n++
			if fi.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, fi.Mode())
			}
			return nil
		})
		if err != nil || n < 4 {
			t.Errorf("%d files, %v; want the directory, the database, its log and its shared memory", n, err)
		}
	}
	want()
	// Permissions that were widened are taken back.
	for _, name := range []string{"", sqlite.FileName} {
		if err := os.Chmod(filepath.Join(o.Dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	storetest.Open(t, o)
	want()
}

func TestStatusMakesNoDatabase(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	o.Dir = filepath.Join(o.Dir, "data")
	states, err := store.MigrationStatus(t.Context(), o)
	if err != nil || len(states) == 0 || states[0].Applied {
		t.Errorf("MigrationStatus = %v, %v", states, err)
	}
	if _, err := os.Stat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"mysql://x", "symbolon.db", "postgres://user:hunter2@host:port/db", "postgres://%zz"} {
		msg := wantProblem(t, store.Options{URL: url, Now: time.Now}, store.BadURL)
		if strings.Contains(msg, "hunter2") {
			t.Errorf("the password is in %q", msg)
		}
	}
}

func TestAServerThatIsNotThereIsUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	msg := wantProblem(t, store.Options{URL: "postgres://me:hunter2@" + addr + "/symbolon?sslmode=disable", Now: time.Now}, store.Unreachable)
	if strings.Contains(msg, "hunter2") || !strings.Contains(msg, addr) {
		t.Errorf("the line must name the address and not the password: %q", msg)
	}
}

func TestADatabaseThatDoesNotExistIsUnreachable(t *testing.T) {
	t.Parallel()
	url := strings.Replace(pgtest.Shared(t).Database(t), "/t", "/no_such_", 1)
	wantProblem(t, store.Options{URL: url, Now: time.Now}, store.Unreachable)
}

func TestNothingIsLoggedAtRest(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	o := storetest.SQLite(t)
	o.Log = slog.New(slog.NewTextHandler(&buf, nil))
	s := storetest.Open(t, o)
	time.Sleep(700 * time.Millisecond) // past the writer's pause
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if buf.Len() > 0 {
		t.Errorf("logged %s", &buf)
	}
}
