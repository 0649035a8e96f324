package keystone

import (
	"net/http"
	"net/url"
	"strings"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func (a *API) projectRoutes() []route {
	return []route{
		with("GET", "/v3/projects", "identity:list_projects", (*request).parseProjectList, (*request).listProjects),
		with("POST", "/v3/projects", "identity:create_project", (*request).parseNewProject, (*request).createProject),
		plain("GET", "/v3/projects/{project_id}", "identity:get_project", (*request).getProject),
		with("PATCH", "/v3/projects/{project_id}", "identity:update_project", (*request).parseProjectPatch, (*request).updateProject),
		plain("DELETE", "/v3/projects/{project_id}", "identity:delete_project", (*request).deleteProject),
		plain("GET", "/v3/projects/{project_id}/tags", "identity:list_project_tags", (*request).listTags),
		with("PUT", "/v3/projects/{project_id}/tags", "identity:update_project_tags", (*request).parseTags, (*request).setTags),
		plain("DELETE", "/v3/projects/{project_id}/tags", "identity:delete_project_tags", (*request).clearTags),
		plain("GET", "/v3/projects/{project_id}/tags/{value}", "identity:get_project_tag", (*request).checkTag),
		plain("PUT", "/v3/projects/{project_id}/tags/{value}", "identity:create_project_tag", (*request).addTag),
		plain("DELETE", "/v3/projects/{project_id}/tags/{value}", "identity:delete_project_tag", (*request).removeTag),
	}
}

// ownOfProject are the names that a project's extra attributes cannot take.
var ownOfProject = []string{
	"id", "name", "domain_id", "description", "enabled", "parent_id", "is_domain", "tags", "options", "links", "extra", "parents", "subtree",
}

// writeProject writes a project's members, extra attributes first.
func (r *request) writeProject(d *doc, p identity.Project) { r.writeProjectWith(d, p, nil) }

func (r *request) writeProjectWith(d *doc, p identity.Project, more func()) {
	attributes(d, p.Extra)
	d.str("id", p.ID)
	d.str("name", p.Name)
	d.strOrNull("domain_id", p.DomainID)
	d.ptr("description", p.Description)
	d.boolean("enabled", p.Enabled)
	d.strOrNull("parent_id", p.ParentID)
	d.boolean("is_domain", p.IsDomain)
	d.texts("tags", p.Tags)
	d.object("options", func() { attributes(d, p.Options) })
	if more != nil {
		more()
	}
	r.selfLink(d, "projects", p.ID)
}

var tagFilters = [...]struct {
	key string
	op  identity.Op
}{
	{"tags", identity.HasAllTags}, {"tags-any", identity.HasAnyTag}, {"not-tags", identity.LacksAllTags}, {"not-tags-any", identity.LacksAnyTag},
}

func (r *request) parseProjectList() (listing, error) {
	l, err := r.listQuery(filters{"domain_id": idText, "enabled": truth, "name": nameText, "parent_id": anyText, "is_domain": truth})
	if err != nil {
		return l, err
	}
	if !r.query.Has("is_domain") {
		l.add("is_domain", identity.Equal, false)
	}
	for _, f := range tagFilters {
		if r.query.Has(f.key) {
			tags := strings.Split(r.query.Get(f.key), ",")
			if len(tags) > identity.MaxTags {
				return l, badFilter(f.key, r.query.Get(f.key), "names too many tags")
			}
			l.add("tags", f.op, tags)
		}
	}
	return l, nil
}

func (r *request) listProjects(l listing) (response, error) {
	if err := r.enforce("identity:list_projects", &target{r: r, domainID: r.creds.DomainID}); err != nil {
		return response{}, err
	}
	r.ownDomain(&l, "domain_id")
	dir := r.api.Identity
	if err := marker(r, l, dir.Project); err != nil {
		return response{}, err
	}
	ps, err := dir.Projects(r.Context(), l.Query)
	if err != nil {
		return response{}, err
	}
	return collection(r, "projects", l, ps, projectID, r.writeProject)
}

// A newProject is a project to be made, with the body that policy sees.
type newProject struct {
	identity.Project
	body *object
}

func (r *request) parseNewProject() (newProject, error) {
	o := r.object("project")
	o.require("name")
	p := o.projectPatch(0)
	domainID, parentID, isDomain := o.nullableID("domain_id"), o.nullableID("parent_id"), o.boolean("is_domain")
	extra := o.extra(true, ownOfProject...)
	if o.err != nil {
		return newProject{}, o.err
	}
	return newProject{body: o, Project: identity.Project{
		Name: p.Name.To, Description: descriptionOf(p.Description), DomainID: domainID.To, ParentID: parentID.To, IsDomain: isDomain.To,
		Enabled: !p.Enabled.Set || p.Enabled.To, Tags: p.Tags.To, Options: p.Options, Extra: extra,
	}}, nil
}

func (r *request) createProject(p newProject) (response, error) {
	if err := r.enforce("identity:create_project", &target{r: r, made: p.body}); err != nil {
		return response{}, err
	}
	if !p.IsDomain {
		p.DomainID = r.domainFor(p.DomainID)
	}
	n, err := r.api.Identity.CreateProject(r.Context(), p.Project)
	if errs.Is(err, errs.NotFound) { // of the domain or the parent: the request is wrong
		return response{}, errs.E(errs.Invalid, "%s", message(err))
	}
	if err != nil {
		return response{}, err
	}
	return r.member(http.StatusCreated, "project", func(d *doc) { r.writeProject(d, n) })
}

// domainFor is the domain of a resource that is being made: the one it names, else
// that of the caller's token, else the default domain.
func (r *request) domainFor(named string) string {
	switch {
	case named != "":
		return named
	case r.creds.DomainID != "":
		return r.creds.DomainID
	}
	return r.api.Identity.DefaultDomainID()
}

// onProject asks the rule about the path's project, then runs fn.
func (r *request) onProject(rule string, fn func(p identity.Project) (response, error)) (response, error) {
	p, err := found(r.Context(), r.api.Identity.Project, r.PathValue("project_id"))
	if err != nil {
		return response{}, err
	}
	if err := r.enforce(rule, &target{r: r, project: p}); err != nil {
		return response{}, err
	}
	if p == nil {
		return response{}, identity.NotFound("project", shorten(r.PathValue("project_id")))
	}
	return fn(*p)
}

func (r *request) getProject() (response, error) {
	return r.onProject("identity:get_project", func(p identity.Project) (response, error) {
		tree, err := r.tree(p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "project", func(d *doc) { r.writeProjectWith(d, p, func() { tree(d) }) })
	})
}

// tree writes what the query asks to know of what is above and below a project. As
// a list it holds what the caller has roles on only.
func (r *request) tree(p identity.Project) (write func(d *doc), err error) {
	parentsList, parentsIDs := r.flag("parents_as_list"), r.flag("parents_as_ids")
	subtreeList, subtreeIDs := r.flag("subtree_as_list"), r.flag("subtree_as_ids")
	for _, both := range [...]struct {
		yes  bool
		what string
	}{{parentsList && parentsIDs, "parents"}, {subtreeList && subtreeIDs, "subtree"}} {
		if both.yes {
			return nil, errs.E(errs.Invalid, "Cannot use %s_as_list and %s_as_ids query params at the same time.", both.what, both.what)
		}
	}
	var above, below, mineAbove, mineBelow []identity.Project
	dir, ctx := r.api.Identity, r.Context()
	if parentsList || parentsIDs {
		if above, err = dir.Ancestors(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	if subtreeList || subtreeIDs {
		if below, err = dir.Descendants(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	if parentsList || subtreeList {
		mine, err := dir.ProjectIDsOf(ctx, r.creds.UserID)
		if err != nil {
			return nil, err
		}
		for _, x := range above {
			if mine[x.ID] {
				mineAbove = append(mineAbove, x)
			}
		}
		for _, x := range below {
			if mine[x.ID] {
				mineBelow = append(mineBelow, x)
			}
		}
	}
	asList := func(d *doc, key string, ps []identity.Project) {
		d.list(key, len(ps), func(i int) {
			d.open()
			d.object("project", func() { r.writeProject(d, ps[i]) })
			d.close()
		})
	}
	return func(d *doc) {
		switch {
		case parentsList:
			asList(d, "parents", mineAbove)
		case parentsIDs && len(above) == 0:
			d.null("parents")
		case parentsIDs:
			d.key("parents")
			for _, x := range above {
				d.open()
				d.key(x.ID)
			}
			d.b = append(d.b, "null"...)
			for range above {
				d.close()
			}
		}
		switch {
		case subtreeList:
			asList(d, "subtree", mineBelow)
		case subtreeIDs:
			children := map[string][]string{}
			for _, x := range below {
				children[x.ParentID] = append(children[x.ParentID], x.ID)
			}
			d.key("subtree")
			d.idTree(children, p.ID)
		}
	}, nil
}

// idTree writes the tree below id as nested objects, null where there is nothing.
func (d *doc) idTree(children map[string][]string, id string) {
	if len(children[id]) == 0 {
		d.b = append(d.b, "null"...)
		return
	}
	d.b = append(d.b, '{')
	for _, c := range children[id] {
		d.key(c)
		d.idTree(children, c)
	}
	d.close()
}

func (r *request) parseProjectPatch() (identity.ProjectPatch, error) {
	o := r.object("project")
	o.matchID(r.PathValue("project_id"))
	p := o.projectPatch(0)
	p.DomainID, p.ParentID, p.IsDomain = o.nullableID("domain_id"), o.nullableID("parent_id"), o.boolean("is_domain")
	p.Extra = o.extra(false, ownOfProject...)
	return p, o.err
}

func (r *request) updateProject(p identity.ProjectPatch) (response, error) {
	return r.onProject("identity:update_project", func(old identity.Project) (response, error) {
		n, err := r.api.Identity.UpdateProject(r.Context(), old.ID, p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "project", func(d *doc) {
			r.writeProjectWith(d, n, func() { d.object("extra", func() { attributes(d, n.Extra) }) })
		})
	})
}

func (r *request) deleteProject() (response, error) {
	return r.onProject("identity:delete_project", func(p identity.Project) (response, error) {
		if err := r.api.Identity.DeleteProject(r.Context(), p.ID); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

func (r *request) tagList(tags []string) (response, error) {
	var d doc
	d.open()
	d.object("links", func() { d.str("self", r.self()) })
	d.texts("tags", tags)
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}

func (r *request) listTags() (response, error) {
	return r.onProject("identity:list_project_tags", func(p identity.Project) (response, error) { return r.tagList(p.Tags) })
}

func (r *request) parseTags() ([]string, error) {
	v, ok := r.body["tags"]
	if !ok {
		return nil, errs.E(errs.Invalid, "'tags' is a required property")
	}
	tags, err := textList(v)
	if err != nil {
		return nil, errs.E(errs.Invalid, "Invalid input for field/attribute tags. Value: %s. the value is not a list of texts", shorten(string(v)))
	}
	return tags, identity.CheckTags(tags)
}

func (r *request) setTags(tags []string) (response, error) {
	return r.onProject("identity:update_project_tags", func(p identity.Project) (response, error) {
		n, err := r.api.Identity.SetTags(r.Context(), p.ID, tags)
		if err != nil {
			return response{}, err
		}
		return r.tagList(n.Tags)
	})
}

func (r *request) clearTags() (response, error) {
	return r.onProject("identity:delete_project_tags", func(p identity.Project) (response, error) {
		if _, err := r.api.Identity.SetTags(r.Context(), p.ID, nil); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

func (r *request) checkTag() (response, error) {
	return r.onProject("identity:get_project_tag", func(p identity.Project) (response, error) {
		tag := r.PathValue("value")
		for _, t := range p.Tags {
			if t == tag {
				return noContent()
			}
		}
		return response{}, identity.NotFound("project tag", shorten(tag))
	})
}

func (r *request) addTag() (response, error) {
	return r.onProject("identity:create_project_tag", func(p identity.Project) (response, error) {
		tag := r.PathValue("value")
		if err := identity.CheckTag(tag); err != nil {
			return response{}, err
		}
		if err := r.api.Identity.AddTag(r.Context(), p.ID, tag); err != nil {
			return response{}, err
		}
		at := r.link("projects", p.ID, "tags") + "/" + url.PathEscape(tag)
		return response{status: http.StatusCreated, header: http.Header{"Location": {at}}}, nil
	})
}

func (r *request) removeTag() (response, error) {
	return r.onProject("identity:delete_project_tag", func(p identity.Project) (response, error) {
		if err := r.api.Identity.RemoveTag(r.Context(), p.ID, r.PathValue("value")); err != nil {
			return response{}, err
		}
		return noContent()
	})
}
