package store

import (
	"context"
	"errors"
	"fmt"

	"symbolon/internal/identity"
)

const projectColumns = `p.id, COALESCE(p.domain_id, ''), COALESCE(p.parent_id, ''), p.is_domain, p.name, p.description, p.enabled, p.options, p.extra`

var projectFields = fields{
	"id": "p.id", "domain_id": "p.domain_id", "parent_id": "p.parent_id", "is_domain": "p.is_domain", "name": "p.name",
	"enabled": "p.enabled", "tags": "p.id",
}

func scanProject(row scanner) (p identity.Project, err error) {
	var options, extra string
	err = row.Scan(&p.ID, &p.DomainID, &p.ParentID, &p.IsDomain, &p.Name, &p.Description, &p.Enabled, &options, &extra)
	if err != nil {
		return p, err
	}
	return p, errors.Join(intoObject(options, &p.Options), intoObject(extra, &p.Extra))
}

func (r identityReads) projectWhere(ctx context.Context, resource, id, where string, args ...any) (identity.Project, error) {
	p, err := scanProject(r.q.QueryRow(ctx, `SELECT `+projectColumns+` FROM projects p WHERE `+where, args...))
	if err != nil {
		return one(p, err, resource, id)
	}
	ps := []identity.Project{p}
	err = r.addTags(ctx, ps)
	return ps[0], err
}

// Project implements [identity.Reader].
func (r identityReads) Project(ctx context.Context, id string) (identity.Project, error) {
	return r.projectWhere(ctx, "project", id, `p.id = $1`, id)
}

// ProjectByName implements [identity.Reader].
func (r identityReads) ProjectByName(ctx context.Context, domainID, name string) (identity.Project, error) {
	return r.projectWhere(ctx, "project", name, `COALESCE(p.domain_id, '') = $1 AND p.name = $2`, domainID, name)
}

// Domain implements [identity.Reader].
func (r identityReads) Domain(ctx context.Context, id string) (identity.Project, error) {
	return r.projectWhere(ctx, "domain", id, `p.id = $1 AND p.is_domain = $2`, id, true)
}

// DomainByName implements [identity.Reader].
func (r identityReads) DomainByName(ctx context.Context, name string) (identity.Project, error) {
	return r.projectWhere(ctx, "domain", name, `COALESCE(p.domain_id, '') = '' AND p.name = $1`, name)
}

// Projects implements [identity.Reader].
func (r identityReads) Projects(ctx context.Context, q identity.Query) ([]identity.Project, error) {
	s := selectFrom(`SELECT %s FROM projects p`, projectColumns)
	if err := s.narrow(projectFields, "p.id", q); err != nil {
		return nil, err
	}
	return r.projects(ctx, s)
}

func (r identityReads) projects(ctx context.Context, s *selection) ([]identity.Project, error) {
	ps, err := collect(ctx, r.q, s, scanProject)
	if err != nil {
		return nil, err
	}
	return ps, r.addTags(ctx, ps)
}

