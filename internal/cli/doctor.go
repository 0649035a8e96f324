package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"symbolon/internal/config"
	"symbolon/internal/doctor"
	"symbolon/internal/server"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what is wrong with a node, and what to do", Args: noArgs,
		Long: `Looks at the data directory, the store, the keys, the settings, the clock and the end of the
audit log, and with --peer at another node as this one would see it: whether it can be reached,
what its clock says, whether its key is the registered one. It changes nothing, and works beside
a running node; give it the settings of that node.

It exits with 1 when there is a problem. A warning is no problem yet.`,
		Example: `  symbolon doctor --data /var/lib/symbolon
  symbolon doctor --config /etc/symbolon.toml --peer https://node.example.org`,
	}
	var peer string
	var full bool
	load := a.withSettings(cmd, "*")
	cmd.Flags().StringVar(&peer, "peer", "", "base URL of a node to look at")
	cmd.Flags().BoolVar(&full, "full", false, "read the whole database file and the whole audit log")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		var ps config.Problems
		if errors.As(err, &ps) {
			return a.report(configProblems(ps))
		}
		if err != nil {
			return err
		}
		client := server.PeerClient(&l.Config)
		defer client.Close()
		return a.report(doctor.Examine(c.Context(), doctor.Options{
			Config: &l.Config, ConfigFile: l.File, Ignored: l.Ignored, Now: a.Now, Full: full, PeerURL: peer, Remote: client,
		}))
	}
	return cmd
}

// configProblems are the findings of settings that cannot be used; nothing else can be
// looked at then.
func configProblems(ps config.Problems) []doctor.Finding {
	out := make([]doctor.Finding, len(ps))
	for i, p := range ps {
		out[i] = doctor.Finding{Severity: doctor.Problem, Area: "configuration", What: p.Key + " " + p.Msg, Do: "correct it; the rest was not looked at"}
	}
	return out
}

// report prints findings and fails when one is a problem.
func (a *app) report(found []doctor.Finding) error {
	count := map[doctor.Severity]int{}
	for _, f := range found {
		count[f.Severity]++
	}
	out := map[string]any{"findings": found, "problems": count[doctor.Problem], "warnings": count[doctor.Warning]}
	err := a.print(out, func(w io.Writer) {
		for _, f := range found {
			mark := string(f.Severity)
			if f.Severity == doctor.Problem {
				mark = "PROBLEM"
			}
			fmt.Fprintf(w, "%-8s %-13s %s\n", mark, f.Area, f.What)
			if f.Do != "" {
				fmt.Fprintf(w, "%-8s %-13s   do: %s\n", "", "", f.Do)
			}
		}
		switch p, n := count[doctor.Problem], count[doctor.Warning]; {
		case p+n == 0:
			fmt.Fprintln(w, "\nnothing is wrong")
		default:
			fmt.Fprintf(w, "\n%s, %s\n", counted(p, "problem"), counted(n, "warning"))
		}
	})
	if err == nil && count[doctor.Problem] > 0 {
		return quiet{exitFailed}
	}
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
