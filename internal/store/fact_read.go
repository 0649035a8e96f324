package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/store/sqltext"
)

// factReads answers the memory's questions on any querier.
type factReads struct{ q Querier }

var (
	errNoFact     = errs.E(errs.NotFound, "fact not found")
	errNoConflict = errs.E(errs.NotFound, "conflict not found")
)

// factColumns are a fact's own columns, of a table f, and those of the state s
// beside it, which has no row for most facts.
const factColumns = `f.tenant, f.id, f.entity, f.relation, f.value_type, f.value_v, f.interpret_as, f.source, f.confidence, f.scope,
	f.ts, f.hlc, f.valid_until, f.cid, f.derived_from, f.asserted_by, f.on_behalf_of, f.received_from, f.origin_node_id,
	f.origin_allowed_scopes, f.re_federation_blocked, f.garden_id, f.attested_key_id, f.source_trust,
	s.overridden, s.valid_until, s.confidence, s.quarantine_status, s.quarantine_garden, s.quarantine_reason`

const factTables = ` FROM facts f LEFT JOIN fact_states s ON s.tenant = f.tenant AND s.entity = f.entity AND s.fact_id = f.id`

// text reads a column that may be NULL; it is empty then.
type text string

// Scan implements the store's scanner.
func (t *text) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*t = text(v)
	case nil:
		*t = ""
	default:
		return fmt.Errorf("%T into text", src)
	}
	return nil
}

// optional reads a text column and keeps NULL apart from the empty text.
type optional struct{ p **string }

// Scan implements the store's scanner.
func (o optional) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*o.p = &v
	case nil:
		*o.p = nil
	default:
		return fmt.Errorf("%T into text", src)
	}
	return nil
}

// A factRow is where a row of factColumns is scanned into.
type factRow struct {
	f                                   fact.Fact
	scope                               string
	derived, behalf, from, origin       text
	originScopes                        *string
	attested, qStatus, qGarden, qReason text
	overridden                          *bool
	override                            fact.Override
	dest                                []any
}

// columns returns the destinations, the same on each call.
func (r *factRow) columns() []any {
	if r.dest != nil {
		return r.dest
	}
	f := &r.f
	r.dest = []any{
		(*string)(&f.Tenant), (*string)(&f.ID), (*string)(&f.Entity), &f.Relation, (*string)(&f.Value.Type), &f.Value.V,
		&f.Value.InterpretAs, (*string)(&f.Source), &f.Confidence, &r.scope, &f.Timestamp, &f.HLC, optional{&f.ValidUntil},
		(*cidColumn)(&f.CID), &r.derived, (*string)(&f.AssertedBy), &r.behalf, &r.from, &r.origin, optional{&r.originScopes},
		&f.ReFederationBlocked, &f.GardenID, &r.attested, &f.SourceTrust,
		&r.overridden, optional{&r.override.ValidUntil}, &r.override.Confidence, &r.qStatus, &r.qGarden, &r.qReason,
	}
	return r.dest
}

// fact returns the fact that was scanned last.
func (r *factRow) fact() (fact.Fact, error) {
	f := r.f
	var err error
	if f.Scope, err = id.ParseScope(r.scope); err != nil {
		return f, errs.With(errs.Internal, err, "store: fact %s", f.ID)
	}
	f.ReceivedFrom, f.OriginNodeID, f.AttestedKeyID = string(r.from), string(r.origin), string(r.attested)
	if r.derived != "" {
		f.DerivedFrom = json.RawMessage(r.derived)
	}
	if r.behalf != "" {
		if err := json.Unmarshal([]byte(r.behalf), &f.OnBehalfOf); err != nil {
			return f, fmt.Errorf("store: fact %s: %w", f.ID, err)
		}
	}
	if r.originScopes != nil {
		set := id.ScopesNamed(strings.Split(*r.originScopes, ","))
		f.OriginAllowedScopes = &set
	}
	f.State = fact.State{QuarantineStatus: string(r.qStatus), QuarantineGarden: string(r.qGarden), QuarantineReason: string(r.qReason)}
	if r.overridden != nil && *r.overridden {
		o := r.override
		f.Override = &o
	}
	return f, nil
}

