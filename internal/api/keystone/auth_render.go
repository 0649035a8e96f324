package keystone

import (
	"context"
	"time"

	"symbolon/epoch"
	"symbolon/internal/canon"
	"symbolon/internal/issuer"
)

// appendToken appends the body that shows a token (tokens reference section 12).
// What is the same for every token of a user in a scope is rendered once and
// copied; the catalogue is copied too, with ids put in.
func (a *API) appendToken(ctx context.Context, dst []byte, t *issuer.Token, withCatalog bool) ([]byte, error) {
	parts := t.Rendered(renderParts)
	dst = append(dst, `{"token":{"methods":`...)
	dst = appendTexts(dst, t.Methods)
	dst = append(dst, ',')
	dst = append(dst, parts[0]...)
	dst = append(dst, `,"audit_ids":`...)
	dst = appendTexts(dst, t.AuditIDs)
	dst = append(dst, `,"expires_at":"`...)
	dst = appendInstant(dst, t.ExpiresAt)
	dst = append(dst, `","issued_at":"`...)
	dst = appendInstant(dst, t.IssuedAt)
	dst = append(dst, '"')
	if len(parts[1]) > 0 {
		dst = append(dst, ',')
		dst = append(dst, parts[1]...)
	}
	if withCatalog && t.Scoped() {
		dst = append(dst, `,"catalog":`...)
		var err error
		if dst, err = a.Issuer.AppendCatalog(ctx, dst, t); err != nil {
			return nil, err
		}
	}
	return append(dst, "}}"...), nil
}

func appendTexts(dst []byte, ss []string) []byte {
	dst = append(dst, '[')
	for i, s := range ss {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = canon.AppendString(dst, s, canon.UTF8)
	}
	return append(dst, ']')
}

// appendInstant appends whole seconds with the zeros that the API writes.
func appendInstant(dst []byte, s epoch.Seconds) []byte {
	dst = s.Time().AppendFormat(dst, time.RFC3339) // which the standard library is fast at
	return append(dst[:len(dst)-1], ".000000Z"...)
}

// renderParts renders the user, and the scope with the roles.
func renderParts(t *issuer.Token) [2][]byte {
	var user, scope doc
	writeTokenUser(&user, t.User)
	switch {
	case t.System:
		writeTokenRoles(&scope, t)
		scope.object("system", func() { scope.boolean("all", true) })
	case t.Domain != nil:
		scope.object("domain", func() { writeRef(&scope, *t.Domain) })
		writeTokenRoles(&scope, t)
	case t.Trust != nil:
		scope.object("OS-TRUST:trust", func() {
			scope.str("id", t.Trust.ID)
			scope.object("trustor_user", func() { scope.str("id", t.Trust.TrustorID) })
			scope.object("trustee_user", func() { scope.str("id", t.Trust.TrusteeID) })
			scope.boolean("impersonation", t.Trust.Impersonation)
		})
		writeTokenProject(&scope, t.Project)
		writeTokenRoles(&scope, t)
	case t.Project != nil:
		writeTokenProject(&scope, t.Project)
		scope.boolean("is_domain", t.Project.IsDomain)
		writeTokenRoles(&scope, t)
	}
	return [2][]byte{user.b, scope.b}
}

func writeRef(d *doc, r issuer.Ref) {
	d.str("id", r.ID)
	d.str("name", r.Name)
}

func writeTokenUser(d *doc, u issuer.User) {
	d.object("user", func() {
		d.object("domain", func() { writeRef(d, u.Domain) })
		writeRef(d, issuer.Ref{ID: u.ID, Name: u.Name})
		if u.PasswordExpiresAt.IsZero() {
			d.null("password_expires_at")
		} else {
			d.str("password_expires_at", u.PasswordExpiresAt.UTC().Format(passwordLayout))
		}
	})
}

// passwordLayout is how the API writes when a password expires: without a zone.
const passwordLayout = "2006-01-02T15:04:05.000000"

func writeTokenProject(d *doc, p *issuer.Project) {
	d.object("project", func() {
		d.object("domain", func() { writeRef(d, p.Domain) })
		writeRef(d, issuer.Ref{ID: p.ID, Name: p.Name})
	})
}

// writeTokenRoles writes the roles by id and name; those of a trust's token whole.
func writeTokenRoles(d *doc, t *issuer.Token) {
	d.list("roles", len(t.Roles), func(i int) {
		role := t.Roles[i]
		d.b = append(d.b, '{')
		d.str("id", role.ID)
		d.str("name", role.Name)
		if t.Trust != nil {
			d.strOrNull("domain_id", role.DomainID)
			d.ptr("description", role.Description)
			d.object("options", func() { attributes(d, role.Options) })
		}
		d.close()
	})
}
