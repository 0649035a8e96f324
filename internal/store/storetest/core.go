package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/store"
	"symbolon/internal/store/sqltext"
)

func coreCases() []Case {
	return []Case{
		{Name: "an update is all or nothing", Fn: allOrNothing},
		{Name: "a failed update does not hurt those that share its transaction", Fn: failsAlone},
		{Name: "a panic undoes its own update", Fn: panics},
		{Name: "a function that ends its goroutine does not stop the writer", Fn: ends},
		{Name: "a statement that fails ends the update even when its error is dropped", Fn: droppedError},
		{Name: "clock values follow the order of commits", Fn: ordered},
		{Name: "a reader never sees half a batch", Fn: isolated},
		{Name: "a view does not change while it is looked at", Fn: steadyView},
		{Name: "readers cannot write", Fn: readOnly},
		{Name: "two results cannot be open in one transaction", Fn: openRows},
		{Name: "more results can be open outside one than there are connections", Fn: manyReaders},
		{Name: "a transaction cannot be used after its end", Fn: usedLate},
		{Name: "after-commit functions run once, after a success only", Fn: afterCommit},
		{Name: "a caller who gave up before the start has changed nothing", Fn: givenUp},
		{Name: "a caller who gave up after the start still learns the outcome", Fn: cancelledMidway},
		{Name: "a full queue refuses at once", On: fullQueue},
		{Name: "close commits what was queued and refuses what comes later", On: closing},
	}
}

func put(ctx context.Context, s *store.Store, key, value string) error {
	return s.Update(ctx, func(tx *store.Tx) error { return store.PutSetting(ctx, tx, key, value) })
}

func wantSetting(t *testing.T, s *store.Store, key, want string) {
	t.Helper()
	got, found, err := store.Setting(t.Context(), s.Reader(), key)
	if err != nil {
		t.Fatalf("Setting(%q): %v", key, err)
	}
	if want == "" && found {
		t.Errorf("Setting(%q) = %q, want none", key, got)
	}
	if got != want {
		t.Errorf("Setting(%q) = %q, want %q", key, got, want)
	}
}

// hold keeps the writer busy until release is called, so that what is queued
// meanwhile shares the next transaction.
func hold(t *testing.T, s *store.Store) (release func()) {
	t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- s.Update(context.Background(), func(*store.Tx) error {
			once.Do(func() { close(begun) })
			<-gate
			return nil
		})
	}()
	<-begun
	return func() {
		close(gate)
		if err := <-done; err != nil {
			t.Errorf("the update that holds the writer: %v", err)
		}
	}
}

// together runs the functions as updates that share a transaction.
func together(t *testing.T, s *store.Store, fns ...func(tx *store.Tx) error) []error {
	t.Helper()
	release := hold(t, s)
	out := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { out[i] = s.Update(t.Context(), fn) })
	}
	time.Sleep(30 * time.Millisecond) // until all are queued; if not, the case is only weaker
	release()
	wg.Wait()
	return out
}

