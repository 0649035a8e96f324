package cli

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"symbolon/internal/config"
	"symbolon/internal/testkit/pgtest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"symbolon": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Main(ctx, os.Args[1:], IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}})
}

// Scripts drive the program as a person would. Beside the usual commands they have
//
//	code N command...      run it, and its exit code must be N
//	serve NAME args...     start a node in the background and wait until it is ready:
//	                       $NAME is its URL, NAME.out and NAME.err what it writes
//	                       (not ready after all: "! serve")
//	term NAME              send it SIGTERM; it must exit with 0
//	crash NAME             kill it
//	http STATUS METHOD URL [Name:value]... [@FILE]
//	                       make a request; the answer is in the files body and head
//	until STATUS URL [Name:value]...
//	                       GET until the answer has that status
//	soon STATUS URL [Name:value]...
//	                       likewise, within a second and what a busy machine adds
//	field VAR FILE path    set VAR to a part of a JSON file, such as peers.0.id
//	header VAR name        set VAR to a header of the last answer
//	snap DIR               remember everything in DIR
//	same DIR               it must be as it was at the last snap of it
//	absent FILE text...    FILE must not hold any of the texts; an empty text is an error
//	sql DB statement...    run SQL on a SQLite file
//	tryout OUT FILE        write the commands that a node's first start shows into FILE
//	taken VAR              set VAR to an address of loopback that is in use
//	content VAR FILE       set VAR to a file's content, without its line end
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script", nil)
}

// The same on a PostgreSQL store, where there is one.
func TestScriptsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/script-postgres", map[string]string{"SYMBOLON_DATABASE": pgtest.Shared(t).Database(t)})
}

func runScripts(t *testing.T, dir string, vars map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir, UpdateScripts: *update, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SYMBOLON_AUTH_BCRYPT_ROUNDS", "4") // hashing is not what is tested
			e.Setenv("SYMBOLON_LISTEN", "127.0.0.1:0")
			for k, v := range vars {
				e.Setenv(k, v)
			}
			e.Values[nodesKey{}] = &nodes{m: map[string]*background{}}
			e.Values[snapsKey{}] = map[string]string{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "serve": serve, "term": term, "crash": crash, "http": request, "field": field, "header": header,
			"until": until(15 * time.Second), "soon": until(3 * time.Second),
			"snap": snap, "same": same, "absent": absent, "sql": runSQL, "taken": taken, "tryout": tryout, "content": content,
		},
	})
}

type (
	nodesKey struct{}
	snapsKey struct{}
)

type nodes struct {
	mu sync.Mutex // guards m
	m  map[string]*background
}

type background struct {
	cmd  *exec.Cmd
	done chan error
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		got = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// environment is what of the script's environment means something to the program.
func environment(ts *testscript.TestScript) []string {
	names := []string{"PATH", "HOME", "TMPDIR", "SYMBOLON_CONFIG"}
	for _, s := range config.Settings() {
		for _, n := range append([]string{s.Env()}, s.Also...) {
			names = append(names, n, n+"_FILE")
		}
	}
	var out []string
	for _, n := range names {
		if v := ts.Getenv(n); v != "" {
			out = append(out, n+"="+v)
		}
	}
	return out
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	cmd := exec.Command("symbolon", append([]string{"serve"}, args[1:]...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	outName, errName := ts.MkAbs(name+".out"), ts.MkAbs(name+".err")
	out, err := os.Create(outName)
	ts.Check(err)
	defer out.Close()
	logs, err := os.Create(errName)
	ts.Check(err)
	defer logs.Close()
	cmd.Stdout, cmd.Stderr = out, logs
	ts.Check(cmd.Start())
	b := &background{cmd, make(chan error, 1)}
	go func() { b.done <- cmd.Wait() }()
	ts.Defer(func() { _ = cmd.Process.Kill() }) // it may have ended
	ready, end := "Symbolon is ready at ", " "
	if slices.Contains(args, "--json") {
		ready, end = `"url":"`, `"`
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(outName)
		ts.Check(err)
		if _, rest, ok := strings.Cut(string(text), ready); ok && strings.Contains(rest, "\n") {
			if neg {
				ts.Fatalf("the node is ready")
			}
			url, _, _ := strings.Cut(rest, end)
			ts.Setenv(name, url)
			all := ts.Value(nodesKey{}).(*nodes)
			all.mu.Lock()
			defer all.mu.Unlock()
			all.m[name] = b
			return
		}
		select {
		case err := <-b.done:
			if !neg {
				ts.Fatalf("the node ended: %v\n%s", err, ts.ReadFile(errName))
			}
			return
		default:
		}
	}
	ts.Fatalf("the node is not ready:\n%s", ts.ReadFile(errName))
}

func ended(ts *testscript.TestScript, name string) *background {
	all := ts.Value(nodesKey{}).(*nodes)
	all.mu.Lock()
	defer all.mu.Unlock()
	b := all.m[name]
	if b == nil {
		ts.Fatalf("no node %s is running", name)
	}
	delete(all.m, name)
	return b
}

func term(ts *testscript.TestScript, _ bool, args []string) {
	b := ended(ts, args[0])
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-b.done:
		if err != nil {
			ts.Fatalf("after SIGTERM: %v\n%s", err, ts.ReadFile(args[0]+".err"))
		}
	case <-time.After(15 * time.Second):
		ts.Fatalf("the node does not stop")
	}
}

func crash(ts *testscript.TestScript, _ bool, args []string) {
	b := ended(ts, args[0])
	ts.Check(b.cmd.Process.Kill())
	<-b.done
}

var client = &http.Client{Timeout: 20 * time.Second}

func request(ts *testscript.TestScript, _ bool, args []string) {
	if got := fetch(ts, args[1:]); got != args[0] {
		ts.Fatalf("the answer is %s, want %s: %s", got, args[0], ts.ReadFile("body"))
	}
}

func until(limit time.Duration) func(ts *testscript.TestScript, _ bool, args []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		var got string
		for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if got = fetch(ts, append([]string{http.MethodGet}, args[1:]...)); got == args[0] {
				return
			}
		}
		ts.Fatalf("the answer stays %s, want %s: %s", got, args[0], ts.ReadFile("body"))
	}
}

