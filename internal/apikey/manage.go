package apikey

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// The least length of a key's text, in characters: over the wire, and for an
// operator at the node.
const (
	MinWire     = 32
	MinOperator = 16
)

// A Request asks for a new key. Texts are as they were sent.
type Request struct {
	Raw         string
	Entity      string
	Permissions []string
	Description *string
	// ExpiresAt is ISO 8601; nil takes the default.
	ExpiresAt *string
	// Tenant nil is the caller's own.
	Tenant *string
}

// grantable are the permissions that a key registered over the wire may have. The
// one to approve peers is for an operator at the node to give.
var grantable = []principal.Permission{
	principal.Admin, principal.AuditRead, principal.Federate, principal.InstructionWrite, principal.Read, principal.Write,
}

// Register stores a new key on behalf of p, who must be an admin. The checks and
// their order are those of Stigmem wire §3.2.
func (s *Service) Register(ctx context.Context, p principal.Principal, r Request) (Key, error) {
	if !p.Can(principal.Admin) {
		return Key{}, errs.E(errs.Forbidden, "admin permission required to mint API keys")
	}
	permissions, err := permissionsOf(r.Permissions, grantable)
	if err != nil {
		return Key{}, err
	}
	if err := s.unused(ctx, r.Raw); err != nil {
		return Key{}, err
	}
	tenant := id.Tenant(p.Tenant)
	if r.Tenant != nil {
		if tenant, err = id.ParseTenant(*r.Tenant); err != nil {
			return Key{}, err
		}
	}
	k := Key{Tenant: tenant, Permissions: permissions, Description: r.Description}
	at := s.now()
	if k.ExpiresAt, err = s.expiry(r.ExpiresAt, at, s.o.MaxAge); err != nil {
		return Key{}, err
	}
	return s.create(ctx, p.Entity, p.OIDCSubject, p.Tenant, r, k, at)
}

// Create stores a new key at an operator's word, beside a running server or before
// its first start. Every permission may be given, and no bound on the age applies.
func (s *Service) Create(ctx context.Context, r Request) (Key, error) {
	permissions, err := permissionsOf(r.Permissions, principal.All())
	if err != nil {
		return Key{}, err
	}
	if n := utf8.RuneCountInString(r.Raw); n < MinOperator || len(r.Raw) > maxRaw || !utf8.ValidString(r.Raw) {
		return Key{}, errs.E(errs.Invalid, "a key must have %d characters at least and %d bytes at most", MinOperator, maxRaw)
	}
	if err := s.unused(ctx, r.Raw); err != nil {
		return Key{}, err
	}
	k := Key{Tenant: id.DefaultTenant, Permissions: permissions, Description: r.Description}
	if r.Tenant != nil {
		if k.Tenant, err = id.ParseTenant(*r.Tenant); err != nil {
			return Key{}, err
		}
	}
	at := s.now()
	if k.ExpiresAt, err = s.expiry(r.ExpiresAt, at, 0); err != nil {
		return Key{}, err
	}
	return s.create(ctx, "system:symbolon", "", string(k.Tenant), r, k, at)
}

func (s *Service) create(ctx context.Context, actor, sub, tenant string, r Request, k Key, at time.Time) (Key, error) {
	entity, err := id.ParseEntity(r.Entity)
	if err != nil {
		return Key{}, errs.E(errs.Invalid, "invalid_entity_uri: %v", err)
	}
	lookup, err := s.lookup(ctx, r.Raw)
	if err != nil {
		return Key{}, err
	}
	k.ID, k.Entity, k.CreatedAt, k.Lookup = id.NewUUID(), entity, fact.Timestamp(at.Truncate(time.Second)), lookup[:]
	if k.Hash, err = s.hash(ctx, r.Raw); err != nil {
		return Key{}, err
	}
	d, err := json.Marshal(struct {
		Action      string                 `json:"action"`
		NewKeyID    id.UUID                `json:"new_key_id"`
		Target      id.Entity              `json:"target_entity_uri"`
		Permissions []principal.Permission `json:"permissions"`
		HasExpiry   bool                   `json:"has_expiry"`
	}{"api_key_register", k.ID, k.Entity, sorted(k.Permissions), k.ExpiresAt != nil})
	if err != nil {
		return Key{}, err
	}
	err = s.store.UpdateAPIKeys(ctx, func(tx Tx) error {
		tx.Audit(audit.Event{Type: "admin_action", At: epoch.MicrosOf(at), Actor: actor, Tenant: tenant, OIDCSubject: sub, Detail: d})
		return tx.InsertAPIKey(ctx, k)
	})
	if errs.Is(err, errs.Conflict) {
		return Key{}, errTaken
	}
	return k, errs.Wrap(err, "apikey: create")
}

var errTaken = errs.E(errs.Conflict, "raw_key already exists; generate a new key value")

// unused refuses a key's text that is stored already.
func (s *Service) unused(ctx context.Context, raw string) error {
	lookup, err := s.lookup(ctx, raw)
	if err != nil {
		return err
	}
	for _, find := range []func() (Key, error){
		func() (Key, error) { return s.store.APIKeyByLookup(ctx, lookup[:]) },
		func() (Key, error) { return s.store.APIKeyByHash(ctx, legacyHash(raw)) },
	} {
		_, err := find()
		if err == nil {
			return errTaken
		}
		if !errs.Is(err, errs.NotFound) {
			return errs.Wrap(err, "apikey: look up")
		}
	}
	return nil
}