func allOrNothing(t *testing.T, s *store.Store) {
	ctx := t.Context()
	boom := errors.New("boom")
	err := s.Update(ctx, func(tx *store.Tx) error {
		if err := store.PutSetting(ctx, tx, "a", "1"); err != nil {
			return err
		}
		if err := store.PutSetting(ctx, tx, "b", "2"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Update = %v, want the function's own error", err)
	}
	wantSetting(t, s, "a", "")
	wantSetting(t, s, "b", "")
}

func failsAlone(t *testing.T, s *store.Store) {
	ctx := t.Context()
	boom := errors.New("boom")
	var fns []func(tx *store.Tx) error
	for i := range 9 {
		fns = append(fns, func(tx *store.Tx) error {
			if err := store.PutSetting(ctx, tx, fmt.Sprint("k", i), "v"); err != nil {
				return err
			}
			switch i {
			case 2:
				return boom
			case 5:
				_, err := tx.Exec(ctx, "INSERT INTO node_settings (key, value) VALUES ($1, $2)", "k5", "again")
				return err
			case 7:
				_, err := tx.Exec(ctx, "INSERT INTO no_such_table (key) VALUES ($1)", "x")
				return err
			}
			return nil
		})
	}
	got := together(t, s, fns...)
	for i, err := range got {
		fails := i == 2 || i == 5 || i == 7
		if (err != nil) != fails {
			t.Errorf("update %d: %v", i, err)
		}
		want := "v"
		if fails {
			want = ""
		}
		wantSetting(t, s, fmt.Sprint("k", i), want)
	}
	if !errors.Is(got[2], boom) || !store.IsUnique(got[5]) {
		t.Errorf("errors are %v and %v, want boom and a unique violation", got[2], got[5])
	}
}

func panics(t *testing.T, s *store.Store) {
	ctx := t.Context()
	got := together(t, s,
		func(tx *store.Tx) error { return store.PutSetting(ctx, tx, "a", "1") },
		func(tx *store.Tx) error {
			_ = store.PutSetting(ctx, tx, "b", "2")
			panic("boom")
		},
		func(tx *store.Tx) error { return store.PutSetting(ctx, tx, "c", "3") },
	)
	if got[0] != nil || got[2] != nil || errs.KindOf(got[1]) != errs.Internal || got[1] == nil {
		t.Errorf("errors %v, want nil, internal, nil", got)
	}
	wantSetting(t, s, "a", "1")
	wantSetting(t, s, "b", "")
	wantSetting(t, s, "c", "3")
}

func ends(t *testing.T, s *store.Store) {
	ctx := t.Context()
	err := s.Update(ctx, func(tx *store.Tx) error {
		if err := store.PutSetting(ctx, tx, "a", "1"); err != nil {
			return err
		}
		runtime.Goexit()
		return nil
	})
	if !errs.Is(err, errs.Internal) {
		t.Errorf("Update = %v, want internal", err)
	}
	if err := put(ctx, s, "b", "2"); err != nil {
		t.Errorf("the next update: %v", err)
	}
	wantSetting(t, s, "a", "")
	wantSetting(t, s, "b", "2")
}

func droppedError(t *testing.T, s *store.Store) {
	ctx := t.Context()
	insert := func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO node_settings (key, value) VALUES ('a', '1')")
		return err
	}
	err := s.Update(ctx, func(tx *store.Tx) error {
		if err := insert(tx); err != nil {
			return err
		}
		if err := insert(tx); !store.IsUnique(err) {
			t.Errorf("second insert: %v, want a unique violation", err)
		}
		if _, err := tx.Exec(ctx, "DELETE FROM node_settings"); !store.IsUnique(err) {
			t.Errorf("a statement after the failure: %v, want the failure again", err)
		}
		return nil
	})
	if !store.IsUnique(err) {
		t.Errorf("Update = %v, want the dropped failure", err)
	}
	wantSetting(t, s, "a", "")
}

// ordered: whoever reads everything after a cursor, again and again, while many
// write, sees each value once and none late.
func ordered(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const writers, each = 16, 25
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				err := s.Update(ctx, func(tx *store.Tx) error {
					return store.PutSetting(ctx, tx, tx.Tick().String(), fmt.Sprint(i, "/", n))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	cursor, seen := "", map[string]bool{}
	for last := false; ; {
		rows, err := s.Reader().Query(ctx, "SELECT key, value FROM node_settings WHERE key > $1 ORDER BY key", cursor)
		page, err := store.Collect(rows, err, func(r store.Row) ([2]string, error) {
			var kv [2]string
			return kv, r.Scan(&kv[0], &kv[1])
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range page {
			if seen[kv[1]] {
				t.Errorf("value %s seen twice", kv[1])
			}
			cursor, seen[kv[1]] = kv[0], true
		}
		if last {
			break
		}
		select {
		case <-written:
			last = true
		default:
		}
	}
	if len(seen) != writers*each {
		t.Errorf("a cursor saw %d of %d values", len(seen), writers*each)
	}
}

func isolated(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				err := s.Update(ctx, func(tx *store.Tx) error {
					if err := store.PutSetting(ctx, tx, fmt.Sprint("left", i), fmt.Sprint(n)); err != nil {
						return err
					}
					return store.PutSetting(ctx, tx, fmt.Sprint("right", i), fmt.Sprint(n))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		for i := range 4 {
			var n int
			if err := s.Reader().QueryRow(ctx, "SELECT COUNT(DISTINCT value) FROM node_settings WHERE key IN ($1, $2)",
				fmt.Sprint("left", i), fmt.Sprint("right", i)).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n > 1 {
				t.Error("a reader saw half an update")
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

func steadyView(t *testing.T, s *store.Store) {
	ctx := t.Context()
	if err := put(ctx, s, "a", "old"); err != nil {
		t.Fatal(err)
	}
	err := s.View(ctx, func(q store.Querier) error {
		if err := put(ctx, s, "a", "new"); err != nil {
			return err
		}
		got, _, err := store.Setting(ctx, q, "a")
		if got != "old" {
			t.Errorf("inside the view: %q, want the old value", got)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantSetting(t, s, "a", "new")
	// A view that fails in the middle of a result leaves its connection in order.
	boom := errors.New("boom")
	for range 20 {
		err := s.View(ctx, func(q store.Querier) error {
			rows, err := q.Query(ctx, "SELECT key FROM node_settings")
			if err != nil {
				return err
			}
			rows.Next()
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("View = %v, want boom", err)
		}
	}
}

func readOnly(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const insert = "INSERT INTO node_settings (key, value) VALUES ('a', '1')"
	if _, err := s.Reader().Exec(ctx, insert); err == nil {
		t.Error("a reader wrote")
	}
	if err := s.View(ctx, func(q store.Querier) error { _, err := q.Exec(ctx, insert); return err }); err == nil {
		t.Error("a view wrote")
	}
	wantSetting(t, s, "a", "")
}

func openRows(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, k := range []string{"a", "b"} {
		if err := put(ctx, s, k, ""); err != nil {
			t.Fatal(err)
		}
	}
	try := func(q store.Querier) error {
		rows, err := q.Query(ctx, "SELECT key FROM node_settings")
		if err != nil {
			return err
		}
		defer rows.Close()
		rows.Next()
		return q.QueryRow(ctx, "SELECT 1 FROM node_state").Scan(new(int))
	}
	if err := s.View(ctx, try); !errors.Is(err, sqltext.ErrRowsOpen) {
		t.Errorf("in a view: %v", err)
	}
	if err := s.Update(ctx, func(tx *store.Tx) error { return try(tx) }); !errors.Is(err, sqltext.ErrRowsOpen) {
		t.Errorf("in an update: %v", err)
	}
	if err := put(ctx, s, "c", ""); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func manyReaders(t *testing.T, s *store.Store) {
	ctx := t.Context()
	if err := put(ctx, s, "a", "1"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				v, _, err := store.Setting(ctx, s.Reader(), "a")
				if err != nil || v != "1" {
					t.Errorf("Setting = %q, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
	// A caller that cannot get a connection gives up with its context.
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	for range 100 {
		rows, err := s.Reader().Query(ctx, "SELECT key FROM node_settings")
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("out of connections: %v", err)
			}
			return
		}
		defer rows.Close()
	}
	t.Error("a hundred connections were opened")
}

func usedLate(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var kept *store.Tx
	if err := s.Update(ctx, func(tx *store.Tx) error { kept = tx; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Exec(ctx, "DELETE FROM node_settings"); err == nil {
		t.Error("a statement ran after the end of its transaction")
	}
}

func afterCommit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var good, bad int
	if err := s.Update(ctx, func(tx *store.Tx) error {
		tx.AfterCommit(func() {
			good++
			wantSetting(t, s, "a", "1")
		})
		return store.PutSetting(ctx, tx, "a", "1")
	}); err != nil {
		t.Fatal(err)
	}
	_ = s.Update(ctx, func(tx *store.Tx) error {
		tx.AfterCommit(func() { bad++ })
		return errors.New("boom")
	})
	if good != 1 || bad != 0 {
		t.Errorf("ran %d times after a success and %d after a failure, want 1 and 0", good, bad)
	}
}

func givenUp(t *testing.T, s *store.Store) {
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	err := s.Update(ctx, func(tx *store.Tx) error {
		t.Error("the function ran")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want the context's error", err)
	}
	release()
	if err := put(t.Context(), s, "a", "1"); err != nil {
		t.Error(err)
	}
}

func cancelledMidway(t *testing.T, s *store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx *store.Tx) error {
		err := store.PutSetting(ctx, tx, "a", "1")
		cancel()
		return err
	})
	if err != nil {
		t.Errorf("Update = %v, want success", err)
	}
	wantSetting(t, s, "a", "1")
	ctx, cancel = context.WithCancel(t.Context())
	err = s.Update(ctx, func(tx *store.Tx) error {
		cancel()
		return store.PutSetting(ctx, tx, "b", "1")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want the context's error", err)
	}
	wantSetting(t, s, "b", "")
	if err := put(t.Context(), s, "c", "1"); err != nil {
		t.Errorf("the next update: %v", err)
	}
}

func fullQueue(t *testing.T, o store.Options) {
	o.Queue = 3
	s := Open(t, o)
	release := hold(t, s)
	results := make(chan error, 20)
	for range cap(results) {
		go func() { results <- put(t.Context(), s, "a", "1") }()
	}
	time.Sleep(50 * time.Millisecond)
	release()
	refused := 0
	for range cap(results) {
		err := <-results
		if errs.Is(err, errs.Unavailable) {
			refused++
			var e *errs.Error
			if !errors.As(err, &e) || e.RetryAfter <= 0 {
				t.Errorf("%v says no time to try again", err)
			}
		} else if err != nil {
			t.Errorf("Update = %v", err)
		}
	}
	if refused != cap(results)-o.Queue {
		t.Errorf("%d of %d were refused, want all but %d", refused, cap(results), o.Queue)
	}
}

func closing(t *testing.T, o store.Options) {
	s := Open(t, o)
	release := hold(t, s)
	results := make(chan error, 10)
	for i := range cap(results) {
		go func() { results <- put(t.Context(), s, fmt.Sprint("k", i), "v") }()
	}
	time.Sleep(50 * time.Millisecond)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	time.Sleep(20 * time.Millisecond)
	if err := put(t.Context(), s, "late", "v"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("an update while closing: %v, want unavailable", err)
	}
	release()
	for range cap(results) {
		if err := <-results; err != nil {
			t.Errorf("a queued update: %v", err)
		}
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Health(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Health of a closed store: %v, want unavailable", err)
	}
	s = Open(t, o)
	for i := range cap(results) {
		wantSetting(t, s, fmt.Sprint("k", i), "v")
	}
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
}
