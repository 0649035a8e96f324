package issuer

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/keytoken"
)

// slack is added to the instant up to which an event revokes. It covers the time
// that the event's transaction takes to become visible and the difference between
// the clocks of two nodes, during either of which a login that relies on what was
// just revoked could still be given a token. A login that relies on nothing
// revoked waits until it is over (see [Issuer.Issue]).
const slack = 500 * time.Millisecond

// forever is the instant of an event about one token, one chain or one trust:
// none is ever issued anew under the same id.
const forever = epoch.Micros(math.MaxInt64)

// A reach is what an event does to the tokens it names: those born at or before
// an instant are revoked. The revision is that of the latest such event.
type reach struct {
	until    epoch.Micros
	revision uint64
}

func (r reach) extend(o reach) reach {
	return reach{max(r.until, o.until), max(r.revision, o.revision)}
}

// A subject is what events are matched with.
type subject struct {
	born                    epoch.Micros
	expires                 epoch.Seconds
	audit, chain            string // own id; the chain's, or own for the first of it
	user, trustor, trustee  string
	userDomain, scopeDomain string
	project, trust          string
	consumer, accessToken   string
	roles                   []identity.Role
}

// bornAt is the latest instant known not to be after the token's issue: exact for
// our own tokens, whose audit ids carry it, and the beginning of the second for
// those of a server that knows no better.
func bornAt(c *keytoken.Claims) epoch.Micros {
	start := epoch.MicrosOf(c.IssuedAt.Time())
	if at, ok := id.Audit(c.AuditIDs[0]).At(); ok && epoch.SecondsOf(at) == c.IssuedAt {
		return epoch.MicrosOf(at)
	}
	return start
}

// revocations is every revocation event that is kept, indexed so that looking for
// those that concern a token takes the same time however many there are. An event
// with one criterion, as all are that this server writes, is an entry of a map;
// others are kept by their narrowest criterion and matched in full.
type revocations struct {
	mu sync.RWMutex // guards all below
	// revision is that up to which every event is in.
	revision uint64
	by       [criteria]map[string]reach
	full     map[string][]identity.RevocationEvent
}

type criterion uint8

const (
	byAudit criterion = iota
	byChain
	byTrust
	byUser
	byProject
	criteria
)

func newRevocations() *revocations {
	r := &revocations{full: map[string][]identity.RevocationEvent{}}
	for i := range r.by {
		r.by[i] = map[string]reach{}
	}
	return r
}

// sync brings in the events of later revisions.
func (r *revocations) sync(ctx context.Context, s Store) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	es, err := s.RevocationEventsAfter(ctx, r.revision)
	if err != nil {
		return errs.Wrap(err, "issuer: reading revocation events")
	}
	for i := range es {
		r.add(&es[i])
	}
	return nil
}

func reachOf(e *identity.RevocationEvent) reach {
	until := epoch.MicrosOf(e.IssuedBefore.Add(slack))
	if e.AuditID != "" || e.AuditChainID != "" || e.TrustID != "" {
		until = forever
	}
	return reach{until, e.Revision}
}

func (r *revocations) add(e *identity.RevocationEvent) {
	r.revision = max(r.revision, e.Revision)
	simple := [criteria]string{e.AuditID, e.AuditChainID, e.TrustID, e.UserID, e.ProjectID}
	given, which := 0, criterion(0)
	for c, v := range simple {
		if v != "" {
			given, which = given+1, criterion(c)
		}
	}
	if given == 1 && e.DomainID == "" && e.DomainScopeID == "" && e.RoleID == "" && e.ConsumerID == "" && e.AccessTokenID == "" && e.ExpiresAt.IsZero() {
		m := r.by[which]
		m[simple[which]] = m[simple[which]].extend(reachOf(e))
		return
	}
	k := narrowest(e)
	r.full[k] = append(r.full[k], *e)
}

// narrowest returns the value of the event's most selective criterion. Ids of
// different kinds may share a bucket: each event in it is matched in full.
func narrowest(e *identity.RevocationEvent) string {
	for _, v := range [...]string{
		e.AuditID, e.AuditChainID, e.TrustID, e.AccessTokenID, e.ConsumerID, e.UserID, e.ProjectID, e.DomainScopeID, e.DomainID, e.RoleID,
	} {
		if v != "" {
			return v
		}
	}
	return ""
}

// find returns the reach of all the events that name the token, whatever their
// instants, and false when there is none.
func (r *revocations) find(s *subject) (reach, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var got reach
	found := false
	look := func(c criterion, v string) {
		if v == "" {
			return
		}
		if x, ok := r.by[c][v]; ok {
			got, found = got.extend(x), true
		}
	}
	look(byAudit, s.audit)
	look(byChain, s.chain)
	look(byTrust, s.trust)
	look(byUser, s.user)
	look(byUser, s.trustor)
	look(byUser, s.trustee)
	look(byProject, s.project)
	if len(r.full) == 0 {
		return got, found
	}
	// A bucket that is looked into twice adds nothing the second time.
	match := func(bucket []identity.RevocationEvent) {
		for i := range bucket {
			if e := &bucket[i]; s.named(e) {
				got, found = got.extend(reachOf(e)), true
			}
		}
	}
	for _, k := range [...]string{
		"", s.audit, s.chain, s.trust, s.accessToken, s.consumer, s.user, s.trustor, s.trustee, s.project, s.scopeDomain, s.userDomain,
	} {
		match(r.full[k])
	}
	for i := range s.roles {
		match(r.full[s.roles[i].ID])
	}
	return got, found
}

// revoked reports whether an event revokes the token.
func (r *revocations) revoked(s *subject) bool {
	x, ok := r.find(s)
	return ok && s.born <= x.until
}

// at returns the revision up to which every event is in.
func (r *revocations) at() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.revision
}

// named reports whether the token satisfies every criterion of the event but its
// instant. Where the system studied compares an event's domain, it looks at the
// user's domain and the scope's; both count here for every kind of token.
func (s *subject) named(e *identity.RevocationEvent) bool {
	is := func(want string, have ...string) bool { return want == "" || slices.Contains(have, want) }
	return is(e.AuditID, s.audit) && is(e.AuditChainID, s.chain) && is(e.TrustID, s.trust) &&
		is(e.UserID, s.user, s.trustor, s.trustee) && is(e.ProjectID, s.project) &&
		is(e.DomainID, s.userDomain, s.scopeDomain) && is(e.DomainScopeID, s.scopeDomain) &&
		is(e.ConsumerID, s.consumer) && is(e.AccessTokenID, s.accessToken) &&
		(e.ExpiresAt.IsZero() || epoch.SecondsOf(e.ExpiresAt) == s.expires) &&
		(e.RoleID == "" || slices.ContainsFunc(s.roles, func(r identity.Role) bool { return r.ID == e.RoleID }))
}
