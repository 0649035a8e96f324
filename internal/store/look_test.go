package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"symbolon/internal/audit"
	"symbolon/internal/store"
	"symbolon/internal/store/sqlite"
	"symbolon/internal/store/storetest"
)

// snapshot describes every file of a directory: name, mode, size, time and content.
func snapshot(t *testing.T, dir string, running bool) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %v", path, fi.Mode())
		// The log's index holds no data, and connections of one process share it.
		if !d.IsDir() && !(running && strings.HasSuffix(path, "-shm")) {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %v %x", fi.ModTime(), b)
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func addEntries(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for range n {
		if err := s.Update(t.Context(), func(tx *store.Tx) error {
			tx.Audit(audit.Event{Type: "x", At: 7})
			return store.PutSetting(t.Context(), tx, "k", "v")
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// seen looks at the store and returns how many audit entries it finds sound.
func seen(t *testing.T, o store.Options) int64 {
	t.Helper()
	l, err := store.LookAt(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	st, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.VerifyAudit(t.Context(), nil)
	if err != nil || v.Broken != nil {
		t.Fatal(v.Broken, err)
	}
	if st.Audit.Seq != v.Entries || st.Audit.Seq > 0 && st.Last != 7 || l.Pending() {
		t.Errorf("%+v, %d entries, pending %v", st, v.Entries, l.Pending())
	}
	if val, found, err := store.Setting(t.Context(), l.Reader(), "k"); err != nil || found != (v.Entries > 0) || found && val != "v" {
		t.Errorf("setting: %q, %v, %v", val, found, err)
	}
	if _, err := l.Peers(t.Context()); err != nil {
		t.Error(err)
	}
	if damage, err := l.Check(t.Context(), 5); err != nil || len(damage) > 0 {
		t.Error(damage, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	return v.Entries
}

func TestLookingAtAStoreChangesNothing(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	if _, err := store.LookAt(t.Context(), o); !errors.Is(err, fs.ErrNotExist) || store.Exists(o) {
		t.Fatalf("looking at nothing: %v", err)
	}
	if entries, err := os.ReadDir(o.Dir); err != nil || len(entries) > 0 {
		t.Fatalf("looking at nothing made %v, %v", entries, err)
	}
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	addEntries(t, s, 3)

	// Beside the node that has it open.
	before := snapshot(t, o.Dir, true)
	if n := seen(t, o); n != 3 {
		t.Errorf("beside a running node: %d entries", n)
	}
	if after := snapshot(t, o.Dir, true); after != before {
		t.Error("beside a running node: something changed")
	}
	addEntries(t, s, 1) // the writer did not notice

	// As a crash leaves it: with its log, and nobody there. The mode shows that
	// not even that is put right.
	crashed := o
	crashed.Dir = filepath.Join(t.TempDir(), "crashed")
	if err := os.Mkdir(crashed.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(filepath.Join(o.Dir, sqlite.FileName+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed.Dir, sqlite.FileName+suffix), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for dir, what := range map[string]string{o.Dir: "at rest", crashed.Dir: "after a crash"} {
		at := o
		at.Dir = dir
		before := snapshot(t, dir, false)
		if n := seen(t, at); n != 4 {
			t.Errorf("%s: %d entries", what, n)
		}
		if after := snapshot(t, dir, false); after != before {
			t.Errorf("%s: something changed:\n%.2000s\n%.2000s", what, before, after)
		}
	}
	if err := os.Remove(filepath.Join(crashed.Dir, sqlite.FileName+"-shm")); err != nil {
		t.Fatal(err)
	}
	if n := seen(t, crashed); n != 4 {
		t.Errorf("after a crash, without the log's index: %d entries", n)
	}
}

func TestWhatIsNotOursIsNotEvenTouched(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	path := filepath.Join(o.Dir, sqlite.FileName)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE diary (day TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, o.Dir, false)
	wantProblem(t, o, store.Foreign)
	if after := snapshot(t, o.Dir, false); after != before {
		t.Error("another program's database was changed")
	}
}

func TestAPostgresStoreIsLookedAtToo(t *testing.T) {
	t.Parallel()
	o := storetest.Postgres(t)
	s := storetest.Open(t, o)
	addEntries(t, s, 2)
	if n := seen(t, o); n != 2 || !store.Exists(o) {
		t.Errorf("%d entries", n)
	}
}
