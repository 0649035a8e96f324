package store

import (
	"context"

	"symbolon/internal/audit"
	"symbolon/internal/identity"
)

var _ identity.Store = (*Store)(nil)

// identityTx is identity's view of a transaction.
type identityTx struct {
	identityReads
	tx *Tx
}

// UpdateIdentity implements [identity.Store].
func (s *Store) UpdateIdentity(ctx context.Context, fn func(tx identity.Tx) error) error {
	return s.Update(ctx, func(tx *Tx) error {
		return fn(identityTx{identityReads: identityReads{q: tx}, tx: tx})
	})
}

// Audit implements [identity.Tx].
func (t identityTx) Audit(e audit.Event) { t.tx.Audit(e) }

// TouchIdentity implements [identity.Tx].
func (t identityTx) TouchIdentity() { t.tx.TouchIdentity() }

// AfterCommit implements [identity.Tx].
func (t identityTx) AfterCommit(fn func()) { t.tx.AfterCommit(fn) }
