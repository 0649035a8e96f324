// Package apikey knows callers of the memory by opaque keys that they chose
// themselves.
//
// A key's text is never stored. Its row holds an Argon2id string, and a keyed fast
// hash by which the row is found, so that a request costs the same however many keys
// there are. A process verifies a key by Argon2id when it first sees it; afterwards
// it trusts the fast hash as long as the row is unchanged, which it reads again at
// least every half second. What is unknown, expired or wrong is told apart by
// nothing.
package apikey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// A Key is a row. Texts of instants are the wire's.
type Key struct {
	ID          id.UUID
	Entity      id.Entity
	Tenant      id.Tenant
	Permissions []principal.Permission // in the order they were given
	Description *string
	CreatedAt   string
	ExpiresAt   *string // nil is never
	OIDCSubject string
	// Lookup is the keyed hash, nil for a key that another node hashed.
	Lookup []byte
	// Hash is an Argon2id string, or the hexadecimal SHA-256 of a key that
	// another node hashed.
	Hash string
}

// expired reports whether the key is over at the instant with the wire text now.
func (k *Key) expired(now string) bool { return k.ExpiresAt != nil && *k.ExpiresAt < now }

// principal is who uses the key.
func (k *Key) principal() principal.Principal {
	return principal.Principal{
		Entity: string(k.Entity), Tenant: string(k.Tenant), Permissions: sorted(k.Permissions), OIDCSubject: k.OIDCSubject, KeyID: string(k.ID),
	}
}

