package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"symbolon/internal/audit"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
	"symbolon/internal/testkit/pgtest"
)

// BenchmarkWrite compares a durable update, one row with three indexes and one
// audit entry, with bare group commit of the same through the same driver.
func BenchmarkWrite(b *testing.B) {
	outer := b
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("sqlite/floor/", callers), func(b *testing.B) {
			f := storetest.SQLiteFloor(b, b.TempDir())
			storetest.Drive(b, callers, f.Write)
		})
		b.Run(fmt.Sprint("sqlite/store/", callers), func(b *testing.B) {
			benchStore(b, callers, storetest.SQLite(b))
		})
	}
	var cluster *pgtest.Cluster
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("postgres/floor/", callers), func(b *testing.B) {
			if cluster == nil {
				cluster = pgtest.Durable(outer)
			}
			f := storetest.PostgresFloor(b, cluster.Database(b))
			storetest.Drive(b, callers, f.Write)
		})
		b.Run(fmt.Sprint("postgres/store/", callers), func(b *testing.B) {
			o := storetest.SQLite(b)
			o.Dir, o.URL = "", cluster.Database(b)
			benchStore(b, callers, o)
		})
	}
}

func benchStore(b *testing.B, callers int, o store.Options) {
	s := storetest.Open(b, o)
	ctx := context.Background()
	err := s.Update(ctx, func(tx *store.Tx) error {
		for _, q := range storetest.FloorTables() {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Uint64
	b.ReportAllocs()
	storetest.Drive(b, callers, func() error {
		r := storetest.NewFloorRow(n.Add(1))
		return s.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, storetest.FloorInsert, r.ID, r.Entity, r.Relation, r.Value, tx.Tick().String())
			tx.Audit(audit.Event{Type: "fact_write", Actor: r.Entity, Subject: r.ID})
			return err
		})
	})
}

// BenchmarkRead is a point read by key.
func BenchmarkRead(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := storetest.Open(b, fresh(b))
			ctx := context.Background()
			err := s.Update(ctx, func(tx *store.Tx) error { return store.PutSetting(ctx, tx, "key", "value") })
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := store.Setting(ctx, s.Reader(), "key"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
