package identity

import (
	"context"
	"slices"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// CreateRole makes a role, global unless it names a domain. The id of r is set
// here.
func (d *Directory) CreateRole(ctx context.Context, r Role) (Role, error) {
	var err error
	if r.Name, err = trimName(r.Name, MaxRoleName); err != nil {
		return Role{}, err
	}
	r.ID = id.NewHex().String()
	r.Options = Options{}.merge(r.Options)
	err = d.change(ctx, func(w *work) error {
		if r.DomainID != "" {
			if _, err := w.Domain(ctx, r.DomainID); err != nil {
				return err
			}
		}
		if err := w.CreateRole(ctx, r); err != nil {
			return err
		}
		w.record("role.created", r.ID, map[string]any{"domain_id": r.DomainID, "name": r.Name})
		return nil
	})
	if err != nil {
		return Role{}, err
	}
	return d.Role(ctx, r.ID)
}

// A RolePatch changes a role. Fields counts the attributes that the request names.
type RolePatch struct {
	Name        Field[string]
	DomainID    Field[string]
	Description Field[*string]
	Options     Options
	Extra       Extra
	Fields      int
}

// UpdateRole changes a role.
func (d *Directory) UpdateRole(ctx context.Context, roleID string, p RolePatch) (Role, error) {
	var err error
	if p.Name.Set {
		if p.Name.To, err = trimName(p.Name.To, MaxRoleName); err != nil {
			return Role{}, err
		}
	}
	err = d.change(ctx, func(w *work) error {
		r, err := w.Role(ctx, roleID)
		if err != nil {
			return err
		}
		if err := checkMutable("role", roleID, r.Options, p.Options, p.Fields); err != nil {
			return err
		}
		if p.DomainID.Set && p.DomainID.To != r.DomainID {
			return errs.E(errs.Invalid, "Update of `domain_id` is not allowed.")
		}
		p.Name.apply(&r.Name)
		p.Description.apply(&r.Description)
		r.Options, r.Extra = r.Options.merge(p.Options), r.Extra.merge(p.Extra)
		if err := w.UpdateRole(ctx, r); err != nil {
			return err
		}
		w.record("role.updated", roleID, map[string]any{"name": r.Name})
		return nil
	})
	if err != nil {
		return Role{}, err
	}
	return d.Role(ctx, roleID)
}

// DeleteRole removes a role with its assignments and implications. No token is
// revoked: what a token may is looked up when it is used.
func (d *Directory) DeleteRole(ctx context.Context, roleID string) error {
	return d.change(ctx, func(w *work) error {
		r, err := w.Role(ctx, roleID)
		if err != nil {
			return err
		}
		return w.deleteRole(r)
	})
}

func (w *work) deleteRole(r Role) error {
	if err := checkDeletable("role", r.ID, r.Options); err != nil {
		return err
	}
	if err := w.Tx.DeleteRole(w.ctx, r.ID); err != nil {
		return err
	}
	w.record("role.deleted", r.ID, map[string]any{"domain_id": r.DomainID, "name": r.Name})
	return nil
}

// Imply makes every holder of the prior role a holder of the implied one.
func (d *Directory) Imply(ctx context.Context, i Implication) error {
	return d.change(ctx, func(w *work) error {
		implied, err := w.Role(ctx, i.ImpliedID)
		if err != nil {
			return err
		}
		prior, err := w.Role(ctx, i.PriorID)
		if err != nil {
			return err
		}
		// A global role would bring a domain's own role into every domain.
		if slices.Contains(w.cfg.ProhibitedImplied, implied.Name) || prior.DomainID == "" && implied.DomainID != "" {
			return errs.E(errs.Forbidden, "%s cannot be an implied roles.", i.ImpliedID)
		}
		if err := w.CreateImplication(ctx, i); err != nil {
			return err
		}
		w.record("implied_role.created", i.PriorID, map[string]any{"implied_role_id": i.ImpliedID})
		return nil
	})
}

// Unimply ends an implication.
func (d *Directory) Unimply(ctx context.Context, i Implication) error {
	return d.change(ctx, func(w *work) error {
		if err := w.DeleteImplication(ctx, i); err != nil {
			return err
		}
		w.record("implied_role.deleted", i.PriorID, map[string]any{"implied_role_id": i.ImpliedID})
		return nil
	})
}

// CheckImplication returns NotFound unless the prior role implies the other one
// directly.
func (d *Directory) CheckImplication(ctx context.Context, i Implication) error {
	all, err := d.Implications(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(all[i.PriorID], i.ImpliedID) {
		return errs.E(errs.NotFound, "%s does not imply %s.", i.PriorID, i.ImpliedID)
	}
	return nil
}

// Grant gives a role to a user or a group on a target; doing so twice changes
// nothing. A domain's own role is given on projects of that domain only.
func (d *Directory) Grant(ctx context.Context, a Assignment) error {
	return d.change(ctx, func(w *work) error {
		role, err := w.grantable(a)
		if err != nil {
			return err
		}
		changed, err := w.Assign(ctx, a)
		if err != nil || !changed {
			return err
		}
		w.record("role_assignment.created", a.actorID(), a.detail(role))
		return nil
	})
}

func (w *work) grantable(a Assignment) (Role, error) {
	role, err := w.Role(w.ctx, a.RoleID)
	if err != nil {
		return role, err
	}
	if a.Actor.UserID != "" {
		_, err = w.User(w.ctx, a.Actor.UserID)
	} else {
		_, err = w.Group(w.ctx, a.Actor.GroupID)
	}
	if err != nil {
		return role, err
	}
	switch {
	case a.Target.System:
		if role.DomainID != "" {
			return role, errs.E(errs.Invalid, "Role %s is a domain-specific role. Unable to use a domain-specific role in a system assignment.", role.ID)
		}
		if a.Inherited {
			return role, errs.E(errs.Invalid, "A role on the system is not inherited.")
		}
	case a.Target.DomainID != "":
		_, err = w.Domain(w.ctx, a.Target.DomainID)
	default:
		var p Project
		if p, err = w.Project(w.ctx, a.Target.ProjectID); err == nil && role.DomainID != "" && role.DomainID != p.DomainID {
			err = errs.E(errs.Forbidden, "Project %s must be in the same domain as the role %s being assigned.", p.ID, role.ID)
		}
	}
	return role, err
}

// Ungrant takes a role away. No token is revoked: what a token may is looked up
// when it is used. The actor need not exist any more.
func (d *Directory) Ungrant(ctx context.Context, a Assignment) error {
	return d.change(ctx, func(w *work) error {
		role, err := w.Role(ctx, a.RoleID)
		if err != nil {
			return err
		}
		changed, err := w.Unassign(ctx, a)
		if err != nil {
			return err
		}
		if !changed {
			return a.notFound()
		}
		w.record("role_assignment.deleted", a.actorID(), a.detail(role))
		return nil
	})
}

// CheckGrant returns NotFound unless exactly this assignment exists.
func (d *Directory) CheckGrant(ctx context.Context, a Assignment) error {
	have, err := d.Grants(ctx, a)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(have, func(r Role) bool { return r.ID == a.RoleID }) {
		return a.notFound()
	}
	return nil
}

// Grants returns the roles that the actor of a has directly on its target, sorted
// by id, inherited ones or those that are not as a says.
func (d *Directory) Grants(ctx context.Context, a Assignment) ([]Role, error) {
	f := AssignmentFilter{
		UserID: a.Actor.UserID, ProjectID: a.Target.ProjectID, DomainID: a.Target.DomainID, System: a.Target.System,
		Inherited: &a.Inherited,
	}
	if a.Actor.GroupID != "" {
		f.GroupIDs = []string{a.Actor.GroupID}
	}
	found, err := d.Assignments(ctx, f)
	if err != nil {
		return nil, err
	}
	roles := make([]Role, 0, len(found))
	for _, x := range found {
		r, err := d.Role(ctx, x.RoleID)
		if errs.Is(err, errs.NotFound) { // deleted since
			continue
		}
		if err != nil {
			return nil, err
		}
		roles = append(roles, r)
	}
	return roles, nil
}

func (a Assignment) actorID() string {
	if a.Actor.UserID != "" {
		return a.Actor.UserID
	}
	return a.Actor.GroupID
}

func (a Assignment) targetID() string {
	switch {
	case a.Target.System:
		return "system"
	case a.Target.DomainID != "":
		return a.Target.DomainID
	}
	return a.Target.ProjectID
}

func (a Assignment) notFound() error {
	return errs.E(errs.NotFound, "Could not find role assignment with role: %s, user or group: %s, project, domain, or system: %s.",
		a.RoleID, a.actorID(), a.targetID())
}

func (a Assignment) detail(r Role) map[string]any {
	m := map[string]any{"role_id": r.ID, "role": r.Name, "inherited": a.Inherited}
	for _, kv := range [...]struct{ k, v string }{
		{"user_id", a.Actor.UserID}, {"group_id", a.Actor.GroupID}, {"project_id", a.Target.ProjectID}, {"domain_id", a.Target.DomainID},
	} {
		if kv.v != "" {
			m[kv.k] = kv.v
		}
	}
	if a.Target.System {
		m["system"] = "all"
	}
	return m
}
