package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"symbolon/internal/apikey"
	"symbolon/internal/config"
	"symbolon/internal/obs"
)

// A drained is a node that is about to be stopped while a request is under way.
type drained struct {
	addr, key string
	log       *logBuffer
	stop      func()
	done      chan error
}

func startDrained(t *testing.T, drain time.Duration) drained {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Auth.BcryptRounds, c.DrainTimeout = t.TempDir()+"/data", "127.0.0.1:0", 4, drain
	d := drained{log: &logBuffer{}, key: strings.Repeat("k", 43), done: make(chan error, 1)}
	ln, err := Listen(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), &c, Options{Log: obs.NewLog(d.log, "json", slog.LevelInfo), FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if _, err := n.Keys.Create(t.Context(), apikey.Request{Raw: d.key, Entity: "agent:a", Permissions: []string{"write"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	d.addr, d.stop = c.Listen, cancel
	up := make(chan struct{})
	go func() { d.done <- n.Run(ctx, ln, func(net.Addr) { close(up) }) }()
	<-up
	return d
}

const aFact = `{"entity":"user:a","relation":"memory:x","value":{"type":"string","v":"y"},"source":"agent:a","scope":"local"}`

// begin sends a request but for the end of its body.
func (d drained) begin(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /v1/facts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		d.key, len(aFact), aFact[:20]); err != nil {
		t.Fatal(err)
	}
	return conn
}

// waitFor waits until the node logs an event.
func (d drained) waitFor(t *testing.T, event string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(d.log.String(), `"msg":"`+event+`"`); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in:\n%s", event, d.log)
		}
	}
}

func TestAStopLetsRequestsUnderWayFinish(t *testing.T) {
	t.Parallel()
	d := startDrained(t, 10*time.Second)
	conn := d.begin(t)
	time.Sleep(50 * time.Millisecond) // the request has to be under way
	d.stop()
	d.waitFor(t, "node.draining")
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatal("a node that drains takes new connections")
		}
	}
	if _, err := io.WriteString(conn, aFact[20:]); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("the request under way got %d", res.StatusCode)
	}
	if err := <-d.done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if log := d.log.String(); !strings.Contains(log, `"msg":"node.stopped"`) || strings.Contains(log, "cut_short") {
		t.Errorf("the log:\n%s", log)
	}
}

func TestAStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	d := startDrained(t, 200*time.Millisecond)
	d.begin(t)
	time.Sleep(50 * time.Millisecond)
	d.stop()
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the node does not stop")
	}
	d.waitFor(t, "node.drain_cut_short")
}

func TestAPortThatWasChosenIsTheOneOfTheNodesURL(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Listen = "127.0.0.1:0"
	ln, err := Listen(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if want := "http://" + ln.Addr().String(); c.URL() != want {
		t.Errorf("the URL is %s, want %s", c.URL(), want)
	}
}