func permissionsOf(names []string, allowed []principal.Permission) ([]principal.Permission, error) {
	var out []principal.Permission
	var unknown []string
	for _, n := range names {
		p := principal.Permission(n)
		switch {
		case !slices.Contains(allowed, p):
			if !slices.Contains(unknown, n) {
				unknown = append(unknown, n)
			}
		case !slices.Contains(out, p):
			out = append(out, p)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		all := make([]string, len(allowed))
		for i, p := range allowed {
			all[i] = string(p)
		}
		return nil, errs.E(errs.Invalid, "unknown permissions: %s; allowed: %s", quoted(unknown), quoted(all))
	}
	if len(out) == 0 {
		return nil, errs.E(errs.Invalid, "permissions list must be non-empty")
	}
	return out, nil
}

func quoted(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = id.AppendQuote(b, s)
	}
	return string(append(b, ']'))
}

func sorted(list []principal.Permission) []principal.Permission {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

// instants are the forms of ISO 8601 that an expiry may have; one without offset is
// in UTC.
var instants = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02"}

// expiry returns the text of a key's end.
func (s *Service) expiry(given *string, at time.Time, maxAge time.Duration) (*string, error) {
	if given == nil {
		if maxAge <= 0 {
			return nil, nil
		}
		text := fact.Timestamp(at.Truncate(time.Second).Add(maxAge))
		return &text, nil
	}
	for _, form := range instants {
		t, err := time.Parse(form, strings.Replace(*given, " ", "T", 1))
		if err != nil || t.Year() < 1 || t.UTC().Year() > 9999 {
			continue
		}
		if maxAge > 0 && t.After(at.Add(maxAge)) {
			return nil, errs.E(errs.Invalid, "expires_at exceeds configured static API key max age (%d days)", maxAge/(24*time.Hour))
		}
		text := fact.Timestamp(t)
		return &text, nil
	}
	return nil, errs.E(errs.Invalid, "expires_at must be an ISO 8601 timestamp")
}

// Mine returns the unexpired keys of p's entity, the newest first.
func (s *Service) Mine(ctx context.Context, p principal.Principal) ([]Key, error) {
	list, err := s.store.APIKeysOf(ctx, id.Entity(p.Entity))
	now := fact.Timestamp(s.now())
	return slices.DeleteFunc(list, func(k Key) bool { return k.expired(now) }), errs.Wrap(err, "apikey: list")
}

// All returns every key, the newest first, for an operator at the node.
func (s *Service) All(ctx context.Context) ([]Key, error) { return s.store.APIKeys(ctx) }

// An Expiring is a key that expires soon, and in how many days.
type Expiring struct {
	Key
	Days float64
}

// ExpiringSoon returns every entity's keys that expire within that many days, the
// first to expire first. Only an admin may ask.
func (s *Service) ExpiringSoon(ctx context.Context, p principal.Principal, days int) ([]Expiring, error) {
	if !p.Can(principal.Admin) {
		return nil, errs.E(errs.Forbidden, "admin permission required to list expiring API keys")
	}
	at := s.now()
	list, err := s.store.APIKeysExpiring(ctx, fact.Timestamp(at), fact.Timestamp(at.AddDate(0, 0, days)))
	if err != nil {
		return nil, errs.Wrap(err, "apikey: expiring")
	}
	var out []Expiring
	for _, k := range list {
		t, err := time.Parse(time.RFC3339Nano, *k.ExpiresAt)
		if err != nil {
			continue // written by another program, in a form that it alone reads
		}
		out = append(out, Expiring{Key: k, Days: t.Sub(at).Hours() / 24})
	}
	return out, nil
}

// Revoke removes a key of p's own entity.
func (s *Service) Revoke(ctx context.Context, p principal.Principal, key id.UUID) error {
	k, err := s.store.APIKey(ctx, key)
	if errs.Is(err, errs.NotFound) {
		return errNoKey
	}
	if err != nil {
		return errs.Wrap(err, "apikey: revoke")
	}
	if string(k.Entity) != p.Entity {
		return errs.E(errs.Forbidden, "Cannot revoke another entity's key")
	}
	return s.remove(ctx, p.Entity, p.OIDCSubject, k)
}

// Remove removes a key at an operator's word.
func (s *Service) Remove(ctx context.Context, key id.UUID) error {
	k, err := s.store.APIKey(ctx, key)
	if errs.Is(err, errs.NotFound) {
		return errNoKey
	}
	if err != nil {
		return errs.Wrap(err, "apikey: remove")
	}
	return s.remove(ctx, "system:symbolon", "", k)
}

var errNoKey = errs.E(errs.NotFound, "Key not found")

func (s *Service) remove(ctx context.Context, actor, sub string, k Key) error {
	err := s.store.UpdateAPIKeys(ctx, func(tx Tx) error {
		there, err := tx.DeleteAPIKey(ctx, k.ID)
		if err != nil {
			return err
		}
		if !there {
			return errNoKey
		}
		tx.Audit(audit.Event{
			Type: "admin_action", At: epoch.MicrosOf(s.now()), Actor: actor, Tenant: string(k.Tenant), OIDCSubject: sub,
			Detail: detail("action", "api_key_revoke", "key_id", string(k.ID), "target_entity_uri", string(k.Entity)),
		})
		return nil
	})
	s.forgetKey(k.ID)
	return errs.Wrap(err, "apikey: revoke")
}

// detail makes an audit detail of names and texts.
func detail(pairs ...string) json.RawMessage {
	m := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil // texts always encode
	}
	return b
}
