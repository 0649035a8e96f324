// Package server is the one place that knows every part of a node: it opens the
// store and the keys, builds the domains and the faces on them, and runs the whole
// until it is told to stop.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/audit"
	"symbolon/internal/config"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/obs"
	"symbolon/internal/peerhttp"
	"symbolon/internal/store"
	"symbolon/keytoken"
)

// Options are what a node needs besides its settings.
type Options struct {
	Log *slog.Logger
	// Now is the wall clock; nil is the machine's.
	Now     func() time.Time
	Version string
	// FirstStart bootstraps a node that has no default domain yet.
	FirstStart bool
}

// Unusable is an error in what a node was given to start with: a directory, a key
// repository, a database, an address. It is one line that says what to do, and
// nothing was changed.
type Unusable struct{ Err error }

// Error returns the line.
func (u *Unusable) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Unusable) Unwrap() error { return u.Err }

func unusable(format string, args ...any) error { return &Unusable{fmt.Errorf(format, args...)} }

// OpenExisting opens a store that must be there already.
func OpenExisting(ctx context.Context, o store.Options) (*store.Store, error) {
	if !store.Exists(o) {
		return nil, NoStore(o.Dir)
	}
	s, err := store.Open(ctx, o)
	return s, asUnusable(err)
}

// NoStore is the error of a command that works on a store and finds none in dir.
func NoStore(dir string) error {
	return unusable("there is no store in %s: name its directory with --data, or make one with `symbolon serve`", dir)
}

// TokenFormat returns what servers that share tokens must agree on.
func TokenFormat(c *config.Config) keytoken.Format {
	return keytoken.Format{Methods: c.Token.Methods, DefaultDomainID: c.Token.DefaultDomainID}
}

// TokenLimits returns the bounds of an identity token's times.
func TokenLimits() keytoken.Limits {
	return keytoken.Limits{Leeway: keytoken.DefaultLeeway, MaxLifetime: config.MaxTokenExpiration}
}

// CheckExposure returns an error when a node must not listen as it is told to, and
// otherwise what its operator has to be warned of.
func CheckExposure(c *config.Config) (warnings []string, err error) {
	return federation.CheckExposure(federation.Exposure{
		NodeURL: c.MemoryURL(), Listen: []string{c.Listen}, FederationEnabled: c.Memory && c.Federation.Enabled,
		PushEnabled: c.Memory && c.Federation.Push, Insecure: c.Federation.Insecure, AuthRequired: !c.Memory || c.Auth.Required,
		AllowNonLoopback: c.Auth.AllowNonLoopback,
	})
}

// PeerClient returns what reaches other nodes as this one would. Close it.
func PeerClient(c *config.Config) *peerhttp.Client {
	return peerhttp.New(peerhttp.Config{AllowLoopback: listensOnLoopback(c), AllowPrivate: c.Federation.AllowPrivate})
}

func listensOnLoopback(c *config.Config) bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && federation.LoopbackHost(host)
}

// authority is the host part of the entity URIs of this node's users.
func authority(c *config.Config) string {
	u, err := url.Parse(c.MemoryURL())
	if err != nil || u.Hostname() == "" {
		return "localhost"
	}
	return u.Hostname()
}

// prepareData makes the data directory or checks the one that is there.
func prepareData(c *config.Config, log *slog.Logger) error {
	st, err := os.Stat(c.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return unusable("the data directory cannot be made: %w; name another with --data", err)
		}
		return nil
	case err != nil:
		return unusable("the data directory cannot be used: %w", err)
	case !st.IsDir():
		return unusable("%s is no directory: name one with --data", c.Data)
	case st.Mode().Perm()&0o077 != 0:
		log.Warn("data.readable_by_others", slog.String("directory", c.Data), slog.String("mode", fmt.Sprintf("%04o", st.Mode().Perm())),
			slog.String("do", "chmod 700 "+c.Data))
	}
	probe, err := os.CreateTemp(c.Data, ".probe-*")
	if err != nil {
		return unusable("the data directory cannot be written: %w", err)
	}
	probe.Close()
	return os.Remove(probe.Name())
}

func storeOptions(c *config.Config, o Options) store.Options {
	return store.Options{URL: c.Database, Dir: c.Data, Now: o.Now, Log: o.Log}
}

// watchKeys opens a repository of Fernet keys that is to be followed while the node
// runs.
func watchKeys(c *config.Config, repository string, log *slog.Logger) (*fernet.Watcher, error) {
	dir, err := KeyDir(c, repository)
	if err != nil {
		return nil, err
	}
	w, err := fernet.Watch(fernet.NewRepository(dir), fernet.WatchOptions{Notify: func(ch fernet.Change) {
		level, event := slog.LevelInfo, "keys.loaded"
		attrs := []slog.Attr{slog.String("repository", repository), slog.Int("keys", len(ch.Report.Keys))}
		if len(ch.Report.Keys) > 0 {
			attrs = append(attrs, slog.String("primary", ch.Report.Keys[0].ID.String()))
		}
		if s := ch.Report.String(); s != "" {
			level, attrs = slog.LevelWarn, append(attrs, slog.String("problems", s))
		}
		if ch.Err != nil {
			level, event = slog.LevelError, "keys.unusable"
			attrs = append(attrs, slog.String("error", ch.Err.Error()), slog.String("do", "restore the directory "+dir+" from a backup; it is read again by itself"))
		}
		log.LogAttrs(context.Background(), level, event, attrs...)
	}})
	if err != nil {
		return nil, unusable("the %s keys cannot be used: %w", repository, err)
	}
	return w, nil
}

