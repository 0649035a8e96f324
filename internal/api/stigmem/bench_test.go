package stigmem_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"symbolon/internal/api/httpx"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
)

// A wire is one connection of a client that costs next to nothing: requests are
// ready-made and of an answer only status and length are read.
type wire struct {
	c net.Conn
	r *bufio.Reader
}

func dial(tb testing.TB, addr string) *wire {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return &wire{c, bufio.NewReader(c)}
}

// send writes a request and returns the answer's status and body.
func (w *wire) send(request []byte) (status int, body []byte, err error) {
	if _, err := w.c.Write(request); err != nil {
		return 0, nil, err
	}
	length := 0
	for first := true; ; first = false {
		line, err := w.r.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		switch {
		case first:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, nil, err
			}
		case len(line) == 2:
			body = make([]byte, length)
			_, err := io.ReadFull(w.r, body)
			return status, body, err
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[16:]))); err != nil {
				return 0, nil, err
			}
		}
	}
}

func post(path, key, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, key, len(body), body)
}

// serve starts the face on a loopback port.
func serve(tb testing.TB, h http.Handler) (addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	tb.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// realNode is a node on the wall clock, as it is served.
func realNode(b *testing.B, o store.Options) *node {
	b.Helper()
	n := newNodeOn(b, o, false)
	n.frozen = false
	return n
}

// processor returns the processor time that the process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// drive is storetest.Drive that also reports the processor time of each call, which
// other work on the machine disturbs less than its rate.
func drive(b *testing.B, callers int, op func() error) {
	b.Helper()
	before := processor(b)
	storetest.Drive(b, callers, op)
	b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkAssertHTTP compares durable assertions over loopback, each of its own
// key and with all checks, with bare group commit through the same driver.
func BenchmarkAssertHTTP(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("floor/", callers), func(b *testing.B) {
			f := storetest.SQLiteFloor(b, b.TempDir())
			drive(b, callers, f.Write)
		})
		b.Run(fmt.Sprint("http/", callers), func(b *testing.B) {
			n := realNode(b, storetest.SQLite(b))
			addr := serve(b, httpx.WithRequestID(n))
			if status, body, err := dial(b, addr).send(post("/v1/facts", writerKey, plainFact)); err != nil || status != http.StatusCreated {
				b.Fatal(status, string(body), err) // and the key is verified from here on
			}
			idle := make(chan *wire, callers)
			for range callers {
				idle <- dial(b, addr)
			}
			var next atomic.Uint64
			b.ReportAllocs()
			drive(b, callers, func() error {
				w := <-idle
				defer func() { idle <- w }()
				row := storetest.NewFloorRow(next.Add(1))
				status, body, err := w.send(post("/v1/facts", writerKey, fmt.Sprintf(
					`{"entity":"user:%s","relation":"memory:note","value":{"type":"string","v":%q},"source":%q,"confidence":1.0,"scope":"company"}`,
					row.ID, row.Value, row.Entity)))
				if err == nil && status != http.StatusCreated {
					err = fmt.Errorf("status %d: %s", status, body)
				}
				return err
			})
		})
	}
}
