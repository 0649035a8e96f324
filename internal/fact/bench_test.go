package fact_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/store/storetest"
)

// BenchmarkAssert is a durable assertion by each of 64 callers, every one of its own
// key or all of them of one.
func BenchmarkAssert(b *testing.B) {
	for _, keys := range []string{"apart", "same"} {
		b.Run(keys, func(b *testing.B) {
			s := storetest.Open(b, storetest.SQLite(b))
			m := fact.New(s, time.Now)
			var next atomic.Uint64
			b.ReportAllocs()
			var before, after syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			storetest.Drive(b, 64, func() error {
				row := storetest.NewFloorRow(next.Add(1))
				a := fact.Assertion{
					Entity: "user:" + row.ID, Relation: "memory:note", Source: row.Entity, Type: canon.String, RawValue: fmt.Appendf(nil, "%q", row.Value),
					InterpretAs: fact.Content, Confidence: 1, Scope: id.Company,
				}
				if keys == "same" {
					a.Entity, a.Source = "user:x", "agent:s"
				}
				_, err := m.Assert(b.Context(), alice, a)
				return err
			})
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkQuery is a default query among twenty thousand facts.
func BenchmarkQuery(b *testing.B) {
	s := storetest.Open(b, storetest.SQLite(b))
	m := fact.New(s, time.Now)
	const facts = 20_000
	fill(b, facts, func(n int) error {
		row := storetest.NewFloorRow(uint64(n))
		_, err := m.Assert(b.Context(), alice, fact.Assertion{
			Entity: "user:" + row.ID[:3], Relation: "memory:" + row.ID[3:5], Source: row.Entity, Type: canon.String, RawValue: fmt.Appendf(nil, "%q", row.Value),
			InterpretAs: fact.Content, Confidence: 1, Scope: id.Company,
		})
		return err
	})
	for name, q := range map[string]fact.Query{
		"entity": {Entity: "user:abc"}, "relation": {Relation: "memory:42"}, "all": {}, "history": {IncludeContradicted: true}, "source": {Source: "agent:abc"},
	} {
		q.Limit = fact.DefaultLimit
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Query(b.Context(), alice, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill calls do with 0 to n-1 from many goroutines, so that they share commits.
func fill(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
