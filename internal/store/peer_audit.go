package store

import (
	"context"
	"encoding/json"

	"symbolon/internal/federation"
)

// FederationAudit implements [federation.Store].
func (r peerReads) FederationAudit(ctx context.Context, q federation.AuditQuery) (federation.AuditPage, error) {
	if !storable(q.PeerID) {
		return federation.AuditPage{}, nil
	}
	s := selectFrom(`SELECT id, seq, peer_id, type, detail, at FROM audit_log`)
	s.where("peer_id <> ''")
	if q.PeerID != "" {
		s.where("peer_id = %s", q.PeerID)
	}
	if q.Type != "" {
		s.where("type = %s", q.Type)
	} else {
		s.whereIn("type", federation.AuditTypes())
	}
	if q.Before > 0 {
		s.where("seq < %s", q.Before)
	}
	s.sql.WriteString(" ORDER BY seq DESC LIMIT " + s.arg(int64(q.Limit)+1))
	entries, err := collect(ctx, r.q, s, func(row scanner) (e federation.AuditEntry, err error) {
		var detail *string
		err = row.Scan(&e.ID, &e.Seq, &e.PeerID, &e.Type, &detail, &e.At)
		if detail != nil {
			e.Detail = json.RawMessage(*detail)
		}
		return e, err
	})
	if err != nil {
		return federation.AuditPage{}, err
	}
	page := federation.AuditPage{Entries: entries}
	if len(entries) > q.Limit {
		page.Entries = entries[:q.Limit]
		page.Next = page.Entries[q.Limit-1].Seq
	}
	return page, nil
}
