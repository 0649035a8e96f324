package sqlite

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The SQLite driver is made for one version of its C library; with another it has
// corrupted memory. Our go.mod must name the one that the driver's own go.mod names.
func TestTheDriverHasItsOwnLibc(t *testing.T) {
	ask := func(format, module string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", format, module).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	mod, err := os.ReadFile(ask("{{.GoMod}}", "modernc.org/sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`modernc\.org/libc (v\S+)`).FindSubmatch(mod)
	if want == nil {
		t.Fatal("the driver's go.mod names no libc")
	}
	if got := ask("{{.Version}}", "modernc.org/libc"); got != string(want[1]) {
		t.Errorf("modernc.org/libc is at %s and the driver wants %s", got, want[1])
	}
}
