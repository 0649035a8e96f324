// Package docs holds the tests that keep the documents true.
package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"symbolon/internal/config"
	reasons "symbolon/token"
)

var update = flag.Bool("update", false, "rewrite what is generated in the documents")

const operations = "operations.md"

// section returns what stands between two marks of a document.
func section(t *testing.T, doc, name string) (before, inner, after string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(doc, begin)
	inner, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %q", operations, name)
	}
	return before + begin, inner, end + after
}

func read(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The table of settings is made of the table that the program reads.
func TestEverySettingHasItsRow(t *testing.T) {
	var b strings.Builder
	b.WriteString("| key in the file | flag | variable, also read from | value | default | what it is |\n|---|---|---|---|---|---|\n")
	d := config.Default()
	for _, s := range config.Settings() {
		flagName, value := "`--"+s.Flag()+"`", s.Value(&d)
		if s.Secret {
			flagName = "none: it is a secret"
		}
		if value != "" {
			value = "`" + strings.ReplaceAll(value, ",", ", ") + "`"
		}
		names := []string{"`" + s.Env() + "`"}
		for _, n := range s.Also {
			names = append(names, "`"+n+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", s.Key, flagName, strings.Join(names, " "), strings.ReplaceAll(s.Form, "|", " or "), value, s.Doc)
	}
	doc := read(t)
	before, got, after := section(t, doc, "settings")
	if *update {
		if err := os.WriteFile(operations, []byte(before+b.String()+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), got); diff != "" {
		t.Errorf("the settings of %s are not the program's (-program +document); go test ./docs -update rewrites them:\n%s", operations, diff)
	}
}

// rows returns what stands in code in the first column of a section's table.
func rows(t *testing.T, name string) []string {
	t.Helper()
	_, inner, _ := section(t, read(t), name)
	var out []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(inner, -1) {
		out = append(out, m[1])
	}
	return out
}

func same(t *testing.T, what string, documented, real []string) {
	t.Helper()
	for _, r := range real {
		if !slices.Contains(documented, r) {
			t.Errorf("%s: %s %q has no row", operations, what, r)
		}
	}
	for i, d := range documented {
		if !slices.Contains(real, d) {
			t.Errorf("%s: there is no %s %q", operations, what, d)
		}
		if slices.Contains(documented[:i], d) {
			t.Errorf("%s: %s %q has two rows", operations, what, d)
		}
	}
}

func TestEveryReasonHasItsRow(t *testing.T) {
	var list []string
	for _, r := range reasons.Reasons() {
		list = append(list, string(r))
	}
	same(t, "reason", rows(t, "reasons"), list)
}

func TestEveryMetricHasItsRow(t *testing.T) {
	var found []string
	eachFile(t, func(_ string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			if name, ok := kv.Key.(*ast.Ident); ok && name.Name == "Name" {
				if s := text(kv.Value, nil); strings.HasPrefix(s, "symbolon_") {
					found = append(found, s)
				}
			}
			return true
		})
	})
	if len(found) < 5 {
		t.Errorf("only %d metrics were found in the code", len(found))
	}
	same(t, "metric", rows(t, "metrics"), found)
}

var eventName = regexp.MustCompile(`^[a-z]+(\.[a-z_]+)+$`)

// A log message is the name of an event, and every event has a row.
func TestEveryEventHasItsRow(t *testing.T) {
	consts := map[string]string{} // names of events that are constants
	eachFile(t, func(_ string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if s := text(v.Values[i], nil); eventName.MatchString(s) {
							consts[name.Name] = s
						}
					}
				}
			}
			return true
		})
	})
	var found []string
	eachFile(t, func(path string, f *ast.File) {
		assigned := map[string][]string{} // texts that a variable of the file is given
		ast.Inspect(f, func(n ast.Node) bool {
			if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == len(a.Rhs) {
				for i := range a.Lhs {
					if name, ok := a.Lhs[i].(*ast.Ident); ok {
						if s := text(a.Rhs[i], nil); eventName.MatchString(s) {
							assigned[name.Name] = append(assigned[name.Name], s)
						}
					}
				}
			}
			return true
		})
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			msg := message(c)
			if msg == nil {
				return true
			}
			names := []string{text(msg, consts)}
			if id, ok := msg.(*ast.Ident); ok && names[0] == "" {
				names = assigned[id.Name]
			}
			for _, name := range names {
				if !eventName.MatchString(name) {
					t.Errorf("%s logs %q, which is no name of an event", path, name)
				}
				if !slices.Contains(found, name) {
					found = append(found, name)
				}
			}
			if len(names) == 0 {
				t.Errorf("%s logs what cannot be found out", path)
			}
			return true
		})
	})
	if len(found) < 20 {
		t.Errorf("only %d events were found in the code", len(found))
	}
	same(t, "event", rows(t, "events"), found)
}

// message returns the message of a call that logs, or nil.
func message(c *ast.CallExpr) ast.Expr {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	if sel.Sel.Name == "LogAttrs" && len(c.Args) >= 3 {
		return c.Args[2]
	}
	if slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, sel.Sel.Name) && len(c.Args) >= 1 {
		switch x := sel.X.(type) {
		case *ast.Ident:
			if strings.EqualFold(x.Name, "log") || x.Name == "slog" {
				return c.Args[0]
			}
		case *ast.SelectorExpr:
			if strings.EqualFold(x.Sel.Name, "log") {
				return c.Args[0]
			}
		}
	}
	return nil
}

// text returns a text that is written down, or that a constant holds.
func text(e ast.Expr, consts map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return s
		}
	case *ast.Ident:
		return consts[e.Name]
	case *ast.SelectorExpr:
		return consts[e.Sel.Name]
	}
	return ""
}

// eachFile visits the program's own code.
func eachFile(t *testing.T, visit func(path string, f *ast.File)) {
	t.Helper()
	for _, dir := range []string{"../cmd", "../internal", "../fernet", "../keytoken", "../peertoken", "../token", "../epoch"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "testkit" || d.Name() == "testdata" || d.Name() == "storetest") {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			visit(path, f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
