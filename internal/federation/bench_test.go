package federation_test

import (
	"fmt"
	"testing"

	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

func unbounded(c *federation.Config) { c.RequestsPerSecond = -1 }

// One page of a hundred facts: token, request, page, answer.
func BenchmarkServePage(b *testing.B) {
	n := fedtest.Start(b, fedtest.Options{Config: unbounded})
	p := fedtest.Join(b, n, id.Public)
	for i := range 100 {
		n.Assert(b, fmt.Sprint("user:", i), "value", id.Public)
	}
	b.ReportAllocs()
	for b.Loop() {
		n.Do(b, "GET", pullPath, "Bearer "+p.Token(n), nil).Want(b, 200, "")
	}
}

// Reading from a peer, a hundred facts a page, to the disk.
func BenchmarkPull(b *testing.B) {
	n := fedtest.Start(b, fedtest.Options{Config: unbounded})
	p := fedtest.Join(b, n, id.Public)
	b.ReportAllocs()
	facts := 0
	for b.Loop() {
		b.StopTimer()
		for i := range 100 {
			p.Offer(p.Fact(n, fmt.Sprint("user:", facts+i), "value", id.Public))
		}
		facts += 100
		b.StartTimer()
		if err := n.Pull(b, p.ID); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(facts)/b.Elapsed().Seconds(), "facts/s")
}
