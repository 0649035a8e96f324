package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"symbolon/internal/audit"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
	"symbolon/internal/testkit"
	"symbolon/internal/testkit/pgtest"
)

// crashChild is the variable that makes this binary the writer that is killed; it
// holds the store.Options to open.
const crashChild = "SYMBOLON_TEST_CRASH_CHILD"

var crashSeed = flag.Uint64("crash.seed", 0, "seed of the instants at which the crash tests kill; 0 chooses one")

func TestMain(m *testing.M) {
	if o := os.Getenv(crashChild); o != "" {
		crashWriter(o)
		return
	}
	os.Exit(m.Run())
}

// crashWriter writes until it is killed, and prints the id of every write that the
// store acknowledged.
func crashWriter(options string) {
	var o store.Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		panic(err)
	}
	o.Now = time.Now
	ctx := context.Background()
	s, err := store.Open(ctx, o)
	for err != nil {
		var oe *store.OpenError
		if !errors.As(err, &oe) || oe.Problem != store.Unreachable {
			panic(err)
		}
		time.Sleep(5 * time.Millisecond)
		s, err = store.Open(ctx, o)
	}
	fmt.Println("open")
	for w := range 16 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				err := s.Update(ctx, func(tx *store.Tx) error {
					tx.Audit(audit.Event{Type: "crash", Subject: id})
					if err := store.PutSetting(ctx, tx, id, tx.Tick().String()); err != nil {
						return err
					}
					if n%7 == 6 {
						return errors.New("this one fails")
					}
					return nil
				})
				switch {
				case err == nil:
					fmt.Println(id) // one write of less than a pipe's buffer: whole or not at all
				case n%7 != 6:
					time.Sleep(5 * time.Millisecond) // the server is down
				}
			}
		}()
	}
	select {}
}

func TestKilledWriterLosesNothingSQLite(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	crash(t, o, testkit.Rounds(5, 20, 100), func(int) (bool, func() error) { return false, nil })
}

func TestKilledWriterLosesNothingPostgres(t *testing.T) {
	t.Parallel()
	c := pgtest.Durable(t)
	o := storetest.SQLite(t)
	o.Dir, o.URL = "", c.Database(t)
	crash(t, o, testkit.Rounds(4, 20, 100), func(round int) (bool, func() error) {
		if round%2 == 0 {
			return false, nil
		}
		// Every other round the server is killed under the writer.
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		return true, c.Start
	})
}

// crash runs writers and kills them; killServer may kill something else first.
func crash(t *testing.T, o store.Options, rounds int, killServer func(round int) (killed bool, restart func() error)) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	acked := map[string]bool{}
	for round := range rounds {
		child, opened, lines := startWriter(t, o)
		// Some are killed while they open, most under load.
		after := time.Duration(rng.IntN(250)) * time.Millisecond
		opening := round%5 == 4
		done := make(chan struct{})
		go func() {
			defer close(done)
			if opening {
				after /= 16
			} else {
				<-opened
			}
			time.Sleep(after)
			killed, restart := killServer(round)
			if killed {
				time.Sleep(20 * time.Millisecond)
				if err := restart(); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(after) / 2)
			}
			if err := child.Process.Kill(); err != nil {
				t.Errorf("round %d: the writer ended by itself: %v", round, err)
			}
		}()
		before := len(acked)
		for id := range lines {
			acked[id] = true
		}
		<-done
		_ = child.Wait() // it was killed
		verify(t, o, acked, round, len(acked)-before)
		if t.Failed() {
			return
		}
	}
	if len(acked) == 0 {
		t.Error("no write was acknowledged in any round")
	}
	t.Logf("%d acknowledged writes over %d rounds", len(acked), rounds)
}

// startWriter starts a writer; opened is closed when it has opened the store or has
// ended, lines gives what it acknowledged.
func startWriter(t *testing.T, o store.Options) (child *exec.Cmd, opened <-chan struct{}, lines <-chan string) {
	t.Helper()
	b, err := json.Marshal(struct{ URL, Dir string }{o.URL, o.Dir})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashChild+"="+string(b))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ids, ready := make(chan string, 1024), make(chan struct{})
	go func() {
		defer close(ids)
		announce := sync.OnceFunc(func() { close(ready) })
		defer announce()
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				if !errors.Is(err, io.EOF) || line != "" {
					t.Errorf("reading the writer's output: %q, %v", line, err)
				}
				return
			}
			if line == "open\n" {
				announce()
				continue
			}
			ids <- line[:len(line)-1]
		}
	}()
	return cmd, ready, ids
}

// verify opens what a killed writer left.
func verify(t *testing.T, o store.Options, acked map[string]bool, round, fresh int) {
	t.Helper()
	ctx := t.Context()
	s, err := store.Open(ctx, o)
	if err != nil {
		t.Fatalf("round %d: the store does not open: %v", round, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("round %d: Close: %v", round, err)
		}
	}()
	// One view: a server may still be finishing what the killed writer sent last.
	var kept [][2]string
	var v store.Verification
	err = s.View(ctx, func(q store.Querier) error {
		rows, err := q.Query(ctx, "SELECT key, value FROM node_settings ORDER BY value")
		kept, err = store.Collect(rows, err, func(r store.Row) (kv [2]string, err error) { return kv, r.Scan(&kv[0], &kv[1]) })
		if err != nil {
			return err
		}
		v, err = store.VerifyAuditIn(ctx, q, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool, len(kept))
	last := ""
	for _, kv := range kept {
		have[kv[0]], last = true, kv[1]
	}
	for id := range acked {
		if !have[id] {
			t.Errorf("round %d: write %s was acknowledged and is lost", round, id)
		}
	}
	if v.Broken != nil || v.Entries != int64(len(kept)) {
		t.Errorf("round %d: %d audit entries for %d writes, broken: %v", round, v.Entries, len(kept), v.Broken)
	}
	if damage, err := s.Check(ctx, 5); err != nil || len(damage) > 0 {
		t.Errorf("round %d: damage %q, %v", round, damage, err)
	}
	err = s.Update(ctx, func(tx *store.Tx) error {
		if h := tx.Tick().String(); h <= last { // in order of values: the last is the greatest
			t.Errorf("round %d: the clock gives %s after %s", round, h, last)
		}
		return nil
	})
	if err != nil {
		t.Errorf("round %d: the reopened store does not write: %v", round, err)
	}
	t.Logf("round %d: %d acknowledged, %d kept in all", round, fresh, len(kept))
}

func TestKilledWhileMigratingOpensAgain(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	for range testkit.Rounds(8, 30, 200) {
		o := storetest.SQLite(t)
		child, _, lines := startWriter(t, o)
		time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		acked := map[string]bool{}
		for id := range lines {
			acked[id] = true
		}
		_ = child.Wait()
		verify(t, o, acked, 0, len(acked))
	}
}
