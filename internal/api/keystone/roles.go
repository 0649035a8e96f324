package keystone

import (
	"net/http"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func (a *API) roleRoutes() []route {
	const implied = "/v3/roles/{prior_role_id}/implies/{implied_role_id}"
	return []route{
		with("GET", "/v3/roles", "identity:list_domain_roles identity:list_roles", (*request).parseRoleList, (*request).listRoles),
		with("POST", "/v3/roles", "identity:create_domain_role identity:create_role", (*request).parseNewRole, (*request).createRole),
		plain("GET", "/v3/roles/{role_id}", "identity:get_role identity:get_domain_role", (*request).getRole),
		with("PATCH", "/v3/roles/{role_id}", "identity:update_role identity:update_domain_role", (*request).parseRolePatch, (*request).updateRole),
		plain("DELETE", "/v3/roles/{role_id}", "identity:delete_role identity:delete_domain_role", (*request).deleteRole),
		plain("GET", "/v3/roles/{prior_role_id}/implies", "identity:list_implied_roles", (*request).listImplied),
		plain("GET", implied, "identity:get_implied_role", (*request).getImplied),
		plain("HEAD", implied, "identity:check_implied_role", (*request).checkImplied),
		plain("PUT", implied, "identity:create_implied_role", (*request).imply),
		plain("DELETE", implied, "identity:delete_implied_role", (*request).unimply),
		plain("GET", "/v3/role_inferences", "identity:list_role_inference_rules", (*request).listInferences),
	}
}

// ownOfRole are the names that a role's extra attributes cannot take.
var ownOfRole = []string{"id", "name", "domain_id", "description", "options", "links"}

// writeRole writes a role's members, extra attributes first.
func (r *request) writeRole(d *doc, x identity.Role) {
	attributes(d, x.Extra)
	d.str("id", x.ID)
	d.str("name", x.Name)
	d.strOrNull("domain_id", x.DomainID)
	d.ptr("description", x.Description)
	d.object("options", func() { attributes(d, x.Options) })
	r.selfLink(d, "roles", x.ID)
}

func roleID(x identity.Role) string { return x.ID }

func (r *request) parseRoleList() (listing, error) {
	return r.listQuery(filters{"name": nameText, "domain_id": idText})
}

func (r *request) listRoles(l listing) (response, error) {
	rule := "identity:list_roles"
	if r.query.Get("domain_id") != "" {
		rule = "identity:list_domain_roles"
	} else {
		l.add("domain_id", identity.Equal, "")
	}
	if err := r.enforce(rule, &target{r: r}); err != nil {
		return response{}, err
	}
	if err := marker(r, l, r.api.Identity.Role); err != nil {
		return response{}, err
	}
	roles, err := r.api.Identity.FindRoles(r.Context(), l.Query)
	if err != nil {
		return response{}, err
	}
	return collection(r, "roles", l, roles, roleID, r.writeRole)
}

// A newRole is a role to be made, with the body that policy sees.
type newRole struct {
	identity.Role
	body *object
}

func (r *request) parseNewRole() (newRole, error) {
	o := r.object("role")
	o.require("name")
	name := o.resourceName(identity.MaxRoleName)
	description, domainID, options := o.nullable("description", 0), o.nullableID("domain_id"), o.options(identity.CheckOptions)
	extra := o.extra(true, ownOfRole...)
	if o.err != nil {
		return newRole{}, o.err
	}
	return newRole{body: o, Role: identity.Role{
		Name: name.To, DomainID: domainID.To, Description: description.To, Options: options, Extra: extra,
	}}, nil
}

func (r *request) createRole(x newRole) (response, error) {
	rule, t := "identity:create_role", &target{r: r}
	if x.DomainID != "" {
		rule, t.made = "identity:create_domain_role", x.body
	}
	if err := r.enforce(rule, t); err != nil {
		return response{}, err
	}
	n, err := r.api.Identity.CreateRole(r.Context(), x.Role)
	if err != nil {
		return response{}, err
	}
	return r.member(http.StatusCreated, "role", func(d *doc) { r.writeRole(d, n) })
}

// onRole asks the rule about the path's role, that for domain-specific ones if it
// is one, then runs fn. A role that is not there is reported at once: that it is
// not tells nothing.
func (r *request) onRole(global, local string, fn func(x identity.Role) (response, error)) (response, error) {
	x, err := needed(r.Context(), r.api.Identity.Role, r.PathValue("role_id"))
	if err != nil {
		return response{}, err
	}
	rule := global
	if x.DomainID != "" {
		rule = local
	}
	if err := r.enforce(rule, &target{r: r, role: x}); err != nil {
		return response{}, err
	}
	return fn(*x)
}

func (r *request) getRole() (response, error) {
	return r.onRole("identity:get_role", "identity:get_domain_role", func(x identity.Role) (response, error) {
		return r.member(http.StatusOK, "role", func(d *doc) { r.writeRole(d, x) })
	})
}

func (r *request) parseRolePatch() (identity.RolePatch, error) {
	o := r.object("role")
	o.notEmpty()
	p := identity.RolePatch{Fields: len(o.m)}
	o.matchID(r.PathValue("role_id"))
	p.Name, p.Description = o.resourceName(identity.MaxRoleName), o.nullable("description", 0)
	p.DomainID, p.Options = o.nullableID("domain_id"), o.options(identity.CheckOptions)
	p.Extra = o.extra(false, ownOfRole...)
	return p, o.err
}

func (r *request) updateRole(p identity.RolePatch) (response, error) {
	return r.onRole("identity:update_role", "identity:update_domain_role", func(old identity.Role) (response, error) {
		n, err := r.api.Identity.UpdateRole(r.Context(), old.ID, p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "role", func(d *doc) { r.writeRole(d, n) })
	})
}

func (r *request) deleteRole() (response, error) {
	return r.onRole("identity:delete_role", "identity:delete_domain_role", func(x identity.Role) (response, error) {
		if err := r.api.Identity.DeleteRole(r.Context(), x.ID); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

// onImplication asks the rule about the path's roles, both of which must exist,
// then runs fn. implied is the zero Role for the list of all.
func (r *request) onImplication(rule string, fn func(prior, implied identity.Role) (response, error)) (response, error) {
	prior, err := needed(r.Context(), r.api.Identity.Role, r.PathValue("prior_role_id"))
	if err != nil {
		return response{}, err
	}
	implied := &identity.Role{}
	if id := r.PathValue("implied_role_id"); id != "" {
		if implied, err = needed(r.Context(), r.api.Identity.Role, id); err != nil {
			return response{}, err
		}
	}
	if err := r.enforce(rule, &target{r: r}); err != nil {
		return response{}, err
	}
	return fn(*prior, *implied)
}

// inferred writes the members of a role in an inference.
func (r *request) inferred(d *doc, x identity.Role) {
	d.str("id", x.ID)
	r.selfLink(d, "roles", x.ID)
	d.str("name", x.Name)
}

func (r *request) listImplied() (response, error) {
	return r.onImplication("identity:list_implied_roles", func(prior, _ identity.Role) (response, error) {
		all, err := r.api.Identity.Implications(r.Context())
		if err != nil {
			return response{}, err
		}
		var implied []identity.Role
		for _, id := range all[prior.ID] {
			x, err := r.api.Identity.Role(r.Context(), id)
			if errs.Is(err, errs.NotFound) { // deleted since
				continue
			}
			if err != nil {
				return response{}, err
			}
			implied = append(implied, x)
		}
		var d doc
		d.open()
		d.object("role_inference", func() {
			d.object("prior_role", func() { r.inferred(&d, prior) })
			d.list("implies", len(implied), func(i int) {
				d.open()
				r.inferred(&d, implied[i])
				d.close()
			})
		})
		r.selfLink(&d, "roles", prior.ID, "implies")
		d.close()
		return response{status: http.StatusOK, body: d.b}, nil
	})
}

func (r *request) inference(status int, prior, implied identity.Role) (response, error) {
	var d doc
	d.open()
	d.object("role_inference", func() {
		d.object("prior_role", func() { r.inferred(&d, prior) })
		d.object("implies", func() { r.inferred(&d, implied) })
	})
	r.selfLink(&d, "roles", prior.ID, "implies", implied.ID)
	d.close()
	return response{status: status, body: d.b}, nil
}

func (r *request) getImplied() (response, error) {
	return r.onImplication("identity:get_implied_role", func(prior, implied identity.Role) (response, error) {
		if err := r.api.Identity.CheckImplication(r.Context(), identity.Implication{PriorID: prior.ID, ImpliedID: implied.ID}); err != nil {
			return response{}, err
		}
		return r.inference(http.StatusOK, prior, implied)
	})
}

// checkImplied needs the rule for reading an implication too.
func (r *request) checkImplied() (response, error) {
	return r.onImplication("identity:check_implied_role", func(prior, implied identity.Role) (response, error) {
		if err := r.enforce("identity:get_implied_role", &target{r: r}); err != nil {
			return response{}, err
		}
		if err := r.api.Identity.CheckImplication(r.Context(), identity.Implication{PriorID: prior.ID, ImpliedID: implied.ID}); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

func (r *request) imply() (response, error) {
	return r.onImplication("identity:create_implied_role", func(prior, implied identity.Role) (response, error) {
		if err := r.api.Identity.Imply(r.Context(), identity.Implication{PriorID: prior.ID, ImpliedID: implied.ID}); err != nil {
			return response{}, err
		}
		return r.inference(http.StatusCreated, prior, implied)
	})
}

func (r *request) unimply() (response, error) {
	return r.onImplication("identity:delete_implied_role", func(prior, implied identity.Role) (response, error) {
		if err := r.api.Identity.Unimply(r.Context(), identity.Implication{PriorID: prior.ID, ImpliedID: implied.ID}); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

func (r *request) listInferences() (response, error) {
	if err := r.enforce("identity:list_role_inference_rules", &target{r: r}); err != nil {
		return response{}, err
	}
	all, err := r.api.Identity.Implications(r.Context())
	if err != nil {
		return response{}, err
	}
	roles, err := r.api.Identity.Roles(r.Context())
	if err != nil {
		return response{}, err
	}
	byID := make(map[string]identity.Role, len(roles))
	for _, x := range roles {
		byID[x.ID] = x
	}
	priors := sortedKeys(all)
	var d doc
	d.open()
	d.list("role_inferences", len(priors), func(i int) {
		prior := priors[i]
		d.open()
		d.object("prior_role", func() { r.inferred(&d, byID[prior]) })
		d.list("implies", len(all[prior]), func(j int) {
			d.open()
			r.inferred(&d, byID[all[prior][j]])
			d.close()
		})
		d.close()
	})
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}
