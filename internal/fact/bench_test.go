package fact_test

import (
	"fmt"
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
