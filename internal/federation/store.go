package federation

import (
	"context"
	"time"

	"symbolon/epoch"
	"symbolon/internal/fact"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

// Store is what federation needs of storage. Every method is safe for concurrent
// use.
type Store interface {
	Reader
	// UpdatePeers runs fn in a serialisable transaction. fn may run more than
	// once and does nothing but use tx.
	UpdatePeers(ctx context.Context, fn func(tx Tx) error) error
	// FederationAudit returns the entries of the federation log, the newest
	// first.
	FederationAudit(ctx context.Context, q AuditQuery) (AuditPage, error)
	// Replicable returns up to limit facts that may go to a peer which is
	// permitted the scopes, in ascending order of HLC, those after the given
	// HLC text.
	Replicable(ctx context.Context, scopes id.ScopeSet, after string, limit int) ([]fact.Fact, error)
	// ConsumePeerNonce records a node's nonce until the given instant, and
	// reports whether it was unseen or only seen on a row that has expired at
	// now. Of simultaneous calls exactly one gets true. It is durable before
	// it returns.
	ConsumePeerNonce(ctx context.Context, nodeID, nonce string, now, until epoch.Millis) (fresh bool, err error)
}

// Reader reads peers. Unknown ones are errors of kind NotFound.
type Reader interface {
	// Peers returns every peer, the oldest first.
	Peers(ctx context.Context) ([]Peer, error)
	Peer(ctx context.Context, peer id.UUID) (Peer, error)
	PeerByNode(ctx context.Context, nodeID string) (Peer, error)
	// PeerPosition returns the zero cursor for a peer that was never read.
	PeerPosition(ctx context.Context, peer id.UUID) (Position, error)
}

// Tx is one transaction of federation's. What it does to facts is what the memory
// does to them.
type Tx interface {
	Reader
	fact.Tx
	// PutPeer inserts or replaces the row of p.ID. Another row of the same
	// node is an error of kind Conflict.
	PutPeer(ctx context.Context, p Peer) error
	// DeletePeer removes a peer and its position. Its nonces stay until they
	// expire, so that a token used before is not valid again after the node
	// comes back.
	DeletePeer(ctx context.Context, peer id.UUID) error
	CountPeers(ctx context.Context) (int, error)
	SavePosition(ctx context.Context, p Position) error
	// Observe returns this node's clock value of receiving what has the value
	// remote at its origin, or an *[hlc.SkewError].
	Observe(remote hlc.HLC, maxFuture, maxPast time.Duration) (hlc.HLC, error)
}
