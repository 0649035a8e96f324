// Package archtest fails when an import points the wrong way or a rule of the house
// is broken. The rules stand in docs/architecture.md.
package archtest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "symbolon"

// rings gives each package, or each tree of packages, its ring. A package imports
// only from its own ring or a lower one. The longest prefix counts.
var rings = map[string]int{
	"epoch": 0, "fernet": 0, "keytoken": 0, "peertoken": 0, "token": 0,
	"internal/errs": 0, "internal/id": 0, "internal/hlc": 0, "internal/canon": 0, "internal/sign": 0, "internal/rule": 0,
	"internal/principal": 1, "internal/identity": 1, "internal/authn": 1, "internal/issuer": 1, "internal/catalog": 1,
	"internal/fact": 1, "internal/apikey": 1, "internal/federation": 1, "internal/audit": 1,
	"internal/store": 2, "internal/peerhttp": 2,
	"internal/api":    3,
	"internal/config": 4, "internal/obs": 4, "internal/server": 4, "internal/cli": 4, "internal/doctor": 4, "internal/demo": 4, "internal/inspect": 4,
	"cmd": 5, "detect": 5, "internal/archtest": 5, "internal/testkit": 5, "internal/store/storetest": 5, "interop": 5, "docs": 5,
}

func ringOf(pkg string) (ring int, owner string, ok bool) {
	for prefix, r := range rings {
		if (pkg == prefix || strings.HasPrefix(pkg, prefix+"/")) && len(prefix) > len(owner) {
			ring, owner, ok = r, prefix, true
		}
	}
	return ring, owner, ok
}

// forbidden lists what a tree of packages may not import, beyond the rings.
var forbidden = []struct {
	in      *regexp.Regexp
	imports *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`^(epoch|keytoken|peertoken|token|internal/(errs|id|hlc|canon|sign|rule))$`),
		regexp.MustCompile(`^(net/http|database/sql|os)$`), "ring 0 does no I/O"},
	{regexp.MustCompile(`^fernet$`), regexp.MustCompile(`^(net/http|database/sql)$`), "the token core knows files of keys and nothing else"},
	{regexp.MustCompile(`^internal/(principal|identity|authn|issuer|catalog|fact|apikey|federation|audit)$`),
		regexp.MustCompile(`^(net/http|database/sql|os)$|^github\.com/jackc|^modernc\.org|^symbolon/internal/store`), "a domain knows no HTTP, no SQL and no files"},
	{regexp.MustCompile(`^internal/api/keystone`), regexp.MustCompile(`^symbolon/internal/(api/stigmem|store)`), "faces do not see each other nor the store"},
	{regexp.MustCompile(`^internal/api/stigmem`), regexp.MustCompile(`^symbolon/internal/(api/keystone|store|identity|issuer)`), "faces do not see each other nor the store"},
	{regexp.MustCompile(`^internal/api/httpx`), regexp.MustCompile(`^symbolon/internal/(api/|store)`), "what faces share knows none of them"},
	{regexp.MustCompile(`^internal/(?:[a-z]+/)*[a-z]+$|^cmd/`), regexp.MustCompile(`^math/rand$|^github\.com/pkg/errors$|^unsafe$`), "not used here"},
}

// onlyIn lists imports that only some trees may use.
var onlyIn = []struct {
	imports *regexp.Regexp
	trees   []string
}{
	{regexp.MustCompile(`^crypto/(rand|ed25519|aes|cipher)$`), []string{"fernet", "keytoken", "peertoken", "internal/id", "internal/sign"}},
	{regexp.MustCompile(`^database/sql$|^modernc\.org|^github\.com/jackc|^github\.com/pressly/goose`), []string{"internal/store", "internal/testkit/pgtest"}},
	{regexp.MustCompile(`^github\.com/prometheus`), []string{"internal/obs", "detect"}},
	{regexp.MustCompile(`^github\.com/spf13`), []string{"internal/cli"}},
	{regexp.MustCompile(`^log/slog$`), []string{"token", "fernet", "internal/sign", "internal/store", "internal/federation", "internal/issuer", "internal/authn",
		"internal/api", "internal/obs", "internal/server", "internal/cli", "internal/config", "internal/demo", "internal/doctor", "internal/peerhttp", "keytoken", "peertoken", "internal/identity", "internal/testkit"}},
}

