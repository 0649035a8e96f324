package store

import (
	"context"
	"errors"
	"fmt"

	"symbolon/internal/audit"
	"symbolon/internal/hlc"
	"symbolon/internal/store/sqltext"
)

const nodeStateQuery = "SELECT hlc, audit_seq, audit_hash, identity_revision FROM node_state WHERE id = 1"

// nodeState is the row that every write transaction locks.
type nodeState struct {
	hlc      hlc.HLC
	head     audit.Head
	revision uint64
}

func (st *nodeState) scan(r Row) error {
	var clock string
	var hash []byte
	if err := r.Scan(&clock, &st.head.Seq, &hash, &st.revision); err != nil {
		return fmt.Errorf("node state: %w", err)
	}
	if clock != "" {
		h, err := hlc.Parse(clock)
		if err != nil {
			return fmt.Errorf("node state: %w", err)
		}
		st.hlc = h
	}
	switch len(hash) {
	case 0: // an empty chain
	case len(st.head.Hash):
		copy(st.head.Hash[:], hash)
	default:
		return fmt.Errorf("node state: the audit hash has %d bytes", len(hash))
	}
	return nil
}

func (st *nodeState) save() sqltext.Stmt {
	return sqltext.Stmt{
		Query: "UPDATE node_state SET hlc = $1, audit_seq = $2, audit_hash = $3, identity_revision = $4 WHERE id = 1",
		Args:  []any{st.hlc.String(), st.head.Seq, st.head.Hash[:], int64(st.revision)},
	}
}

// Setting returns the node's setting of that name, and false when there is none.
func Setting(ctx context.Context, q Querier, key string) (value string, found bool, err error) {
	err = q.QueryRow(ctx, "SELECT value FROM node_settings WHERE key = $1", key).Scan(&value)
	if errors.Is(err, ErrNoRows) {
		return "", false, nil
	}
	return value, err == nil, err
}

// PutSetting sets the node's setting of that name.
func PutSetting(ctx context.Context, tx *Tx, key, value string) error {
	_, err := tx.Exec(ctx, "INSERT INTO node_settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}
