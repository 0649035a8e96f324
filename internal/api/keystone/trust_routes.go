package keystone

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/rule"
)

func (a *API) trustRoutes() []route {
	return []route{
		plain("GET", "/v3/OS-TRUST/trusts", "identity:list_trusts identity:list_trusts_for_trustor identity:list_trusts_for_trustee", (*request).listTrusts),
		with("POST", "/v3/OS-TRUST/trusts", "identity:create_trust", (*request).parseTrust, (*request).createTrust),
		plain("GET", "/v3/OS-TRUST/trusts/{trust_id}", "identity:get_trust", (*request).showTrust),
		plain("DELETE", "/v3/OS-TRUST/trusts/{trust_id}", "identity:delete_trust", (*request).deleteTrust),
		plain("GET", "/v3/OS-TRUST/trusts/{trust_id}/roles", "identity:list_roles_for_trust", (*request).listTrustRoles),
		plain("GET", "/v3/OS-TRUST/trusts/{trust_id}/roles/{role_id}", "identity:get_role_for_trust", (*request).showTrustRole),
	}
}

// A trustTarget is a trust as policy sees it, or the part of one that is known.
type trustTarget struct{ trustor, trustee string }

// Value implements [rule.Target].
func (t trustTarget) Value(name string) rule.Value {
	v := ""
	switch name {
	case "target.trust.trustor_user_id":
		v = t.trustor
	case "target.trust.trustee_user_id":
		v = t.trustee
	}
	if v == "" {
		return rule.Value{}
	}
	return rule.Text(v)
}

// trust returns the trust of the path to a caller who may ask for it. Unlike other
// resources a trust that does not exist is reported before policy is asked.
func (r *request) trust() (identity.Trust, error) {
	r.decided = true
	t, err := r.api.Issuer.Trust(r.Context(), r.PathValue("trust_id"))
	if err != nil {
		return t, err
	}
	return t, r.enforce(r.route.rule, trustTarget{t.TrustorID, t.TrusteeID})
}

// listTrusts lists all trusts, or those of a trustor or a trustee, each under its
// own rule.
func (r *request) listTrusts() (response, error) {
	trustor, trustee := r.query.Get("trustor_user_id"), r.query.Get("trustee_user_id")
	name := "identity:list_trusts"
	switch {
	case trustor != "":
		name, trustee = "identity:list_trusts_for_trustor", ""
	case trustee != "":
		name = "identity:list_trusts_for_trustee"
	}
	if err := r.enforce(name, trustTarget{trustor, trustee}); err != nil {
		return response{}, err
	}
	ts, err := r.api.Identity.Trusts(r.Context(), trustor, trustee)
	if err != nil {
		return response{}, err
	}
	return collection(r, "trusts", listing{}, ts, func(t identity.Trust) string { return t.ID }, func(d *doc, t identity.Trust) {
		r.writeTrust(d, t)
		r.selfLink(d, "OS-TRUST", "trusts", t.ID)
	})
}

// A newTrust is a trust to be made, with the trustor that policy sees.
type newTrust struct{ issuer.NewTrust }

func (r *request) parseTrust() (newTrust, error) {
	o := r.object("trust")
	o.require("trustor_user_id", "trustee_user_id", "impersonation")
	var n newTrust
	n.TrustorID = o.text("trustor_user_id", 0, 0).To
	n.TrusteeID = o.text("trustee_user_id", 0, 0).To
	n.Impersonation = o.boolean("impersonation").To
	n.ProjectID = o.nullableText("project_id", 0).To
	n.RemainingUses = o.integer("remaining_uses", 1)
	n.RedelegationCount = o.integer("redelegation_count", 0)
	if v, ok := o.m["allow_redelegation"]; ok && !isNull(v) {
		n.AllowRedelegation = o.boolean("allow_redelegation").To
	}
	if at := o.nullable("expires_at", 0); at.To != nil && o.err == nil {
		n.ExpiresAt, o.err = parseTime(*at.To)
	}
	if v, ok := o.take("roles"); ok {
		n.Roles = o.roleRefs(v)
	}
	for _, computed := range [...]string{"id", "links", "roles_links", "deleted_at", "redelegated_trust_id", "allow_redelegation"} {
		delete(o.m, computed)
	}
	n.Extra = o.extra(false)
	return n, o.err
}

// integer reads a whole number of at least low, or null.
func (o *object) integer(k string, low int) *int {
	v, ok := o.take(k)
	if !ok || isNull(v) {
		return nil
	}
	n, err := strconv.Atoi(string(v))
	switch {
	case err != nil:
		o.fail(k, v, "%s is not of type 'integer', 'null'", shorten(string(v)))
	case n < low:
		o.fail(k, v, "%d is less than the minimum of %d", n, low)
	case n > 1<<31-1:
		o.fail(k, v, "%d is too large", n)
	}
	return &n
}

// maxTrustRoles bounds how many roles a trust can name.
const maxTrustRoles = 1000

