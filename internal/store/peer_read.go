package store

import (
	"context"
	"errors"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/federation"
	"symbolon/internal/id"
)

// peerReads answers federation's questions on any querier.
type peerReads struct{ q Querier }

const peerColumns = `id, node_id, node_url, pubkey, prev_pubkey, prev_until, allowed_scopes, wire, status, declaration_sig, signed_at, why,
	registered_by, approved_by, created_at, verified_at, approved_at, updated_at`

var errNoPeer = errs.E(errs.NotFound, "peer not found")

func scanPeer(row scanner) (p federation.Peer, err error) {
	var prev, created, verified, approved, updated *int64
	var scopes string
	err = row.Scan(&p.ID, &p.NodeID, &p.NodeURL, &p.PubKey, &p.PrevPubKey, &prev, &scopes, &p.Wire, &p.Status, &p.DeclarationSig, &p.SignedAt,
		&p.Why, &p.RegisteredBy, &p.ApprovedBy, &created, &verified, &approved, &updated)
	p.AllowedScopes = id.ScopesNamed(strings.Split(scopes, ","))
	p.PrevUntil, p.CreatedAt, p.VerifiedAt = timeOf(prev), timeOf(created), timeOf(verified)
	p.ApprovedAt, p.UpdatedAt = timeOf(approved), timeOf(updated)
	return p, err
}

func (r peerReads) one(ctx context.Context, where string, arg string) (federation.Peer, error) {
	p, err := scanPeer(r.q.QueryRow(ctx, `SELECT `+peerColumns+` FROM peers WHERE `+where+` = $1`, arg))
	if errors.Is(err, ErrNoRows) {
		return federation.Peer{}, errNoPeer
	}
	return p, err
}

// Peers implements [federation.Reader].
func (r peerReads) Peers(ctx context.Context) ([]federation.Peer, error) {
	return collect(ctx, r.q, selectFrom(`SELECT %s FROM peers ORDER BY created_at, id`, peerColumns), scanPeer)
}

// Peer implements [federation.Reader].
func (r peerReads) Peer(ctx context.Context, peer id.UUID) (federation.Peer, error) {
	return r.one(ctx, "id", peer.String())
}

// PeerByNode implements [federation.Reader].
func (r peerReads) PeerByNode(ctx context.Context, nodeID string) (federation.Peer, error) {
	if !storable(nodeID) {
		return federation.Peer{}, errNoPeer
	}
	return r.one(ctx, "node_id", nodeID)
}

// PeerPosition implements [federation.Reader].
func (r peerReads) PeerPosition(ctx context.Context, peer id.UUID) (federation.Position, error) {
	p := federation.Position{PeerID: peer}
	var saved *int64
	err := r.q.QueryRow(ctx, `SELECT cursor_pos, saved_at FROM peer_positions WHERE peer_id = $1`, peer).Scan(&p.Cursor, &saved)
	if errors.Is(err, ErrNoRows) {
		return p, nil
	}
	p.SavedAt = timeOf(saved)
	return p, err
}
