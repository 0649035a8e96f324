package identity

import (
	"context"
	"slices"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// CreateProject makes a project, or a domain when p says so. Its domain is
// DomainID, its parent ParentID or else the domain. An empty id is chosen here.
func (d *Directory) CreateProject(ctx context.Context, p Project) (Project, error) {
	var err error
	if p.Name, err = trimName(p.Name, MaxProjectName); err != nil {
		return Project{}, err
	}
	if err := CheckTags(p.Tags); err != nil {
		return Project{}, err
	}
	if p.ID == "" {
		p.ID = id.NewHex().String()
	}
	if !p.IsDomain && p.ParentID == "" {
		p.ParentID = p.DomainID
	}
	p.Options = Options{}.merge(p.Options)
	err = d.change(ctx, func(w *work) error {
		if p.IsDomain {
			err = w.checkNewDomain(p)
		} else {
			err = w.checkNewProject(p)
		}
		if err != nil {
			return err
		}
		if err := w.CreateProject(ctx, p); err != nil {
			return err
		}
		w.record(resourceOf(p)+".created", p.ID, map[string]any{"domain_id": p.DomainID, "name": p.Name})
		return nil
	})
	if err != nil {
		return Project{}, err
	}
	return d.Project(ctx, p.ID)
}

func resourceOf(p Project) string {
	if p.IsDomain {
		return "domain"
	}
	return "project"
}

func (w *work) checkNewDomain(p Project) error {
	if err := w.checkNotFederated(p.ID, p.Name); err != nil {
		return err
	}
	if p.ParentID != "" || p.DomainID != "" {
		return errs.E(errs.Invalid, "only root projects are allowed to act as domains.")
	}
	return nil
}

func (w *work) checkNotFederated(id, name string) error {
	switch {
	case strings.EqualFold(name, w.cfg.FederatedDomain):
		return errs.E(errs.Invalid, "Domain cannot be named %s", name)
	case strings.EqualFold(id, w.cfg.FederatedDomain):
		return errs.E(errs.Invalid, "Domain cannot have ID %s", id)
	}
	return nil
}

func (w *work) checkNewProject(p Project) error {
	domain, err := w.Domain(w.ctx, p.DomainID)
	if err != nil {
		return err
	}
	parent, err := w.Project(w.ctx, p.ParentID)
	if err != nil {
		return err
	}
	switch {
	case parent.IsDomain && parent.ID != domain.ID:
		return errs.E(errs.Invalid, "Cannot create project, the parent (%s) is acting as a domain, "+
			"but this project's domain id (%s) does not match the parent's id.", parent.ID, domain.ID)
	case !parent.IsDomain && parent.DomainID != domain.ID:
		return errs.E(errs.Invalid, "Cannot create project, since it specifies its domain_id %s, "+
			"but specifies a parent in a different domain (%s).", domain.ID, parent.DomainID)
	}
	above, err := w.Ancestors(w.ctx, parent.ID)
	if err != nil {
		return err
	}
	for _, a := range append(above, parent) {
		if !a.Enabled {
			return errs.E(errs.Invalid, "cannot create a project in a branch containing a disabled project: %s", a.ID)
		}
	}
	// The parent's own place is how many are above it, domain included.
	if len(above)+1 > w.cfg.MaxProjectDepth {
		return errs.E(errs.Forbidden, "Max hierarchy depth reached for %s branch.", parent.ID)
	}
	return nil
}

// A ProjectPatch changes a project or a domain. Fields counts the attributes that
// the request names, known ones and extra ones.
type ProjectPatch struct {
	Name        Field[string]
	Description Field[*string]
	Enabled     Field[bool]
	DomainID    Field[string]
	ParentID    Field[string]
	IsDomain    Field[bool]
	Tags        Field[[]string]
	Options     Options
	Extra       Extra
	Fields      int
}

// UpdateProject changes a project or a domain. A project is disabled after what is
// below it and enabled after what is above it; a domain at any time.
func (d *Directory) UpdateProject(ctx context.Context, projectID string, p ProjectPatch) (Project, error) {
	return d.updateProject(ctx, projectID, p, Tx.Project)
}

// UpdateDomain changes a domain; a project that is none is not found.
func (d *Directory) UpdateDomain(ctx context.Context, domainID string, p ProjectPatch) (Project, error) {
	return d.updateProject(ctx, domainID, p, Tx.Domain)
}

func (d *Directory) updateProject(ctx context.Context, projectID string, p ProjectPatch,
	find func(tx Tx, ctx context.Context, id string) (Project, error),
) (Project, error) {
	var err error
	if p.Name.Set {
		if p.Name.To, err = trimName(p.Name.To, MaxProjectName); err != nil {
			return Project{}, err
		}
	}
	if p.Tags.Set {
		if err := CheckTags(p.Tags.To); err != nil {
			return Project{}, err
		}
	}
	err = d.change(ctx, func(w *work) error {
		old, err := find(w.Tx, ctx, projectID)
		if err != nil {
			return err
		}
		if err := w.checkProjectPatch(old, p); err != nil {
			return err
		}
		n := old
		p.Name.apply(&n.Name)
		p.Description.apply(&n.Description)
		p.Enabled.apply(&n.Enabled)
		p.Tags.apply(&n.Tags)
		n.Options, n.Extra = old.Options.merge(p.Options), old.Extra.merge(p.Extra)
		if err := w.UpdateProject(ctx, n); err != nil {
			return err
		}
		detail := map[string]any{"domain_id": n.DomainID}
		if old.Enabled != n.Enabled {
			detail["enabled"] = n.Enabled
		}
		w.record(resourceOf(n)+".updated", projectID, detail)
		return nil
	})
	if err != nil {
		return Project{}, err
	}
	return d.Project(ctx, projectID)
}

func (w *work) checkProjectPatch(old Project, p ProjectPatch) error {
	if p.DomainID.Set && p.DomainID.To != old.DomainID {
		return errs.E(errs.Invalid, "Cannot change Domain ID")
	}
	if err := checkMutable(resourceOf(old), old.ID, old.Options, p.Options, p.Fields); err != nil {
		return err
	}
	if old.IsDomain && p.Name.Set {
		if err := w.checkNotFederated(old.ID, p.Name.To); err != nil {
			return err
		}
	}
	if p.ParentID.Set && p.ParentID.To != old.ParentID {
		return errs.E(errs.Forbidden, "Update of `parent_id` is not allowed.")
	}
	if p.IsDomain.Set && p.IsDomain.To != old.IsDomain {
		return errs.E(errs.Invalid, "Update of `is_domain` is not allowed.")
	}
	if !p.Enabled.Set || p.Enabled.To == old.Enabled || old.IsDomain {
		return nil
	}
	if p.Enabled.To {
		above, err := w.Ancestors(w.ctx, old.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(above, func(a Project) bool { return !a.Enabled }) {
			return errs.E(errs.Forbidden, "Cannot enable project %s since it has disabled parents", old.ID)
		}
		return nil
	}
	below, err := w.Descendants(w.ctx, old.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(below, func(b Project) bool { return b.Enabled }) {
		return errs.E(errs.Forbidden, "Cannot disable project %s since its subtree contains enabled projects.", old.ID)
	}
	return nil
}

// DeleteProject removes a project that has nothing below it, or a domain as
// [Directory.DeleteDomain] does, and revokes its tokens.
func (d *Directory) DeleteProject(ctx context.Context, projectID string) error {
	return d.change(ctx, func(w *work) error {
		p, err := w.Project(ctx, projectID)
		if err != nil {
			return err
		}
		if p.IsDomain {
			return w.deleteDomain(p)
		}
		below, err := w.Descendants(ctx, projectID)
		if err != nil {
			return err
		}
		if err := checkDeletable("project", projectID, p.Options); err != nil {
			return err
		}
		if len(below) > 0 {
			return errs.E(errs.Forbidden, "Cannot delete the project %s since it is not a leaf in the hierarchy. "+
				"Use the cascade option if you want to delete a whole subtree.", projectID)
		}
		return w.deleteProject(p)
	})
}

// DeleteDomain removes a disabled domain with its users, groups, projects and
// roles, and revokes every token of any of them.
func (d *Directory) DeleteDomain(ctx context.Context, domainID string) error {
	return d.change(ctx, func(w *work) error {
		p, err := w.Domain(ctx, domainID)
		if err != nil {
			return err
		}
		return w.deleteDomain(p)
	})
}

func (w *work) deleteProject(p Project) error {
	if err := checkDeletable(resourceOf(p), p.ID, p.Options); err != nil {
		return err
	}
	trusts, err := w.TrustsOn(w.ctx, p.ID)
	if err != nil {
		return err
	}
	for _, t := range trusts {
		if err := w.deleteTrust(t.ID); err != nil && !errs.Is(err, errs.NotFound) { // gone with its parent
			return err
		}
	}
	if err := w.Tx.DeleteProject(w.ctx, p.ID); err != nil {
		return err
	}
	w.record(resourceOf(p)+".deleted", p.ID, map[string]any{"domain_id": p.DomainID, "name": p.Name})
	return w.revoke(RevocationEvent{ProjectID: p.ID})
}

func (w *work) deleteDomain(p Project) error {
	if err := checkDeletable("domain", p.ID, p.Options); err != nil {
		return err
	}
	if p.Enabled {
		return errs.E(errs.Forbidden, "Cannot delete a domain that is enabled, please disable it first.")
	}
	inDomain := Query{Where: []Condition{{Field: "domain_id", Value: p.ID}}}
	users, err := w.Users(w.ctx, inDomain)
	if err != nil {
		return err
	}
	for _, u := range users {
		if err := w.deleteUser(u.ID); err != nil {
			return err
		}
	}
	groups, err := w.Groups(w.ctx, inDomain)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := w.deleteGroup(g.ID); err != nil {
			return err
		}
	}
	below, err := w.Descendants(w.ctx, p.ID)
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(below) { // the deepest first
		if err := w.deleteProject(c); err != nil {
			return err
		}
	}
	roles, err := w.FindRoles(w.ctx, inDomain)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if err := w.deleteRole(r); err != nil {
			return err
		}
	}
	return w.deleteProject(p)
}

// SetTags replaces a project's tags.
func (d *Directory) SetTags(ctx context.Context, projectID string, tags []string) (Project, error) {
	return d.editTags(ctx, projectID, "update", func([]string) ([]string, error) { return tags, nil })
}

// AddTag adds a tag to a project; adding it twice changes nothing.
func (d *Directory) AddTag(ctx context.Context, projectID, tag string) error {
	_, err := d.editTags(ctx, projectID, "create", func(have []string) ([]string, error) {
		if slices.Contains(have, tag) {
			return have, nil
		}
		return append(slices.Clone(have), tag), nil
	})
	return err
}

// RemoveTag removes a tag from a project that has it.
func (d *Directory) RemoveTag(ctx context.Context, projectID, tag string) error {
	_, err := d.editTags(ctx, projectID, "delete", func(have []string) ([]string, error) {
		if !slices.Contains(have, tag) {
			return nil, NotFound("project tag", tag)
		}
		return without(have, func(t string) bool { return t == tag }), nil
	})
	return err
}

func (d *Directory) editTags(ctx context.Context, projectID, verb string, edit func([]string) ([]string, error)) (Project, error) {
	err := d.change(ctx, func(w *work) error {
		p, err := w.Project(ctx, projectID)
		if err != nil {
			return err
		}
		if p.Options.Bool(Immutable) {
			return errs.E(errs.Forbidden, "Cannot %s project tags for %s, project is immutable. Set \"immutable\" option to false before "+
				"creating project tags.", verb, projectID)
		}
		if p.Tags, err = edit(p.Tags); err != nil {
			return err
		}
		if err := CheckTags(p.Tags); err != nil {
			return err
		}
		if err := w.UpdateProject(ctx, p); err != nil {
			return err
		}
		w.record("project.updated", projectID, map[string]any{"tags": p.Tags})
		return nil
	})
	if err != nil {
		return Project{}, err
	}
	return d.Project(ctx, projectID)
}
