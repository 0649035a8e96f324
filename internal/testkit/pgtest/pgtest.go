//go:build unix

// Package pgtest runs private PostgreSQL clusters for tests.
//
// A cluster lives in a directory of its own, listens on a socket in it and is gone
// when the test process is, however that ends. The databases sort text by a
// language's rules, so that a schema which forgets to state byte collation is found
// out.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"symbolon/internal/testkit"
)

// A Cluster is a PostgreSQL server of our own.
type Cluster struct {
	dir  string // holds data/, the socket and the log
	bin  string
	cred *syscall.Credential // who the server runs as; nil for the present user
	sync bool
	// alive is the janitor's input. The janitor acts when it is closed: by stop, or
	// with this process.
	alive io.Closer

	mu        sync.Mutex // guards what follows
	server    *exec.Cmd
	exited    chan struct{}
	databases int
	templates map[string]string
}

const (
	port         = 5432 // only part of the socket's name
	startTimeout = 30 * time.Second
)

var shared = sync.OnceValues(func() (*Cluster, error) { return start(false) })

// Shared returns the cluster that all tests of the process share. It does not
// write through to the disk. Without a PostgreSQL installation the test is skipped,
// or fails when one is required.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	need(t)
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Durable starts a cluster of the test's own that writes through to the disk, for
// crashes and measurements.
func Durable(t testing.TB) *Cluster {
	t.Helper()
	need(t)
	c, err := start(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

func need(t testing.TB) {
	t.Helper()
	if _, err := binaries(); err != nil {
		if testkit.RequirePostgres() {
			t.Fatalf("pgtest: %v, and SYMBOLON_REQUIRE_POSTGRES is set", err)
		}
		t.Skipf("pgtest: NOT TESTED ON POSTGRESQL: %v", err)
	}
}

// binaries finds the directory of the newest installed server.
func binaries() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil && has(filepath.Dir(p), "initdb") {
			return filepath.Dir(p), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, d := range dirs {
		if has(d, "postgres") && has(d, "initdb") {
			return d, nil
		}
	}
	return "", errors.New("no PostgreSQL server is installed: neither postgres in PATH nor /usr/lib/postgresql/*/bin")
}

func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

func start(durable bool) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: the path of a socket may have 107 bytes
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin, sync: durable, templates: map[string]string{}}
	if os.Geteuid() == 0 {
		// The server refuses to run as root.
		if c.cred, err = unprivileged(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			return nil, err
		}
	}
	if err := c.janitor(); err != nil {
		return nil, err
	}
	if err := c.initdb(); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range [...]string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("pgtest: running as root and found no user to run the server as")
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	// A group of its own, so that an interrupt at the terminal reaches the test
	// first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true}
	return cmd
}

// janitor starts a shell that waits for the end of this process and then stops the
// server and removes the directory.
func (c *Cluster) janitor() error {
	cmd := c.command("/bin/sh", "-c", `cat >/dev/null
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do [ -e "$0/data/postmaster.pid" ] || break; sleep 0.1; done
cd / && rm -rf "$0"`, c.dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	c.alive = in
	return cmd.Start()
}

func (c *Cluster) initdb() error {
	args := []string{"-D", filepath.Join(c.dir, "data"), "-U", "symbolon", "--auth=trust", "-E", "UTF8", "--no-sync"}
	icu := append(slices.Clone(args), "--locale-provider=icu", "--icu-locale=en-US", "--locale=C")
	out, err := c.command(filepath.Join(c.bin, "initdb"), icu...).CombinedOutput()
	if err == nil {
		return nil
	}
	// An old server, or one that was built without language support.
	if err := os.RemoveAll(filepath.Join(c.dir, "data")); err != nil {
		return err
	}
	if out2, err := c.command(filepath.Join(c.bin, "initdb"), append(args, "--locale=C")...).CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s%s", err, out, out2)
	}
	return nil
}

// Start starts the server after Kill and waits until it answers.
func (c *Cluster) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	logFile, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	args := []string{
		"-D", filepath.Join(c.dir, "data"), "-k", c.dir, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "autovacuum=off",
	}
	if !c.sync {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0")
	}
	deadline := time.Now().Add(startTimeout)
	for {
		cmd := c.command(filepath.Join(c.bin, "postgres"), args...)
		cmd.Stdout, cmd.Stderr = logFile, logFile
		if err := cmd.Start(); err != nil {
			return err
		}
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait() // how a server ends that a test kills says nothing
			close(exited)
		}()
		c.server, c.exited = cmd, exited
		if err = c.await(exited, deadline); err == nil {
			return nil
		}
		// After a kill the old server's children may hold its memory a moment
		// longer; a new one refuses to start until they are gone.
		if time.Now().After(deadline) {
			return fmt.Errorf("pgtest: the server does not start: %w\n%s", err, c.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *Cluster) await(exited <-chan struct{}, deadline time.Time) error {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-exited:
			return errors.New("it ended at once")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *Cluster) tail() string {
	f, err := os.Open(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// Kill ends the server with SIGKILL; its children notice and end too. Start starts
// it again.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.server.Process.Kill(); err != nil {
		return err
	}
	<-c.exited
	return nil
}

func (c *Cluster) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		_ = c.server.Process.Signal(syscall.SIGQUIT) // it may have ended
		<-c.exited
	}
	_ = os.RemoveAll(c.dir) // the janitor tries again
	_ = c.alive.Close()
}

func (c *Cluster) url(db string) string {
	q := url.Values{"host": {c.dir}, "port": {strconv.Itoa(port)}}
	u := url.URL{Scheme: "postgres", User: url.User("symbolon"), Path: "/" + db, RawQuery: q.Encode()}
	return u.String()
}

// Database makes an empty database and returns its URL.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	name, err := c.create("template0")
	if err != nil {
		t.Fatal(err)
	}
	return c.url(name)
}

// Clone makes a copy of a database that prepare set up once for the cluster, and
// returns its URL. key names the preparation.
func (c *Cluster) Clone(t testing.TB, key string, prepare func(url string) error) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	from, ok := c.templates[key]
	if !ok {
		var err error
		if from, err = c.create("template0"); err == nil {
			err = prepare(c.url(from))
		}
		if err != nil {
			t.Fatal(err)
		}
		c.templates[key] = from
	}
	name, err := c.create(from)
	if err != nil {
		t.Fatal(err)
	}
	return c.url(name)
}

// create makes a database from a template. The caller holds mu.
func (c *Cluster) create(template string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	c.databases++
	name := "t" + strconv.Itoa(c.databases)
	strategy := ""
	if strings.HasPrefix(template, "t") && !c.sync {
		// Copying files is faster than writing them to the log when nothing is
		// synchronised.
		strategy = " STRATEGY file_copy"
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+strategy)
	var syntax interface{ SQLState() string }
	if errors.As(err, &syntax) && syntax.SQLState() == "42601" && strategy != "" {
		_, err = conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template)
	}
	return name, err
}
