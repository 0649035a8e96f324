package federation

import (
	"context"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
)

// A ServedPage is what a peer gets for a pull.
type ServedPage struct {
	Facts []fact.Fact
	// Cursor is the HLC of the last fact, or the cursor that was given.
	Cursor  string
	HasMore bool
}

// A ServeQuery is what a peer asks for. NoScope asks for every permitted one.
type ServeQuery struct {
	Scope  string // empty: every permitted one
	Cursor string
	Limit  int // 1 to 500
}

// crossing returns the scopes that may cross between this node and another.
func (s *Service) crossing(set id.ScopeSet) id.ScopeSet {
	set = set.Without(id.Local)
	if !s.cfg.AllowTeam {
		set = set.Without(id.Team)
	}
	return set
}

// permitted returns the scopes that a caller may read or push.
func (s *Service) permitted(c Caller) id.ScopeSet {
	return s.crossing(c.Peer.AllowedScopes.And(c.Scopes))
}

// Serve returns the facts after a cursor that a peer may have, in the order of our
// clock's text. Received facts, facts in gardens, derived facts and what the node
// states about facts never leave.
func (s *Service) Serve(ctx context.Context, c Caller, q ServeQuery) (ServedPage, error) {
	permitted := s.permitted(c)
	if permitted.Empty() {
		return ServedPage{}, errs.E(errs.Forbidden, "no permitted scopes")
	}
	if q.Scope != "" {
		scope, err := id.ParseScope(q.Scope)
		if err != nil || !permitted.Has(scope) {
			d := detail{"requested_scope": cut(q.Scope), "permitted": permitted.Names()}
			if err := s.auditBounded(ctx, "scope_violation", c.Peer.ID.String(), c.Peer.NodeID, d); err != nil {
				return ServedPage{}, err
			}
			return ServedPage{}, errs.E(errs.Forbidden, "scope not permitted for this peer")
		}
		permitted = id.ScopesOf(scope)
	}
	facts, err := s.store.Replicable(ctx, permitted, q.Cursor, q.Limit+1)
	if err != nil {
		return ServedPage{}, err
	}
	for i := range facts {
		if err := asServed(&facts[i]); err != nil {
			return ServedPage{}, err
		}
	}
	page := ServedPage{Facts: facts, Cursor: q.Cursor, HasMore: len(facts) > q.Limit}
	if page.HasMore {
		page.Facts = facts[:q.Limit]
	}
	if n := len(page.Facts); n > 0 {
		page.Cursor = page.Facts[n-1].HLC
	}
	return page, nil
}

// asServed makes a fact whose confidence was overridden one that says so of itself:
// what leaves is what is believed now, under the content id that it then has.
func asServed(f *fact.Fact) error {
	if f.Override == nil || f.Override.Confidence == nil || f.CID == "" {
		return nil
	}
	f.Confidence = *f.Override.Confidence
	c := canonical(f)
	cid, err := c.CID()
	f.CID = cid
	return errs.Wrap(err, "federation: serve")
}
