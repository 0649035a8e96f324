package identity

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// A PasswordMaker turns a new password into what is stored: it refuses one that
// the site's rules forbid with an error of kind Invalid, sets its instants, and
// says how many of the user's passwords to keep. old are the user's passwords,
// the newest first. It is called outside transactions, as hashing takes long.
type PasswordMaker func(ctx context.Context, u User, password string, old []Password, selfService bool) (p Password, keep int, err error)

// Config is what the rules depend on. The zero Config has Keystone's defaults.
type Config struct {
	// DefaultDomainID is the domain that bootstrap creates; empty is
	// "default".
	DefaultDomainID string
	// MaxProjectDepth bounds how deep projects nest below their domain; zero
	// is 5.
	MaxProjectDepth int
	// ProhibitedImplied names roles that no role may imply; nil is admin.
	ProhibitedImplied []string
	// FederatedDomain is a domain name and id that nobody may take, in any
	// case; empty is "Federated".
	FederatedDomain string
	// KeepRevocations is how long a revocation event is kept: at least as
	// long as any token that it revokes could be asked for, one that another
	// server with the same keys made to live longer than ours included. Zero
	// is 15 hours above Keystone's window for expired tokens.
	KeepRevocations time.Duration
}

func (c Config) withDefaults() Config {
	if c.DefaultDomainID == "" {
		c.DefaultDomainID = "default"
	}
	if c.MaxProjectDepth == 0 {
		c.MaxProjectDepth = 5
	}
	if c.ProhibitedImplied == nil {
		c.ProhibitedImplied = []string{"admin"}
	}
	if c.FederatedDomain == "" {
		c.FederatedDomain = "Federated"
	}
	if c.KeepRevocations == 0 {
		c.KeepRevocations = 63 * time.Hour
	}
	return c
}

// A Directory changes the identity resources and keeps their rules. Each method is
// one transaction, in which the change, the revocation events that follow from it
// and its audit entry are written together. Errors carry the protocol's messages.
// Whether the caller may is not its concern.
type Directory struct {
	Reader
	store    Store
	cfg      Config
	now      func() time.Time
	password PasswordMaker
}

// New returns a Directory on store.
func New(store Store, cfg Config, now func() time.Time, password PasswordMaker) *Directory {
	return &Directory{Reader: store, store: store, cfg: cfg.withDefaults(), now: now, password: password}
}

// DefaultDomainID is the domain that a resource belongs to when a request names
// none.
func (d *Directory) DefaultDomainID() string { return d.cfg.DefaultDomainID }

// change runs fn in a transaction that ends with every process noticing.
func (d *Directory) change(ctx context.Context, fn func(w *work) error) error {
	return d.store.UpdateIdentity(ctx, func(tx Tx) error {
		w := &work{Tx: tx, ctx: ctx, cfg: d.cfg, now: d.now().UTC()}
		if err := fn(w); err != nil {
			return err
		}
		tx.TouchIdentity()
		return nil
	})
}

// work is one transaction of the directory.
type work struct {
	Tx
	ctx context.Context
	cfg Config
	now time.Time
}

// record writes an audit entry.
func (w *work) record(typ, subject string, detail map[string]any) {
	e := audit.Event{Type: "identity." + typ, At: epoch.MicrosOf(w.now), Actor: "system:symbolon", Subject: subject}
	if p := principal.FromContext(w.ctx); !p.IsZero() {
		e.Actor, e.Tenant, e.AttestedKeyID = p.Entity, p.Tenant, p.KeyID
	}
	if len(detail) > 0 {
		e.Detail, _ = json.Marshal(detail) // strings, booleans and lists of them encode
	}
	w.Audit(e)
}

// revoke writes a revocation event for every token issued up to now.
func (w *work) revoke(e RevocationEvent) error {
	return Revoke(w.ctx, w.Tx, e, w.now, w.cfg.KeepRevocations)
}

// Revoke writes the event e in tx, effective now and kept for keep unless it says
// otherwise, and removes the events that need to be kept no longer.
func Revoke(ctx context.Context, tx Tx, e RevocationEvent, now time.Time, keep time.Duration) error {
	if e.ID == "" {
		e.ID = id.NewHex().String()
	}
	if e.RevokedAt.IsZero() {
		e.RevokedAt = now
	}
	if e.IssuedBefore.IsZero() {
		e.IssuedBefore = now
	}
	if e.KeepUntil.IsZero() {
		e.KeepUntil = now.Add(keep)
	}
	if err := tx.AddRevocation(ctx, e); err != nil {
		return err
	}
	return tx.PruneRevocations(ctx, now)
}

// A Field is a part of a patch: left alone unless Set.
type Field[T any] struct {
	Set bool
	To  T
}

// Set returns a field that changes to v.
func Set[T any](v T) Field[T] { return Field[T]{Set: true, To: v} }

func (f Field[T]) apply(v *T) {
	if f.Set {
		*v = f.To
	}
}

// merge adds the attributes of a patch to those there are. A patch of null sets
// an attribute to null.
func (e Extra) merge(patch Extra) Extra {
	out := make(Extra, len(e)+len(patch))
	for k, v := range e {
		out[k] = v
	}
	for k, v := range patch {
		out[k] = v
	}
	return out
}

// merge adds the options of a patch to those there are. A patch of null removes an
// option.
func (o Options) merge(patch Options) Options {
	out := make(Options, len(o)+len(patch))
	for k, v := range o {
		out[k] = v
	}
	for k, v := range patch {
		if isNull(v) {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// Bool reports whether the option of that name is set and true.
func (o Options) Bool(name string) bool { return string(o[name]) == "true" }

func isNull(v json.RawMessage) bool { return string(v) == "null" }

// Immutable is the option that blocks update and deletion.
const Immutable = "immutable"

// checkMutable refuses a patch of an immutable resource unless all that it does is
// to end that: fields is how many attributes the patch names.
func checkMutable(resource, id string, have, patch Options, fields int) error {
	if !have.Bool(Immutable) {
		return nil
	}
	if v, ok := patch[Immutable]; ok && fields == 1 && (isNull(v) || string(v) == "false") {
		return nil
	}
	return errs.E(errs.Forbidden, "Unable to update immutable %s resource: `%s. Set resource option \"immutable\" to false first.", resource, id)
}

func checkDeletable(resource, id string, have Options) error {
	if !have.Bool(Immutable) {
		return nil
	}
	return errs.E(errs.Forbidden, "Unable to delete immutable %s resource: `%s. Set resource option \"immutable\" to false first.", resource, id)
}

func sortedIDs(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// without returns the list without the values that drop accepts, sharing nothing.
func without[T any](list []T, drop func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), drop)
}
