package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"symbolon/internal/apikey"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

var _ apikey.Store = (*Store)(nil)

const keyColumns = `id, entity_uri, tenant, permissions, description, created_at, expires_at, oidc_sub, lookup, hash`

func scanKey(row Row) (k apikey.Key, err error) {
	var permissions string
	var sub text
	err = row.Scan((*string)(&k.ID), (*string)(&k.Entity), (*string)(&k.Tenant), &permissions, optional{&k.Description}, &k.CreatedAt,
		optional{&k.ExpiresAt}, &sub, &k.Lookup, &k.Hash)
	if errors.Is(err, ErrNoRows) {
		return k, errs.E(errs.NotFound, "Key not found")
	}
	if err != nil {
		return k, err
	}
	k.OIDCSubject = string(sub)
	if err := json.Unmarshal([]byte(permissions), &k.Permissions); err != nil {
		return k, fmt.Errorf("store: permissions of key %s: %w", k.ID, err)
	}
	return k, nil
}

// APIKeyByLookup implements [apikey.Store].
func (s *Store) APIKeyByLookup(ctx context.Context, lookup []byte) (apikey.Key, error) {
	return scanKey(s.Reader().QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE lookup = $1`, lookup))
}

// APIKeyByHash implements [apikey.Store].
func (s *Store) APIKeyByHash(ctx context.Context, hash string) (apikey.Key, error) {
	return scanKey(s.Reader().QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE hash = $1`, hash))
}

// APIKey implements [apikey.Store].
func (s *Store) APIKey(ctx context.Context, key id.UUID) (apikey.Key, error) {
	if !storable(string(key)) {
		return apikey.Key{}, errs.E(errs.NotFound, "Key not found")
	}
	return scanKey(s.Reader().QueryRow(ctx, `SELECT `+keyColumns+` FROM api_keys WHERE id = $1`, string(key)))
}

// APIKeys implements [apikey.Store].
func (s *Store) APIKeys(ctx context.Context) ([]apikey.Key, error) {
	return s.apiKeys(ctx, `ORDER BY created_at DESC, id DESC`)
}

// APIKeysOf implements [apikey.Store].
func (s *Store) APIKeysOf(ctx context.Context, entity id.Entity) ([]apikey.Key, error) {
	return s.apiKeys(ctx, `WHERE entity_uri = $1 ORDER BY created_at DESC, id DESC`, string(entity))
}

// APIKeysExpiring implements [apikey.Store].
func (s *Store) APIKeysExpiring(ctx context.Context, from, until string) ([]apikey.Key, error) {
	return s.apiKeys(ctx, `WHERE expires_at >= $1 AND expires_at <= $2 ORDER BY expires_at, id`, from, until)
}

func (s *Store) apiKeys(ctx context.Context, where string, args ...any) ([]apikey.Key, error) {
	rows, err := s.Reader().Query(ctx, `SELECT `+keyColumns+` FROM api_keys `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []apikey.Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// secretLen is the length of a node's secret, in bytes.
const secretLen = 32

// APIKeySecret implements [apikey.Store].
func (s *Store) APIKeySecret(ctx context.Context) ([]byte, error) {
	const name, query = "apikey-lookup", `SELECT value FROM node_secrets WHERE name = $1`
	var secret []byte
	err := s.Reader().QueryRow(ctx, query, name).Scan(&secret)
	if !errors.Is(err, ErrNoRows) {
		return secret, err
	}
	fresh := id.Bytes(secretLen)
	err = s.Update(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO node_secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, fresh); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query, name).Scan(&secret)
	})
	return secret, err
}

// apiKeyTx is the keys' view of a transaction.
type apiKeyTx struct{ tx *Tx }

// UpdateAPIKeys implements [apikey.Store].
func (s *Store) UpdateAPIKeys(ctx context.Context, fn func(tx apikey.Tx) error) error {
	return s.Update(ctx, func(tx *Tx) error { return fn(apiKeyTx{tx}) })
}

// Audit implements [apikey.Tx].
func (t apiKeyTx) Audit(e audit.Event) { t.tx.Audit(e) }

// InsertAPIKey implements [apikey.Tx].
func (t apiKeyTx) InsertAPIKey(ctx context.Context, k apikey.Key) error {
	permissions, err := json.Marshal(k.Permissions)
	if err != nil {
		return err
	}
	n, err := t.tx.Exec(ctx, `INSERT INTO api_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		string(k.ID), string(k.Entity), string(k.Tenant), string(permissions), k.Description, k.CreatedAt, k.ExpiresAt, null(k.OIDCSubject),
		k.Lookup, k.Hash)
	if err == nil && n == 0 {
		return errs.E(errs.Conflict, "the key exists already")
	}
	return err
}

// RehashAPIKey implements [apikey.Tx].
func (t apiKeyTx) RehashAPIKey(ctx context.Context, key id.UUID, from string, lookup []byte, hash string) (bool, error) {
	n, err := t.tx.Exec(ctx, `UPDATE api_keys SET lookup = $3, hash = $4 WHERE id = $1 AND hash = $2`, string(key), from, lookup, hash)
	return n == 1, err
}

// DeleteAPIKey implements [apikey.Tx].
func (t apiKeyTx) DeleteAPIKey(ctx context.Context, key id.UUID) (bool, error) {
	n, err := t.tx.Exec(ctx, `DELETE FROM api_keys WHERE id = $1`, string(key))
	return n == 1, err
}