// Settings of the node that are kept in its store.
const (
	SettingNodeID      = "node.id" // who the node is
	settingNodeKey     = "node.key"
	settingTokenFormat = "token.format"
)

// agree returns the stored value of a setting, and stores want when there is none.
func agree(ctx context.Context, s *store.Store, key, want string) (string, error) {
	if v, found, err := store.Setting(ctx, s.Reader(), key); err != nil || found {
		return v, err
	}
	got := want
	err := s.Update(ctx, func(tx *store.Tx) error {
		v, found, err := store.Setting(ctx, tx, key)
		if err != nil || found {
			got = v
			return err
		}
		got = want
		return store.PutSetting(ctx, tx, key, want)
	})
	return got, err
}

// settle fixes what must not change under a store: who the node is, with which key,
// and how it reads tokens (attack case M5).
func settle(ctx context.Context, c *config.Config, s *store.Store, fingerprint string) (nodeID string, err error) {
	nodeID = c.NodeID
	if nodeID == "" {
		nodeID = "stigmem:node:" + id.NewUUID().String()
	}
	if nodeID, err = agree(ctx, s, SettingNodeID, nodeID); err != nil {
		return "", err
	}
	if got, err := agree(ctx, s, settingNodeKey, fingerprint); err != nil {
		return "", err
	} else if got != fingerprint {
		return "", wrongNodeKey(c, got, fingerprint)
	}
	format := formatText(c)
	if got, err := agree(ctx, s, settingTokenFormat, format); err != nil {
		return "", err
	} else if got != format {
		return "", wrongFormat(c, got)
	}
	return nodeID, nil
}

func formatText(c *config.Config) string {
	return "methods=" + strings.Join(c.Token.Methods, ",") + ";default_domain=" + c.Token.DefaultDomainID
}

// AcceptFormat records the settings by which tokens are read as those of the store.
func AcceptFormat(ctx context.Context, c *config.Config, s *store.Store) error {
	return s.Update(ctx, func(tx *store.Tx) error { return store.PutSetting(ctx, tx, settingTokenFormat, formatText(c)) })
}

// AcceptNodeKey makes the node's key that of the store, and makes a key where there is
// none. It returns the fingerprint, which every peer needs from then on. Nodes that
// run keep the key they started with.
func AcceptNodeKey(ctx context.Context, c *config.Config, s *store.Store, now time.Time) (fingerprint string, err error) {
	key, err := loadNodeKey(c)
	if err != nil {
		return "", &Unusable{err}
	}
	fingerprint = key.Public().Fingerprint()
	err = s.Update(ctx, func(tx *store.Tx) error {
		before, found, err := store.Setting(ctx, tx, settingNodeKey)
		if err != nil || found && before == fingerprint {
			return err
		}
		detail, err := json.Marshal(map[string]string{"fingerprint": fingerprint, "before": before})
		if err != nil {
			return err
		}
		tx.Audit(audit.Event{Type: "node_key_changed", At: epoch.MicrosOf(now), Actor: federation.Operator().Entity, Subject: fingerprint, Detail: detail})
		return store.PutSetting(ctx, tx, settingNodeKey, fingerprint)
	})
	return fingerprint, err
}

func stack() string { return string(debug.Stack()) }

// Listen opens the address that the settings name, so that it is known to be free
// before anything is made. A port of 0 becomes, in the settings too, the one that was
// given.
func Listen(ctx context.Context, c *config.Config) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, unusable("cannot listen on %s: %w; is another node running there? choose another address with --listen", c.Listen, err)
	}
	if host, port, err := net.SplitHostPort(c.Listen); err == nil && port == "0" {
		if _, given, err := net.SplitHostPort(ln.Addr().String()); err == nil {
			c.Listen = net.JoinHostPort(host, given)
		}
	}
	return ln, nil
}

// Run serves on a listener until ctx ends, then drains, and closes the listener. It
// returns nil after a stop that was asked for. ready, which may be nil, is called once
// the node answers.
func (n *Node) Run(ctx context.Context, ln net.Listener, ready func(addr net.Addr)) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, run := range n.background {
		g.Go(func() error {
			if err := run(gctx); err != nil && gctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	g.Go(func() error { return n.serve(gctx, ln) })
	n.log.LogAttrs(ctx, slog.LevelInfo, "node.started", slog.String("listen", ln.Addr().String()), slog.String("version", n.version),
		slog.String("node_id", n.nodeID), slog.Bool("identity", n.cfg.Identity), slog.Bool("memory", n.cfg.Memory), slog.String("store", n.Store.Dialect().String()))
	if ready != nil {
		ready(ln.Addr())
	}
	err := g.Wait()
	n.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "node.stopped")
	return err
}

// Metrics returns the node's metrics.
func (n *Node) Metrics() *obs.Metrics { return n.metrics }
