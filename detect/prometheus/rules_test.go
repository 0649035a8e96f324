// Package prometheus holds the alerts that ship; this test runs them.
package prometheus

import (
	"os"
	"os/exec"
	"testing"

	"symbolon/internal/testkit"
)

// The alerts are tested by promtool, which ships with Prometheus (Debian: apt install
// prometheus). CI installs it.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if testkit.CI() {
			t.Fatal("promtool is not installed, and CI never skips")
		}
		t.Skip("SKIPPED: promtool is not installed (Debian: apt install prometheus); the alerts are not tested here")
	}
	for _, args := range [][]string{{"check", "rules", "symbolon.rules.yml"}, {"test", "rules", "symbolon.rules_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Stdout, cmd.Stderr = t.Output(), os.Stderr
		if err := cmd.Run(); err != nil {
			t.Errorf("promtool %v: %v", args, err)
		}
	}
}
