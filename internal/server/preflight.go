package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/sign"
	"symbolon/internal/store"
	"symbolon/keytoken"
)

// An Obstacle is something that keeps a node from starting.
type Obstacle struct {
	Area string // data, keys, node key or store
	Err  error  // an *Unusable where it says what to put right
}

// Preflight looks at everything that a node starts with and changes nothing. It
// returns what would keep the node from starting, and nothing when a start can
// succeed.
func Preflight(ctx context.Context, c *config.Config, o Options) (found []Obstacle) {
	add := func(area string, err error) {
		if err != nil {
			found = append(found, Obstacle{area, err})
		}
	}
	st, err := os.Stat(c.Data)
	switch {
	case err == nil && !st.IsDir():
		add("data", unusable("%s is no directory: name one with --data", c.Data))
		return found
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		add("data", unusable("the data directory cannot be used: %w", err))
		return found
	}
	add("keys", preflightTokens(c))
	fingerprint := "" // none: the node has no key yet
	key, err := readNodeKey(c)
	switch {
	case err == nil:
		fingerprint = key.Public().Fingerprint()
	case !errors.Is(err, fs.ErrNotExist):
		add("node key", &Unusable{err})
		fingerprint = unknownKey
	}
	return append(found, preflightStore(ctx, c, o, fingerprint)...)
}

// unknownKey stands for the fingerprint of a node key that cannot be read.
const unknownKey = "?"

func preflightTokens(c *config.Config) error {
	if c.Token.Provider == "jws" {
		private, public := JWSDirs(c)
		if _, err := os.Stat(filepath.Join(private, keytoken.PrivateKeyFile)); errors.Is(err, fs.ErrNotExist) {
			return nil // made by the start
		}
		if _, _, err := jwsFiles(c).Load(); err != nil {
			return unusable("the JWS keys in %s and %s cannot be used: %w", private, public, err)
		}
		return nil
	}
	dir, err := KeyDir(c, "token")
	if err != nil {
		return err
	}
	_, _, err = fernet.NewRepository(dir).Load()
	if err != nil && (c.KeyRepository != "" || !errors.Is(err, fernet.ErrNoRepository)) {
		return unusable("the token keys cannot be used: %w", err)
	}
	return nil
}

// preflightStore looks at the store, if there is one, and at what must not change
// under it.
func preflightStore(ctx context.Context, c *config.Config, o Options, fingerprint string) (found []Obstacle) {
	so := storeOptions(c, o)
	if !store.Exists(so) {
		return nil
	}
	add := func(area string, err error) {
		if err != nil {
			found = append(found, Obstacle{area, asUnusable(err)})
		}
	}
	l, err := store.LookAt(ctx, so)
	if err != nil {
		add("store", err)
		return found
	}
	defer func() { add("store", l.Close(ctx)) }()
	if made, err := l.Migrated(ctx); err != nil || !made {
		add("store", err)
		return found
	}
	key, known, err := store.Setting(ctx, l.Reader(), settingNodeKey)
	switch {
	case err != nil:
		add("store", err)
	case known && fingerprint == "":
		add("node key", unusable("the node key %s is missing, and the store belongs to the key %s: restore it from a backup, since peers know this node by it, "+
			"or run `symbolon keys accept-node-key` and have every peer re-key", NodeKeyFile(c), key))
	case known && key != fingerprint && fingerprint != unknownKey:
		add("node key", wrongNodeKey(c, key, fingerprint))
	}
	format, known, err := store.Setting(ctx, l.Reader(), settingTokenFormat)
	add("store", err)
	if known && format != formatText(c) {
		add("keys", wrongFormat(c, format))
	}
	return found
}

func wrongNodeKey(c *config.Config, stored, found string) error {
	return unusable("the store belongs to the node key %s and %s holds %s: restore the key, "+
		"or run `symbolon keys accept-node-key` if it was changed on purpose", stored, NodeKeyFile(c), found)
}

func wrongFormat(c *config.Config, stored string) error {
	return unusable("tokens made so far were written with %q and the settings now say %q: live tokens would be misread; "+
		"set token.methods and token.default-domain-id back, or let every token expire and run `symbolon keys accept-format`", stored, formatText(c))
}

// asUnusable marks a store that cannot be opened as something to be put right.
func asUnusable(err error) error {
	var oe *store.OpenError
	if errors.As(err, &oe) {
		return &Unusable{err}
	}
	return err
}

// readNodeKey reads the node's key. The error is fs.ErrNotExist when there is no file.
func readNodeKey(c *config.Config) (sign.PrivateKey, error) {
	path := NodeKeyFile(c)
	b, err := os.ReadFile(path)
	if err != nil {
		return sign.PrivateKey{}, fmt.Errorf("the node key cannot be read: %w", err)
	}
	k, err := sign.UnmarshalSeed(b)
	if err != nil {
		return sign.PrivateKey{}, fmt.Errorf("the node key %s cannot be used: %w; restore it from a backup, since peers know this node by it", path, err)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
		return sign.PrivateKey{}, fmt.Errorf("the node key %s can be read by others (mode %04o): run chmod 600 %s", path, st.Mode().Perm(), path)
	}
	return k, nil
}
