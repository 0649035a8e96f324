package store

import (
	"context"
	"strings"

	"symbolon/internal/audit"
)

// AuditPage returns a page of the audit log with the facts that entries are about.
func (s *Store) AuditPage(ctx context.Context, q audit.Query) ([]audit.Record, error) {
	for _, text := range [...]string{q.Actor, q.OIDCSubject, q.Source, q.Subject, q.Type} {
		if !storable(text) {
			return nil, nil
		}
	}
	var f filter
	f.where.WriteString(`SELECT ` + prefixed("a.", entryColumns) + `, f.entity, f.relation, f.value_type, f.value_v, f.scope
		FROM audit_log a LEFT JOIN facts f ON f.tenant = a.tenant AND f.id = a.subject
		WHERE a.tenant = ` + f.arg(q.Tenant))
	for _, c := range [...]struct{ column, value string }{
		{"actor", q.Actor}, {"oidc_subject", q.OIDCSubject}, {"source", q.Source}, {"subject", q.Subject}, {"type", q.Type},
	} {
		if c.value != "" {
			f.and("a."+c.column+" = ?", c.value)
		}
	}
	if q.Attested != nil {
		op := " = ''"
		if *q.Attested {
			op = " <> ''"
		}
		f.where.WriteString(" AND a.attested_key_id" + op)
	}
	if q.Since != nil {
		f.and("a.at >= ?", int64(*q.Since))
	}
	if q.Until != nil {
		f.and("a.at <= ?", int64(*q.Until))
	}
	order, past := " DESC", "a.seq < ?"
	if q.Ascending {
		order, past = " ASC", "a.seq > ?"
	}
	if q.Past > 0 {
		f.and(past, q.Past)
	}
	f.where.WriteString(" ORDER BY a.seq" + order + " LIMIT " + f.arg(q.Limit))
	rows, err := s.Reader().Query(ctx, f.where.String(), f.args...)
	return Collect(rows, err, scanRecord)
}

// prefixed puts a prefix before each of a list of columns.
func prefixed(prefix, columns string) string {
	return prefix + strings.ReplaceAll(columns, ", ", ", "+prefix)
}

func scanRecord(r Row) (rec audit.Record, err error) {
	var entity *string
	var ref audit.FactRef
	tail := auditTail{row: r, more: []any{optional{&entity}, (*text)(&ref.Relation), (*text)(&ref.ValueType), (*text)(&ref.Value), (*text)(&ref.Scope)}}
	rec.Entry, err = ScanAuditEntry(tail)
	if err == nil && entity != nil {
		ref.Entity = *entity
		rec.Fact = &ref
	}
	return rec, err
}

// auditTail scans further columns after those of an entry.
type auditTail struct {
	row  Row
	more []any
}

func (t auditTail) Scan(dest ...any) error { return t.row.Scan(append(dest, t.more...)...) }
