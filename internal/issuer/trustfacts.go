package issuer

import (
	"slices"
	"time"

	"symbolon/internal/errs"
	"symbolon/token"
)

// maxChain bounds a chain of redelegated trusts, whatever the store holds.
const maxChain = 32

// delegation checks the trust and the chain of trusts that it was made from.
func (r *resolver) delegation() (*fault, error) {
	t, err := r.s.Trust(r.ctx, r.k.trust)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			return &fault{reason: token.Revoked, detail: "the trust was deleted or never existed"}, nil
		}
		return nil, errs.Wrap(err, "issuer: reading a trust")
	}
	if t.TrusteeID != r.k.user {
		return &fault{reason: token.PrincipalDisabled, detail: "the user is not the trustee", forbidden: true}, nil
	}
	if t.ProjectID != r.k.project {
		return &fault{reason: token.ScopeDisabled, detail: "the trust is for another project"}, nil
	}
	if t.RemainingUses != nil && *t.RemainingUses <= 0 {
		return &fault{reason: token.Revoked, detail: "the trust's uses are exhausted"}, nil
	}
	r.f.trust = &Trust{
		ID: t.ID, Impersonation: t.Impersonation, TrustorID: t.TrustorID, TrusteeID: t.TrusteeID,
		RedelegationCount: t.RedelegationCount, roleIDs: t.RoleIDs, limited: t.RemainingUses != nil,
	}
	r.f.delegators = []string{t.TrustorID}
	r.ends(t.ExpiresAt)
	for child := t; child.RedelegatedTrustID != ""; {
		parent, err := r.s.Trust(r.ctx, child.RedelegatedTrustID)
		if err != nil {
			if errs.Is(err, errs.NotFound) {
				return &fault{reason: token.Revoked, detail: "a trust that this one was made from was deleted"}, nil
			}
			return nil, errs.Wrap(err, "issuer: reading a trust")
		}
		switch {
		case len(r.f.delegators) > maxChain:
			return &fault{reason: token.ScopeDisabled, detail: "the chain of trusts is too long"}, nil
		case parent.RedelegationCount <= child.RedelegationCount, !parent.Impersonation && child.Impersonation, parent.ProjectID != child.ProjectID:
			return &fault{reason: token.ScopeDisabled, detail: "the chain of trusts is not consistent", forbidden: true}, nil
		case !subset(child.RoleIDs, parent.RoleIDs):
			return &fault{reason: token.NoRoles, detail: "a trust that this one was made from has not its roles", forbidden: true}, nil
		}
		if _, flt, err := r.enabledUser(parent.TrusteeID, "trustee of a trust that this one was made from"); flt != nil || err != nil {
			if flt != nil {
				flt.forbidden = true
			}
			return flt, err
		}
		r.ends(parent.ExpiresAt)
		if r.f.delegators[len(r.f.delegators)-1] != parent.TrustorID {
			r.f.delegators = append(r.f.delegators, parent.TrustorID)
		}
		child = parent
	}
	return r.f.ended(r.now), nil
}

func (r *resolver) ends(at time.Time) {
	if !at.IsZero() && (r.f.until.IsZero() || at.Before(r.f.until)) {
		r.f.until = at
	}
}

// ended returns the fault of facts that ended by themselves.
func (f *facts) ended(now time.Time) *fault {
	if f.until.IsZero() || now.Before(f.until) {
		return nil
	}
	return &fault{reason: token.ScopeDisabled, detail: "the trust has expired"}
}

func subset(some, of []string) bool {
	for _, s := range some {
		if !slices.Contains(of, s) {
			return false
		}
	}
	return true
}

// trustRoles computes the roles of a token issued under a trust: those delegated
// and what they imply, each of which the first trustor of the chain must still
// hold, by whatever means.
func (r *resolver) trustRoles() (*fault, error) {
	if r.k.project == "" {
		return &fault{reason: token.NoRoles, detail: "the trust is for no project"}, nil
	}
	w, err := r.g.worldOf(r.ctx, r.s)
	if err != nil {
		return nil, errs.Wrap(err, "issuer: reading roles")
	}
	origin := r.f.delegators[len(r.f.delegators)-1]
	ids, err := heldBy(r.ctx, r.s, origin, key{project: r.k.project})
	if err != nil {
		return nil, errs.Wrap(err, "issuer: reading role assignments")
	}
	held, delegated := w.close(ids), w.close(r.f.trust.roleIDs)
	if len(delegated) == 0 || !subset(delegated, held) {
		return &fault{reason: token.NoRoles, detail: "the trustor no longer holds a role that was delegated", forbidden: true}, nil
	}
	if r.f.roles = w.global(delegated); len(r.f.roles) == 0 {
		return &fault{reason: token.NoRoles, detail: "the trust delegates no role that a token can carry", forbidden: true}, nil
	}
	return nil, nil
}
