package store

import (
	"context"

	"symbolon/epoch"
)

// prunedNonces is how many expired nonces are deleted with each one stored, so
// that the table shrinks faster than it grows and no call deletes for long.
const prunedNonces = 16

// ConsumePeerNonce implements [federation.Store].
func (s *Store) ConsumePeerNonce(ctx context.Context, nodeID, nonce string, now, until epoch.Millis) (fresh bool, err error) {
	err = s.Update(ctx, func(tx *Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM peer_nonces WHERE (node_id, nonce) IN
			(SELECT node_id, nonce FROM peer_nonces WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`, int64(now), prunedNonces)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO peer_nonces (node_id, nonce, expires_at) VALUES ($1, $2, $3)
			ON CONFLICT (node_id, nonce) DO UPDATE SET expires_at = $3 WHERE peer_nonces.expires_at < $4`,
			nodeID, nonce, int64(until), int64(now))
		fresh = err == nil && n == 1
		return err
	})
	return fresh && err == nil, err
}
