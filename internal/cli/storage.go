package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"symbolon/internal/config"
	"symbolon/internal/server"
	"symbolon/internal/store"
)

var storage = []string{"data", "database"}

// storeOptions says which store a configuration means.
func (a *app) storeOptions(l *config.Loaded) store.Options {
	return store.Options{URL: l.Database, Dir: l.Data, Now: a.Now}
}

// openError marks a store that cannot be opened as something the operator has to
// put right first.
func openError(err error) error {
	var oe *store.OpenError
	if errors.As(err, &oe) {
		return unusable{err}
	}
	return err
}

func (a *app) dbCommand() *cobra.Command {
	db := &cobra.Command{Use: "db", Short: "Look at and migrate the store's schema", Args: noArgs}

	status := &cobra.Command{
		Use: "status", Short: "List migrations and whether the store has them", Args: noArgs,
		Long: "Lists the migrations that this binary knows. It changes nothing. Exits with 1 when some are not applied.",
	}
	load := a.withSettings(status, storage...)
	status.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		states, err := store.MigrationStatus(cmd.Context(), a.storeOptions(l))
		if err != nil {
			return openError(err)
		}
		pending := 0
		type line struct {
			Version int64  `json:"version"`
			Name    string `json:"name"`
			Applied bool   `json:"applied"`
		}
		lines := make([]line, len(states))
		for i, s := range states {
			lines[i] = line{s.Version, s.Name, s.Applied}
			if !s.Applied {
				pending++
			}
		}
		err = a.print(map[string]any{"migrations": lines, "pending": pending}, func(w io.Writer) {
			for _, s := range lines {
				state := "pending"
				if s.Applied {
					state = "applied"
				}
				fmt.Fprintf(w, "%-8s %04d %s\n", state, s.Version, s.Name)
			}
			if pending > 0 {
				fmt.Fprintf(w, "%d pending: `symbolon db migrate`, or the next start of a node, applies them\n", pending)
			}
		})
		if err == nil && pending > 0 {
			return quiet{exitFailed}
		}
		return err
	}

	migrate := &cobra.Command{
		Use: "migrate", Short: "Apply what is pending", Args: noArgs,
		Long: "Applies pending migrations under a lock. A node does so at its start; run this first where that must not wait for it.",
	}
	loadMigrate := a.withSettings(migrate, storage...)
	migrate.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := loadMigrate()
		if err != nil {
			return err
		}
		if err := store.Migrate(cmd.Context(), a.storeOptions(l)); err != nil {
			return openError(err)
		}
		return a.print(map[string]any{"migrated": true}, func(w io.Writer) { fmt.Fprintln(w, "the store is up to date") })
	}
	db.AddCommand(status, migrate)
	return db
}

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Check the audit log", Args: noArgs}
	verify := &cobra.Command{
		Use: "verify", Short: "Walk the hash chain of the audit log", Args: noArgs,
		Long: `Walks the audit log from its first entry. Each entry's hash covers the one before, so an entry
that was altered, removed or inserted shows, and with it a log that was cut at its end. Exits with
1 and names the first entry at fault when the chain does not hold. Keep the head's hash elsewhere
and compare: whoever can rewrite the whole store can also rewrite its chain.`,
	}
	load := a.withSettings(verify, storage...)
	verify.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		if !store.Exists(a.storeOptions(l)) {
			return nodeError(server.NoStore(l.Data))
		}
		s, err := store.LookAt(c.Context(), a.storeOptions(l))
		if err != nil {
			return openError(err)
		}
		v, err := s.VerifyAudit(c.Context(), a.progress("entries"))
		if err = errors.Join(err, s.Close(context.WithoutCancel(c.Context()))); err != nil {
			return err
		}
		out := map[string]any{"verified": v.Broken == nil, "entries": v.Entries, "head": v.Head.Hash.String(), "break": nil}
		if v.Broken != nil {
			out["break"] = map[string]any{"seq": v.Broken.Seq, "fault": string(v.Broken.Fault), "detail": v.Broken.Error()}
		}
		err = a.print(out, func(w io.Writer) {
			if v.Broken != nil {
				fmt.Fprintf(w, "the audit log does NOT hold: %v\n%d entries before it are good\n", v.Broken, v.Entries)
				return
			}
			fmt.Fprintf(w, "the audit log holds: %d entries, head %s\n", v.Entries, v.Head.Hash)
		})
		if err == nil && v.Broken != nil {
			return quiet{exitFailed}
		}
		return err
	}
	cmd.AddCommand(verify)
	return cmd
}

// progress returns what reports long work on the error stream, a line every so many
// steps, so that standard output stays the result alone.
func (a *app) progress(what string) func(done, total int64) {
	const every = 100_000
	return func(done, total int64) {
		if done > 0 && done%every == 0 {
			fmt.Fprintf(a.Err, "%d of %d %s\n", done, total, what)
		}
	}
}
