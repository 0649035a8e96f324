package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

var _ fact.Store = (*Store)(nil)

// factTx is the memory's view of a transaction.
type factTx struct {
	factReads
	tx *Tx
}

// Facts returns the memory's view of the transaction, for whoever writes facts
// together with something else.
func (t *Tx) Facts() fact.Tx { return factTx{factReads: factReads{q: t}, tx: t} }

// UpdateFacts implements [fact.Store].
func (s *Store) UpdateFacts(ctx context.Context, fn func(tx fact.Tx) error) error {
	return s.Update(ctx, func(tx *Tx) error { return fn(tx.Facts()) })
}

// Tick implements [fact.Tx].
func (t factTx) Tick() hlc.HLC { return t.tx.Tick() }

// Audit implements [fact.Tx].
func (t factTx) Audit(e audit.Event) { t.tx.Audit(e) }

// null returns nil for the empty text.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// replicable reports whether a fact may ever go to a peer. Whether it may go to
// one in particular also depends on scopes, and on what happens to it later.
func replicable(f *fact.Fact) bool {
	return f.Scope != id.Local && f.ReceivedFrom == "" && !f.ReFederationBlocked && f.GardenID == "" && len(f.DerivedFrom) == 0 &&
		!strings.HasPrefix(string(f.Entity), fact.ConflictPrefix) && !strings.HasPrefix(f.Relation, "stigmem:")
}

