package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/sign"
)

// CredentialKeys is how many keys a rotation of the credential repository leaves;
// the reference fixes it (keystone-tokens.md, section 9).
const CredentialKeys = 3

// KeyDir returns the directory of a repository of Fernet keys: "token", "receipt" or
// "credential".
func KeyDir(c *config.Config, repository string) (string, error) {
	switch repository {
	case "token":
		if c.KeyRepository != "" {
			return c.KeyRepository, nil
		}
		return filepath.Join(c.Data, "keys", "fernet"), nil
	case "receipt", "credential":
		return filepath.Join(c.Data, "keys", repository), nil
	}
	return "", fmt.Errorf("there is no repository %q: want token, receipt or credential", repository)
}

// NodeKeyFile returns the file of the node's Ed25519 seed.
func NodeKeyFile(c *config.Config) string {
	if c.Federation.PrivateKeyFile != "" {
		return c.Federation.PrivateKeyFile
	}
	return filepath.Join(c.Data, "keys", "node", "ed25519")
}

// JWSDirs returns the directories of the private and the public JWS keys.
func JWSDirs(c *config.Config) (private, public string) {
	private, public = c.Token.JWSPrivateKeys, c.Token.JWSPublicKeys
	if private == "" {
		private = filepath.Join(c.Data, "keys", "jws", "private")
	}
	if public == "" {
		public = filepath.Join(c.Data, "keys", "jws", "public")
	}
	return private, public
}

// setupKeys makes the repositories that are the node's own and do not exist yet. A
// token repository that was named is never made: it is somebody else's, and a node
// with keys of its own in its place would refuse every token of the others.
func setupKeys(c *config.Config) error {
	for _, name := range []string{"token", "receipt", "credential"} {
		if name == "token" && c.KeyRepository != "" {
			continue
		}
		dir, err := KeyDir(c, name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(dir); err == nil {
			continue // what is wrong with one that exists is told when it is loaded
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := fernet.NewRepository(dir).Setup(); err != nil {
			return err
		}
	}
	return nil
}

// loadNodeKey reads the node's key, and makes one where there is none.
func loadNodeKey(c *config.Config) (sign.PrivateKey, error) {
	k, err := readNodeKey(c)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k = sign.GenerateKey()
	if c.Federation.PrivateKey != "" {
		if k, err = sign.UnmarshalSeed([]byte(c.Federation.PrivateKey)); err != nil {
			return sign.PrivateKey{}, fmt.Errorf("federation.private-key cannot be used: %w", err)
		}
	}
	if err := writeSecret(NodeKeyFile(c), k.MarshalSeed()); err != nil {
		return sign.PrivateKey{}, fmt.Errorf("the node key cannot be kept: %w", err)
	}
	return k, nil
}

// writeSecret makes a file that only its owner reads, whole or not at all.
func writeSecret(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	// A link, not a rename: of two processes that start together, one makes
	// the key and the other fails instead of replacing it.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
