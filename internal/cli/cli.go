// Package cli is the command line: arguments in, text or JSON and an exit code out.
//
// A command holds no rule of its own. It reads its settings, calls what the server
// calls, and says what happened: on a terminal for a person, with --json for a
// program. It exits with 0, with 1 when something was refused or failed, and with 2
// when the command line or the configuration is wrong and nothing was done. Secrets
// come from files, standard input or the environment, never from arguments.
package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"symbolon/internal/config"
)

// Exit codes.
const (
	exitFine   = 0
	exitFailed = 1
	exitUsage  = 2
)

// IO is where a command reads and writes.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Environ is the environment, as os.Environ returns it; nil is that of the
	// process.
	Environ []string
	// Now is the clock; nil is the wall clock.
	Now func() time.Time
}

// Main runs the command that args name and returns its exit code.
func Main(ctx context.Context, args []string, streams IO) int {
	if streams.Environ == nil {
		streams.Environ = config.Environ()
	}
	if streams.Now == nil {
		streams.Now = time.Now
	}
	a := &app{IO: streams}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	err := root.ExecuteContext(ctx)
	var q quiet
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &q):
		return q.code
	case errors.Is(err, syscall.EPIPE):
		return exitFailed // whoever read our output left
	}
	var ps config.Problems
	var u usage
	switch {
	case errors.As(err, &ps):
		fmt.Fprintf(streams.Err, "symbolon: the configuration cannot be used:\n")
		for _, p := range ps {
			fmt.Fprintf(streams.Err, "  %s %s\n", p.Key, p.Msg)
		}
		return exitUsage
	case errors.As(err, &u), isCobraUsage(err):
		fmt.Fprintf(streams.Err, "symbolon: %v\nRun 'symbolon --help', or --help after a command, for how it is used.\n", err)
		return exitUsage
	}
	fmt.Fprintf(streams.Err, "symbolon: %v\n", err)
	return exitCode(err)
}

type app struct {
	IO
	configFile string
	json       bool
}

// usage is an error in how a command was called.
type usage struct{ error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// unusable is an error in what a command was given to work on: a directory, a
// configuration, an address. Nothing was changed.
type unusable struct{ error }

func (u unusable) Unwrap() error { return u.error }

// quiet ends a command with a code after it said all there is to say.
type quiet struct{ code int }

func (quiet) Error() string { return "" }

func exitCode(err error) int {
	var u unusable
	if errors.As(err, &u) {
		return exitUsage
	}
	return exitFailed
}

// noArgs refuses arguments, and says how a switch is given a value.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "on", "off", "true", "false":
			return usagef("%q stands alone: a switch has its value after an equals sign, as in --identity=off", args[0])
		}
	}
	return cobra.NoArgs(cmd, args)
}

// isCobraUsage recognises the errors with which cobra refuses a command line; they
// have no type.
func isCobraUsage(err error) bool {
	for _, s := range []string{"unknown command", "unknown flag", "unknown shorthand", "flag needs an argument", "invalid argument", "accepts ",
		"requires at least", "required flag", "bad flag syntax"} {
		if strings.HasPrefix(err.Error(), s) {
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "symbolon",
		Short: "Identity and shared memory for people, services and agents",
		Long: `Symbolon is one binary with two faces on one token core: an OpenStack Identity
v3 (Keystone) server with Fernet tokens, and a Stigmem v1 node whose facts
federate between peers. Start it with

  symbolon serve

which keeps its data in ./symbolon-data, listens on 127.0.0.1:8765, prints the
administrator's password once and shows what to try next.

Every setting is a flag, a SYMBOLON_* variable and a key of the file that --config
names: --token-expiration 2h is SYMBOLON_TOKEN_EXPIRATION=2h, and in the file
[token] expiration = "2h". A flag wins over a variable, and a variable over the file.
Secrets come from files, standard input or the environment, never from arguments.

A command exits with 0, with 1 when something was refused or failed, and with 2 when
the command line, the settings or what they name cannot be used and nothing was done.`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args:              noArgs,
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration file (TOML)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "write JSON for programs")
	root.AddCommand(a.commands()...)
	root.SetUsageFunc(usageFunc)
	return root
}

// withSettings adds the flags of the settings whose keys are named or start with a
// named prefix that ends in a dot, and returns what loads the configuration.
func (a *app) withSettings(cmd *cobra.Command, keys ...string) func() (*config.Loaded, error) {
	given := map[string]*pflag.Flag{}
	defaults := config.Default()
	for _, s := range config.Settings() {
		if s.Secret || !wanted(s.Key, keys) {
			continue
		}
		v := &settingValue{text: s.Value(&defaults), form: s.Form}
		f := cmd.Flags().VarPF(v, s.Flag(), "", s.Doc)
		if s.IsBool() {
			f.NoOptDefVal = "on"
		}
		given[s.Flag()] = f
	}
	return func() (*config.Loaded, error) {
		flags := map[string]string{}
		for name, f := range given {
			if f.Changed {
				flags[name] = f.Value.String()
			}
		}
		return config.Load(config.Sources{Flags: flags, Environ: a.Environ, File: a.configFile})
	}
}

func wanted(key string, keys []string) bool {
	for _, k := range keys {
		if k == "*" || k == key || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k) {
			return true
		}
	}
	return false
}

// settingValue holds a flag's text; package config says what it may be.
type settingValue struct{ text, form string }

func (v *settingValue) String() string { return v.text }

func (v *settingValue) Set(s string) error { v.text = s; return nil }

func (v *settingValue) Type() string { return v.form }

// print writes v as indented JSON with --json, and calls text otherwise.
func (a *app) print(v any, text func(w io.Writer)) error {
	w := bufio.NewWriter(a.Out)
	if a.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		text(w)
	}
	return w.Flush()
}

// maxSecret bounds a secret read from a file or from standard input.
const maxSecret = 64 << 10

// readSecret reads a secret from a file, or from standard input when path is "-". A
// trailing line end is not part of it.
func (a *app) readSecret(path string) (string, error) {
	in := a.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", unusable{err}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", usagef("what was read is over %d bytes", maxSecret)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", usagef("the secret is empty")
	}
	return s, nil
}
