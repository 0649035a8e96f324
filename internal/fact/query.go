package fact

import "symbolon/internal/id"

// Bounds of a page of facts or conflicts.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// A Query asks for facts of one tenant, those that this node learned last first: by
// HLC, descending. For facts that were asserted here that is the order of their
// timestamps. An empty filter does not filter.
type Query struct {
	Tenant   id.Tenant
	Entity   id.Entity
	Relation string
	Source   id.Entity
	Scope    id.Scope
	// MinConfidence is compared with the effective confidence.
	MinConfidence float64
	// GardenID is a garden's UUID.
	GardenID string
	Attested *bool
	// After leaves out what has this timestamp or an earlier one, as text.
	After string
	// IncludeContradicted asks for everything that was ever asserted. Without
	// it a query gives what stands, see [Service.Query].
	IncludeContradicted bool
	IncludeExpired      bool
	// Cursor is where the page before ended; its zero value is the start.
	Cursor Cursor
	Limit  int
}

// A Page is one page of facts. Next is the zero Cursor when there are no more.
type Page struct {
	Facts []Fact
	Next  Cursor
}
