package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/server"
)

func (a *app) keysCommand() *cobra.Command {
	var repository string
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Set up, rotate and list keys",
		Long: `Works on a repository of Fernet keys, laid out as Keystone lays it out: one file a
key, named by a number. 0 is staged and becomes primary at the next rotation, the
highest is the primary that makes tokens, those between still validate tokens.

A running node sees a rotation within a second and needs no restart.`,
		Args: noArgs,
	}
	keys.PersistentFlags().StringVar(&repository, "repository", "token", "token, receipt or credential")

	add := func(use, short, long string, settings []string, run func(l *config.Loaded, repo *fernet.Repository) error) {
		cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArgs}
		load := a.withSettings(cmd, settings...)
		cmd.RunE = func(*cobra.Command, []string) error {
			l, err := load()
			if err != nil {
				return err
			}
			dir, err := server.KeyDir(&l.Config, repository)
			if err != nil {
				return usage{err}
			}
			return run(l, fernet.NewRepository(dir))
		}
		keys.AddCommand(cmd)
	}
	places := []string{"data", "key-repository"}
	add("setup", "Make a repository with its first keys", "Makes the directory (0700) and keys 0 and 1 (0600). Does nothing where key 0 exists.",
		places, func(_ *config.Loaded, repo *fernet.Repository) error {
			if err := repo.Setup(); err != nil {
				return keyError(err)
			}
			return a.listKeys(repository, repo)
		})
	add("rotate", "Make the staged key primary, stage a new one and retire the oldest",
		`Rotates. However it is cut short, every key that was usable before is usable then, and the
next rotation finishes it. Keep at least expiration / interval + 2 keys, so that no token
outlives its key; when services fetch expired tokens, add their window to the expiration.`,
		append(places, "token.max-active-keys"), func(l *config.Loaded, repo *fernet.Repository) error {
			limit := l.Token.MaxActiveKeys
			if repository == "credential" {
				limit = server.CredentialKeys
			}
			done, err := repo.Rotate(limit)
			if err != nil {
				return keyError(err)
			}
			if !a.json {
				fmt.Fprintf(a.Out, "key %s is now the primary\n", done.Primary)
				if done.Resumed {
					fmt.Fprintln(a.Out, "an earlier rotation had been cut short; this one finished it")
				}
				for _, id := range done.Removed {
					fmt.Fprintf(a.Out, "key %s is retired, and with it every token it made\n", id)
				}
			}
			return a.listKeys(repository, repo)
		})
	add("list", "List the keys of a repository", "Lists numbers, roles and ages, and what in the directory is not used as a key, and why.",
		places, func(_ *config.Loaded, repo *fernet.Repository) error { return a.listKeys(repository, repo) })
	keys.AddCommand(a.keysJWS(), a.keysAcceptFormat(), a.keysAcceptNodeKey())
	return keys
}

func (a *app) keysJWS() *cobra.Command {
	cmd := &cobra.Command{
		Use: "jws", Short: "Make the key pair of the JWS provider", Args: noArgs,
		Long: `Makes private.pem and public.pem for token.provider=jws, where there is none. To rotate, put a new public key on
every server first, then replace private.pem, and remove the old public key when its tokens have expired.`,
	}
	load := a.withSettings(cmd, "data", "token.")
	cmd.RunE = func(*cobra.Command, []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		made, err := server.SetupJWS(&l.Config)
		if err != nil {
			return err
		}
		private, public := server.JWSDirs(&l.Config)
		return a.print(map[string]any{"made": made, "private": private, "public": public}, func(w io.Writer) {
			if made {
				fmt.Fprintf(w, "made a key pair in %s and %s\n", private, public)
			} else {
				fmt.Fprintf(w, "there is a key pair already in %s\n", private)
			}
		})
	}
	return cmd
}

func (a *app) keysAcceptFormat() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept-format", Short: "Let this store's tokens be read with other settings than they were made with", Args: noArgs,
		Long: `Records the present token.methods and token.default-domain-id as those of this store. A node refuses to start when
they differ from the recorded ones, because tokens made so far would be misread. Run this when they have all expired.`,
	}
	load := a.withSettings(cmd, append([]string{"token."}, storage...)...)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		s, err := server.OpenExisting(c.Context(), a.storeOptions(l))
		if err != nil {
			return nodeError(err)
		}
		defer s.Close()
		if err := server.AcceptFormat(c.Context(), &l.Config, s); err != nil {
			return err
		}
		return a.print(map[string]any{"accepted": true}, func(w io.Writer) { fmt.Fprintln(w, "recorded") })
	}
	return cmd
}

func (a *app) keysAcceptNodeKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "accept-node-key", Short: "Give this node another key", Args: noArgs,
		Long: `Makes the key in keys/node that of the store, and makes one where there is none. To change a node's key, stop the
node, move keys/node/ed25519 away, run this, start the node, and have every peer re-key with the fingerprint that
this prints. Until then they refuse this node. A node does not start with a key that is not its store's, since that
is more often the wrong directory than a new key.`,
	}
	load := a.withSettings(cmd, append([]string{"federation.private-key-file"}, storage...)...)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		s, err := server.OpenExisting(c.Context(), a.storeOptions(l))
		if err != nil {
			return nodeError(err)
		}
		defer s.Close()
		fingerprint, err := server.AcceptNodeKey(c.Context(), &l.Config, s, a.Now())
		if err != nil {
			return nodeError(err)
		}
		return a.print(map[string]any{"fingerprint": fingerprint}, func(w io.Writer) { fmt.Fprintf(w, "the node's key is now %s\n", fingerprint) })
	}
	return cmd
}

// keyError tells a repository that cannot be used from a step that failed.
func keyError(err error) error {
	if errors.Is(err, fernet.ErrNoRepository) || errors.Is(err, fernet.ErrNoKeys) || errors.Is(err, os.ErrPermission) {
		return unusable{err}
	}
	return err
}

type keyListing struct {
	Repository string       `json:"repository"`
	Directory  string       `json:"directory"`
	Keys       []keyLine    `json:"keys"`
	NotUsed    []notUsedKey `json:"not_used"`
	Warnings   []string     `json:"warnings"`
}

type keyLine struct {
	ID      string    `json:"id"`
	Role    string    `json:"role"`
	Written time.Time `json:"written"`
}

type notUsedKey struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

func (a *app) listKeys(name string, repo *fernet.Repository) error {
	rep, err := repo.List()
	if err != nil {
		return keyError(err)
	}
	dir, err := filepath.Abs(repo.Dir())
	if err != nil {
		return err
	}
	l := keyListing{Repository: name, Directory: dir, Keys: []keyLine{}, NotUsed: []notUsedKey{}, Warnings: append([]string{}, rep.Warnings...)}
	for _, k := range rep.Keys {
		l.Keys = append(l.Keys, keyLine{k.ID.String(), string(k.Role), k.Written.UTC()})
	}
	for _, p := range rep.Problems {
		l.NotUsed = append(l.NotUsed, notUsedKey{p.Name, p.Err.Error()})
	}
	return a.print(l, func(w io.Writer) {
		fmt.Fprintf(w, "%s keys in %s\n", l.Repository, l.Directory)
		for _, k := range l.Keys {
			fmt.Fprintf(w, "  %4s  %-9s  written %s\n", k.ID, k.Role, k.Written.Format(time.DateTime))
		}
		for _, p := range l.NotUsed {
			fmt.Fprintf(w, "  not used: %q, because %s\n", p.Name, p.Why)
		}
		for _, warning := range l.Warnings {
			fmt.Fprintf(w, "  warning: %s\n", warning)
		}
	})
}
