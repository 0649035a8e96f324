package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"symbolon/internal/config"
	"symbolon/internal/federation"
	"symbolon/internal/id"
)

// peerSettings are the settings that commands on peers take; those of the node that
// listens must be the same, since they decide what it says of itself.
var peerSettings = append([]string{"listen", "public-url", "node-id", "node-url", "key-repository", "federation."}, storage...)

type peerOut struct {
	ID            string     `json:"id"`
	NodeID        string     `json:"node_id"`
	NodeURL       string     `json:"node_url"`
	Status        string     `json:"status"`
	Fingerprint   string     `json:"fingerprint"`
	PublicKey     string     `json:"public_key"`
	AllowedScopes []string   `json:"allowed_scopes"`
	Wire          string     `json:"wire"`
	Why           string     `json:"why"`
	RegisteredBy  string     `json:"registered_by"`
	ApprovedBy    string     `json:"approved_by"`
	CreatedAt     time.Time  `json:"created_at"`
	ApprovedAt    *time.Time `json:"approved_at"`
}

func showPeer(p federation.Peer) peerOut {
	out := peerOut{
		ID: p.ID.String(), NodeID: p.NodeID, NodeURL: p.NodeURL, Status: string(p.Status), Fingerprint: p.Fingerprint(), PublicKey: p.PubKey,
		AllowedScopes: p.AllowedScopes.Names(), Wire: string(p.Wire), Why: p.Why, RegisteredBy: p.RegisteredBy, ApprovedBy: p.ApprovedBy,
		CreatedAt: p.CreatedAt.UTC(),
	}
	if !p.ApprovedAt.IsZero() {
		t := p.ApprovedAt.UTC()
		out.ApprovedAt = &t
	}
	return out
}

func (a *app) printPeer(p federation.Peer) error {
	out := showPeer(p)
	return a.print(out, func(w io.Writer) {
		for _, l := range [][2]string{
			{"id", out.ID}, {"node id", out.NodeID}, {"node url", out.NodeURL}, {"status", out.Status}, {"fingerprint", out.Fingerprint},
			{"scopes", strings.Join(out.AllowedScopes, ", ")}, {"wire", out.Wire}, {"why", out.Why}, {"registered by", out.RegisteredBy},
			{"approved by", out.ApprovedBy},
		} {
			if l[1] != "" {
				fmt.Fprintf(w, "%-14s %s\n", l[0], l[1])
			}
		}
		if p.Status == federation.PendingApproval {
			fmt.Fprintf(w, "\nCompare the fingerprint with the peer's operator by another way, then:\n  symbolon peer approve %s --fingerprint %s\n", out.ID, out.Fingerprint)
		}
	})
}

// onPeers adds a command that works on this node's federation.
func (a *app) onPeers(cmd *cobra.Command, run func(ctx context.Context, s *federation.Service, args []string) error) *cobra.Command {
	load := a.withSettings(cmd, peerSettings...)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		// What is asked for here is asked for by the operator of this node.
		l.Memory = true
		n, err := a.openExisting(c.Context(), l, a.newLog(quietly(l)))
		if err != nil {
			return err
		}
		defer n.Close()
		return run(c.Context(), n.Federation, args)
	}
	return cmd
}

// quietly returns the settings with the log cut down to what is wrong, for commands
// that say themselves what they did.
func quietly(l *config.Loaded) *config.Config {
	c := l.Config
	if c.LogLevel == "info" {
		c.LogLevel = "warn"
	}
	return &c
}