// The columns that every fact sets, and those that few do. Binding costs as much as
// the row does.
const (
	plainFact = `tenant, id, entity, relation, value_type, value_v, interpret_as, source, confidence, scope, ts, hlc, valid_until, cid, asserted_by, replicable`
	otherFact = `, nth, derived_from, on_behalf_of, received_from, origin_node_id, origin_allowed_scopes, re_federation_blocked, garden_id,
		attested_key_id, source_trust`
	plainValues = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16`
	otherValues = `, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26`
)

// Insert implements [fact.Tx].
func (t factTx) Insert(ctx context.Context, f *fact.Fact, nth int) (inserted bool, err error) {
	cid, err := cidBytes(f.CID)
	if err != nil {
		return false, err
	}
	args := []any{
		string(f.Tenant), string(f.ID), string(f.Entity), f.Relation, string(f.Value.Type), f.Value.V, f.Value.InterpretAs, string(f.Source),
		f.Confidence, f.Scope.String(), f.Timestamp, f.HLC, f.ValidUntil, cid, string(f.AssertedBy), replicable(f),
	}
	query := `INSERT INTO facts (` + plainFact + `) VALUES (` + plainValues + `) ON CONFLICT DO NOTHING`
	if nth != 0 || f.DerivedFrom != nil || len(f.OnBehalfOf) > 0 || f.ReceivedFrom != "" || f.GardenID != "" || f.AttestedKeyID != "" || f.SourceTrust != nil {
		query = `INSERT INTO facts (` + plainFact + otherFact + `) VALUES (` + plainValues + otherValues + `) ON CONFLICT DO NOTHING`
		more, err := otherArgs(f, nth)
		if err != nil {
			return false, err
		}
		args = append(args, more...)
	}
	n, err := t.q.Exec(ctx, query, args...)
	if err != nil || n == 0 {
		return false, err
	}
	if f.QuarantineStatus != "" {
		_, err = t.q.Exec(ctx, `INSERT INTO fact_states (tenant, entity, fact_id, quarantine_status, quarantine_garden, quarantine_reason)
			VALUES ($1, $2, $3, $4, $5, $6)`,
			string(f.Tenant), string(f.Entity), string(f.ID), f.QuarantineStatus, f.QuarantineGarden, f.QuarantineReason)
	}
	return true, err
}

func otherArgs(f *fact.Fact, nth int) ([]any, error) {
	var behalf, scopes, trust any
	if len(f.OnBehalfOf) > 0 {
		b, err := json.Marshal(f.OnBehalfOf)
		if err != nil {
			return nil, err
		}
		behalf = string(b)
	}
	if f.OriginAllowedScopes != nil {
		scopes = f.OriginAllowedScopes.String()
	}
	if f.SourceTrust != nil {
		trust = *f.SourceTrust
	}
	return []any{
		nth, null(string(f.DerivedFrom)), behalf, null(f.ReceivedFrom), null(f.OriginNodeID), scopes, f.ReFederationBlocked, f.GardenID,
		null(f.AttestedKeyID), trust,
	}, nil
}

const cidPrefix = "sha256:"

// cidBytes returns the digest of a content id, nil for none.
func cidBytes(cid id.CID) (any, error) {
	if cid == "" {
		return nil, nil
	}
	if _, err := id.ParseCID(string(cid)); err != nil {
		return nil, errs.With(errs.Internal, err, "store: content id")
	}
	return hex.DecodeString(string(cid[len(cidPrefix):]))
}

// cidColumn reads a content id, empty for NULL.
type cidColumn id.CID

// Scan implements the store's scanner.
func (c *cidColumn) Scan(src any) error {
	switch b := src.(type) {
	case nil:
		*c = ""
	case []byte:
		var digest [32]byte
		if copy(digest[:], b) != len(b) || len(b) != len(digest) {
			return fmt.Errorf("a content id of %d bytes", len(b))
		}
		*c = cidColumn(id.CIDOf(digest))
	default:
		return fmt.Errorf("%T into a content id", src)
	}
	return nil
}

// Latest implements [fact.Tx].
func (t factTx) Latest(ctx context.Context, f *fact.Fact) (latest fact.Fact, count int, err error) {
	cid, err := cidBytes(f.CID)
	if err != nil {
		return fact.Fact{}, 0, err
	}
	args := []any{string(f.Tenant), cid, string(f.Entity)}
	const where = ` WHERE f.tenant = $1 AND f.cid = $2 AND f.entity = $3`
	if err := t.q.QueryRow(ctx, `SELECT COUNT(*) FROM facts f`+where, args...).Scan(&count); err != nil {
		return fact.Fact{}, 0, err
	}
	latest, err = t.one(ctx, `SELECT `+factColumns+factTables+where+` ORDER BY f.nth DESC LIMIT 1`, args...)
	return latest, count, err
}

// Head implements [fact.Tx].
func (t factTx) Head(ctx context.Context, f *fact.Fact) (fact.Head, bool, error) {
	voice := f.Voice()
	heads, err := t.heads(ctx, `SELECT `+headColumns+ofKey+` AND h.voice_hash = $6`, keyArgs(f.Key(), voice[:])...)
	if err != nil || len(heads) == 0 {
		return fact.Head{}, false, err
	}
	return heads[0], true, nil
}

// Of a key with few heads a write is given them all. Of one with more it looks at
// rivalsSeen and is given rivalsKept of those that matter; beyond them the mark of a
// dispute stands in.
const (
	rivalsFew  = 4
	rivalsSeen = 256
	rivalsKept = 16
)

// Rivals implements [fact.Tx].
func (t factTx) Rivals(ctx context.Context, f *fact.Fact) ([]fact.Head, bool, error) {
	heads, err := t.heads(ctx, `SELECT `+headColumns+ofKey+` LIMIT $6`, keyArgs(f.Key(), rivalsFew)...)
	if err == nil && len(heads) == rivalsFew {
		voice, value := f.Voice(), f.Value.Digest()
		heads, err = t.heads(ctx, `SELECT `+headColumns+` FROM (SELECT *`+ofKey+` LIMIT $6) h
			WHERE h.value_hash <> $7 OR h.voice_hash = $8 OR h.disputed ORDER BY h.voice_hash = $8 DESC, h.confidence DESC LIMIT $9`,
			keyArgs(f.Key(), rivalsSeen, value[:], voice[:], rivalsKept)...)
	}
	if err != nil {
		return nil, false, err
	}
	disputed := false
	for i := range heads {
		disputed = disputed || heads[i].Disputed
	}
	return heads, disputed, nil
}

const headInto = `INSERT INTO fact_heads (tenant, entity, relation_hash, scope, garden_id, fact_id, voice_hash, value_hash,
		confidence, valid_until, hlc, overruled, disputed)`

func headArgs(f *fact.Fact) []any {
	voice, value := f.Voice(), f.Value.Digest()
	return keyArgs(f.Key(), string(f.ID), voice[:], value[:], f.EffectiveConfidence(), f.EffectiveValidUntil(), f.HLC)
}

// PutFirstHead implements [fact.Tx].
func (t factTx) PutFirstHead(ctx context.Context, f *fact.Fact) (bool, error) {
	n, err := t.q.Exec(ctx, headInto+` SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, FALSE, FALSE WHERE NOT EXISTS (SELECT 1`+ofKey+`)`,
		headArgs(f)...)
	return n == 1, err
}

// PutHead implements [fact.Tx].
func (t factTx) PutHead(ctx context.Context, f *fact.Fact, disputed bool) error {
	voice := f.Voice()
	_, err := t.q.Exec(ctx, `INSERT INTO fact_past (tenant, entity, hlc, fact_id) SELECT h.tenant, h.entity, h.hlc, h.fact_id`+ofKey+
		` AND h.voice_hash = $6 AND h.fact_id <> $7 ON CONFLICT DO NOTHING`, keyArgs(f.Key(), voice[:], string(f.ID))...)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, headInto+` VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, FALSE, $12)
		ON CONFLICT (tenant, entity, relation_hash, scope, garden_id, voice_hash) DO UPDATE SET fact_id = $6, value_hash = $8,
			confidence = $9, valid_until = $10, hlc = $11, overruled = FALSE, disputed = $12`, append(headArgs(f), disputed)...)
	return err
}

// MarkDisputed implements [fact.Tx].
func (t factTx) MarkDisputed(ctx context.Context, k fact.Key) error {
	_, err := t.q.Exec(ctx, `UPDATE fact_heads SET disputed = TRUE
		WHERE tenant = $1 AND entity = $2 AND relation_hash = $3 AND scope = $4 AND garden_id = $5 AND NOT disputed`, keyArgs(k)...)
	return err
}

// ofHead finds the head that is the fact $6 of the key and the voice $7.
const ofHead = ` WHERE tenant = $1 AND entity = $2 AND relation_hash = $3 AND scope = $4 AND garden_id = $5 AND fact_id = $6 AND voice_hash = $7`

// Overrule implements [fact.Tx].
func (t factTx) Overrule(ctx context.Context, f *fact.Fact) error {
	voice := f.Voice()
	_, err := t.q.Exec(ctx, `UPDATE fact_heads SET overruled = TRUE`+ofHead, keyArgs(f.Key(), string(f.ID), voice[:])...)
	return err
}

// SetOverride implements [fact.Tx].
func (t factTx) SetOverride(ctx context.Context, f *fact.Fact, o fact.Override, reason string) error {
	_, err := t.q.Exec(ctx, `INSERT INTO fact_states (tenant, entity, fact_id, overridden, valid_until, confidence, override_reason)
		VALUES ($1, $2, $3, TRUE, $4, $5, $6)
		ON CONFLICT (tenant, entity, fact_id) DO UPDATE SET overridden = TRUE, valid_until = $4, confidence = $5, override_reason = $6`,
		string(f.Tenant), string(f.Entity), string(f.ID), o.ValidUntil, o.Confidence, reason)
	if err != nil {
		return err
	}
	f.Override = &o
	voice := f.Voice()
	_, err = t.q.Exec(ctx, `UPDATE fact_heads SET confidence = $8, valid_until = $9`+ofHead,
		keyArgs(f.Key(), string(f.ID), voice[:], f.EffectiveConfidence(), f.EffectiveValidUntil())...)
	return err
}
