package keystone

import (
	"errors"
	"net/http"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

func (a *API) userRoutes() []route {
	return []route{
		with("GET", "/v3/users", "identity:list_users", (*request).parseUserList, (*request).listUsers),
		with("POST", "/v3/users", "identity:create_user", (*request).parseNewUser, (*request).createUser),
		plain("GET", "/v3/users/{user_id}", "identity:get_user", (*request).getUser),
		with("PATCH", "/v3/users/{user_id}", "identity:update_user", (*request).parseUserPatch, (*request).updateUser),
		plain("DELETE", "/v3/users/{user_id}", "identity:delete_user", (*request).deleteUser),
		with("POST", "/v3/users/{user_id}/password", "", (*request).parsePassword, (*request).changePassword),
		with("GET", "/v3/users/{user_id}/groups", "identity:list_groups_for_user", (*request).parseUserGroups, (*request).listUserGroups),
		with("GET", "/v3/users/{user_id}/projects", "identity:list_user_projects", (*request).parseUserProjects, (*request).listUserProjects),
	}
}

// ownOfUser are the names that a user's extra attributes cannot take.
var ownOfUser = []string{
	"id", "name", "domain_id", "enabled", "default_project_id", "password", "original_password", "password_expires_at", "options", "links", "extra",
	"federated",
}

// writeUser writes a user's members, extra attributes first.
func (r *request) writeUser(d *doc, u identity.User) { r.writeUserWith(d, u, nil) }

func (r *request) writeUserWith(d *doc, u identity.User, more func()) {
	attributes(d, u.Extra)
	d.str("id", u.ID)
	d.str("name", u.Name)
	d.str("domain_id", u.DomainID)
	d.boolean("enabled", u.Enabled)
	if u.DefaultProjectID != "" {
		d.str("default_project_id", u.DefaultProjectID)
	}
	if u.PasswordExpiresAt.IsZero() {
		d.null("password_expires_at")
	} else {
		d.str("password_expires_at", u.PasswordExpiresAt.UTC().Format("2006-01-02T15:04:05.000000"))
	}
	if more != nil {
		more()
	}
	d.object("options", func() { attributes(d, u.Options) })
	r.selfLink(d, "users", u.ID)
}

func userID(u identity.User) string { return u.ID }

func (r *request) parseUserList() (listing, error) {
	return r.listQuery(filters{
		"domain_id": idText, "enabled": truth, "name": nameText, "password_expires_at": expiry,
		"idp_id": nothing, "protocol_id": nothing, "unique_id": nothing, // no user comes from elsewhere yet
	})
}

func (r *request) listUsers(l listing) (response, error) {
	if err := r.enforce("identity:list_users", &target{r: r, domainID: r.creds.DomainID}); err != nil {
		return response{}, err
	}
	r.ownDomain(&l, "domain_id")
	dir := r.api.Identity
	if err := marker(r, l, dir.User); err != nil {
		return response{}, err
	}
	var us []identity.User
	if !l.empty {
		var err error
		if us, err = dir.Users(r.Context(), l.Query); err != nil {
			return response{}, err
		}
	}
	return collection(r, "users", l, us, userID, r.writeUser)
}

// A newUser is a user to be made, with the body that policy sees.
type newUser struct {
	identity.User
	password *string
	body     *object
}

// userPatch reads the attributes that creating and changing share.
func (o *object) userPatch() identity.UserPatch {
	return identity.UserPatch{
		Name:             o.resourceName(identity.MaxUserName),
		DomainID:         o.id("domain_id"),
		DefaultProjectID: o.nullableText("default_project_id", 64),
		Enabled:          o.boolean("enabled"),
		Password:         o.nullable("password", 0),
		Options:          o.options(identity.CheckUserOptions),
	}
}

// refuseFederated reports that users of other identity providers cannot be made.
func (o *object) refuseFederated() {
	if v, ok := o.take("federated"); ok && string(compact(v)) != "[]" {
		o.fail("federated", nil, "federated users are not served")
	}
}

func (r *request) parseNewUser() (newUser, error) {
	o := r.object("user")
	o.require("name")
	p := o.userPatch()
	o.refuseFederated()
	extra := o.extra(true, ownOfUser...)
	if o.err != nil {
		return newUser{}, o.err
	}
	return newUser{body: o, password: p.Password.To, User: identity.User{
		Name: p.Name.To, DomainID: p.DomainID.To, DefaultProjectID: p.DefaultProjectID.To, Enabled: !p.Enabled.Set || p.Enabled.To,
		Options: p.Options, Extra: extra,
	}}, nil
}

func (r *request) createUser(u newUser) (response, error) {
	if err := r.enforce("identity:create_user", &target{r: r, made: u.body}); err != nil {
		return response{}, err
	}
	u.DomainID = r.domainFor(u.DomainID)
	n, err := r.api.Identity.CreateUser(r.Context(), u.User, u.password)
	if err != nil {
		return response{}, err
	}
	return r.member(http.StatusCreated, "user", func(d *doc) { r.writeUser(d, n) })
}

// onUser asks the rule about the path's user, then runs fn.
func (r *request) onUser(rule string, fn func(u identity.User) (response, error)) (response, error) {
	u, err := found(r.Context(), r.api.Identity.User, r.PathValue("user_id"))
	if err != nil {
		return response{}, err
	}
	if err := r.enforce(rule, &target{r: r, user: u}); err != nil {
		return response{}, err
	}
	if u == nil {
		return response{}, identity.NotFound("user", shorten(r.PathValue("user_id")))
	}
	return fn(*u)
}

func (r *request) getUser() (response, error) {
	return r.onUser("identity:get_user", func(u identity.User) (response, error) {
		return r.member(http.StatusOK, "user", func(d *doc) { r.writeUser(d, u) })
	})
}

func (r *request) parseUserPatch() (identity.UserPatch, error) {
	o := r.object("user")
	o.notEmpty()
	o.matchID(r.PathValue("user_id"))
	p := o.userPatch()
	o.refuseFederated()
	p.Extra = o.extra(false, ownOfUser...)
	return p, o.err
}

func (r *request) updateUser(p identity.UserPatch) (response, error) {
	return r.onUser("identity:update_user", func(old identity.User) (response, error) {
		n, err := r.api.Identity.UpdateUser(r.Context(), old.ID, p)
		if err != nil {
			return response{}, err
		}
		return r.member(http.StatusOK, "user", func(d *doc) {
			r.writeUserWith(d, n, func() { d.object("extra", func() { attributes(d, n.Extra) }) })
		})
	})
}

func (r *request) deleteUser() (response, error) {
	return r.onUser("identity:delete_user", func(u identity.User) (response, error) {
		if err := r.api.Identity.DeleteUser(r.Context(), u.ID); err != nil {
			return response{}, err
		}
		return noContent()
	})
}

type passwordChange struct{ original, password string }

func (r *request) parsePassword() (passwordChange, error) {
	o := r.object("user")
	o.require("original_password", "password")
	c := passwordChange{o.text("original_password", 0, 0).To, o.text("password", 0, 0).To}
	for _, k := range sortedKeys(o.m) {
		o.fail("user", nil, "Additional properties are not allowed (%s was unexpected)", identity.Quote(shorten(k)))
	}
	if o.err != nil { // says nothing of what was sent: it may be a password
		return c, errs.E(errs.Invalid, "Invalid input for field/attribute user. It needs the texts 'original_password' and 'password' and nothing else.")
	}
	return c, nil
}

// changePassword needs no token: the old password is the proof.
func (r *request) changePassword(c passwordChange) (response, error) {
	err := r.api.ChangePassword(r.Context(), r.PathValue("user_id"), c.original, c.password)
	if errs.Is(err, errs.NotFound) {
		return response{}, errUnauthenticated
	}
	if err != nil {
		return response{}, err
	}
	return noContent()
}

func (r *request) parseUserGroups() (listing, error) { return r.listQuery(filters{"name": anyText}) }

func (r *request) listUserGroups(l listing) (response, error) {
	return r.onUser("identity:list_groups_for_user", func(u identity.User) (response, error) {
		r.ownDomain(&l, "domain_id")
		if err := marker(r, l, r.api.Identity.Group); err != nil {
			return response{}, err
		}
		gs, err := r.api.Identity.GroupsOf(r.Context(), u.ID, l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "groups", l, gs, groupID, func(d *doc, g identity.Group) {
			r.writeGroupWith(d, g, func() { d.null("membership_expires_at") })
		})
	})
}

func (r *request) parseUserProjects() (listing, error) {
	return r.listQuery(filters{"domain_id": anyText, "enabled": truth, "name": anyText})
}

// listUserProjects lists where the user has a role, in whichever way.
func (r *request) listUserProjects(l listing) (response, error) {
	return r.onUser("identity:list_user_projects", func(u identity.User) (response, error) {
		ps, err := r.api.Identity.ProjectsOf(r.Context(), u.ID, l.Query)
		if err != nil {
			return response{}, err
		}
		return collection(r, "projects", l, ps, projectID, r.writeProject)
	})
}

// message is what an error says to a caller.
func message(err error) string {
	var e *errs.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return ""
}
