package keystone

import (
	"context"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func (a *API) assignmentRoutes() []route {
	return []route{
		with("GET", "/v3/role_assignments", "identity:list_role_assignments identity:list_role_assignments_for_tree",
			(*request).parseAssignmentList, (*request).listAssignments),
	}
}

// An assignmentQuery is what a request for role assignments asks for.
type assignmentQuery struct {
	roleID, userID, groupID   string
	projectID, domainID       string
	system                    bool
	inherited                 *bool
	effective, names, subtree bool
}

func (r *request) parseAssignmentList() (assignmentQuery, error) {
	q := assignmentQuery{
		roleID: r.query.Get("role.id"), userID: r.query.Get("user.id"), groupID: r.query.Get("group.id"),
		projectID: r.query.Get("scope.project.id"), domainID: r.query.Get("scope.domain.id"),
		effective: r.flag("effective"), names: r.flag("include_names"), subtree: r.flag("include_subtree"),
	}
	if r.query.Has("scope.OS-INHERIT:inherited_to") {
		q.inherited = new(r.query.Get("scope.OS-INHERIT:inherited_to") == "projects")
	}
	for _, f := range [...]struct{ name, v string }{
		{"role.id", q.roleID}, {"group.id", q.groupID}, {"scope.project.id", q.projectID}, {"scope.domain.id", q.domainID},
	} {
		if r.query.Has(f.name) {
			if err := identity.CheckID(f.name, shorten(f.v)); err != nil {
				return q, err
			}
		}
	}
	q.system = r.query.Get("scope.system") == "all"
	system := r.query.Get("scope.system") != ""
	inherited := q.inherited != nil && *q.inherited
	for _, c := range [...]struct {
		bad bool
		why string
	}{
		{q.userID != "" && q.groupID != "", "Specify a user or group, not both"},
		{q.subtree && q.projectID == "", "scope.project.id must be specified if include_subtree is also specified"},
		{q.domainID != "" && q.projectID != "", "Specify a domain or project, not both"},
		{q.domainID != "" && system, "Specify system or domain, not both"},
		{q.projectID != "" && system, "Specify system or project, not both"},
		{q.effective && q.groupID != "", "Combining effective and group filter will always result in an empty list."},
		{q.effective && inherited && q.domainID != "", "Combining effective, domain and inherited filters will always result in an empty list."},
	} {
		if c.bad {
			return q, errs.E(errs.Invalid, "%s", c.why)
		}
	}
	return q, nil
}

func (r *request) listAssignments(q assignmentQuery) (response, error) {
	if err := r.enforceAssignments(q); err != nil {
		return response{}, err
	}
	found, err := r.findAssignments(q)
	if err != nil {
		return response{}, err
	}
	n := &names{ctx: r.Context(), dir: r.api.Identity, known: map[string]named{}}
	if r.creds.DomainID != "" {
		if found, err = n.within(found, r.creds.DomainID); err != nil {
			return response{}, err
		}
	}
	if q.names {
		if found, err = n.resolve(found); err != nil {
			return response{}, err
		}
	}
	return collection(r, "role_assignments", listing{}, found, nil, func(d *doc, e identity.Effective) { r.writeAssignment(d, e, q.names, n) })
}

func (r *request) enforceAssignments(q assignmentQuery) error {
	if !q.subtree {
		return r.enforce("identity:list_role_assignments", &target{r: r, domainID: r.creds.DomainID})
	}
	p, err := found(r.Context(), r.api.Identity.Project, q.projectID)
	if err != nil {
		return err
	}
	t := &target{r: r, project: p}
	if p != nil {
		t.domainID = p.DomainID
	}
	if err := r.enforce("identity:list_role_assignments_for_tree", t); err != nil {
		return err
	}
	if p == nil {
		return identity.NotFound("project", q.projectID)
	}
	return nil
}

func (r *request) findAssignments(q assignmentQuery) ([]identity.Effective, error) {
	ctx, dir := r.Context(), r.api.Identity
	if q.effective {
		return dir.EffectiveAssignments(ctx, identity.EffectiveFilter{
			RoleID: q.roleID, UserID: q.userID, ProjectID: q.projectID, Subtree: q.subtree, DomainID: q.domainID, System: q.system,
			Inherited: q.inherited,
		})
	}
	f := identity.AssignmentFilter{
		RoleID: q.roleID, UserID: q.userID, ProjectID: q.projectID, DomainID: q.domainID, System: q.system, Inherited: q.inherited,
	}
	if q.groupID != "" {
		f.GroupIDs = []string{q.groupID}
	}
	if q.subtree {
		below, err := dir.Descendants(ctx, q.projectID)
		if err != nil {
			return nil, err
		}
		for _, p := range below {
			f.ProjectIDs = append(f.ProjectIDs, p.ID)
		}
	}
	given, err := dir.Assignments(ctx, f)
	if err != nil {
		return nil, err
	}
	out := make([]identity.Effective, len(given))
	for i, a := range given {
		out[i] = identity.Effective{Assignment: a}
	}
	return out, nil
}

// A named is the name of something and of its domain.
type named struct {
	name, domainID, domain string
	absent                 bool
}

// names finds and keeps the names of what a list of assignments refers to.
type names struct {
	ctx   context.Context
	dir   *identity.Directory
	known map[string]named
}

func (n *names) get(kind, id string) (named, error) {
	if v, ok := n.known[kind+id]; ok {
		return v, nil
	}
	var v named
	var err error
	switch kind {
	case "user":
		var u identity.User
		u, err = n.dir.User(n.ctx, id)
		v.name, v.domainID = u.Name, u.DomainID
	case "group":
		var g identity.Group
		g, err = n.dir.Group(n.ctx, id)
		v.name, v.domainID = g.Name, g.DomainID
	case "role":
		var x identity.Role
		x, err = n.dir.Role(n.ctx, id)
		v.name, v.domainID = x.Name, x.DomainID
	default: // a project or a domain
		var p identity.Project
		p, err = n.dir.Project(n.ctx, id)
		v.name, v.domainID = p.Name, p.DomainID
	}
	if errs.Is(err, errs.NotFound) {
		v, err = named{absent: true}, nil
	}
	if err != nil {
		return v, err
	}
	if v.domainID != "" {
		d, err := n.get("project", v.domainID)
		if err != nil {
			return v, err
		}
		v.domain = d.name
	}
	n.known[kind+id] = v
	return v, nil
}

// resolve looks all names up. Assignments on what was deleted in the meantime are
// dropped.
func (n *names) resolve(list []identity.Effective) ([]identity.Effective, error) {
	out := list[:0]
	for _, e := range list {
		gone := false
		for _, x := range [...]struct{ kind, id string }{
			{"user", e.Actor.UserID}, {"group", e.Actor.GroupID}, {"role", e.RoleID}, {"project", e.Target.ProjectID}, {"project", e.Target.DomainID},
		} {
			if x.id == "" {
				continue
			}
			v, err := n.get(x.kind, x.id)
			if err != nil {
				return nil, err
			}
			gone = gone || v.absent
		}
		if !gone {
			out = append(out, e)
		}
	}
	return out, nil
}

// within keeps the assignments on the domain and on its projects.
func (n *names) within(list []identity.Effective, domainID string) ([]identity.Effective, error) {
	out := list[:0]
	for _, e := range list {
		in := e.Target.DomainID == domainID
		if id := e.Target.ProjectID; id != "" {
			p, err := n.get("project", id)
			if err != nil {
				return nil, err
			}
			in = p.domainID == domainID
		}
		if in {
			out = append(out, e)
		}
	}
	return out, nil
}

// writeAssignment writes the members of an entry of the list.
func (r *request) writeAssignment(d *doc, e identity.Effective, withNames bool, n *names) {
	ref := func(key, kind, id string) {
		d.object(key, func() {
			d.str("id", id)
			if !withNames {
				return
			}
			v := n.known[kind+id]
			d.str("name", v.name)
			if v.domainID != "" {
				d.object("domain", func() {
					d.str("id", v.domainID)
					d.str("name", v.domain)
				})
			}
		})
	}
	d.object("links", func() {
		if e.GroupID != "" {
			d.str("membership", r.link("groups", e.GroupID, "users", e.Actor.UserID))
		}
		d.str("assignment", r.assignmentLink(e))
		if e.PriorRoleID != "" {
			// The protocol's clients see the two roles in this order, which is
			// not that of the path they stand for.
			d.str("prior_role", r.link("prior_role", e.RoleID, "implies", e.PriorRoleID))
		}
	})
	d.object("scope", func() {
		switch {
		case e.Target.System:
			d.object("system", func() { d.boolean("all", true) })
		case e.Target.DomainID != "":
			ref("domain", "project", e.Target.DomainID)
		default:
			ref("project", "project", e.Target.ProjectID)
		}
		if e.Inherited || e.From != (identity.Target{}) {
			d.str("OS-INHERIT:inherited_to", "projects")
		}
	})
	if e.Actor.UserID != "" {
		ref("user", "user", e.Actor.UserID)
	} else {
		ref("group", "group", e.Actor.GroupID)
	}
	ref("role", "role", e.RoleID)
}

// assignmentLink is where the assignment that an entry comes from was made.
func (r *request) assignmentLink(e identity.Effective) string {
	on := e.Target
	if e.From != (identity.Target{}) {
		on = e.From
	}
	var path []string
	inherited := e.Inherited || e.From != (identity.Target{})
	if inherited {
		path = append(path, "OS-INHERIT")
	}
	switch {
	case on.System:
		path = append(path, "system")
	case on.DomainID != "":
		path = append(path, "domains", on.DomainID)
	default:
		path = append(path, "projects", on.ProjectID)
	}
	switch {
	case e.GroupID != "":
		path = append(path, "groups", e.GroupID)
	case e.Actor.UserID != "":
		path = append(path, "users", e.Actor.UserID)
	default:
		path = append(path, "groups", e.Actor.GroupID)
	}
	role := e.RoleID
	if e.PriorRoleID != "" {
		role = e.PriorRoleID
	}
	path = append(path, "roles", role)
	if inherited {
		path = append(path, "inherited_to_projects")
	}
	return r.link(path...)
}
