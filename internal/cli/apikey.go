package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"symbolon/internal/apikey"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/server"
	"symbolon/internal/store"
)

type keyOut struct {
	ID          string   `json:"id"`
	Entity      string   `json:"entity_uri"`
	Tenant      string   `json:"tenant_id"`
	Permissions []string `json:"permissions"`
	Description *string  `json:"description"`
	CreatedAt   string   `json:"created_at"`
	ExpiresAt   *string  `json:"expires_at"`
	Key         string   `json:"key,omitempty"`
}

func showKey(k apikey.Key) keyOut {
	out := keyOut{ID: k.ID.String(), Entity: k.Entity.String(), Tenant: k.Tenant.String(), Description: k.Description, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		Permissions: []string{}}
	for _, p := range k.Permissions {
		out.Permissions = append(out.Permissions, string(p))
	}
	return out
}

func (a *app) apikeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "apikey", Short: "Create, list and revoke API keys of the memory face", Args: noArgs,
		Long: "Works on the store, beside a running node or before its first start. Permissions:\n" + permissionList() + ".\nNone implies another.",
	}
	cmd.AddCommand(a.apikeyCreate(), a.apikeyList(), a.apikeyRevoke())
	return cmd
}

func permissionList() string {
	var names []string
	for _, p := range principal.All() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// onKeys adds a command that works on API keys. It needs the store alone; only create
// may be what makes it.
func (a *app) onKeys(cmd *cobra.Command, run func(ctx context.Context, s *apikey.Service, args []string) error) *cobra.Command {
	load := a.withSettings(cmd, storage...)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		open := server.OpenExisting
		if cmd.Name() == "create" {
			open = store.Open
		}
		s, err := open(c.Context(), a.storeOptions(l))
		if err != nil {
			return nodeError(err)
		}
		err = run(c.Context(), server.APIKeys(&l.Config, s, a.Now), args)
		return errors.Join(err, s.Close())
	}
	return cmd
}

func (a *app) apikeyCreate() *cobra.Command {
	var entity, permissions, keyFile, description, expires, tenant string
	cmd := &cobra.Command{
		Use: "create --entity URI --permissions LIST", Short: "Create an API key", Args: noArgs,
		Long: `Creates a key. Without --key-file a key is made up and written to standard output, once; with it,
the key is what the file (or standard input, "-") holds. Only a hash is kept.`,
		Example: "  symbolon apikey create --entity agent:planner --permissions read,write > planner.key",
	}
	cmd.Flags().StringVar(&entity, "entity", "", "entity URI of the key's holder")
	cmd.Flags().StringVar(&permissions, "permissions", "read,write", "permissions, with commas")
	cmd.Flags().StringVar(&keyFile, "key-file", "", `file that holds the key, or "-" for standard input`)
	cmd.Flags().StringVar(&description, "description", "", "what the key is for")
	cmd.Flags().StringVar(&expires, "expires", "", "instant at which it ends (RFC 3339); without it the key has no end")
	cmd.Flags().StringVar(&tenant, "tenant", id.DefaultTenant.String(), "tenant that it acts in")
	_ = cmd.MarkFlagRequired("entity") // fails only for a flag that does not exist
	return a.onKeys(cmd, func(ctx context.Context, s *apikey.Service, _ []string) error {
		raw, made := "", keyFile == ""
		if made {
			raw = id.Secret()
		} else {
			var err error
			if raw, err = a.readSecret(keyFile); err != nil {
				return err
			}
		}
		r := apikey.Request{Raw: raw, Entity: entity, Tenant: &tenant}
		for _, p := range strings.Split(permissions, ",") {
			r.Permissions = append(r.Permissions, strings.TrimSpace(p))
		}
		if description != "" {
			r.Description = &description
		}
		if expires != "" {
			r.ExpiresAt = &expires
			if end, err := time.Parse(time.RFC3339, expires); err == nil && !end.After(a.Now()) {
				return usagef("--expires is %s, which is over", expires)
			}
		}
		k, err := s.Create(ctx, r)
		if errs.Is(err, errs.Invalid) {
			return usage{err}
		}
		if err != nil {
			return err
		}
		out := showKey(k)
		if made {
			out.Key = raw
		}
		if a.json {
			return a.print(out, nil)
		}
		until := "without end"
		if out.ExpiresAt != nil {
			until = "until " + *out.ExpiresAt
		}
		fmt.Fprintf(a.Err, "key %s of %s (%s), %s\n", out.ID, out.Entity, strings.Join(out.Permissions, ", "), until)
		if made {
			fmt.Fprintln(a.Out, raw)
		}
		return nil
	})
}

func (a *app) apikeyList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List API keys", Args: noArgs}
	return a.onKeys(cmd, func(ctx context.Context, s *apikey.Service, _ []string) error {
		keys, err := s.All(ctx)
		if err != nil {
			return err
		}
		out := make([]keyOut, len(keys))
		for i, k := range keys {
			out[i] = showKey(k)
		}
		return a.print(map[string]any{"keys": out}, func(w io.Writer) {
			for _, k := range out {
				until := "never"
				if k.ExpiresAt != nil {
					until = *k.ExpiresAt
				}
				fmt.Fprintf(w, "%s  %-30s %-12s %s  ends %s\n", k.ID, k.Entity, k.Tenant, strings.Join(k.Permissions, ","), until)
			}
			if len(out) == 0 {
				fmt.Fprintln(w, "no keys; `symbolon apikey create` makes one")
			}
		})
	})
}

func (a *app) apikeyRevoke() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End an API key, within a second everywhere"}
	var key id.UUID
	cmd.Args = func(c *cobra.Command, args []string) error {
		err := cobra.ExactArgs(1)(c, args)
		if err != nil {
			return err
		}
		if key, err = id.ParseUUID(args[0]); err != nil {
			return usagef("%q is no key id; `symbolon apikey list` shows them", args[0])
		}
		return nil
	}
	return a.onKeys(cmd, func(ctx context.Context, s *apikey.Service, args []string) error {
		if err := s.Remove(ctx, key); err != nil {
			return err
		}
		return a.print(map[string]any{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "revoked %s\n", args[0]) })
	})
}
