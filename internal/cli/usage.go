package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"symbolon/internal/config"
)

// columns is the width of --help, whatever the terminal's, so that it reads the same
// everywhere.
const columns = 110

// groups are the headings under which --help lists settings, by the prefix of their
// keys; the empty one is what has no other.
var groups = []struct{ prefix, heading string }{
	{"", "Settings of the node"},
	{"token.", "Identity tokens"},
	{"auth.", "Passwords, API keys and trusts"},
	{"federation.", "Federation"},
	{"bootstrap.", "What the first start makes"},
}

// groupOf returns the index of a setting's group.
func groupOf(key string) int {
	for i, g := range groups {
		if g.prefix != "" && strings.HasPrefix(key, g.prefix) {
			return i
		}
	}
	return 0
}

// usageFunc writes how a command is used, its settings in groups.
func usageFunc(c *cobra.Command) error {
	w := c.OutOrStderr()
	fmt.Fprintln(w, "Usage:")
	if c.Runnable() && c.HasParent() {
		fmt.Fprintf(w, "  %s\n", c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n\nCommands:\n", c.CommandPath())
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" {
				fmt.Fprintf(w, "  %-14s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	if c.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", c.Example)
	}
	writeFlags(w, c)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n`%s COMMAND --help` says more about a command.\n", c.CommandPath())
	}
	return nil
}

func writeFlags(w io.Writer, c *cobra.Command) {
	group := map[string]int{}
	for _, s := range config.Settings() {
		group[s.Flag()] = groupOf(s.Key)
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	settings := make([]*pflag.FlagSet, len(groups))
	for i := range settings {
		settings[i] = pflag.NewFlagSet("", pflag.ContinueOnError)
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if i, isSetting := group[f.Name]; isSetting {
			settings[i].AddFlag(f)
			return
		}
		own.AddFlag(f)
	})
	section(w, "Flags", own)
	for i, fs := range settings {
		section(w, groups[i].heading, fs)
	}
	if c.HasAvailableInheritedFlags() {
		section(w, "Of every command", c.InheritedFlags())
	}
}

func section(w io.Writer, heading string, fs *pflag.FlagSet) {
	if text := fs.FlagUsagesWrapped(columns); text != "" {
		fmt.Fprintf(w, "\n%s:\n%s", heading, text)
	}
}
