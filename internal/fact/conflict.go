package fact

import (
	"symbolon/internal/id"
)

// ConflictPrefix begins every conflict's id, which is also the entity of the facts
// that the node states about it.
const ConflictPrefix = "stigmem:conflict:"

// The statuses of a conflict.
const (
	Unresolved = "unresolved"
	Resolved   = "resolved"
)

// A Conflict is two facts of one key, of different voices, whose values differed
// when the later one, A, was written.
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