// roleRefs reads a list of roles, each named by id or by name.
func (o *object) roleRefs(v json.RawMessage) []issuer.Ref {
	var list []map[string]json.RawMessage
	if json.Unmarshal(v, &list) != nil || len(list) > maxTrustRoles {
		o.fail("roles", v, "the value is not a list of at most %d roles", maxTrustRoles)
		return nil
	}
	out := make([]issuer.Ref, 0, len(list))
	for _, m := range list {
		var ref issuer.Ref
		if err := optionalText(m, "roles", "id", &ref.ID); err != nil && o.err == nil {
			o.err = err
		}
		if err := optionalText(m, "roles", "name", &ref.Name); err != nil && o.err == nil {
			o.err = err
		}
		if len(m) != 1 || ref == (issuer.Ref{}) {
			o.fail("roles", v, "a role is given by id or by name")
			return nil
		}
		out = append(out, ref)
	}
	return out
}

func (r *request) createTrust(n newTrust) (response, error) {
	if err := r.enforce(r.route.rule, trustTarget{n.TrustorID, n.TrusteeID}); err != nil {
		return response{}, err
	}
	t, err := r.api.Issuer.CreateTrust(r.Context(), r.token, n.NewTrust)
	if err != nil {
		return response{}, err
	}
	return r.trustAnswer(http.StatusCreated, t)
}

func (r *request) showTrust() (response, error) {
	t, err := r.trust()
	if err != nil {
		return response{}, err
	}
	return r.trustAnswer(http.StatusOK, t)
}

func (r *request) trustAnswer(status int, t identity.Trust) (response, error) {
	roles, err := r.api.Issuer.TrustRoles(r.Context(), t)
	if err != nil {
		return response{}, err
	}
	return r.member(status, "trust", func(d *doc) {
		d.list("roles", len(roles), func(i int) { r.writeTrustRole(d, roles[i]) })
		r.writeTrust(d, t)
		d.object("roles_links", func() { r.trustRoleLinks(d, t) })
		r.selfLink(d, "OS-TRUST", "trusts", t.ID)
	})
}

func (r *request) deleteTrust() (response, error) {
	t, err := r.trust()
	if errs.Is(err, errs.Forbidden) && t.ID == "" {
		// A chain that no longer holds can still be taken away by those who may.
		if t, err = r.api.Identity.Trust(r.Context(), r.PathValue("trust_id")); err == nil {
			err = r.enforce(r.route.rule, trustTarget{t.TrustorID, t.TrusteeID})
		}
	}
	if err != nil {
		return response{}, err
	}
	if err := r.api.Identity.DeleteTrust(r.Context(), t.ID); err != nil {
		return response{}, err
	}
	return noContent()
}

func (r *request) listTrustRoles() (response, error) {
	t, err := r.trust()
	if err != nil {
		return response{}, err
	}
	roles, err := r.api.Issuer.TrustRoles(r.Context(), t)
	if err != nil {
		return response{}, err
	}
	var d doc
	d.open()
	d.list("roles", len(roles), func(i int) { r.writeTrustRole(&d, roles[i]) })
	d.object("links", func() { r.trustRoleLinks(&d, t) })
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}

func (r *request) showTrustRole() (response, error) {
	t, err := r.trust()
	if err != nil {
		return response{}, err
	}
	roles, err := r.api.Issuer.TrustRoles(r.Context(), t)
	if err != nil {
		return response{}, err
	}
	roleID := r.PathValue("role_id")
	i := slices.IndexFunc(roles, func(x identity.Role) bool { return x.ID == roleID })
	if i < 0 {
		return response{}, identity.NotFound("role", roleID)
	}
	var d doc
	d.open()
	d.key("role")
	r.writeTrustRole(&d, roles[i])
	d.close()
	return response{status: http.StatusOK, body: d.b}, nil
}

// writeTrustRole writes a role as one value.
func (r *request) writeTrustRole(d *doc, role identity.Role) {
	d.b = append(d.b, '{')
	d.str("id", role.ID)
	d.str("name", role.Name)
	d.strOrNull("domain_id", role.DomainID)
	d.ptr("description", role.Description)
	d.object("options", func() { attributes(d, role.Options) })
	r.selfLink(d, "roles", role.ID)
	d.close()
}

func (r *request) trustRoleLinks(d *doc, t identity.Trust) {
	d.str("self", r.link("OS-TRUST", "trusts", t.ID, "roles"))
	d.null("next")
	d.null("previous")
}

// writeTrust writes the members that a trust has wherever it is shown.
func (r *request) writeTrust(d *doc, t identity.Trust) {
	attributes(d, t.Extra)
	d.str("id", t.ID)
	d.str("trustor_user_id", t.TrustorID)
	d.str("trustee_user_id", t.TrusteeID)
	d.strOrNull("project_id", t.ProjectID)
	d.boolean("impersonation", t.Impersonation)
	writeInstant(d, "expires_at", t.ExpiresAt)
	if t.RemainingUses == nil {
		d.null("remaining_uses")
	} else {
		d.number("remaining_uses", *t.RemainingUses)
	}
	writeInstant(d, "deleted_at", t.DeletedAt)
	d.strOrNull("redelegated_trust_id", t.RedelegatedTrustID)
	d.number("redelegation_count", t.RedelegationCount)
}

func writeInstant(d *doc, k string, at time.Time) {
	if at.IsZero() {
		d.null(k)
		return
	}
	d.str(k, isoTime(at))
}
