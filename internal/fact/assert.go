package fact

import (
	"context"
	"encoding/json"
	"strings"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// How a fact is written. A summary names what it was derived from.
const (
	WriteAssert    = "assert"
	WriteSummarize = "summarize_with_provenance"
)

// MaxSession bounds a session id, in characters.
const MaxSession = 128

// An Assertion is what a caller wants stored. Texts are as they were sent.
type Assertion struct {
	Entity   string
	Relation string
	Source   string
	Type     Type
	// RawValue is the JSON text of the value; empty is null.
	RawValue    []byte
	InterpretAs string
	Confidence  float64
	Scope       id.Scope
	ValidUntil  *string
	// Garden names a garden by URI, slug or UUID; nil is none.
	Garden      *string
	Attestation *Attestation
	WriteMode   string
	// DerivedFrom is canonical JSON of a list of objects; nil is none.
	DerivedFrom json.RawMessage
	// Session is the stripped session id, empty for none.
	Session string
}

// An Attestation is a signature by an agent's key over the assertion.
type Attestation struct{ KeyID, Signature string }

// Asserted is the outcome of an assertion.
type Asserted struct {
	Fact     Fact
	Warnings []string
	// Known says that the very fact stood already, and nothing was written.
	Known bool
}

// Assert stores a fact as p, and returns when it is durable. Asserting what stands
// already writes nothing and returns the fact that stands. The checks and their
// order are those of Stigmem wire §6.
func (s *Service) Assert(ctx context.Context, p principal.Principal, a Assertion) (Asserted, error) {
	if err := may(p, principal.Write); err != nil {
		return Asserted{}, err
	}
	if a.Attestation != nil {
		return Asserted{}, errs.E(errs.Invalid, "attestation.key_id '%s' not found", a.Attestation.KeyID)
	}
	f, err := s.prepare(p, a)
	if err != nil {
		return Asserted{}, err
	}
	if a.Garden != nil {
		return Asserted{}, errs.E(errs.NotFound, "garden not found")
	}
	warnings := relationWarnings(a.Relation)
	if f.Value.InterpretAs == Instruction && !p.Can(principal.InstructionWrite) {
		return Asserted{}, errInstruction
	}
	if len([]rune(a.Session)) > MaxSession {
		return Asserted{}, errs.E(errs.Invalid, "session_id_too_long")
	}
	out := Asserted{Warnings: warnings}
	err = s.store.UpdateFacts(ctx, func(tx Tx) error {
		out.Fact, out.Known = f, false // fn may run twice
		return s.assert(ctx, tx, p, &out)
	})
	if err != nil {
		return Asserted{}, errs.Wrap(err, "fact: assert")
	}
	if out.Known {
		out.Warnings = nil
	}
	return out, nil
}

var errInstruction = coded(errs.Forbidden, "instruction_write_required",
	"writing instruction-typed facts requires instruction:write permission")

// prepare makes the fact of an assertion, all but its clock value.
func (s *Service) prepare(p principal.Principal, a Assertion) (Fact, error) {
	entity, err := parseEntity(a.Entity)
	if err != nil {
		return Fact{}, err
	}
	source, err := parseEntity(a.Source)
	if err != nil {
		return Fact{}, err
	}
	text, err := canon.EncodeValue(a.Type, a.RawValue)
	if err != nil {
		return Fact{}, err
	}
	f := Fact{
		Tenant: id.Tenant(p.Tenant), Entity: entity, Relation: a.Relation, Source: source,
		Value:      Value{Type: a.Type, V: text, InterpretAs: a.InterpretAs},
		Confidence: a.Confidence, Scope: a.Scope, ValidUntil: a.ValidUntil, DerivedFrom: a.DerivedFrom,
		AssertedBy: id.Entity(p.Entity), OnBehalfOf: p.OnBehalfOf,
	}
	f.CID, err = f.cid(canon.CIDv1)
	return f, err
}

func parseEntity(s string) (id.Entity, error) {
	e, err := id.ParseEntity(s)
	if err != nil {
		return "", errs.E(errs.Invalid, "invalid_entity_uri: %v", err)
	}
	return e, nil
}

// cid computes the content id of a fact from what was asserted.
func (f *Fact) cid(v canon.CIDVersion) (id.CID, error) {
	c := canon.Fact{
		Entity: string(f.Entity), Relation: f.Relation, ValueType: f.Value.Type, Value: f.Value.V, Source: string(f.Source),
		Scope: f.Scope.String(), Confidence: f.Confidence, InterpretAs: f.Value.InterpretAs,
	}
	return c.CIDIn(v)
}

func relationWarnings(relation string) []string {
	switch {
	case !strings.Contains(relation, ":"):
		return []string{"bare relation " + id.Quote(relation) + " has no namespace prefix; rename to " + id.Quote("your-prefix:"+relation) +
			" to prevent silent collisions (see relation-convention.md)"}
	case strings.HasPrefix(relation, "stigmem:"):
		return []string{"relation " + id.Quote(relation) + " uses reserved system prefix 'stigmem:'; non-system callers should use a custom " +
			"namespace prefix (see spec §9.1)"}
	}
	return nil
}

// assert writes out.Fact, or finds that it stands already.
func (s *Service) assert(ctx context.Context, tx Tx, p principal.Principal, out *Asserted) error {
	f := &out.Fact
	at := s.now()
	f.Timestamp = Timestamp(at)
	f.ID = id.NewUUIDAt(epoch.MillisOf(at))
	f.HLC = tx.Tick().String()
	inserted, err := tx.Insert(ctx, f, 0)
	if err != nil {
		return err
	}
	if !inserted {
		latest, count, err := tx.Latest(ctx, f)
		if err != nil {
			return err
		}
		stands, err := standsFor(ctx, tx, &latest, f)
		if err != nil {
			return err
		}
		if stands {
			out.Fact, out.Known = latest, true
			return nil
		}
		// It was said before and superseded since: said again, it is news.
		if inserted, err = tx.Insert(ctx, f, count); err != nil {
			return err
		}
		if !inserted {
			return errs.E(errs.Internal, "fact: content id %s is taken", f.CID)
		}
	}
	if f.Contradicted, err = follow(ctx, tx, f, f.Timestamp); err != nil {
		return err
	}
	tx.Audit(audit.Event{
		Type: "fact_write", At: epoch.MicrosOf(at), Actor: p.Entity, Tenant: p.Tenant, Subject: string(f.ID),
		Source: string(f.Source), OIDCSubject: p.OIDCSubject,
	})
	return nil
}

// standsFor reports whether the stored fact known, which has the content of f,
// makes asserting f needless: it is what its voice says last, no conflict was
// settled against it, it has not run out while f would hold, and f's own voice
// says nothing else.
func standsFor(ctx context.Context, tx Tx, known, f *Fact) (bool, error) {
	head, ok, err := tx.Head(ctx, known)
	if err != nil || !ok || head.FactID != known.ID || head.Overruled {
		return false, err
	}
	if known.Expired(f.Timestamp) && !f.Expired(f.Timestamp) {
		return false, nil
	}
	if known.Voice() == f.Voice() {
		return true, nil
	}
	_, speaks, err := tx.Head(ctx, f)
	return !speaks, err
}

// follow makes a stored fact the head of its voice, and records the conflict that
// it makes with another, if any. It reports whether the fact contradicts one that is
// live at the instant with the wire text now.
func follow(ctx context.Context, tx Tx, f *Fact, now string) (contradicted bool, err error) {
	if f.Key().System() {
		return false, tx.PutHead(ctx, f, false)
	}
	if first, err := tx.PutFirstHead(ctx, f); err != nil || first {
		return false, err
	}
	rivals, disputed, err := tx.Rivals(ctx, f)
	if err != nil {
		return false, err
	}
	voice, value := f.Voice(), f.Value.Digest()
	live := f.EffectiveConfidence() > 0 && !f.Expired(now)
	var other, own *Head
	for i := range rivals {
		switch h := &rivals[i]; {
		case !live || h.Value == value || !h.Live(now):
		case h.Voice == voice:
			own = h
		case other == nil || h.Outranks(other):
			other = h
		}
	}
	if other != nil && !disputed {
		if err := tx.MarkDisputed(ctx, f.Key()); err != nil {
			return false, err
		}
		disputed = true
	}
	if err := tx.PutHead(ctx, f, disputed); err != nil {
		return false, err
	}
	if other == nil {
		other = own
	}
	if other == nil {
		return false, nil
	}
	return true, recordConflict(ctx, tx, f, other.FactID, now)
}
