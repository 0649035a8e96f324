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
	// The rows are in two places each, that are read in order and merged: an
	// entity's are its heads and what was superseded, all others are in one of the
	// two indexes that divide the table.
	const state = ` LEFT JOIN fact_states s ON s.tenant = f.tenant AND s.entity = f.entity AND s.fact_id = f.id`
	parts := [2]historyPart{{factTables + ` WHERE f.replicable`, "f.hlc"}, {factTables + ` WHERE NOT f.replicable`, "f.hlc"}}
	if q.Entity != "" {
		const found = ` h JOIN facts f ON f.tenant = h.tenant AND f.id = h.fact_id AND f.entity = h.entity` + state + ` WHERE TRUE`
		parts = [2]historyPart{{` FROM fact_heads` + found, fewHeads}, {` FROM fact_past` + found, "h.hlc"}}
	}
	var out []fact.Fact
	for _, part := range parts {
		facts, err := r.history(ctx, q, now, part)
		if err != nil {
			return nil, err
		}
		out = append(out, facts...)
	}
	slices.SortFunc(out, func(a, b fact.Fact) int { return strings.Compare(b.HLC, a.HLC) })
	// Who was taken at an earlier word again has it as a head and in the past.
	out = slices.CompactFunc(out, func(a, b fact.Fact) bool { return a.HLC == b.HLC })
	return out[:min(len(out), q.Limit)], nil
}

// A historyPart is one place of history: its tables, and what orders its rows.
type historyPart struct{ from, order string }

// fewHeads orders heads that were found by their entity, which are few. A planner that
// could use an index for the order would walk all heads in it until it has met enough
// of them.
const fewHeads = "h.hlc || ''"

func (r factReads) history(ctx context.Context, q fact.Query, now string, part historyPart) ([]fact.Fact, error) {
	var f filter
	f.where.WriteString(`SELECT ` + factColumns + part.from + ` AND (s.quarantine_status IS NULL OR s.quarantine_status <> 'pending')`)
	if q.Entity != "" {
		f.and("h.tenant = ?", string(q.Tenant))
		f.and("h.entity = ?", string(q.Entity))
	} else {
		f.and("f.tenant = ?", string(q.Tenant))
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
		f.and(part.order+" < ?", q.Cursor.At)
	}
	f.where.WriteString(" ORDER BY " + part.order + " DESC LIMIT " + f.arg(q.Limit))
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
	order := "h.hlc"
	if q.Entity != "" {
		order = fewHeads
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
