package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// run runs a command in this process with a clean environment.
func run(t *testing.T, args ...string) (exit int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = Main(t.Context(), args, IO{In: strings.NewReader(""), Out: &o, Err: &e, Environ: []string{"HOME=/"}})
	return exit, o.String(), e.String()
}

// commands returns the path of every command that a person can call.
func commandPaths(c *cobra.Command) (paths [][]string) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		own := strings.Fields(sub.CommandPath())[1:]
		paths = append(append(paths, own), commandPaths(sub)...)
	}
	return paths
}

func TestHelpIsGolden(t *testing.T) {
	t.Parallel()
	a := &app{}
	paths := append([][]string{nil}, commandPaths(a.root())...)
	if len(paths) < 25 {
		t.Errorf("only %d commands", len(paths))
	}
	var got strings.Builder
	for _, p := range paths {
		exit, out, errs := run(t, append(append([]string{}, p...), "--help")...)
		if exit != exitFine || errs != "" {
			t.Errorf("%v --help: exit code %d, %q", p, exit, errs)
		}
		got.WriteString("$ symbolon " + strings.Join(append(p, "--help"), " ") + "\n" + out + "\n")
	}
	const golden = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("--help differs from %s (-want +got); -update rewrites it:\n%s", golden, diff)
	}
}

// No flag takes a secret: arguments are seen by every user of the machine.
func TestNoFlagTakesASecret(t *testing.T) {
	t.Parallel()
	_, out, _ := run(t, "serve", "--help")
	for _, bad := range []string{"--bootstrap-password", "--federation-private-key "} {
		if strings.Contains(out, bad) {
			t.Errorf("serve takes %s", bad)
		}
	}
	for _, p := range commandPaths((&app{}).root()) {
		if len(p) == 0 {
			continue
		}
		exit, _, errs := run(t, append(append([]string{}, p...), "--bootstrap-password=x")...)
		if exit != exitUsage || !strings.Contains(errs, "unknown flag") {
			t.Errorf("%v --bootstrap-password: exit code %d, %s", p, exit, errs)
		}
	}
}
