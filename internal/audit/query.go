package audit

import "symbolon/epoch"

// A Query asks for entries of one tenant, by number: descending, or ascending when
// that is set. An empty filter does not filter.
type Query struct {
	Tenant      string
	Actor       string
	OIDCSubject string
	Source      string
	Subject     string
	Type        string
	Attested    *bool
	// Since and Until bound the instant, both included.
	Since, Until *epoch.Micros
	// Past leaves out the entry of that number and those before it in the
	// order asked for; zero is from the start.
	Past      int64
	Ascending bool
	Limit     int
}

// A Record is an entry with what it says of a fact, when its subject is one.
type Record struct {
	Entry
	Fact *FactRef
}

// A FactRef is the content of the fact that an entry is about.
type FactRef struct{ Entity, Relation, ValueType, Value, Scope string }
