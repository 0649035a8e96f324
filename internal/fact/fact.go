// Package fact is the memory: immutable facts, what contradicts what, and how a
// conflict is settled.
//
// A fact is asserted once and never changed. What may change about it (until when
// it is valid, how much it is believed, whether it was overruled) lives beside it.
// Whoever speaks with one voice corrects himself by asserting again: the newer fact
// supersedes his own older one, and nobody else's. Voices that disagree make a
// conflict, at most one for each write.
//
// The package knows neither HTTP nor SQL nor the wall clock. The rules are those of
// Stigmem wire §§4 to 8; where we differ, docs/compatibility.md says so.
package fact

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"

	"symbolon/internal/canon"
	"symbolon/internal/id"
)

// A Type is the type of a fact's value: canon.String and its like.
type Type = canon.ValueType

// How a value asks to be read: as data, or as an instruction to an agent.
const (
	Content     = "content"
	Instruction = "instruction"
)

// A Value is what a fact says. V is the text that is stored, hashed and signed: the
// encoded value of Stigmem wire §5.2. A number's text is always that of a float, so
// that the hash is over what is served; null's is "null".
type Value struct {
	Type        Type
	V           string
	InterpretAs string
}

// Equal reports whether two values say the same. How they ask to be read is not
// part of what they say.
func (v Value) Equal(o Value) bool { return v.Type == o.Type && v.V == o.V }

// How a fact stands in quarantine; the empty text is not at all.
const (
	Pending  = "pending"
	Promoted = "promoted"
	Rejected = "rejected"
)

// A Fact is one statement. Texts that may be absent are empty when they are, but
// ValidUntil, whose empty text means expired.
type Fact struct {
	// ID is a UUID of ours, or whatever id a peer gave its fact.
	ID     id.UUID
	Tenant id.Tenant
	// Entity and Source are normalised when the fact was asserted here, and
	// as the peer sent them otherwise.
	Entity   id.Entity
	Relation string
	Value    Value
	Source   id.Entity
	// Confidence is what was asserted, 0 to 1; 0 retracts.
	Confidence float64
	Scope      id.Scope
	// Timestamp is the wire's text: ours for what was asserted here, the
	// sender's for what was received. It compares as text.
	Timestamp string
	// HLC is this node's clock when the fact was written, also for what was
	// received. Its order is the order of writing.
	HLC string
	// ValidUntil is what was asserted; it compares as text.
	ValidUntil *string
	// CID is empty for facts that the node wrote about others.
	CID id.CID
	// DerivedFrom is the compact JSON of a list of objects, or nil.
	DerivedFrom json.RawMessage

	// AssertedBy is the entity of who asserted the fact here, and OnBehalfOf
	// of whom for, the nearest first. Both are empty for what was received.
	AssertedBy id.Entity
	OnBehalfOf []string

	// ReceivedFrom is the node id of the peer that sent the fact.
	ReceivedFrom        string
	OriginNodeID        string
	OriginAllowedScopes *id.ScopeSet
	ReFederationBlocked bool

	GardenID      string
	AttestedKeyID string
	SourceTrust   *float64

	State
}

// A State is what lies beside a fact and changes.
type State struct {
	// Override replaces the validity and confidence that were asserted.
	Override         *Override
	QuarantineStatus string
	QuarantineGarden string
	QuarantineReason string
	// Contradicted says that a live fact of the same key has another value.
	Contradicted bool
}

// An Override replaces both columns of a fact at once; a nil field falls back to
// what was asserted.
type Override struct {
	ValidUntil *string
	Confidence *float64
}

// EffectiveConfidence is how much the fact is believed now.
func (f *Fact) EffectiveConfidence() float64 {
	if f.Override != nil && f.Override.Confidence != nil {
		return *f.Override.Confidence
	}
	return f.Confidence
}

// EffectiveValidUntil is until when the fact holds, nil for ever.
func (f *Fact) EffectiveValidUntil() *string {
	if f.Override != nil && f.Override.ValidUntil != nil {
		return f.Override.ValidUntil
	}
	return f.ValidUntil
}

// Expired reports whether the fact no longer holds at the instant with the wire
// text now.
func (f *Fact) Expired(now string) bool {
	until := f.EffectiveValidUntil()
	return until != nil && *until <= now
}

// A Key is what facts can disagree about. Facts of different gardens never do, so
// that a garden's content does not show outside it.
type Key struct {
	Tenant   id.Tenant
	Entity   id.Entity
	Relation string
	Scope    id.Scope
	Garden   string
}

// Key returns what the fact is about.
func (f *Fact) Key() Key {
	return Key{Tenant: f.Tenant, Entity: f.Entity, Relation: f.Relation, Scope: f.Scope, Garden: f.GardenID}
}

// System reports whether the key belongs to the protocol itself: its entity or
// relation begins with "stigmem:" and is no URI. Such facts follow one another and
// never contradict.
func (k Key) System() bool { return systemName(string(k.Entity)) || systemName(k.Relation) }

func systemName(s string) bool {
	return strings.HasPrefix(s, "stigmem:") && !strings.HasPrefix(s, "stigmem://")
}

// SystemSource is the source of what the node says itself.
const SystemSource id.Entity = "system:stigmem"

// A Digest stands for a longer text: the first 16 bytes of its SHA-256.
type Digest [16]byte

// digest hashes texts so that no two lists of texts meet.
func digest(parts ...string) (d Digest) {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

// RelationDigest stands for a relation in index keys.
func RelationDigest(relation string) Digest { return digest(relation) }

// Digest stands for what the value says.
func (v Value) Digest() Digest { return digest(string(v.Type), v.V) }

// Voice stands for who speaks: the source, and the entity that asserted the fact
// here or the peer that sent it.
func (f *Fact) Voice() Digest {
	if f.ReceivedFrom != "" {
		return digest(string(f.Source), "peer", f.ReceivedFrom)
	}
	return digest(string(f.Source), "entity", string(f.AssertedBy))
}

// A Head is the newest fact of one voice about one key, with what decides whether
// it stands. Confidence and ValidUntil are the effective ones.
type Head struct {
	FactID     id.UUID
	Voice      Digest
	Value      Digest
	Confidence float64
	ValidUntil *string
	HLC        string
	// Overruled says that a conflict was settled against the fact.
	Overruled bool
	// Disputed says that a head of another value was seen beside this one. It
	// may outlive the dispute, and only spares undisputed keys the question.
	Disputed bool
}

// Live reports whether the head takes part in disputes at the instant with the
// wire text now.
func (h *Head) Live(now string) bool {
	return h.Confidence > 0 && !h.Overruled && (h.ValidUntil == nil || *h.ValidUntil > now)
}

// Outranks reports whether h is believed before o: by confidence, then by being
// newer.
func (h *Head) Outranks(o *Head) bool {
	if h.Confidence != o.Confidence {
		return h.Confidence > o.Confidence
	}
	return h.HLC > o.HLC
}
