package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkEmptyNode starts the real binary on a data directory that it made before,
// and reports how long it takes to be ready, its memory then, and how much that grew
// after a hundred thousand validations of one token.
func BenchmarkEmptyNode(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("memory is read from /proc")
	}
	dir := b.TempDir()
	bin := filepath.Join(dir, "symbolon")
	if out, err := exec.Command("go", "build", "-o", bin, "symbolon/cmd/symbolon").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	client := &http.Client{Timeout: 10 * time.Second}
	start := func() (*exec.Cmd, time.Duration) {
		cmd := exec.Command(bin, "serve", "--data", filepath.Join(dir, "data"), "--listen", addr, "--log-level", "error")
		cmd.Env = append(os.Environ(), "OS_BOOTSTRAP_PASSWORD=the benchmark's")
		began := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		for time.Since(began) < 30*time.Second {
			if resp, err := client.Get("http://" + addr + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return cmd, time.Since(began)
				}
			}
			time.Sleep(time.Millisecond)
		}
		b.Fatal("not ready within 30 s")
		return nil, 0
	}
	stop := func(cmd *exec.Cmd) {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	first, _ := start() // makes the data directory
	stop(first)

	var ready time.Duration
	var idle, after float64
	for range b.N {
		cmd, took := start()
		ready += took
		idle += rss(b, cmd.Process.Pid)
		resp, err := client.Post("http://"+addr+"/v3/auth/tokens", "application/json", strings.NewReader(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin",
			"domain":{"id":"default"},"password":"the benchmark's"}}},"scope":{"project":{"name":"admin","domain":{"id":"default"}}}}}`))
		if err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		tok := resp.Header.Get("X-Subject-Token")
		if tok == "" {
			b.Fatalf("no token: %s", resp.Status)
		}
		for i := range 110_000 {
			req, err := http.NewRequest("GET", "http://"+addr+"/v3/auth/tokens", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header["X-Auth-Token"], req.Header["X-Subject-Token"] = []string{tok}, []string{tok}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Fatal(resp.Status)
			}
			if i == 9_999 { // warm
				after -= rss(b, cmd.Process.Pid)
			}
		}
		after += rss(b, cmd.Process.Pid)
		stop(cmd)
	}
	n := float64(b.N)
	b.ReportMetric(float64(ready.Milliseconds())/n, "ms-to-ready")
	b.ReportMetric(idle/n, "MiB-idle")
	b.ReportMetric(after/n, "MiB-grown")
	b.ReportMetric(0, "ns/op")
}

// rss returns the resident memory of a process in MiB.
func rss(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range bytes.Split(status, []byte("\n")) {
		if kb, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(kb)), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return float64(n) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
