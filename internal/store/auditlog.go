package store

import (
	"context"
	"encoding/json"

	"symbolon/internal/audit"
	"symbolon/internal/store/sqltext"
)

const entryColumns = "seq, id, prev, hash, type, at, actor, tenant, subject, source, attested_key_id, oidc_subject, peer_id, detail"

func insertEntry(n audit.Entry) sqltext.Stmt {
	return sqltext.Stmt{
		Query: "INSERT INTO audit_log (" + entryColumns + ") VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)",
		Args: []any{
			n.Seq, n.ID, n.Prev[:], n.Hash[:], n.Type, int64(n.At), n.Actor, n.Tenant, n.Subject, n.Source,
			n.AttestedKeyID, n.OIDCSubject, n.PeerID, n.Detail,
		},
	}
}

// AuditColumns are the columns that ScanAuditEntry reads, for a caller's own
// selection from audit_log.
const AuditColumns = entryColumns

// ScanAuditEntry reads one row of AuditColumns.
func ScanAuditEntry(r Row) (audit.Entry, error) {
	var n audit.Entry
	var detail *string
	err := r.Scan(&n.Seq, &n.ID, &n.Prev, &n.Hash, &n.Type, &n.At, &n.Actor, &n.Tenant, &n.Subject, &n.Source,
		&n.AttestedKeyID, &n.OIDCSubject, &n.PeerID, &detail)
	if detail != nil {
		n.Detail = json.RawMessage(*detail)
	}
	return n, err
}

// AuditEntries returns at most limit entries whose number is greater than after,
// in their order.
func (s *Store) AuditEntries(ctx context.Context, after int64, limit int) ([]audit.Entry, error) {
	rows, err := s.Reader().Query(ctx, "SELECT "+entryColumns+" FROM audit_log WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
	return Collect(rows, err, ScanAuditEntry)
}

// A Verification is what VerifyAudit found.
type Verification struct {
	// Entries is how many entries were found sound.
	Entries int64
	// Head is the head that the node recorded.
	Head audit.Head
	// Broken is the first place that does not hold, or nil.
	Broken *audit.Break
}

// progressEvery is after how many entries VerifyAudit reports.
const progressEvery = 10_000

// VerifyAudit walks the audit chain from its first entry to the recorded head, on
// one unchanging state and in constant memory. It calls progress, which may be nil,
// now and then.
func (s *Store) VerifyAudit(ctx context.Context, progress func(checked, total int64)) (out Verification, err error) {
	err = s.View(ctx, func(q Querier) error {
		out, err = VerifyAuditIn(ctx, q, progress)
		return err
	})
	return out, err
}

// VerifyAuditIn is VerifyAudit on a view that the caller has.
func VerifyAuditIn(ctx context.Context, q Querier, progress func(checked, total int64)) (Verification, error) {
	var st nodeState
	if err := st.scan(q.QueryRow(ctx, nodeStateQuery)); err != nil {
		return Verification{}, err
	}
	out := Verification{Head: st.head}
	var v audit.Verifier
	rows, err := q.Query(ctx, "SELECT "+entryColumns+" FROM audit_log ORDER BY seq")
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		n, err := ScanAuditEntry(rows)
		if err != nil {
			return out, err
		}
		if out.Broken = v.Next(n); out.Broken != nil {
			return out, nil
		}
		out.Entries = v.Head().Seq
		if progress != nil && out.Entries%progressEvery == 0 {
			progress(out.Entries, st.head.Seq)
		}
	}
	if err := rows.Err(); err != nil {
		return out, err
	}
	out.Broken = v.End(st.head)
	return out, nil
}
