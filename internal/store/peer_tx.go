package store

import (
	"context"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

var _ federation.Store = (*Store)(nil)

// peerTx is federation's view of a transaction. What it needs of facts is the
// memory's own view.
type peerTx struct {
	peerReads
	fact.Tx
	tx *Tx
}

// UpdatePeers implements [federation.Store].
func (s *Store) UpdatePeers(ctx context.Context, fn func(tx federation.Tx) error) error {
	return s.Update(ctx, func(tx *Tx) error { return fn(peerTx{peerReads: peerReads{q: tx}, Tx: tx.Facts(), tx: tx}) })
}

// Observe implements [federation.Tx].
func (t peerTx) Observe(remote hlc.HLC, maxFuture, maxPast time.Duration) (hlc.HLC, error) {
	return t.tx.Observe(remote, maxFuture, maxPast)
}

// PutPeer implements [federation.Tx].
func (t peerTx) PutPeer(ctx context.Context, p federation.Peer) error {
	_, err := t.q.Exec(ctx, `INSERT INTO peers (`+peerColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (id) DO UPDATE SET node_id = $2, node_url = $3, pubkey = $4, prev_pubkey = $5, prev_until = $6,
			allowed_scopes = $7, wire = $8, status = $9, declaration_sig = $10, signed_at = $11, why = $12, registered_by = $13,
			approved_by = $14, created_at = $15, verified_at = $16, approved_at = $17, updated_at = $18`,
		p.ID, p.NodeID, p.NodeURL, p.PubKey, p.PrevPubKey, instant(p.PrevUntil), p.AllowedScopes.String(), string(p.Wire), string(p.Status),
		p.DeclarationSig, p.SignedAt, p.Why, p.RegisteredBy, p.ApprovedBy, instant(p.CreatedAt), instant(p.VerifiedAt),
		instant(p.ApprovedAt), instant(p.UpdatedAt))
	if IsUnique(err) {
		return errs.With(errs.Conflict, err, "peer already registered")
	}
	return err
}

// DeletePeer implements [federation.Tx].
func (t peerTx) DeletePeer(ctx context.Context, peer id.UUID) error {
	n, err := t.q.Exec(ctx, `DELETE FROM peers WHERE id = $1`, peer)
	if err == nil && n == 0 {
		return errNoPeer
	}
	return err
}

// CountPeers implements [federation.Tx].
func (t peerTx) CountPeers(ctx context.Context) (int, error) {
	var n int64
	err := t.q.QueryRow(ctx, `SELECT COUNT(*) FROM peers`).Scan(&n)
	return int(n), err
}

// SavePosition implements [federation.Tx].
func (t peerTx) SavePosition(ctx context.Context, p federation.Position) error {
	_, err := t.q.Exec(ctx, `INSERT INTO peer_positions (peer_id, cursor_pos, saved_at) VALUES ($1, $2, $3)
		ON CONFLICT (peer_id) DO UPDATE SET cursor_pos = $2, saved_at = $3`, p.PeerID, p.Cursor, instant(p.SavedAt))
	return err
}
