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

// preflight looks at everything that a node starts with and changes nothing, so that
// a start that cannot succeed leaves all as it was. An *Unusable says what to put
// right.
func preflight(ctx context.Context, c *config.Config, o Options) error {
	if st, err := os.Stat(c.Data); err == nil && !st.IsDir() {
		return unusable("%s is no directory: name one with --data", c.Data)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unusable("the data directory cannot be used: %w", err)
	}
	if err := preflightTokens(c); err != nil {
		return err
	}
	fingerprint := "" // none: the node has no key yet
	switch key, err := readNodeKey(c); {
	case err == nil:
		fingerprint = key.Public().Fingerprint()
	case !errors.Is(err, fs.ErrNotExist):
		return &Unusable{err}
	}
	return preflightStore(ctx, c, o, fingerprint)
}

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
func preflightStore(ctx context.Context, c *config.Config, o Options, fingerprint string) (err error) {
	so := storeOptions(c, o)
	if !store.Exists(so) {
		return nil
	}
	l, err := store.LookAt(ctx, so)
	if err != nil {
		return asUnusable(err)
	}
	defer func() { err = errors.Join(err, l.Close(ctx)) }()
	if made, err := l.Migrated(ctx); err != nil || !made {
		return asUnusable(err)
	}
	key, found, err := store.Setting(ctx, l.Reader(), settingNodeKey)
	if err != nil {
		return asUnusable(err)
	}
	if found && fingerprint == "" {
		return unusable("the node key %s is missing, and the store belongs to the key %s: restore it from a backup, since peers know this node by it; "+
			"or start with an empty store", NodeKeyFile(c), key)
	}
	if found && key != fingerprint {
		return wrongNodeKey(c, key, fingerprint)
	}
	format, found, err := store.Setting(ctx, l.Reader(), settingTokenFormat)
	if err == nil && found && format != formatText(c) {
		return wrongFormat(c, format)
	}
	return asUnusable(err)
}

func wrongNodeKey(c *config.Config, stored, found string) error {
	return unusable("the store belongs to the node key %s and %s holds %s: restore the key, or start with an empty store", stored, NodeKeyFile(c), found)
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
		return sign.PrivateKey{}, fmt.Errorf("the node key %s cannot be used: %w; restore it from a backup: peers know this node by it", path, err)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o077 != 0 {
		return sign.PrivateKey{}, fmt.Errorf("the node key %s can be read by others (mode %04o): run chmod 600 %s", path, st.Mode().Perm(), path)
	}
	return k, nil
}
