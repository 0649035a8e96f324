package keystone

import (
	"time"

	"symbolon/internal/identity"
	"symbolon/internal/rule"
)

func (r *request) parseSince() (time.Time, error) {
	if v := r.query.Get("since"); v != "" {
		return parseTime(v)
	}
	return time.Time{}, nil
}

// revocationEvents lists what revokes tokens, without what is not part of an
// event's match.
func (r *request) revocationEvents(since time.Time) (response, error) {
	if err := r.enforce(r.route.rule, rule.NoTarget{}); err != nil {
		return response{}, err
	}
	es, err := r.api.Identity.RevocationEventsSince(r.Context(), since)
	if err != nil {
		return response{}, err
	}
	return collection(r, "events", listing{}, es, func(e identity.RevocationEvent) string { return e.ID }, writeEvent)
}

func writeEvent(d *doc, e identity.RevocationEvent) {
	for _, m := range [...]struct{ name, v string }{
		{"audit_id", e.AuditID}, {"audit_chain_id", e.AuditChainID}, {"user_id", e.UserID}, {"project_id", e.ProjectID},
		{"domain_id", e.DomainID}, {"domain_scope_id", e.DomainScopeID}, {"role_id", e.RoleID}, {"OS-TRUST:trust_id", e.TrustID},
		{"OS-OAUTH1:consumer_id", e.ConsumerID}, {"OS-OAUTH1:access_token_id", e.AccessTokenID},
	} {
		if m.v != "" {
			d.str(m.name, m.v)
		}
	}
	if !e.ExpiresAt.IsZero() {
		d.str("expires_at", isoTime(e.ExpiresAt))
	}
	d.str("issued_before", isoTime(e.IssuedBefore))
	d.str("revoked_at", isoTime(e.RevokedAt))
}