func (a *app) peerCommand() *cobra.Command {
	peer := &cobra.Command{
		Use: "peer", Short: "Add, approve, suspend, revoke, re-key and remove federation peers", Args: noArgs,
		Long: `Works on the peers of this node, beside a running one or without. A PEER is the id of its
entry or its node id. Facts flow one way when each side has the other as an active peer:
add it here, approve it here by the fingerprint its operator tells you, and have the same
done there (` + "`peer add --declare-key`" + ` sends our declaration).`,
	}
	peer.AddCommand(a.peerAdd(), a.peerList(), a.peerShow(), a.peerApprove(), a.peerRekey(), a.peerDeclaration())
	for _, t := range []struct {
		use, short string
		run        func(s *federation.Service, ctx context.Context, ref, why string) (federation.Peer, error)
	}{
		{"suspend", "Stop dealing with a peer until it is resumed", func(s *federation.Service, ctx context.Context, ref, why string) (federation.Peer, error) {
			return s.Suspend(ctx, federation.Operator(), ref, why)
		}},
		{"resume", "Deal with a suspended peer again", func(s *federation.Service, ctx context.Context, ref, _ string) (federation.Peer, error) {
			return s.Resume(ctx, federation.Operator(), ref)
		}},
		{"revoke", "Stop dealing with a peer; its tokens are refused from now on", func(s *federation.Service, ctx context.Context, ref, why string) (federation.Peer, error) {
			return s.Revoke(ctx, federation.Operator(), ref, why)
		}},
	} {
		var why string
		cmd := &cobra.Command{Use: t.use + " PEER", Short: t.short, Args: cobra.ExactArgs(1)}
		if t.use != "resume" {
			cmd.Flags().StringVar(&why, "why", "", "reason, kept with the peer and in the audit log")
		}
		peer.AddCommand(a.onPeers(cmd, func(ctx context.Context, s *federation.Service, args []string) error {
			p, err := t.run(s, ctx, args[0], why)
			if err != nil {
				return err
			}
			return a.printPeer(p)
		}))
	}
	remove := &cobra.Command{Use: "remove PEER", Short: "Forget a peer; its facts stay", Args: cobra.ExactArgs(1)}
	peer.AddCommand(a.onPeers(remove, func(ctx context.Context, s *federation.Service, args []string) error {
		if err := s.Remove(ctx, federation.Operator(), args[0]); err != nil {
			return err
		}
		return a.print(map[string]any{"removed": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "removed %s\n", args[0]) })
	}))
	return peer
}

func parseScopes(s string) (id.ScopeSet, error) {
	var set id.ScopeSet
	for _, name := range strings.Split(s, ",") {
		sc, err := id.ParseScope(strings.TrimSpace(name))
		if err != nil {
			return set, usagef("--scopes: %q is no scope: want company or public, or both with a comma", name)
		}
		set = set.With(sc)
	}
	return set, nil
}

func (a *app) peerAdd() *cobra.Command {
	var scopes, declareKey string
	cmd := &cobra.Command{
		Use: "add NODE_URL", Short: "Add the node at a URL", Args: cobra.ExactArgs(1),
		Long: `Asks the node at NODE_URL who it is and enters it as a peer that waits for approval. With
--declare-key, which names a file that holds an API key of that node's with the permission
federate, our own declaration is sent to it as well, where its operator approves it.`,
	}
	cmd.Flags().StringVar(&scopes, "scopes", "company,public", "scopes that may pass between the nodes")
	cmd.Flags().StringVar(&declareKey, "declare-key", "", `file of an API key of that node's, or "-" for standard input`)
	return a.onPeers(cmd, func(ctx context.Context, s *federation.Service, args []string) error {
		set, err := parseScopes(scopes)
		if err != nil {
			return err
		}
		var key string
		if declareKey != "" {
			if key, err = a.readSecret(declareKey); err != nil {
				return err
			}
		}
		p, err := s.Add(ctx, federation.Operator(), args[0], set)
		if err != nil {
			return err
		}
		if key != "" {
			d, err := s.Declare(ctx, federation.Operator(), args[0], federation.APIKey(key), set)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Err, "declared ourselves there: entry %s, status %s\n", d.PeerID, d.Status)
		}
		return a.printPeer(p)
	})
}