type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module+"/")
		ps = append(ps, p)
	}
	return ps
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportsPointInwards(t *testing.T) {
	for _, p := range packages(t) {
		ring, _, ok := ringOf(p.ImportPath)
		if !ok {
			t.Errorf("%s is in no ring: give it one, and a line in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			local, isLocal := strings.CutPrefix(imp, module+"/")
			if isLocal {
				if r, _, ok := ringOf(local); ok && r > ring {
					t.Errorf("%s (ring %d) imports %s (ring %d)", p.ImportPath, ring, local, r)
				}
			}
			for _, f := range forbidden {
				if f.in.MatchString(p.ImportPath) && f.imports.MatchString(imp) && imp != module+"/"+p.ImportPath {
					t.Errorf("%s imports %s: %s", p.ImportPath, imp, f.why)
				}
			}
			for _, o := range onlyIn {
				if o.imports.MatchString(imp) && !slices.ContainsFunc(o.trees, func(tree string) bool {
					return p.ImportPath == tree || strings.HasPrefix(p.ImportPath, tree+"/")
				}) {
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, imp, strings.Join(o.trees, ", "))
				}
			}
		}
	}
}

// single lists calls that belong to one place.
var single = []struct {
	pkg, name string
	trees     []string
	why       string
}{
	{"time", "Now", []string{"internal/server", "internal/cli", "internal/obs", "internal/demo", "cmd", "internal/testkit", "interop", "internal/store/storetest"}, "the clock is handed in"},
	{"os", "Getenv", []string{"internal/config", "internal/testkit", "interop"}, "the environment is read in one place"},
	{"os", "LookupEnv", []string{"internal/config", "internal/testkit", "interop"}, "the environment is read in one place"},
	{"os", "Environ", []string{"internal/config", "internal/testkit", "interop"}, "the environment is read in one place"},
	{"http", "Get", nil, "a client has its own time-outs"},
	{"http", "Post", nil, "a client has its own time-outs"},
	{"http", "DefaultClient", nil, "a client has its own time-outs"},
	{"http", "DefaultServeMux", nil, "routes are a table"},
	{"http", "Error", nil, "each face writes its errors in one place"},
}

var sqlText = regexp.MustCompile(`(?s)^\s*(SELECT .* FROM|INSERT INTO|UPDATE .* SET|DELETE FROM|CREATE (TABLE|INDEX)|WITH .* AS \()`)

func TestSingleOwners(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					x, ok := n.X.(*ast.Ident)
					if !ok || x.Obj != nil {
						return true
					}
					for _, s := range single {
						if x.Name == s.pkg && n.Sel.Name == s.name && !within(p.ImportPath, s.trees) {
							t.Errorf("%s uses %s.%s: %s", fset.Position(n.Pos()), s.pkg, s.name, s.why)
						}
					}
				case *ast.BasicLit:
					if n.Kind != token.STRING || within(p.ImportPath, []string{"internal/store"}) {
						return true
					}
					if s, err := strconv.Unquote(n.Value); err == nil && sqlText.MatchString(s) {
						t.Errorf("%s holds SQL: it lives below internal/store", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func within(pkg string, trees []string) bool {
	for _, tree := range trees {
		if pkg == tree || strings.HasPrefix(pkg, tree+"/") {
			return true
		}
	}
	return false
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		docs := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs++
			}
			if bad := []string{"util", "common", "helpers", "types", "misc"}; slices.Contains(bad, f.Name.Name) {
				t.Errorf("package %s: a name that says nothing", p.ImportPath)
			}
		}
		if docs != 1 {
			t.Errorf("%s has %d package comments, want one", p.ImportPath, docs)
		}
	}
}

// A large file holds more than one story.
func TestFilesStaySmall(t *testing.T) {
	const limit = 700
	err := filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if n := strings.Count(string(b), "\n"); n > limit {
			t.Errorf("%s has %d lines, over %d", path, n, limit)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
