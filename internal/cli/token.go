package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/inspect"
	"symbolon/internal/server"
	"symbolon/internal/sign"
	"symbolon/keytoken"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Explain tokens", Args: noArgs}
	var keyRepository, receiptRepository, publicKey, at string
	ins := &cobra.Command{
		Use:   "inspect [flags] TOKEN|-",
		Short: "Say what a token is, what it says and why it would be refused",
		Long: `Explains a token of any kind: an identity token (Fernet or JWS), an authentication
receipt, a peer token. With "-" the token is read from standard input, which keeps it
out of the process list.

With --key-repository (Fernet) or --public-key (a PEM file for a JWS identity token; an
Ed25519 key in base64url, or a file of one, for a peer token) it is verified. Without
keys what is visible is shown, and nothing is verified.

Exits with 0 when the token would be accepted and 1 when it is refused.`,
		Example: `  openstack token issue -f value -c id | symbolon token inspect --key-repository symbolon-data/keys/fernet -
  symbolon token inspect --at 2026-11-21T12:00:00Z --public-key A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg -`,
		Args: cobra.ExactArgs(1),
	}
	load := a.withSettings(ins, "token.methods", "token.default-domain-id")
	ins.Flags().StringVar(&keyRepository, "key-repository", "", "directory of Fernet token keys")
	ins.Flags().StringVar(&receiptRepository, "receipt-repository", "", "directory of Fernet receipt keys, when it is another one")
	ins.Flags().StringVar(&publicKey, "public-key", "", "public key of the token's issuer")
	ins.Flags().StringVar(&at, "at", "", "judge the token as of this instant (RFC 3339) instead of now")
	ins.RunE = func(_ *cobra.Command, args []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		now := a.Now().UTC()
		if at != "" {
			if now, err = time.Parse(time.RFC3339Nano, at); err != nil {
				return usagef("--at is %q, want an instant such as 2026-11-21T12:00:00Z", at)
			}
		}
		text := args[0]
		if text == "-" {
			if text, err = a.readSecret("-"); err != nil {
				return err
			}
			text = strings.TrimSpace(text)
		}
		keys, err := inspectKeys(&l.Config, keyRepository, receiptRepository, publicKey)
		if err != nil {
			return err
		}
		return a.reportToken(inspect.Token(text, now, keys), now)
	}
	cmd.AddCommand(ins)
	return cmd
}

func inspectKeys(c *config.Config, repository, receipts, publicKey string) (k inspect.Keys, err error) {
	if repository != "" && publicKey != "" {
		return k, usagef("--key-repository and --public-key exclude each other: a token is one kind or the other")
	}
	format := server.TokenFormat(c)
	limits := keytoken.Limits{Leeway: keytoken.DefaultLeeway}
	switch {
	case repository != "":
		ring, err := loadRing(repository)
		if err != nil {
			return k, err
		}
		if k.Tokens, err = keytoken.NewFernet(keytoken.Fixed(ring), format, limits); err != nil {
			return k, err
		}
		if receipts != "" {
			if ring, err = loadRing(receipts); err != nil {
				return k, err
			}
		}
		k.Receipts, err = keytoken.NewReceipts(keytoken.Fixed(ring), format, limits)
		return k, err
	case publicKey != "":
		text := []byte(publicKey)
		if b, err := os.ReadFile(publicKey); err == nil {
			text = bytes.TrimSpace(b)
		} else if !errors.Is(err, os.ErrNotExist) {
			return k, unusable{err}
		}
		if bytes.HasPrefix(text, []byte("-----BEGIN")) {
			k.Tokens, err = server.JWSVerifier(text, limits)
		} else {
			k.Peer, err = sign.ParsePublicKey(string(text))
		}
		if err != nil {
			return k, unusable{fmt.Errorf("--public-key cannot be used: %w", err)}
		}
	}
	return k, nil
}

func loadRing(dir string) (*fernet.Ring, error) {
	ring, _, err := fernet.NewRepository(dir).Load()
	if err != nil {
		return nil, unusable{err}
	}
	return ring, nil
}

func (a *app) reportToken(r inspect.Report, at time.Time) error {
	err := a.print(r, func(w io.Writer) {
		width := 0
		for _, l := range r.Lines {
			width = max(width, len(l.Name))
		}
		for _, l := range r.Lines {
			fmt.Fprintf(w, "%-*s  %s\n", width, l.Name, l.Value)
		}
		switch {
		case r.Accepted:
			fmt.Fprintf(w, "\naccepted as of %s\n", at.Format(time.RFC3339))
		case r.Reason != nil:
			fmt.Fprintf(w, "\nREFUSED as of %s: %s\n", at.Format(time.RFC3339), *r.Reason)
		default:
			fmt.Fprintf(w, "\nnot verified: no key was given\n")
		}
		for _, n := range r.Notes {
			fmt.Fprintf(w, "  %s\n", n)
		}
	})
	if err == nil && !r.Accepted {
		return quiet{exitFailed}
	}
	return err
}