// facts runs a statement that gives factColumns.
func (r factReads) facts(ctx context.Context, query string, args ...any) ([]fact.Fact, error) {
	rows, err := r.q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var row factRow
	var out []fact.Fact
	for rows.Next() {
		if err := rows.Scan(row.columns()...); err != nil {
			return nil, err
		}
		f, err := row.fact()
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

func (r factReads) one(ctx context.Context, query string, args ...any) (fact.Fact, error) {
	var row factRow
	err := r.q.QueryRow(ctx, query, args...).Scan(row.columns()...)
	if errors.Is(err, ErrNoRows) {
		return fact.Fact{}, errNoFact
	}
	if err != nil {
		return fact.Fact{}, err
	}
	return row.fact()
}

// Fact implements [fact.Reader].
func (r factReads) Fact(ctx context.Context, tenant id.Tenant, of id.UUID) (fact.Fact, error) {
	if !storable(string(of)) {
		return fact.Fact{}, errNoFact
	}
	return r.one(ctx, `SELECT `+factColumns+factTables+` WHERE f.tenant = $1 AND f.id = $2`, string(tenant), string(of))
}

// factsAtOnce bounds the ids of one statement.
const factsAtOnce = 200

// Facts implements [fact.Reader].
func (r factReads) Facts(ctx context.Context, tenant id.Tenant, ids []id.UUID) (map[id.UUID]fact.Fact, error) {
	out := make(map[id.UUID]fact.Fact, len(ids))
	for chunk := range slices.Chunk(ids, factsAtOnce) {
		args := []any{string(tenant)}
		for _, one := range chunk {
			args = append(args, string(one))
		}
		facts, err := r.facts(ctx, `SELECT `+factColumns+factTables+` WHERE f.tenant = $1 AND f.id IN (`+sqltext.List(2, len(chunk))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, f := range facts {
			out[f.ID] = f
		}
	}
	return out, nil
}

// FactByCID implements [fact.Reader].
func (r factReads) FactByCID(ctx context.Context, tenant id.Tenant, cid id.CID) (fact.Fact, error) {
	digest, err := cidBytes(cid)
	if err != nil || digest == nil {
		return fact.Fact{}, errNoFact
	}
	return r.one(ctx, `SELECT `+factColumns+factTables+` WHERE f.tenant = $1 AND f.cid = $2 ORDER BY f.hlc DESC LIMIT 1`, string(tenant), digest)
}

// Replicable implements [fact.Reader].
func (r factReads) Replicable(ctx context.Context, scopes id.ScopeSet, after string, limit int) ([]fact.Fact, error) {
	names := scopes.Without(id.Local).Names()
	if len(names) == 0 || !storable(after) {
		return nil, nil
	}
	args := []any{string(id.DefaultTenant), after, limit}
	for _, n := range names {
		args = append(args, n)
	}
	return r.facts(ctx, `SELECT `+factColumns+factTables+` WHERE f.tenant = $1 AND f.replicable AND f.hlc > $2
		AND f.scope IN (`+sqltext.List(4, len(names))+`) AND (s.quarantine_status IS NULL OR s.quarantine_status <> 'pending')
		ORDER BY f.hlc LIMIT $3`, args...)
}

const headColumns = `h.fact_id, h.voice_hash, h.value_hash, h.confidence, h.valid_until, h.hlc, h.overruled, h.disputed`

func headDest(h *fact.Head) []any {
	return []any{(*string)(&h.FactID), &h.Voice, &h.Value, &h.Confidence, optional{&h.ValidUntil}, &h.HLC, &h.Overruled, &h.Disputed}
}

func (r factReads) heads(ctx context.Context, query string, args ...any) ([]fact.Head, error) {
	rows, err := r.q.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []fact.Head
	for rows.Next() {
		var h fact.Head
		if err := rows.Scan(headDest(&h)...); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, rows.Err()
}

// ofKey selects the heads of a key, given as $1 to $5.
const ofKey = ` FROM fact_heads h WHERE h.tenant = $1 AND h.entity = $2 AND h.relation_hash = $3 AND h.scope = $4 AND h.garden_id = $5`

func keyArgs(k fact.Key, more ...any) []any {
	d := fact.RelationDigest(k.Relation)
	return append([]any{string(k.Tenant), string(k.Entity), d[:], k.Scope.String(), k.Garden}, more...)
}

// Heads implements [fact.Reader].
func (r factReads) Heads(ctx context.Context, k fact.Key) ([]fact.Head, error) {
	return r.heads(ctx, `SELECT `+headColumns+ofKey, keyArgs(k)...)
}
