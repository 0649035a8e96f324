package issuer

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/internal/principal"
)

// A NewTrust is a trust as its trustor asks for it.
type NewTrust struct {
	TrustorID     string
	TrusteeID     string
	ProjectID     string // empty: none
	Impersonation bool
	// Roles are each named by ID or by Name.
	Roles []Ref
	// ExpiresAt is zero for never.
	ExpiresAt time.Time
	// RemainingUses is how many tokens can be had; nil is any number.
	RemainingUses *int
	// AllowRedelegation lets the trustee pass the trust on; RedelegationCount
	// says how often, nil for as often as the site allows.
	AllowRedelegation bool
	RedelegationCount *int
	Extra             identity.Extra
}

// Trust returns a trust that can be used: not deleted, expired or used up, and
// made from trusts that can be used. The error is of kind NotFound or, when a
// trust that it was made from no longer allows it, Forbidden.
func (s *Issuer) Trust(ctx context.Context, trustID string) (identity.Trust, error) {
	t, err := s.usableTrust(ctx, trustID)
	if err != nil {
		return identity.Trust{}, err
	}
	gen, err := s.current(ctx)
	if err != nil {
		return identity.Trust{}, err
	}
	r := resolver{ctx: ctx, s: s.Store, g: gen, k: key{user: t.TrusteeID, project: t.ProjectID, trust: t.ID}, now: s.Now(), f: new(facts)}
	switch flt, err := r.delegation(); {
	case err != nil:
		return identity.Trust{}, unavailable(err)
	case flt != nil && flt.forbidden:
		return identity.Trust{}, forbidden("%s", flt.detail)
	case flt != nil:
		return identity.Trust{}, identity.NotFound("trust", trustID)
	}
	return t, nil
}

func (s *Issuer) usableTrust(ctx context.Context, trustID string) (identity.Trust, error) {
	t, err := s.Store.Trust(ctx, trustID)
	if err != nil {
		return t, err
	}
	if !t.ExpiresAt.IsZero() && !s.Now().Before(t.ExpiresAt) || t.RemainingUses != nil && *t.RemainingUses <= 0 {
		return t, identity.NotFound("trust", trustID)
	}
	return t, nil
}

// TrustRoles returns the roles that a trust delegates, by id.
func (s *Issuer) TrustRoles(ctx context.Context, t identity.Trust) ([]identity.Role, error) {
	gen, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	w, err := gen.worldOf(ctx, s.Store)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]identity.Role, 0, len(t.RoleIDs))
	for _, roleID := range t.RoleIDs {
		if role, ok := w.roles[roleID]; ok {
			out = append(out, role)
		}
	}
	return out, nil
}

// CreateTrust makes a trust for the bearer of the token caller, who must be its
// trustor. A caller with a trust's token passes that trust on. Errors have the
// protocol's kinds and messages (wire reference section 11).
func (s *Issuer) CreateTrust(ctx context.Context, caller *Token, n NewTrust) (identity.Trust, error) {
	none := identity.Trust{}
	if n.ProjectID != "" && len(n.Roles) == 0 {
		return none, forbiddenAction("At least one role should be specified")
	}
	if caller.User.ID != n.TrustorID {
		return none, forbiddenAction("The authenticated user should match the trustor")
	}
	if _, err := s.Store.User(ctx, n.TrusteeID); err != nil {
		return none, err
	}
	roleIDs, err := s.delegable(ctx, n)
	if err != nil {
		return none, err
	}
	if !n.ExpiresAt.IsZero() && !s.Now().Before(n.ExpiresAt) {
		return none, errs.E(errs.Invalid, "The 'expires_at' must not be before now. %s", assumed)
	}
	t := identity.Trust{
		ID: id.NewHex().String(), TrustorID: n.TrustorID, TrusteeID: n.TrusteeID, ProjectID: n.ProjectID,
		Impersonation: n.Impersonation, RoleIDs: roleIDs, ExpiresAt: n.ExpiresAt, RemainingUses: n.RemainingUses, Extra: n.Extra,
	}
	if err := s.redelegate(ctx, caller, n, &t); err != nil {
		return none, err
	}
	err = s.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		if err := tx.CreateTrust(ctx, t); err != nil {
			return err
		}
		ev := audit.Event{Type: "identity.OS-TRUST:trust.created", At: epoch.MicrosOf(s.Now()), Actor: "system:symbolon", Subject: t.ID}
		if p := principal.FromContext(ctx); !p.IsZero() {
			ev.Actor, ev.Tenant, ev.AttestedKeyID = p.Entity, p.Tenant, p.KeyID
		}
		ev.Detail, _ = json.Marshal(map[string]any{ // text and lists of it encode
			"trustor_user_id": t.TrustorID, "trustee_user_id": t.TrusteeID, "project_id": t.ProjectID, "roles": t.RoleIDs,
		})
		tx.Audit(ev)
		tx.TouchIdentity()
		return nil
	})
	return t, err
}

