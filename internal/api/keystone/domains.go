package keystone

import (
	"net/http"

	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/identity"
)

func (a *API) domainRoutes() []route {
	return []route{
		with("GET", "/v3/domains", "identity:list_domains", (*request).parseDomainList, (*request).listDomains),
		with("POST", "/v3/domains", "identity:create_domain", (*request).parseNewDomain, (*request).createDomain),
		plain("GET", "/v3/domains/{domain_id}", "identity:get_domain", (*request).getDomain),
		with("PATCH", "/v3/domains/{domain_id}", "identity:update_domain", (*request).parseDomainPatch, (*request).updateDomain),
		plain("DELETE", "/v3/domains/{domain_id}", "identity:delete_domain", (*request).deleteDomain),
	}
}

// writeDomain writes a domain's members. A domain has no extra attributes.
func (r *request) writeDomain(d *doc, p identity.Project) {
	d.str("id", p.ID)
	d.str("name", p.Name)
	d.ptr("description", p.Description)
	d.boolean("enabled", p.Enabled)
	d.texts("tags", p.Tags)
	d.object("options", func() { attributes(d, p.Options) })
	r.selfLink(d, "domains", p.ID)
}

func projectID(p identity.Project) string { return p.ID }

func (r *request) parseDomainList() (listing, error) {
	return r.listQuery(filters{"name": nameText, "enabled": truth})
}

func (r *request) listDomains(l listing) (response, error) {
	t := &target{r: r}
	if id := r.creds.DomainID; id != "" {
		t.domain = &identity.Project{ID: id}
	}
	if err := r.enforce("identity:list_domains", t); err != nil {
		return response{}, err
	}
	l.add("is_domain", identity.Equal, true)
	r.ownDomain(&l, "id")
	dir := r.api.Identity
	if err := marker(r, l, dir.Domain); err != nil {
		return response{}, err
	}
	ps, err := dir.Projects(r.Context(), l.Query)
	if err != nil {
		return response{}, err
	}
	return collection(r, "domains", l, ps, projectID, r.writeDomain)
}

// projectFields are the attributes that creating and changing share.
func (o *object) projectPatch(descriptionLimit int) identity.ProjectPatch {
	p := identity.ProjectPatch{Fields: len(o.m)}
	p.Name = o.resourceName(identity.MaxProjectName)
	p.Description = o.nullable("description", descriptionLimit)
	p.Enabled = o.boolean("enabled")
	p.Tags = o.tags("tags")
	p.Options = o.options(identity.CheckOptions)
	return p
}

func (r *request) parseNewDomain() (identity.Project, error) {
	o := r.object("domain")
	o.require("name")
	explicit := o.text("explicit_domain_id", 0, 0)
	if explicit.Set && o.err == nil {
		if _, err := id.ParseHex(explicit.To); err != nil {
			o.err = errs.E(errs.Invalid, "Domain ID does not conform to required UUID format.")
		}
	}
	p := o.projectPatch(identity.MaxDescription)
	if o.err != nil {
		return identity.Project{}, o.err
	}
	return identity.Project{
		ID: explicit.To, Name: p.Name.To, Description: descriptionOf(p.Description), IsDomain: true, Enabled: !p.Enabled.Set || p.Enabled.To,
		Tags: p.Tags.To, Options: p.Options,
	}, nil
}

// descriptionOf is a description on creation: empty unless given, null if so given.
func descriptionOf(f identity.Field[*string]) *string {
	if !f.Set {
		return new("")
	}
	return f.To
}

func (r *request) createDomain(p identity.Project) (response, error) {
	if err := r.enforce("identity:create_domain", &target{r: r}); err != nil {
		return response{}, err
	}
	p, err := r.api.Identity.CreateProject(r.Context(), p)
	if err != nil {
		return response{}, err
	}
	return r.member(http.StatusCreated, "domain", func(d *doc) { r.writeDomain(d, p) })
}

// domainTarget is the domain of the path, if there is one of that id.
func (r *request) domainTarget() (*target, error) {
	dom, err := found(r.Context(), r.api.Identity.Domain, r.PathValue("domain_id"))
	return &target{r: r, domain: dom}, err
}

// onDomain asks the rule about the path's domain, then runs fn.
func (r *request) onDomain(rule string, fn func(domainID string) (response, error)) (response, error) {
	t, err := r.domainTarget()
	if err != nil {
		return response{}, err
	}
	if err := r.enforce(rule, t); err != nil {
		return response{}, err
	}
	if t.domain == nil {
		return response{}, identity.NotFound("domain", shorten(r.PathValue("domain_id")))
	}
	return fn(t.domain.ID)
}

func (r *request) getDomain() (response, error) {
	return r.onDomain("identity:get_domain", func(id string) (response, error) {
		p, err := r.api.Identity.Domain(r.Context(), id)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "domain", func(d *doc) { r.writeDomain(d, p) })
	})
}

func (r *request) parseDomainPatch() (identity.ProjectPatch, error) {
	o := r.object("domain")
	o.notEmpty()
	p := o.projectPatch(identity.MaxDescription)
	return p, o.err
}

func (r *request) updateDomain(p identity.ProjectPatch) (response, error) {
	return r.onDomain("identity:update_domain", func(id string) (response, error) {
		n, err := r.api.Identity.UpdateDomain(r.Context(), id, p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "domain", func(d *doc) { r.writeDomain(d, n) })
	})
}

func (r *request) deleteDomain() (response, error) {
	return r.onDomain("identity:delete_domain", func(id string) (response, error) {
		if err := r.api.Identity.DeleteDomain(r.Context(), id); err != nil {
			return response{}, err
		}
		return noContent()
	})
}
