package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"symbolon/internal/config"
	"symbolon/keytoken"
)

// SetupJWS makes a key pair of the JWS provider where there is none, and reports
// whether it did. The private key is the last file written, so that no token is ever
// signed with a key that this node cannot verify.
func SetupJWS(c *config.Config) (made bool, err error) {
	private, public := JWSDirs(c)
	path := filepath.Join(private, keytoken.PrivateKeyFile)
	if _, err := os.Stat(path); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	priv, pub, err := keytoken.NewKeyPair(keytoken.Algorithm(c.Token.JWSAlgorithm))
	if err != nil {
		return false, err
	}
	if err := writeSecret(filepath.Join(public, "public.pem"), pub); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	return true, writeSecret(path, priv)
}

func jwsFiles(c *config.Config) keytoken.JWSFiles {
	private, public := JWSDirs(c)
	return keytoken.JWSFiles{
		Private: os.DirFS(private), Public: os.DirFS(public), Accept: []keytoken.Algorithm{keytoken.Algorithm(c.Token.JWSAlgorithm)},
	}
}

func (n *Node) openJWS(limits keytoken.Limits) error {
	if _, err := SetupJWS(&n.cfg); err != nil {
		return unusable("the JWS keys cannot be made: %w", err)
	}
	private, public := JWSDirs(&n.cfg)
	w, err := keytoken.WatchJWS(jwsFiles(&n.cfg), func(ch keytoken.JWSChange) {
		for _, p := range ch.Problems {
			n.log.LogAttrs(context.Background(), slog.LevelWarn, "keys.problem", slog.String("repository", "jws"), slog.String("error", p.Error()))
		}
		if ch.Err != nil {
			n.log.LogAttrs(context.Background(), slog.LevelError, "keys.unusable", slog.String("repository", "jws"), slog.String("error", ch.Err.Error()),
				slog.String("do", "restore "+private+" and "+public+"; they are read again by themselves"))
		}
	})
	if err != nil {
		return unusable("the JWS keys in %s and %s cannot be used: %w", private, public, err)
	}
	n.background = append(n.background, w.Run)
	n.tokens = keytoken.NewJWS(w, limits)
	return nil
}

// JWSVerifier returns what verifies identity tokens with one public key in PEM.
func JWSVerifier(pem []byte, limits keytoken.Limits) (*keytoken.Tokens, error) {
	key, err := keytoken.ParseVerifyingKey("given", pem)
	if err != nil {
		return nil, err
	}
	keys, err := keytoken.NewJWSKeys(keytoken.SigningKey{}, keytoken.Algorithms(), key)
	if err != nil {
		return nil, err
	}
	return keytoken.NewJWS(keytoken.FixedJWS(keys), limits), nil
}
