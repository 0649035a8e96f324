package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	enabled = flag.Bool("interop", false, "run against the real systems, which interop/setup installs")
	envsDir = flag.String("interop.dir", "", "where interop/setup keeps its environments")
	keep    = flag.Bool("interop.keep", false, "keep the directories and logs of what was started")
)

// needs skips a test unless the suite was asked for, and fails it when the suite was
// asked for and a system is missing: in CI nothing is skipped.
func needs(t *testing.T, paths ...string) {
	t.Helper()
	if !*enabled {
		t.Skip("NOT RUN: the interop suite runs with -interop, after interop/setup")
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			t.Fatalf("%v: run interop/setup first", err)
		}
	}
}

// env returns a path inside one of the Python environments.
func env(name, path string) string {
	dir := *envsDir
	if dir == "" {
		dir = os.Getenv("SYMBOLON_INTEROP_DIR")
	}
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "symbolon-interop")
	}
	return filepath.Join(dir, name, path)
}

func driver(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("drivers", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// workDir returns a directory of the test's own.
func workDir(t *testing.T) string {
	t.Helper()
	if !*keep {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("", strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kept in %s", dir)
	return dir
}

// freePort returns a loopback port that nothing listens on. It is free again when it is
// returned: a system that is told its port has no better way.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A process is a server that a test started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *logFile
	done chan struct{} // closed when it ended
}

// logFile collects output in memory, for the report of a failure.
type logFile struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a server until the test ends or stop is called. Its output is shown when
// the test fails.
func start(t *testing.T, name, dir string, environ []string, argv ...string) *process {
	t.Helper()
	return startWithInput(t, name, dir, environ, "", argv...)
}

// startWithInput is start for a server that reads something first.
func startWithInput(t *testing.T, name, dir string, environ []string, input string, argv ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: &logFile{}, done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, environ, p.log, p.log
	p.cmd.Stdin = strings.NewReader(input)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", name, tail(p.log.String(), 60))
		}
	})
	return p
}

// stop ends the server as an operator would, and waits for it.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		t.Errorf("%s does not stop on SIGTERM", p.name)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ready waits until url answers at all, or the server ends.
func (p *process) ready(t *testing.T, url string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-p.done:
			t.Fatalf("%s ended before it was ready:\n%s", p.name, tail(p.log.String(), 40))
		default:
		}
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s is not ready after a minute:\n%s", p.name, tail(p.log.String(), 40))
}

// run runs a command to its end and returns what it wrote to standard output. input
// goes to its standard input.
func run(t *testing.T, environ []string, input string, argv ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = environ
	cmd.Stdin = strings.NewReader(input)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), e, tail(out.String(), 20), tail(err.String(), 20))
	}
	return out.String(), nil
}

func mustRun(t *testing.T, environ []string, input string, argv ...string) string {
	t.Helper()
	out, err := run(t, environ, input, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// cleanEnv is an environment in which nothing of the caller's configures a system.
func cleanEnv(home string, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "PYTHONUNBUFFERED=1", "PYTHONWARNINGS=ignore", "NO_PROXY=*"}, more...)
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > lines {
		all = append([]string{"…"}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n") + "\n"
}

// An answer is an HTTP response that was read to its end.
type answer struct {
	Status int
	Header http.Header
	Text   string
}

// object decodes the body as a JSON object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Text), &m); err != nil {
		t.Fatalf("status %d, body is not a JSON object: %v\n%s", a.Status, err, tail(a.Text, 10))
	}
	return m
}

// call makes a request with a JSON body (nil for none) and pairs of header names and
// values.
func call(t *testing.T, method, url string, body any, headers ...string) answer {
	t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// want fails the test unless the answer has the status.
func (a answer) want(t *testing.T, what string, status int) answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%s: status %d, want %d: %s", what, a.Status, status, tail(a.Text, 10))
	}
	return a
}

// dig walks a decoded JSON value by the keys of its objects.
func dig(v any, path ...string) any {
	for _, k := range path {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

func text(v any) string { s, _ := v.(string); return s }

// eventually retries until cond is nil, and fails with its last error.
func eventually(t *testing.T, within time.Duration, what string, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: after %s: %v", what, within, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
