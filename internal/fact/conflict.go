package fact

import (
	"context"
	"encoding/json"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// ConflictPrefix begins every conflict's id, which is also the entity of the facts
// that the node states about it.
const ConflictPrefix = "stigmem:conflict:"

// The statuses of a conflict.
const (
	Unresolved = "unresolved"
	Resolved   = "resolved"
)

// A Conflict is two facts of one key whose values differed, both live, when the
// later one, A, was written.
type Conflict struct {
	ID     string
	Tenant id.Tenant
	Entity id.Entity
	A, B   id.UUID
	Status string
	// ResolvedBy is the id of the resolution fact, empty while unresolved.
	ResolvedBy string
	// DetectedAt is the wire's text.
	DetectedAt string
	// FactA and FactB are filled by listings, nil when the fact is not there.
	FactA, FactB *Fact
}

// A ConflictQuery asks for the conflicts of one tenant, the newest first.
type ConflictQuery struct {
	Tenant id.Tenant
	// Status is any text; empty asks for all.
	Status string
	After  Cursor
	Limit  int
}

// A ConflictPage is one page of conflicts. Next is the zero Cursor when there are no
// more.
type ConflictPage struct {
	Conflicts []Conflict
	Next      Cursor
}

// recordConflict stores the conflict of f with the fact other, and states it.
func recordConflict(ctx context.Context, tx Tx, f *Fact, other id.UUID, now string) error {
	c := Conflict{
		ID: ConflictPrefix + id.NewUUID().String(), Tenant: f.Tenant, Entity: f.Entity, A: f.ID, B: other, Status: Unresolved, DetectedAt: now,
	}
	if err := tx.InsertConflict(ctx, c); err != nil {
		return err
	}
	about := stated{tenant: f.Tenant, entity: id.Entity(c.ID), scope: f.Scope, source: SystemSource, by: SystemSource, at: now}
	if _, err := about.state(ctx, tx, "stigmem:conflict:between", canon.Text, string(f.ID)+" "+string(other)); err != nil {
		return err
	}
	_, err := about.state(ctx, tx, conflictStatus, canon.String, Unresolved)
	return err
}

const conflictStatus = "stigmem:conflict:status"

// stated is what the facts that the node itself states have in common. They have no
// content id and contradict nothing.
type stated struct {
	tenant     id.Tenant
	entity     id.Entity
	scope      id.Scope
	source, by id.Entity
	at         string
}

func (s stated) state(ctx context.Context, tx Tx, relation string, t Type, v string) (Fact, error) {
	return s.stateValue(ctx, tx, relation, Value{Type: t, V: v, InterpretAs: Content})
}

func (s stated) stateValue(ctx context.Context, tx Tx, relation string, v Value) (Fact, error) {
	h := tx.Tick()
	f := Fact{
		ID: id.NewUUIDAt(h.Wall), Tenant: s.tenant, Entity: s.entity, Relation: relation, Value: v, Source: s.source, Confidence: 1,
		Scope: s.scope, Timestamp: s.at, HLC: h.String(), AssertedBy: s.by,
	}
	inserted, err := tx.Insert(ctx, &f, 0)
	if err == nil && !inserted {
		err = errs.E(errs.Internal, "fact: id %s is taken", f.ID)
	}
	if err != nil {
		return f, err
	}
	return f, tx.PutHead(ctx, &f, false)
}

// Conflicts returns a page of p's tenant's conflicts, with their facts.
func (s *Service) Conflicts(ctx context.Context, p principal.Principal, q ConflictQuery) (ConflictPage, error) {
	if err := may(p, principal.Read); err != nil {
		return ConflictPage{}, err
	}
	q.Tenant = id.Tenant(p.Tenant)
	limit := q.Limit
	q.Limit++
	list, err := s.store.Conflicts(ctx, q)
	if err != nil {
		return ConflictPage{}, errs.Wrap(err, "fact: conflicts")
	}
	page := ConflictPage{Conflicts: list}
	if len(list) > limit {
		page.Conflicts = list[:limit]
		last := page.Conflicts[limit-1]
		page.Next = Cursor{At: last.DetectedAt, ID: last.ID}
	}
	var ids []id.UUID
	for _, c := range page.Conflicts {
		ids = append(ids, c.A, c.B)
	}
	facts, err := s.store.Facts(ctx, q.Tenant, ids)
	if err != nil {
		return ConflictPage{}, errs.Wrap(err, "fact: conflicts")
	}
	for i := range page.Conflicts {
		c := &page.Conflicts[i]
		if f, ok := facts[c.A]; ok {
			c.FactA = &f
		}
		if f, ok := facts[c.B]; ok {
			c.FactB = &f
		}
	}
	return page, nil
}

// A Resolution settles a conflict: by one of its facts, or by a value of its own,
// which comes first when both are given.
type Resolution struct {
	Winner *id.UUID
	// NewType, RawNew and NewInterpretAs are the new value; an empty type is
	// none.
	NewType        Type
	RawNew         []byte
	NewInterpretAs string
}

// Resolve settles the conflict of that id and returns the id of the fact that says
// so. The conflicting facts stay; the one that lost is overruled: it no longer
// stands in a default query. With a new value both lose, and what is true is for
// somebody to assert.
func (s *Service) Resolve(ctx context.Context, p principal.Principal, conflict string, r Resolution) (id.UUID, error) {
	if err := may(p, principal.Write); err != nil {
		return "", err
	}
	var resolution id.UUID
	err := s.store.UpdateFacts(ctx, func(tx Tx) (err error) {
		resolution, err = s.resolve(ctx, tx, p, conflict, r)
		return err
	})
	return resolution, errs.Wrap(err, "fact: resolve")
}

func (s *Service) resolve(ctx context.Context, tx Tx, p principal.Principal, conflict string, r Resolution) (id.UUID, error) {
	c, err := tx.Conflict(ctx, id.Tenant(p.Tenant), conflict)
	if err != nil {
		return "", err
	}
	if c.Status != Unresolved {
		return "", errResolved
	}
	a, err := tx.Fact(ctx, c.Tenant, c.A)
	if err != nil {
		return "", err
	}
	b, err := tx.Fact(ctx, c.Tenant, c.B)
	if err != nil {
		return "", err
	}
	value, err := r.settle(ctx, tx, &a, &b)
	if err != nil {
		return "", err
	}
	if value.InterpretAs == Instruction && !p.Can(principal.InstructionWrite) {
		return "", errInstruction
	}
	at := s.now()
	now := Timestamp(at)
	says := stated{tenant: c.Tenant, entity: id.Entity("stigmem:resolution:" + c.ID), scope: a.Scope, source: id.Entity(p.Entity),
		by: id.Entity(p.Entity), at: now}
	f, err := says.stateValue(ctx, tx, a.Relation, value)
	if err != nil {
		return "", err
	}
	says.entity, says.source, says.by = id.Entity(f.ID), SystemSource, SystemSource
	if _, err := says.state(ctx, tx, "stigmem:resolves", canon.Ref, c.ID); err != nil {
		return "", err
	}
	says.entity = id.Entity(c.ID)
	if _, err := says.state(ctx, tx, conflictStatus, canon.String, Resolved); err != nil {
		return "", err
	}
	c.ResolvedBy = string(f.ID)
	if ok, err := tx.ResolveConflict(ctx, c); err != nil || !ok {
		if err == nil {
			err = errResolved
		}
		return "", err
	}
	detail, err := json.Marshal(map[string]string{"conflict_id": c.ID})
	if err != nil {
		return "", err
	}
	tx.Audit(audit.Event{
		Type: "conflict_resolved", At: epoch.MicrosOf(at), Actor: p.Entity, Tenant: p.Tenant, Subject: string(f.ID), Source: p.Entity,
		OIDCSubject: p.OIDCSubject, Detail: detail,
	})
	return f.ID, nil
}

var errResolved = errs.E(errs.Conflict, "conflict already resolved")

// settle makes the outcome hold for the two facts and returns the value that the
// resolution states.
func (r Resolution) settle(ctx context.Context, tx Tx, a, b *Fact) (Value, error) {
	var winner, loser *Fact
	switch {
	case r.NewType != "":
	case r.Winner == nil:
		return Value{}, errs.E(errs.Unprocessable, "provide winning_fact_id or new_value")
	case *r.Winner == a.ID:
		winner, loser = a, b
	case *r.Winner == b.ID:
		winner, loser = b, a
	default:
		return Value{}, errs.E(errs.Unprocessable, "winning_fact_id must be one of the conflicting facts")
	}
	if winner == nil {
		v, err := canon.EncodeValue(r.NewType, r.RawNew)
		if err != nil {
			return Value{}, err
		}
		value := Value{Type: r.NewType, V: v, InterpretAs: r.NewInterpretAs}
		for _, f := range []*Fact{a, b} {
			// A fact that says what was settled on did not lose.
			if f.Value.Equal(value) {
				continue
			}
			if err := tx.Overrule(ctx, f); err != nil {
				return Value{}, err
			}
		}
		return value, nil
	}
	if winner.Voice() != loser.Voice() {
		return winner.Value, tx.Overrule(ctx, loser)
	}
	// Who corrected himself is taken at his earlier word again.
	head, ok, err := tx.Head(ctx, loser)
	if err != nil || !ok || head.FactID != loser.ID {
		return winner.Value, err
	}
	return winner.Value, tx.PutHead(ctx, winner, head.Disputed)
}
