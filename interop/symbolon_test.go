package interop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var (
	binary    = flag.String("interop.symbolon", "", "the symbolon binary to test; empty builds it")
	calibrate = flag.Bool("interop.calibrate", false, "run the client suites against the real servers instead, to check the suites themselves")
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "symbolon-interop-")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "symbolon"), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

var built string // the binary that was built, if one was

// symbolonBinary returns the path of the binary to test.
func symbolonBinary(t *testing.T) string {
	t.Helper()
	if *binary != "" {
		return *binary
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if built == "" {
		mustRun(t, append(os.Environ(), "CGO_ENABLED=0"), "", "go", "build", "-o", path, "symbolon/cmd/symbolon")
		built = path
	}
	return path
}

// A node is a running symbolon serve.
type node struct {
	dir, url string
	flags    []string
	environ  []string
	proc     *process
	runs     []*process // proc and those before it
	owner    *testing.T // whose end is the node's end
}

// startSymbolon serves a fresh data directory.
func startSymbolon(t *testing.T, flags ...string) *node {
	t.Helper()
	n := &node{dir: filepath.Join(workDir(t), "data"), url: fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), flags: flags, owner: t}
	n.environ = cleanEnv(filepath.Dir(n.dir), "OS_BOOTSTRAP_PASSWORD="+adminPassword, "OS_BOOTSTRAP_REGION_ID=RegionOne")
	n.serve(t)
	t.Cleanup(func() { n.quiet(t) })
	return n
}

// quiet checks what the node logged in all its runs: no error, whatever the clients and
// peers did, and no secret.
func (n *node) quiet(t *testing.T) {
	t.Helper()
	for _, p := range n.runs {
		p.stop(t)
		for line := range strings.Lines(p.log.String()) {
			if strings.Contains(line, `"level":"ERROR"`) {
				t.Errorf("the node logged an error: %s", line)
			}
			for what, secret := range map[string]string{"a token": "gAAAAA", "a password": adminPassword, "an API key": "-0123456789abcdef0123456789abcdef"} {
				if strings.Contains(line, secret) {
					t.Errorf("the node logged %s: %s", what, line)
				}
			}
		}
	}
}

// serve starts the node, for the first time or again.
func (n *node) serve(t *testing.T) {
	t.Helper()
	args := append([]string{symbolonBinary(t), "serve", "--data", n.dir, "--listen", strings.TrimPrefix(n.url, "http://"), "--log-format", "json"}, n.flags...)
	n.proc = start(n.owner, "symbolon", filepath.Dir(n.dir), n.environ, args...)
	n.runs = append(n.runs, n.proc)
	n.proc.ready(t, n.url+"/healthz")
}

// command runs another command of the binary on the node's data directory.
func (n *node) command(t *testing.T, input string, args ...string) string {
	t.Helper()
	return mustRun(t, n.environ, input, append(append([]string{symbolonBinary(t)}, args...), "--data", n.dir)...)
}

// apiKey makes a key with the permissions and returns it.
func (n *node) apiKey(t *testing.T, entity, permissions string) string {
	t.Helper()
	key := "interop-" + strings.NewReplacer(":", "-", "/", "-").Replace(entity) + "-0123456789abcdef0123456789abcdef"
	n.command(t, key+"\n", "apikey", "create", "--entity", entity, "--permissions", permissions, "--key-file", "-")
	return key
}

func bearer(key string) []string { return []string{"Authorization", "Bearer " + key} }

// identityServer returns the URL, ending in /v3, of a bootstrapped server of the
// Identity API: ours, or Keystone when the suite itself is being checked.
func identityServer(t *testing.T) string {
	t.Helper()
	if *calibrate {
		return startKeystone(t, filepath.Join(workDir(t), "keys")).url
	}
	return startSymbolon(t).url + "/v3"
}
