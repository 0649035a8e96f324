package fact

import (
	"context"

	"symbolon/internal/audit"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

// Store is what the memory needs of storage. Every method is safe for concurrent
// use. What is not found is an error of kind NotFound.
type Store interface {
	Reader
	// UpdateFacts runs fn in a serialisable transaction. fn may run more than
	// once and does nothing but use tx.
	UpdateFacts(ctx context.Context, fn func(tx Tx) error) error
}

// Reader reads facts and conflicts. State is filled, but for Contradicted.
type Reader interface {
	// Fact returns the fact of that id, whatever its state.
	Fact(ctx context.Context, tenant id.Tenant, fact id.UUID) (Fact, error)
	// Facts returns those of the ids that there are.
	Facts(ctx context.Context, tenant id.Tenant, ids []id.UUID) (map[id.UUID]Fact, error)
	// FactByCID returns the newest fact with that content id.
	FactByCID(ctx context.Context, tenant id.Tenant, cid id.CID) (Fact, error)
	// History returns up to q.Limit facts of everything that matches q.
	History(ctx context.Context, q Query, now string) ([]Fact, error)
	// Current returns up to q.Limit facts of those that match q and are heads,
	// with their heads. It leaves out the overruled.
	Current(ctx context.Context, q Query, now string) ([]Fact, []Head, error)
	// Heads returns every head of a key, in no order.
	Heads(ctx context.Context, k Key) ([]Head, error)

	Conflict(ctx context.Context, tenant id.Tenant, conflict string) (Conflict, error)
	// Conflicts returns up to q.Limit conflicts without their facts.
	Conflicts(ctx context.Context, q ConflictQuery) ([]Conflict, error)

	// Replicable returns up to limit facts of the default tenant that may go
	// to a peer which is permitted the scopes, in ascending order of HLC,
	// those after the given HLC text.
	Replicable(ctx context.Context, scopes id.ScopeSet, after string, limit int) ([]Fact, error)
}

// Tx is one transaction of the memory's.
type Tx interface {
	Reader
	// Insert stores a fact as the nth, from 0, of its entity with its CID.
	// When there is an nth already, or a fact with the same id, nothing is
	// stored and inserted is false. Facts without a CID are all distinct.
	Insert(ctx context.Context, f *Fact, nth int) (inserted bool, err error)
	// Latest returns the last of the entity's facts with the CID of f, and
	// how many there are.
	Latest(ctx context.Context, f *Fact) (latest Fact, count int, err error)
	// Head returns the head of f's voice about f's key, and false when the
	// voice has said nothing about it.
	Head(ctx context.Context, f *Fact) (Head, bool, error)
	// Rivals returns the heads that matter to a fact about to become one: the
	// head of its own voice, if any, and some of those with another value;
	// and whether the key is known to be disputed.
	Rivals(ctx context.Context, f *Fact) (heads []Head, disputed bool, err error)
	// PutFirstHead makes f the head of its voice when its key has no head at
	// all, and reports whether it had none.
	PutFirstHead(ctx context.Context, f *Fact) (first bool, err error)
	// PutHead makes f the head of its voice. The head before becomes a part of
	// the entity's past, without which its history would lack it.
	PutHead(ctx context.Context, f *Fact, disputed bool) error
	// MarkDisputed marks every head of the key.
	MarkDisputed(ctx context.Context, k Key) error
	// Overrule marks the head that is the given fact, if it is one.
	Overrule(ctx context.Context, f *Fact) error
	// InsertConflict stores a conflict.
	InsertConflict(ctx context.Context, c Conflict) error
	// ResolveConflict marks an unresolved conflict as resolved, and reports
	// whether it was unresolved.
	ResolveConflict(ctx context.Context, c Conflict) (bool, error)
	// SetOverride replaces the override of a fact, and its head's view of it.
	SetOverride(ctx context.Context, f *Fact, o Override, reason string) error

	// Tick returns the next value of the node's clock.
	Tick() hlc.HLC
	// Audit appends to the node's audit chain when the transaction commits.
	Audit(e audit.Event)
}
