package store

import (
	"context"
	"errors"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

const roleColumns = `r.id, r.domain_id, r.name, r.description, r.options, r.extra`

var roleFields = fields{"id": "r.id", "domain_id": "r.domain_id", "name": "r.name"}

func scanRole(row scanner) (r identity.Role, err error) {
	var options, extra string
	if err = row.Scan(&r.ID, &r.DomainID, &r.Name, &r.Description, &options, &extra); err != nil {
		return r, err
	}
	return r, errors.Join(intoObject(options, &r.Options), intoObject(extra, &r.Extra))
}

// Role implements [identity.Reader].
func (r identityReads) Role(ctx context.Context, id string) (identity.Role, error) {
	role, err := scanRole(r.q.QueryRow(ctx, `SELECT `+roleColumns+` FROM roles r WHERE r.id = $1`, id))
	return one(role, err, "role", id)
}

// RoleByName implements [identity.Reader].
func (r identityReads) RoleByName(ctx context.Context, domainID, name string) (identity.Role, error) {
	role, err := scanRole(r.q.QueryRow(ctx, `SELECT `+roleColumns+` FROM roles r WHERE r.domain_id = $1 AND r.name = $2`, domainID, name))
	return one(role, err, "role", name)
}

// Roles implements [identity.Reader].
func (r identityReads) Roles(ctx context.Context) ([]identity.Role, error) {
	return r.FindRoles(ctx, identity.Query{})
}

// FindRoles implements [identity.Reader].
func (r identityReads) FindRoles(ctx context.Context, q identity.Query) ([]identity.Role, error) {
	s := selectFrom(`SELECT %s FROM roles r`, roleColumns)
	if err := s.narrow(roleFields, "r.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanRole)
}

// Implications implements [identity.Reader].
func (r identityReads) Implications(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	s := selectFrom(`SELECT prior_role_id, implied_role_id FROM implied_roles ORDER BY prior_role_id, implied_role_id`)
	_, err := collect(ctx, r.q, s, func(row scanner) (struct{}, error) {
		var prior, implied string
		err := row.Scan(&prior, &implied)
		out[prior] = append(out[prior], implied)
		return struct{}{}, err
	})
	return out, err
}

const (
	assignmentColumns = `a.actor_kind, a.actor_id, a.target_kind, a.target_id, a.role_id, a.inherited`
	assignmentOrder   = ` ORDER BY a.actor_id, a.target_id, a.role_id, a.inherited, a.actor_kind, a.target_kind`
	systemTarget      = "all"
)

func scanAssignment(row scanner) (a identity.Assignment, err error) {
	var actorKind, actor, targetKind, target string
	if err = row.Scan(&actorKind, &actor, &targetKind, &target, &a.RoleID, &a.Inherited); err != nil {
		return a, err
	}
	switch actorKind {
	case "user":
		a.Actor.UserID = actor
	default:
		a.Actor.GroupID = actor
	}
	switch targetKind {
	case "project":
		a.Target.ProjectID = target
	case "domain":
		a.Target.DomainID = target
	default:
		a.Target.System = true
	}
	return a, nil
}

// AssignmentsOf implements [identity.Reader].
func (r identityReads) AssignmentsOf(ctx context.Context, userID string, groupIDs []string) ([]identity.Assignment, error) {
	s := selectFrom(`SELECT %s FROM assignments a`, assignmentColumns)
	s.where("a.actor_id = %s AND a.actor_kind = 'user'", userID)
	s.sql.WriteString(assignmentOrder)
	out, err := collect(ctx, r.q, s, scanAssignment)
	if err != nil {
		return nil, err
	}
	const batch = 500
	for len(groupIDs) > 0 {
		some := groupIDs[:min(batch, len(groupIDs))]
		groupIDs = groupIDs[len(some):]
		s := selectFrom(`SELECT %s FROM assignments a`, assignmentColumns)
		s.whereIn("a.actor_id", some)
		s.where("a.actor_kind = 'group'")
		s.sql.WriteString(assignmentOrder)
		more, err := collect(ctx, r.q, s, scanAssignment)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// Assignments implements [identity.Reader].
func (r identityReads) Assignments(ctx context.Context, f identity.AssignmentFilter) ([]identity.Assignment, error) {
	s := selectFrom(`SELECT %s FROM assignments a`, assignmentColumns)
	if f.RoleID != "" {
		s.where("a.role_id = %s", f.RoleID)
	}
	switch {
	case f.UserID != "" && len(f.GroupIDs) > 0:
		args := []any{f.UserID}
		marks := ""
		for _, id := range f.GroupIDs {
			args, marks = append(args, id), marks+"%s,"
		}
		s.where("((a.actor_kind = 'user' AND a.actor_id = %s) OR (a.actor_kind = 'group' AND a.actor_id IN ("+marks[:len(marks)-1]+")))", args...)
	case f.UserID != "":
		s.where("a.actor_kind = 'user' AND a.actor_id = %s", f.UserID)
	case len(f.GroupIDs) > 0:
		s.where("a.actor_kind = 'group'")
		s.whereIn("a.actor_id", f.GroupIDs)
	}
	targets := f.ProjectIDs
	if f.ProjectID != "" {
		targets = append([]string{f.ProjectID}, targets...)
	}
	switch {
	case f.System:
		s.where("a.target_kind = 'system'")
	case len(targets) > 0 && f.DomainID != "":
		args := []any{f.DomainID}
		marks := ""
		for _, id := range targets {
			args, marks = append(args, id), marks+"%s,"
		}
		s.where("((a.target_kind = 'domain' AND a.target_id = %s) OR (a.target_kind = 'project' AND a.target_id IN ("+marks[:len(marks)-1]+")))", args...)
	case len(targets) > 0:
		s.where("a.target_kind = 'project'")
		s.whereIn("a.target_id", targets)
	case f.DomainID != "":
		s.where("a.target_kind = 'domain' AND a.target_id = %s", f.DomainID)
	}
	if f.Inherited != nil {
		s.where("a.inherited = %s", *f.Inherited)
	}
	s.sql.WriteString(assignmentOrder)
	return collect(ctx, r.q, s, scanAssignment)
}

func roleConflict(r identity.Role) string {
	if r.DomainID != "" {
		return nameIn(r.Name, r.DomainID)
	}
	return "Duplicate entry found with name " + r.Name
}

// CreateRole implements [identity.Tx].
func (t identityTx) CreateRole(ctx context.Context, r identity.Role) error {
	options, err1 := object(r.Options)
	extra, err2 := object(r.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := t.q.Exec(ctx, `INSERT INTO roles (id, domain_id, name, description, options, extra) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.ID, r.DomainID, r.Name, r.Description, options, extra)
	return duplicate(err, "role", roleConflict(r))
}

// UpdateRole implements [identity.Tx].
func (t identityTx) UpdateRole(ctx context.Context, r identity.Role) error {
	options, err1 := object(r.Options)
	extra, err2 := object(r.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE roles SET name = $2, description = $3, options = $4, extra = $5 WHERE id = $1`,
		r.ID, r.Name, r.Description, options, extra)
	return changed(n, duplicate(err, "role", roleConflict(r)), "role", r.ID)
}

// DeleteRole implements [identity.Tx].
func (t identityTx) DeleteRole(ctx context.Context, id string) error {
	n, err := t.q.Exec(ctx, `DELETE FROM roles WHERE id = $1`, id)
	return changed(n, err, "role", id)
}

// CreateImplication implements [identity.Tx].
func (t identityTx) CreateImplication(ctx context.Context, i identity.Implication) error {
	_, err := t.q.Exec(ctx, `INSERT INTO implied_roles (prior_role_id, implied_role_id) VALUES ($1, $2)`, i.PriorID, i.ImpliedID)
	return duplicate(err, "implied_role", "Duplicate entry")
}

// DeleteImplication implements [identity.Tx].
func (t identityTx) DeleteImplication(ctx context.Context, i identity.Implication) error {
	n, err := t.q.Exec(ctx, `DELETE FROM implied_roles WHERE prior_role_id = $1 AND implied_role_id = $2`, i.PriorID, i.ImpliedID)
	if err == nil && n == 0 {
		return errs.E(errs.NotFound, "%s does not imply %s.", i.PriorID, i.ImpliedID)
	}
	return err
}

func assignmentArgs(a identity.Assignment) []any {
	actorKind, actor := "user", a.Actor.UserID
	if a.Actor.GroupID != "" {
		actorKind, actor = "group", a.Actor.GroupID
	}
	targetKind, target := "project", a.Target.ProjectID
	switch {
	case a.Target.System:
		targetKind, target = "system", systemTarget
	case a.Target.DomainID != "":
		targetKind, target = "domain", a.Target.DomainID
	}
	return []any{actorKind, actor, targetKind, target, a.RoleID, a.Inherited}
}

// Assign implements [identity.Tx].
func (t identityTx) Assign(ctx context.Context, a identity.Assignment) (bool, error) {
	n, err := t.q.Exec(ctx, `INSERT INTO assignments (actor_kind, actor_id, target_kind, target_id, role_id, inherited)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (actor_id, target_id, role_id, inherited, actor_kind, target_kind) DO NOTHING`,
		assignmentArgs(a)...)
	return n > 0, err
}

// Unassign implements [identity.Tx].
func (t identityTx) Unassign(ctx context.Context, a identity.Assignment) (bool, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM assignments
		WHERE actor_kind = $1 AND actor_id = $2 AND target_kind = $3 AND target_id = $4 AND role_id = $5 AND inherited = $6`,
		assignmentArgs(a)...)
	return n > 0, err
}