// fetch makes a request of METHOD URL [Name:value]... [@FILE] and returns the status.
func fetch(ts *testscript.TestScript, args []string) string {
	var body io.Reader
	head := http.Header{}
	for _, a := range args[2:] {
		if file, ok := strings.CutPrefix(a, "@"); ok {
			body = strings.NewReader(ts.ReadFile(file))
			head.Set("Content-Type", "application/json")
			continue
		}
		k, v, _ := strings.Cut(a, ":")
		head.Set(k, strings.TrimSpace(v))
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	req.Header = head
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	ts.Check(err)
	var h bytes.Buffer
	ts.Check(res.Header.Write(&h))
	ts.Check(os.WriteFile(ts.MkAbs("body"), got, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("head"), h.Bytes(), 0o600))
	return strconv.Itoa(res.StatusCode)
}

func field(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for _, step := range strings.Split(args[2], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			n, err := strconv.Atoi(step)
			ts.Check(err)
			if n >= len(x) {
				ts.Fatalf("%s: no element %d", args[2], n)
			}
			v = x[n]
		default:
			ts.Fatalf("%s: nothing at %s", args[2], step)
		}
	}
	if s, ok := v.(string); ok {
		ts.Setenv(args[0], s)
		return
	}
	b, err := json.Marshal(v)
	ts.Check(err)
	ts.Setenv(args[0], string(b))
}

func header(ts *testscript.TestScript, _ bool, args []string) {
	for _, line := range strings.Split(ts.ReadFile("head"), "\r\n") {
		if k, v, _ := strings.Cut(line, ": "); strings.EqualFold(k, args[1]) {
			ts.Setenv(args[0], v)
			return
		}
	}
	ts.Fatalf("no header %s", args[1])
}

// everything describes a directory: names, modes and content; one that is not there
// is described too. The index of a running node's log holds no data.
func everything(ts *testscript.TestScript, dir string) string {
	var out strings.Builder
	err := filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "-shm") {
			return nil
		}
		fmt.Fprintf(&out, "%s %v", path, fi.Mode())
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", b)
		}
		out.WriteString("\n")
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing"
	}
	ts.Check(err)
	return out.String()
}

func snap(ts *testscript.TestScript, _ bool, args []string) {
	ts.Value(snapsKey{}).(map[string]string)[args[0]] = everything(ts, args[0])
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	before, ok := ts.Value(snapsKey{}).(map[string]string)[args[0]]
	if !ok {
		ts.Fatalf("no snap of %s", args[0])
	}
	switch now := everything(ts, args[0]); {
	case neg && now == before:
		ts.Fatalf("%s did not change", args[0])
	case !neg && now != before:
		ts.Fatalf("%s changed:\n%.3000s\n--- now\n%.3000s", args[0], before, now)
	}
}

func absent(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for _, s := range args[1:] {
		if len(s) < 3 {
			ts.Fatalf("%q is too short to look for", s)
		}
		if strings.Contains(text, s) {
			ts.Fatalf("%s holds %q:\n%s", args[0], s, text)
		}
	}
}

func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range args[1:] {
		if _, err := db.Exec(q); (err != nil) != neg {
			ts.Fatalf("%s: %v", q, err)
		}
	}
}

func tryout(ts *testscript.TestScript, _ bool, args []string) {
	var b strings.Builder
	for _, line := range strings.Split(ts.ReadFile(args[0]), "\n") {
		if rest, ok := strings.CutPrefix(line, "  "); ok {
			b.WriteString(strings.TrimSpace(rest) + "\n")
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b.String()), 0o600))
}

func taken(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

func content(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimRight(ts.ReadFile(args[1]), "\r\n"))
}
