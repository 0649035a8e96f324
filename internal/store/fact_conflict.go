package store

import (
	"context"
	"errors"

	"symbolon/internal/fact"
	"symbolon/internal/id"
)

const conflictColumns = `tenant, id, entity, fact_a, fact_b, status, resolved_by, detected_at`

func scanConflict(row scanner) (c fact.Conflict, err error) {
	var by text
	err = row.Scan((*string)(&c.Tenant), &c.ID, (*string)(&c.Entity), (*string)(&c.A), (*string)(&c.B), &c.Status, &by, &c.DetectedAt)
	c.ResolvedBy = string(by)
	return c, err
}

// Conflict implements [fact.Reader].
func (r factReads) Conflict(ctx context.Context, tenant id.Tenant, conflict string) (fact.Conflict, error) {
	if !storable(conflict) {
		return fact.Conflict{}, errNoConflict
	}
	c, err := scanConflict(r.q.QueryRow(ctx, `SELECT `+conflictColumns+` FROM conflicts WHERE tenant = $1 AND id = $2`, string(tenant), conflict))
	if errors.Is(err, ErrNoRows) {
		return fact.Conflict{}, errNoConflict
	}
	return c, err
}

// Conflicts implements [fact.Reader].
func (r factReads) Conflicts(ctx context.Context, q fact.ConflictQuery) ([]fact.Conflict, error) {
	if !storable(q.Status) || !storable(q.After.At) || !storable(q.After.ID) {
		return nil, nil
	}
	var f filter
	f.where.WriteString(`SELECT ` + conflictColumns + ` FROM conflicts WHERE tenant = ` + f.arg(string(q.Tenant)))
	if q.Status != "" {
		f.and("status = ?", q.Status)
	}
	if !q.After.IsZero() {
		f.where.WriteString(" AND (detected_at, id) < (" + f.arg(q.After.At) + ", " + f.arg(q.After.ID) + ")")
	}
	f.where.WriteString(" ORDER BY detected_at DESC, id DESC LIMIT " + f.arg(q.Limit))
	rows, err := r.q.Query(ctx, f.where.String(), f.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []fact.Conflict
	for rows.Next() {
		c, err := scanConflict(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// InsertConflict implements [fact.Tx].
func (t factTx) InsertConflict(ctx context.Context, c fact.Conflict) error {
	_, err := t.q.Exec(ctx, `INSERT INTO conflicts (`+conflictColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(c.Tenant), c.ID, string(c.Entity), string(c.A), string(c.B), c.Status, null(c.ResolvedBy), c.DetectedAt)
	return err
}

// ResolveConflict implements [fact.Tx].
func (t factTx) ResolveConflict(ctx context.Context, c fact.Conflict) (bool, error) {
	n, err := t.q.Exec(ctx, `UPDATE conflicts SET status = 'resolved', resolved_by = $4
		WHERE tenant = $1 AND entity = $2 AND id = $3 AND status = 'unresolved'`,
		string(c.Tenant), string(c.Entity), c.ID, c.ResolvedBy)
	return n == 1, err
}
