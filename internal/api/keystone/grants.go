package keystone

import (
	"context"

	"symbolon/internal/identity"
)

// A grantPath is where grants of one kind of actor on one kind of target are found.
type grantPath struct {
	prefix    string // up to the roles
	suffix    string // behind the role
	system    bool
	inherited bool
	list      bool // whether the protocol lists them
}

// grantRoutes are the same for every actor and target: list, check, give, take.
func (a *API) grantRoutes() []route {
	var out []route
	for _, actor := range [...]string{"user", "group"} {
		who := "/" + actor + "s/{" + actor + "_id}/roles"
		for _, p := range [...]grantPath{
			{prefix: "/v3/projects/{project_id}" + who, list: true},
			{prefix: "/v3/domains/{domain_id}" + who, list: true},
			{prefix: "/v3/system" + who, system: true, list: true},
			{prefix: "/v3/OS-INHERIT/domains/{domain_id}" + who, suffix: "/inherited_to_projects", inherited: true, list: true},
			{prefix: "/v3/OS-INHERIT/projects/{project_id}" + who, suffix: "/inherited_to_projects", inherited: true},
		} {
			out = append(out, p.routes(actor)...)
		}
	}
	return out
}

func (p grantPath) routes(actor string) []route {
	rule := func(verb string) string {
		switch {
		case p.system && verb == "list":
			return "identity:list_system_grants_for_" + actor
		case p.system:
			return "identity:" + verb + "_system_grant_for_" + actor
		case verb == "list":
			return "identity:list_grants"
		}
		return "identity:" + verb + "_grant"
	}
	one := p.prefix + "/{role_id}" + p.suffix
	handle := func(verb string, gone bool, do func(r *request, a identity.Assignment) error) func(r *request) (response, error) {
		return func(r *request) (response, error) {
			a := p.assignment(r)
			if err := p.enforce(r, rule(verb), gone); err != nil {
				return response{}, err
			}
			if err := do(r, a); err != nil {
				return response{}, err
			}
			return noContent()
		}
	}
	out := []route{
		plain("GET", one, rule("check"), handle("check", false, func(r *request, a identity.Assignment) error {
			return r.api.Identity.CheckGrant(r.Context(), a)
		})),
		plain("PUT", one, rule("create"), handle("create", false, func(r *request, a identity.Assignment) error {
			return r.api.Identity.Grant(r.Context(), a)
		})),
		plain("DELETE", one, rule("revoke"), handle("revoke", true, func(r *request, a identity.Assignment) error {
			return r.api.Identity.Ungrant(r.Context(), a)
		})),
	}
	if p.list {
		out = append(out, plain("GET", p.prefix+p.suffix, rule("list"), func(r *request) (response, error) {
			if err := p.enforce(r, rule("list"), false); err != nil {
				return response{}, err
			}
			roles, err := r.api.Identity.Grants(r.Context(), p.assignment(r))
			if err != nil {
				return response{}, err
			}
			return collection(r, "roles", listing{}, roles, roleID, r.writeRole)
		}))
	}
	return out
}

// assignment is what the path names.
func (p grantPath) assignment(r *request) identity.Assignment {
	return identity.Assignment{
		Actor:     identity.Actor{UserID: r.PathValue("user_id"), GroupID: r.PathValue("group_id")},
		Target:    identity.Target{ProjectID: r.PathValue("project_id"), DomainID: r.PathValue("domain_id"), System: p.system},
		RoleID:    r.PathValue("role_id"),
		Inherited: p.inherited,
	}
}

// enforce asks the rule about everything that the path names. What does not exist
// is reported to those whom the rule would let act on it if policy knows nothing of
// it, and refused to others, so that an outsider learns nothing: only roles, whose
// ids are no secret, are reported first. With gone the actor need not exist, so
// that what a deleted one left can be taken away.
func (p grantPath) enforce(r *request, rule string, gone bool) error {
	ctx, dir := r.Context(), r.api.Identity
	t := &target{r: r}
	var err error
	var absent error
	if id := r.PathValue("role_id"); id != "" {
		if t.role, err = needed(ctx, dir.Role, id); err != nil {
			return err
		}
	}
	if id := r.PathValue("user_id"); id != "" {
		t.user, err = part(ctx, dir.User, "user", id, gone, &absent)
	} else {
		t.group, err = part(ctx, dir.Group, "group", r.PathValue("group_id"), gone, &absent)
	}
	if err != nil {
		return err
	}
	if id := r.PathValue("domain_id"); id != "" {
		t.domain, err = part(ctx, dir.Domain, "domain", id, false, &absent)
	} else if id := r.PathValue("project_id"); id != "" {
		t.project, err = part(ctx, dir.Project, "project", id, false, &absent)
	}
	if err != nil {
		return err
	}
	if err := r.enforce(rule, t); err != nil {
		return err
	}
	return absent
}

// part looks a part of a target up. That it is not there is kept in absent, unless
// it may be gone.
func part[T any](ctx context.Context, get func(context.Context, string) (T, error), resource, id string, gone bool, absent *error) (*T, error) {
	v, err := found(ctx, get, id)
	if v == nil && err == nil && !gone && *absent == nil {
		*absent = identity.NotFound(resource, shorten(id))
	}
	return v, err
}