// Store is what API keys need of storage. What is not found is an error of kind
// NotFound.
type Store interface {
	// APIKeySecret returns the secret of the keyed hash, which it makes once;
	// every process on the store gets the same.
	APIKeySecret(ctx context.Context) ([]byte, error)
	APIKeyByLookup(ctx context.Context, lookup []byte) (Key, error)
	APIKeyByHash(ctx context.Context, hash string) (Key, error)
	APIKey(ctx context.Context, key id.UUID) (Key, error)
	// APIKeys returns every key, the newest first.
	APIKeys(ctx context.Context) ([]Key, error)
	// APIKeysOf returns an entity's keys, the newest first.
	APIKeysOf(ctx context.Context, entity id.Entity) ([]Key, error)
	// APIKeysExpiring returns the keys that expire from one instant up to
	// another, the first to expire first.
	APIKeysExpiring(ctx context.Context, from, until string) ([]Key, error)
	// UpdateAPIKeys runs fn in a transaction; fn may run more than once.
	UpdateAPIKeys(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is one transaction on API keys.
type Tx interface {
	// InsertAPIKey stores a key. One with the same lookup or hash is an error
	// of kind Conflict.
	InsertAPIKey(ctx context.Context, k Key) error
	// RehashAPIKey replaces both hashes of a key whose hash is still from.
	RehashAPIKey(ctx context.Context, key id.UUID, from string, lookup []byte, hash string) (bool, error)
	// DeleteAPIKey reports whether there was one.
	DeleteAPIKey(ctx context.Context, key id.UUID) (bool, error)
	Audit(e audit.Event)
}

// Options say how keys are handled.
type Options struct {
	// MaxAge bounds the life of a key that is registered over the wire, and
	// is its default; zero or less sets no bound.
	MaxAge time.Duration
	// LegacyUntil is when keys with a SHA-256 hash stop being accepted; zero
	// is never.
	LegacyUntil time.Time
}

const (
	// recheck is how long a verified key is trusted without reading its row:
	// well under the second in which a revocation must hold everywhere.
	recheck = 500 * time.Millisecond
	// cacheSize bounds the verified keys that a process remembers.
	cacheSize = 4096
	// argonAtOnce bounds how many hashes are computed at a time; each takes
	// 19 MiB and a core.
	argonAtOnce = 2
)

// A Service authenticates, registers and revokes keys. Its methods are safe for
// concurrent use.
type Service struct {
	store Store
	now   func() time.Time
	o     Options
	argon chan struct{} // one place for each hash being computed
	cold  singleflight.Group

	mu     sync.Mutex // guards what follows
	secret []byte
	cache  map[digest]verified
}

type digest [32]byte

// verified is a key whose text passed Argon2id under the row's hash.
type verified struct {
	key  Key
	read time.Time
}

// New returns the service that keeps its keys in store, with now as the wall clock.
func New(store Store, now func() time.Time, o Options) *Service {
	return &Service{store: store, now: now, o: o, argon: make(chan struct{}, argonAtOnce), cache: make(map[digest]verified)}
}

var (
	errRefused = errs.E(errs.Unauthenticated, "Invalid or expired API key")
	// ErrLegacy refuses a key that is stored in a form no longer accepted.
	ErrLegacy = errs.E(errs.Unauthenticated, "Legacy API key hashes are no longer accepted; rotate the key.")
)

// maxRaw bounds a key's text; what is longer is no key.
const maxRaw = 4096

// Authenticate returns who uses the key with that text. The error is of kind
// Unauthenticated when nobody does, and the same for every reason but ErrLegacy.
func (s *Service) Authenticate(ctx context.Context, raw string) (principal.Principal, error) {
	if raw == "" || len(raw) > maxRaw {
		return principal.Principal{}, errRefused
	}
	lookup, err := s.lookup(ctx, raw)
	if err != nil {
		return principal.Principal{}, err
	}
	at := s.now()
	k, err := s.known(ctx, raw, lookup, at)
	if err != nil {
		return principal.Principal{}, err
	}
	if k.expired(fact.Timestamp(at)) {
		return principal.Principal{}, errRefused
	}
	return k.principal(), nil
}

// lookup returns the keyed hash of a key's text.
func (s *Service) lookup(ctx context.Context, raw string) (d digest, err error) {
	s.mu.Lock()
	secret := s.secret
	s.mu.Unlock()
	if secret == nil {
		if secret, err = s.store.APIKeySecret(ctx); err != nil {
			return d, errs.Wrap(err, "apikey: secret")
		}
		s.mu.Lock()
		s.secret = secret
		s.mu.Unlock()
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(raw))
	h.Sum(d[:0])
	return d, nil
}

// known returns the key with that text, verified.
func (s *Service) known(ctx context.Context, raw string, lookup digest, at time.Time) (Key, error) {
	s.mu.Lock()
	v, ok := s.cache[lookup]
	s.mu.Unlock()
	if ok && at.Sub(v.read) < recheck && !at.Before(v.read) {
		return v.key, nil
	}
	k, err := s.store.APIKeyByLookup(ctx, lookup[:])
	switch {
	case errs.Is(err, errs.NotFound):
		s.forget(lookup)
		return s.legacy(ctx, raw, lookup, at)
	case err != nil:
		return Key{}, errs.Wrap(err, "apikey: look up")
	}
	if !ok || v.key.Hash != k.Hash {
		if err := s.verify(ctx, raw, lookup, k.Hash); err != nil {
			s.forget(lookup)
			return Key{}, err
		}
	}
	s.remember(lookup, k, at)
	return k, nil
}

// verify computes the Argon2id hash, once for all who ask at the same time.
func (s *Service) verify(ctx context.Context, raw string, lookup digest, phc string) error {
	ch := s.cold.DoChan(string(lookup[:])+phc, func() (any, error) {
		s.argon <- struct{}{}
		defer func() { <-s.argon }()
		return nil, verifyPHC(phc, raw)
	})
	select {
	case r := <-ch:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// legacy finds a key that another node stored as a SHA-256, and hashes it anew.
func (s *Service) legacy(ctx context.Context, raw string, lookup digest, at time.Time) (Key, error) {
	k, err := s.store.APIKeyByHash(ctx, legacyHash(raw))
	switch {
	case errs.Is(err, errs.NotFound):
		return Key{}, errRefused
	case err != nil:
		return Key{}, errs.Wrap(err, "apikey: look up")
	case k.expired(fact.Timestamp(at)):
		return Key{}, errRefused
	case !s.o.LegacyUntil.IsZero() && at.After(s.o.LegacyUntil):
		return Key{}, ErrLegacy
	}
	phc, err := s.hash(ctx, raw)
	if err != nil {
		return Key{}, err
	}
	err = s.store.UpdateAPIKeys(ctx, func(tx Tx) error {
		done, err := tx.RehashAPIKey(ctx, k.ID, k.Hash, lookup[:], phc)
		if err == nil && done {
			tx.Audit(audit.Event{
				Type: "api_key_rehashed", At: epoch.MicrosOf(at), Actor: string(k.Entity), Tenant: string(k.Tenant), Subject: string(k.ID),
				OIDCSubject: k.OIDCSubject, Detail: detail("key_id", string(k.ID), "from", "sha256", "to", "argon2id"),
			})
		}
		return err
	})
	if err != nil {
		return Key{}, errs.Wrap(err, "apikey: rehash")
	}
	return k, nil
}

func legacyHash(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return hex.EncodeToString(sum[:])
}

// hash computes a new Argon2id string, waiting for its turn.
func (s *Service) hash(ctx context.Context, raw string) (string, error) {
	select {
	case s.argon <- struct{}{}:
		defer func() { <-s.argon }()
		return newPHC(raw), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (s *Service) remember(lookup digest, k Key, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cache) >= cacheSize {
		for old := range s.cache { // any one: the loser verifies again
			delete(s.cache, old)
			break
		}
	}
	s.cache[lookup] = verified{key: k, read: at}
}

func (s *Service) forget(lookup digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, lookup)
}

// forgetKey drops what is remembered of a row.
func (s *Service) forgetKey(key id.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, v := range s.cache {
		if v.key.ID == key {
			delete(s.cache, d)
		}
	}
}