// addTags fills in the tags of the projects, some hundreds at a time.
func (r identityReads) addTags(ctx context.Context, ps []identity.Project) error {
	const batch = 500
	for len(ps) > 0 {
		some := ps[:min(batch, len(ps))]
		ps = ps[len(some):]
		at := make(map[string]int, len(some))
		ids := make([]string, len(some))
		for i, p := range some {
			at[p.ID], ids[i] = i, p.ID
		}
		s := selectFrom(`SELECT project_id, tag FROM project_tags`)
		s.whereIn("project_id", ids)
		s.sql.WriteString(" ORDER BY project_id, tag")
		_, err := collect(ctx, r.q, s, func(row scanner) (struct{}, error) {
			var id, tag string
			err := row.Scan(&id, &tag)
			if i, ok := at[id]; ok && err == nil {
				some[i].Tags = append(some[i].Tags, tag)
			}
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxDepth bounds how deep a tree is followed. Deeper ones cannot be made; a bound
// ends the walk in a damaged store too.
const maxDepth = 1000

// Ancestors implements [identity.Reader].
func (r identityReads) Ancestors(ctx context.Context, projectID string) ([]identity.Project, error) {
	s := selectFrom(`WITH RECURSIVE up (id, depth) AS (
		SELECT parent_id, 1 FROM projects WHERE id = %s
		UNION ALL SELECT q.parent_id, up.depth + 1 FROM projects q JOIN up ON q.id = up.id WHERE up.depth < %d)
		SELECT %s FROM projects p JOIN up ON up.id = p.id ORDER BY up.depth`, "$1", maxDepth, projectColumns)
	s.args = []any{projectID}
	return r.projects(ctx, s)
}

// Descendants implements [identity.Reader].
func (r identityReads) Descendants(ctx context.Context, projectID string) ([]identity.Project, error) {
	s := selectFrom(`WITH RECURSIVE down (id, depth) AS (
		SELECT id, 1 FROM projects WHERE parent_id = %s
		UNION ALL SELECT q.id, down.depth + 1 FROM projects q JOIN down ON q.parent_id = down.id WHERE down.depth < %d)
		SELECT %s FROM projects p JOIN down ON down.id = p.id ORDER BY down.depth, p.id`, "$1", maxDepth, projectColumns)
	s.args = []any{projectID}
	return r.projects(ctx, s)
}

func projectConflict(p identity.Project) string {
	if p.IsDomain {
		return "it is not permitted to have two projects acting as domains with the same name: " + p.Name
	}
	return fmt.Sprintf("it is not permitted to have two projects with either the same name or same id in the same domain: name is %s, project id %s",
		p.Name, p.ID)
}

// CreateProject implements [identity.Tx].
func (t identityTx) CreateProject(ctx context.Context, p identity.Project) error {
	options, err1 := object(p.Options)
	extra, err2 := object(p.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := t.q.Exec(ctx, `INSERT INTO projects (id, domain_id, parent_id, is_domain, name, description, enabled, options, extra)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.ID, orNull(p.DomainID), orNull(p.ParentID), p.IsDomain, p.Name, p.Description, p.Enabled, options, extra)
	if err != nil {
		return duplicate(err, "project", projectConflict(p))
	}
	return t.setTags(ctx, p)
}

// UpdateProject implements [identity.Tx].
func (t identityTx) UpdateProject(ctx context.Context, p identity.Project) error {
	options, err1 := object(p.Options)
	extra, err2 := object(p.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE projects SET name = $2, description = $3, enabled = $4, options = $5, extra = $6 WHERE id = $1`,
		p.ID, p.Name, p.Description, p.Enabled, options, extra)
	if err := changed(n, duplicate(err, "project", projectConflict(p)), "project", p.ID); err != nil {
		return err
	}
	return t.setTags(ctx, p)
}

func (t identityTx) setTags(ctx context.Context, p identity.Project) error {
	if _, err := t.q.Exec(ctx, `DELETE FROM project_tags WHERE project_id = $1`, p.ID); err != nil {
		return err
	}
	for _, tag := range p.Tags {
		_, err := t.q.Exec(ctx, `INSERT INTO project_tags (project_id, tag) VALUES ($1, $2) ON CONFLICT (project_id, tag) DO NOTHING`, p.ID, tag)
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteProject implements [identity.Tx].
func (t identityTx) DeleteProject(ctx context.Context, id string) error {
	if _, err := t.q.Exec(ctx, `DELETE FROM assignments WHERE target_id = $1 AND target_kind IN ('project', 'domain')`, id); err != nil {
		return err
	}
	if _, err := t.q.Exec(ctx, `UPDATE users SET default_project_id = '' WHERE default_project_id = $1`, id); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `DELETE FROM projects WHERE id = $1`, id)
	return changed(n, err, "project", id)
}
