package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"symbolon/internal/fact"
)

// A filter collects the conditions of a query and their arguments.
type filter struct {
	where strings.Builder
	args  []any
}

// arg adds an argument and returns its placeholder.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return "$" + strconv.Itoa(len(f.args))
}

// and adds a condition, in which ? stands for v.
func (f *filter) and(cond string, v any) {
	f.where.WriteString(" AND ")
	f.where.WriteString(strings.Replace(cond, "?", f.arg(v), 1))
}

// storableAll reports whether all texts of a query can be stored at all; what
// cannot is matched by nothing.
func storableAll(q *fact.Query) bool {
	for _, s := range [...]string{string(q.Entity), q.Relation, string(q.Source), q.GardenID, q.After, q.Cursor.At} {
		if !storable(s) {
			return false
		}
	}
	return true
}

// common adds the conditions that history and heads share.
func (f *filter) common(q *fact.Query) {
	if q.Relation != "" {
		f.and("f.relation = ?", q.Relation)
	}
	if q.Source != "" {
		f.and("f.source = ?", string(q.Source))
	}
	if q.After != "" {
		f.and("f.ts > ?", q.After)
	}
	if q.Attested != nil {
		if *q.Attested {
			f.where.WriteString(" AND f.attested_key_id IS NOT NULL")
		} else {
			f.where.WriteString(" AND f.attested_key_id IS NULL")
		}
	}
}

// History implements [fact.Reader].
func (r factReads) History(ctx context.Context, q fact.Query, now string) ([]fact.Fact, error) {
	if !storableAll(&q) {
		return nil, nil
	}
	if q.Entity != "" {
		return r.historyPart(ctx, q, now, "")
	}
	// Without an entity the rows are read in order from the two indexes that
	// divide the table, and merged.
	out, err := r.historyPart(ctx, q, now, " AND f.replicable")
	if err != nil {
		return nil, err
	}
	others, err := r.historyPart(ctx, q, now, " AND NOT f.replicable")
	if err != nil {
		return nil, err
	}
	out = append(out, others...)
	slices.SortFunc(out, func(a, b fact.Fact) int { return strings.Compare(b.HLC, a.HLC) })
	return out[:min(len(out), q.Limit)], nil
}

func (r factReads) historyPart(ctx context.Context, q fact.Query, now, part string) ([]fact.Fact, error) {
	var f filter
	f.where.WriteString(`SELECT ` + factColumns + factTables + ` WHERE f.tenant = ` + f.arg(string(q.Tenant)) + part +
		` AND (s.quarantine_status IS NULL OR s.quarantine_status <> 'pending')`)
	if q.Entity != "" {
		f.and("f.entity = ?", string(q.Entity))
	}
	f.common(&q)
	if q.Scope != 0 {
		f.and("f.scope = ?", q.Scope.String())
	}
	if q.GardenID != "" {
		f.and("f.garden_id = ?", q.GardenID)
	}
	if q.MinConfidence > 0 {
		f.and("COALESCE(s.confidence, f.confidence) >= ?", q.MinConfidence)
	}
	if !q.IncludeExpired {
		f.and("(COALESCE(s.valid_until, f.valid_until) IS NULL OR COALESCE(s.valid_until, f.valid_until) > ?)", now)
	}
	if !q.Cursor.IsZero() {
		f.and("f.hlc < ?", q.Cursor.At)
	}
	f.where.WriteString(" ORDER BY f.hlc DESC LIMIT " + f.arg(q.Limit))
	return r.facts(ctx, f.where.String(), f.args...)
}

// Current implements [fact.Reader].
func (r factReads) Current(ctx context.Context, q fact.Query, now string) ([]fact.Fact, []fact.Head, error) {
	if !storableAll(&q) {
		return nil, nil, nil
	}
	var f filter
	f.where.WriteString(`SELECT ` + factColumns + `, ` + headColumns + ` FROM fact_heads h
		JOIN facts f ON f.tenant = h.tenant AND f.id = h.fact_id AND f.entity = h.entity
		LEFT JOIN fact_states s ON s.tenant = f.tenant AND s.entity = f.entity AND s.fact_id = f.id
		WHERE h.tenant = ` + f.arg(string(q.Tenant)) + ` AND NOT h.overruled`)
	if q.Entity != "" {
		f.and("h.entity = ?", string(q.Entity))
	}
	if q.Relation != "" {
		d := fact.RelationDigest(q.Relation)
		f.and("h.relation_hash = ?", d[:])
	}
	f.common(&q)
	if q.Scope != 0 {
		f.and("h.scope = ?", q.Scope.String())
	}
	if q.GardenID != "" {
		f.and("h.garden_id = ?", q.GardenID)
	}
	if q.MinConfidence > 0 {
		f.and("h.confidence >= ?", q.MinConfidence)
	}
	if !q.IncludeExpired {
		f.and("(h.valid_until IS NULL OR h.valid_until > ?)", now)
	}
	// An entity has few heads: they are found by it and then sorted. Without this
	// a planner walks all heads in their order until it has met enough of them.
	order := "h.hlc"
	if q.Entity != "" {
		order = "h.hlc || ''"
	}
	if !q.Cursor.IsZero() {
		f.and(order+" < ?", q.Cursor.At)
	}
	f.where.WriteString(" ORDER BY " + order + " DESC LIMIT " + f.arg(q.Limit))

	rows, err := r.q.Query(ctx, f.where.String(), f.args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var row factRow
	var head fact.Head
	dest := append(row.columns(), headDest(&head)...)
	var facts []fact.Fact
	var heads []fact.Head
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, nil, err
		}
		one, err := row.fact()
		if err != nil {
			return nil, nil, err
		}
		facts, heads = append(facts, one), append(heads, head)
	}
	return facts, heads, rows.Err()
}

// storable reports whether a text can be in the database at all; what cannot is
// not found, rather than an error.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