func (a *app) peerList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List peers", Args: noArgs}
	return a.onPeers(cmd, func(ctx context.Context, s *federation.Service, _ []string) error {
		ps, err := s.Peers(ctx, federation.Operator())
		if err != nil {
			return err
		}
		out := make([]peerOut, len(ps))
		for i, p := range ps {
			out[i] = showPeer(p)
		}
		return a.print(map[string]any{"peers": out}, func(w io.Writer) {
			for _, p := range out {
				fmt.Fprintf(w, "%s  %-20s %-40s %s\n", p.ID, p.Status, p.NodeID, p.NodeURL)
			}
			if len(out) == 0 {
				fmt.Fprintln(w, "no peers; `symbolon peer add NODE_URL` adds one")
			}
		})
	})
}

func (a *app) peerShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show PEER", Short: "Show a peer", Args: cobra.ExactArgs(1)}
	return a.onPeers(cmd, func(ctx context.Context, s *federation.Service, args []string) error {
		p, err := s.Peer(ctx, federation.Operator(), args[0])
		if err != nil {
			return err
		}
		return a.printPeer(p)
	})
}

func (a *app) peerApprove() *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use: "approve PEER --fingerprint sha256:…", Short: "Approve a peer by the fingerprint of its key", Args: cobra.ExactArgs(1),
		Long: "Approves a peer. The fingerprint is the one that its operator told you by another way; what a registration said proves nothing.",
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "fingerprint of the peer's key")
	_ = cmd.MarkFlagRequired("fingerprint") // fails only for a flag that does not exist
	return a.onPeers(cmd, func(ctx context.Context, s *federation.Service, args []string) error {
		p, err := s.Approve(ctx, federation.Operator(), args[0], fingerprint)
		if err != nil {
			return err
		}
		return a.printPeer(p)
	})
}

func (a *app) peerRekey() *cobra.Command {
	var k federation.NewKey
	cmd := &cobra.Command{
		Use: "rekey PEER --fingerprint sha256:…", Short: "Give a peer a new key", Args: cobra.ExactArgs(1),
		Long: `Replaces the key under which a peer's tokens are accepted with the one that it publishes now,
or with --public-key. The fingerprint of the new key is the one that its operator told you by
another way. With --dual-trust the old key stays good for some time; without it ends at once.`,
	}
	cmd.Flags().StringVar(&k.Fingerprint, "fingerprint", "", "fingerprint of the new key")
	cmd.Flags().StringVar(&k.PubKey, "public-key", "", "the new Ed25519 key, base64url, for a peer that cannot be asked")
	cmd.Flags().StringVar(&k.NodeURL, "moved-to", "", "the peer's new address, when it moved")
	cmd.Flags().DurationVar(&k.DualTrust, "dual-trust", 0, "how long the old key stays good")
	_ = cmd.MarkFlagRequired("fingerprint") // fails only for a flag that does not exist
	return a.onPeers(cmd, func(ctx context.Context, s *federation.Service, args []string) error {
		p, err := s.Rekey(ctx, federation.Operator(), args[0], k)
		if err != nil {
			return err
		}
		return a.printPeer(p)
	})
}

func (a *app) peerDeclaration() *cobra.Command {
	var scopes string
	cmd := &cobra.Command{
		Use: "declaration", Short: "Print this node's signed declaration", Args: noArgs,
		Long: "Prints the body with which this node is registered on another, for POST /v1/federation/peers there. It holds no secret.",
	}
	cmd.Flags().StringVar(&scopes, "scopes", "company,public", "scopes that may pass between the nodes")
	return a.onPeers(cmd, func(_ context.Context, s *federation.Service, _ []string) error {
		set, err := parseScopes(scopes)
		if err != nil {
			return err
		}
		b := s.Declaration(set).JSON()
		return a.print(json.RawMessage(b), func(w io.Writer) { fmt.Fprintf(w, "%s\n", b) })
	})
}