// assumed is what the system studied says after every complaint.
const assumed = "The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error."

// delegable returns the ids of the roles asked for, each of which the trustor must
// hold in the project by whatever means.
func (s *Issuer) delegable(ctx context.Context, n NewTrust) ([]string, error) {
	gen, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	w, err := gen.worldOf(ctx, s.Store)
	if err != nil {
		return nil, unavailable(err)
	}
	ids := make([]string, 0, len(n.Roles))
	for _, ref := range n.Roles {
		roleID := ref.ID
		if roleID == "" {
			if roleID, err = w.named(ref.Name); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(ids, roleID) {
			ids = append(ids, roleID)
		}
	}
	var held []string
	if n.ProjectID != "" {
		if _, err := s.Store.Project(ctx, n.ProjectID); err != nil {
			return nil, err
		}
		if held, err = heldBy(ctx, s.Store, n.TrustorID, key{project: n.ProjectID}); err != nil {
			return nil, unavailable(err)
		}
		held = w.close(held)
	}
	for _, roleID := range ids {
		if !slices.Contains(held, roleID) {
			return nil, identity.NotFound("role", roleID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// named returns the id of the one role of that name.
func (w *world) named(name string) (string, error) {
	found := ""
	for roleID, role := range w.roles {
		if role.Name != name {
			continue
		}
		if found != "" {
			return "", errs.E(errs.Invalid, "The role name %q is not unique. %s", name, assumed)
		}
		found = roleID
	}
	if found == "" {
		return "", identity.NotFound("role", name)
	}
	return found, nil
}

// redelegate decides how often the trust can be passed on and, when it is itself
// passed on, that it gives no more than the one it is made from.
func (s *Issuer) redelegate(ctx context.Context, caller *Token, n NewTrust, t *identity.Trust) error {
	wanted := s.cfg.MaxRedelegation
	if n.RedelegationCount != nil {
		wanted = *n.RedelegationCount
	}
	redelegable := n.AllowRedelegation && wanted != 0
	if redelegable {
		if wanted > s.cfg.MaxRedelegation {
			return forbidden("Requested redelegation depth of %d is greater than allowed %d", wanted, s.cfg.MaxRedelegation)
		}
		if n.RemainingUses != nil {
			return errs.E(errs.Invalid, "remaining_uses must not be set if redelegation is allowed %s", assumed)
		}
		t.RedelegationCount = wanted
	}
	if caller.Trust == nil {
		return nil
	}
	if !s.cfg.AllowRedelegation {
		return forbidden("Redelegation is not allowed here")
	}
	parent, err := s.Trust(ctx, caller.Trust.ID)
	if err != nil {
		return err
	}
	left := parent.RedelegationCount - 1
	switch {
	case left < 0 || parent.RedelegationCount > s.cfg.MaxRedelegation:
		return forbidden("Remaining redelegation depth of %d out of allowed range of [0..%d]", parent.RedelegationCount, s.cfg.MaxRedelegation)
	case n.RedelegationCount != nil && redelegable && wanted != left:
		return forbidden(`Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is advised.`)
	case n.RemainingUses != nil:
		return forbidden(`Field "remaining_uses" is set to %d while it must not be set in order to redelegate a trust`, *n.RemainingUses)
	case !parent.ExpiresAt.IsZero() && n.ExpiresAt.After(parent.ExpiresAt):
		return forbidden("Requested expiration time is more than redelegated trust can provide")
	case parent.ProjectID != t.ProjectID:
		return forbidden("A redelegated trust is for the same project")
	case !subset(t.RoleIDs, parent.RoleIDs):
		return forbidden("Some of requested roles are not in redelegated trust")
	case n.Impersonation && !parent.Impersonation:
		return forbidden("Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust id: %s", parent.ID)
	}
	t.RedelegatedTrustID = parent.ID
	if t.ExpiresAt.IsZero() {
		t.ExpiresAt = parent.ExpiresAt
	}
	t.RedelegationCount = 0
	if redelegable {
		t.RedelegationCount = left
	}
	return nil
}
