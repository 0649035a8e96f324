package storetest

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver that the store uses
)

// A Floor is bare group commit through the store's driver: one row with three
// indexes and one audit row for each caller, many callers in one transaction, fully
// synchronised; no savepoints, no chain, no clock. Figures of durable writes are
// measured against it, in the same run.
type Floor struct {
	queue chan floorJob
	done  chan struct{}
	next  atomic.Uint64
}

type floorJob struct {
	row FloorRow
	err chan error
}

// A FloorRow is what one caller writes.
type FloorRow struct{ ID, Entity, Relation, Value, HLC string }

// The statements of the floor, and of whoever is compared with it.
const (
	FloorInsert      = "INSERT INTO floor_row (id, entity, relation, value, hlc) VALUES ($1, $2, $3, $4, $5)"
	floorInsertAudit = "INSERT INTO floor_audit (seq, id, type, actor, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)"
)

// FloorTables are the statements that make the floor's tables.
func FloorTables() []string {
	return []string{
		"CREATE TABLE floor_row (id TEXT NOT NULL PRIMARY KEY, entity TEXT NOT NULL, relation TEXT NOT NULL, value TEXT NOT NULL, hlc TEXT NOT NULL)",
		"CREATE INDEX floor_row_entity ON floor_row (entity, relation)",
		"CREATE INDEX floor_row_value ON floor_row (value)",
		"CREATE INDEX floor_row_hlc ON floor_row (hlc)",
		"CREATE TABLE floor_audit (seq BIGINT NOT NULL PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT)",
	}
}

// NewFloorRow makes a row like a fact: random id, an entity among a thousand, a
// growing clock.
func NewFloorRow(n uint64) FloorRow {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n*0x9e3779b97f4a7c15) // spreads like a random id
	binary.BigEndian.PutUint64(b[8:], n)
	id := hex.EncodeToString(b[:])
	return FloorRow{ID: id, Entity: "agent:" + id[:3], Relation: "memory:note", Value: "the value number " + id, HLC: "1750000000000." + id[16:]}
}

// floorTx is one transaction of the floor's driver.
type floorTx interface {
	begin() error
	insert(seq uint64, r FloorRow) error
	commit() error
}

// SQLiteFloor is the floor on a file in dir.
func SQLiteFloor(t testing.TB, dir string) *Floor {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "floor.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range FloorTables() {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	tx := &sqliteFloor{}
	for text, s := range map[string]**sql.Stmt{"BEGIN IMMEDIATE": &tx.b, FloorInsert: &tx.row, floorInsertAudit: &tx.audit, "COMMIT": &tx.c} {
		if *s, err = conn.PrepareContext(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	return newFloor(t, tx, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

type sqliteFloor struct{ b, row, audit, c *sql.Stmt }

func (f *sqliteFloor) begin() error  { _, err := f.b.Exec(); return err }
func (f *sqliteFloor) commit() error { _, err := f.c.Exec(); return err }

func (f *sqliteFloor) insert(seq uint64, r FloorRow) error {
	if _, err := f.row.Exec(r.ID, r.Entity, r.Relation, r.Value, r.HLC); err != nil {
		return err
	}
	_, err := f.audit.Exec(int64(seq), r.ID, "fact_write", r.Entity, r.ID, "{}")
	return err
}

// PostgresFloor is the floor in the database at url.
func PostgresFloor(t testing.TB, url string) *Floor {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range FloorTables() {
		if _, err := conn.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	return newFloor(t, &postgresFloor{ctx, conn}, func() {
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

type postgresFloor struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (f *postgresFloor) begin() error  { _, err := f.conn.Exec(f.ctx, "BEGIN"); return err }
func (f *postgresFloor) commit() error { _, err := f.conn.Exec(f.ctx, "COMMIT"); return err }

func (f *postgresFloor) insert(seq uint64, r FloorRow) error {
	if _, err := f.conn.Exec(f.ctx, FloorInsert, r.ID, r.Entity, r.Relation, r.Value, r.HLC); err != nil {
		return err
	}
	_, err := f.conn.Exec(f.ctx, floorInsertAudit, int64(seq), r.ID, "fact_write", r.Entity, r.ID, "{}")
	return err
}

const floorBatch = 256

func newFloor(t testing.TB, tx floorTx, closeAll func()) *Floor {
	f := &Floor{queue: make(chan floorJob, 4096), done: make(chan struct{})}
	go f.loop(tx)
	t.Cleanup(func() {
		close(f.queue)
		<-f.done
		closeAll()
	})
	return f
}

func (f *Floor) loop(tx floorTx) {
	defer close(f.done)
	seq := uint64(0)
	for first := range f.queue {
		runtime.Gosched()
		batch := []floorJob{first}
		for len(batch) < floorBatch && len(f.queue) > 0 {
			batch = append(batch, <-f.queue)
		}
		err := tx.begin()
		for _, j := range batch {
			if err == nil {
				seq++
				err = tx.insert(seq, j.row)
			}
		}
		if err == nil {
			err = tx.commit()
		}
		for _, j := range batch {
			j.err <- err
		}
	}
}

// Write writes one row and returns when it is durable.
func (f *Floor) Write() error {
	j := floorJob{NewFloorRow(f.next.Add(1)), make(chan error, 1)}
	f.queue <- j
	return <-j.err
}

// Drive runs op b.N times from so many goroutines and reports the rate and the
// latency that 99 of 100 calls stay under.
func Drive(b *testing.B, callers int, op func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := op(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
