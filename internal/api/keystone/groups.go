package keystone

import (
	"net/http"

	"symbolon/internal/identity"
)

func (a *API) groupRoutes() []route {
	return []route{
		with("GET", "/v3/groups", "identity:list_groups", (*request).parseGroupList, (*request).listGroups),
		with("POST", "/v3/groups", "identity:create_group", (*request).parseNewGroup, (*request).createGroup),
		plain("GET", "/v3/groups/{group_id}", "identity:get_group", (*request).getGroup),
		with("PATCH", "/v3/groups/{group_id}", "identity:update_group", (*request).parseGroupPatch, (*request).updateGroup),
		plain("DELETE", "/v3/groups/{group_id}", "identity:delete_group", (*request).deleteGroup),
		with("GET", "/v3/groups/{group_id}/users", "identity:list_users_in_group", (*request).parseMembers, (*request).listMembers),
		plain("GET", "/v3/groups/{group_id}/users/{user_id}", "identity:check_user_in_group", (*request).checkMember),
		plain("PUT", "/v3/groups/{group_id}/users/{user_id}", "identity:add_user_to_group", (*request).addMember),
		plain("DELETE", "/v3/groups/{group_id}/users/{user_id}", "identity:remove_user_from_group", (*request).removeMember),
	}
}

// ownOfGroup are the names that a group's extra attributes cannot take.
var ownOfGroup = []string{"id", "name", "domain_id", "description", "links", "membership_expires_at"}

func (r *request) writeGroup(d *doc, g identity.Group) { r.writeGroupWith(d, g, nil) }

func (r *request) writeGroupWith(d *doc, g identity.Group, more func()) {
	attributes(d, g.Extra)
	d.str("id", g.ID)
	d.str("name", g.Name)
	d.str("domain_id", g.DomainID)
	d.ptr("description", g.Description)
	if more != nil {
		more()
	}
	r.selfLink(d, "groups", g.ID)
}

func groupID(g identity.Group) string { return g.ID }

func (r *request) parseGroupList() (listing, error) {
	return r.listQuery(filters{"domain_id": idText, "name": nameText})
}

func (r *request) listGroups(l listing) (response, error) {
	t := &target{r: r}
	if id := r.creds.DomainID; id != "" {
		t.group = &identity.Group{DomainID: id}
	}
	if err := r.enforce("identity:list_groups", t); err != nil {
		return response{}, err
	}
	r.ownDomain(&l, "domain_id")
	dir := r.api.Identity
	if err := marker(r, l, dir.Group); err != nil {
		return response{}, err
	}
	gs, err := dir.Groups(r.Context(), l.Query)
	if err != nil {
		return response{}, err
	}
	return collection(r, "groups", l, gs, groupID, r.writeGroup)
}

// A newGroup is a group to be made, with the body that policy sees.
type newGroup struct {
	identity.Group
	body *object
}

func (r *request) parseNewGroup() (newGroup, error) {
	o := r.object("group")
	o.require("name")
	name := o.resourceName(identity.MaxGroupName)
	domainID, description := o.id("domain_id"), o.nullable("description", 0)
	extra := o.extra(true, ownOfGroup...)
	if o.err != nil {
		return newGroup{}, o.err
	}
	return newGroup{body: o, Group: identity.Group{
		Name: name.To, DomainID: domainID.To, Description: descriptionOf(description), Extra: extra,
	}}, nil
}

func (r *request) createGroup(g newGroup) (response, error) {
	if err := r.enforce("identity:create_group", &target{r: r, made: g.body}); err != nil {
		return response{}, err
	}
	g.DomainID = r.domainFor(g.DomainID)
	n, err := r.api.Identity.CreateGroup(r.Context(), g.Group)
	if err != nil {
		return response{}, err
	}
	return r.member(http.StatusCreated, "group", func(d *doc) { r.writeGroup(d, n) })
}

// onGroup asks the rule about the path's group, then runs fn.
func (r *request) onGroup(rule string, fn func(g identity.Group) (response, error)) (response, error) {
	g, err := found(r.Context(), r.api.Identity.Group, r.PathValue("group_id"))
	if err != nil {
		return response{}, err
	}
	if err := r.enforce(rule, &target{r: r, group: g}); err != nil {
		return response{}, err
	}
	if g == nil {
		return response{}, identity.NotFound("group", shorten(r.PathValue("group_id")))
	}
	return fn(*g)
}

func (r *request) getGroup() (response, error) {
	return r.onGroup("identity:get_group", func(g identity.Group) (response, error) {
		return r.member(http.StatusOK, "group", func(d *doc) { r.writeGroup(d, g) })
	})
}

func (r *request) parseGroupPatch() (identity.GroupPatch, error) {
	o := r.object("group")
	o.notEmpty()
	o.matchID(r.PathValue("group_id"))
	p := identity.GroupPatch{
		Name: o.resourceName(identity.MaxGroupName), DomainID: o.id("domain_id"), Description: o.nullable("description", 0),
	}
	p.Extra = o.extra(false, ownOfGroup...)
	return p, o.err
}

func (r *request) updateGroup(p identity.GroupPatch) (response, error) {
	return r.onGroup("identity:update_group", func(old identity.Group) (response, error) {
		n, err := r.api.Identity.UpdateGroup(r.Context(), old.ID, p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "group", func(d *doc) { r.writeGroup(d, n) })
	})
}

func (r *request) deleteGroup() (response, error) {
	return r.onGroup("identity:delete_group", func(g identity.Group) (response, error) {
		if err := r.api.Identity.DeleteGroup(r.Context(), g.ID); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

func (r *request) parseMembers() (listing, error) {
	return r.listQuery(filters{"domain_id": anyText, "enabled": truth, "name": anyText, "password_expires_at": expiry})
}

func (r *request) listMembers(l listing) (response, error) {
	return r.onGroup("identity:list_users_in_group", func(g identity.Group) (response, error) {
		r.ownDomain(&l, "domain_id")
		if err := marker(r, l, r.api.Identity.User); err != nil {
			return response{}, err
		}
		us, err := r.api.Identity.UsersIn(r.Context(), g.ID, l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "users", l, us, userID, r.writeUser)
	})
}

// membership asks the rule about the path's group and user, then runs fn, which
// reports what is not there.
func (r *request) membership(rule string, fn func(userID, groupID string) error) (response, error) {
	t := &target{r: r}
	var err error
	if t.group, err = found(r.Context(), r.api.Identity.Group, r.PathValue("group_id")); err != nil {
		return response{}, err
	}
	if t.user, err = found(r.Context(), r.api.Identity.User, r.PathValue("user_id")); err != nil {
		return response{}, err
	}
	if err := r.enforce(rule, t); err != nil {
		return response{}, err
	}
	if err := fn(shorten(r.PathValue("user_id")), shorten(r.PathValue("group_id"))); err != nil {
		return response{}, err
	}
	return noContent()
}

func (r *request) checkMember() (response, error) {
	return r.membership("identity:check_user_in_group", func(user, group string) error {
		return r.api.Identity.CheckMember(r.Context(), user, group)
	})
}

func (r *request) addMember() (response, error) {
	return r.membership("identity:add_user_to_group", func(user, group string) error {
		return r.api.Identity.AddMember(r.Context(), user, group)
	})
}

func (r *request) removeMember() (response, error) {
	return r.membership("identity:remove_user_from_group", func(user, group string) error {
		return r.api.Identity.RemoveMember(r.Context(), user, group)
	})
}
