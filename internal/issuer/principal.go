package issuer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// rolePermissions say what a role lets its bearer do in the memory. A role of
// another name gives nothing there.
var rolePermissions = map[string][]principal.Permission{
	"reader":            {principal.Read},
	"member":            {principal.Read, principal.Write},
	"manager":           {principal.Read, principal.Write, principal.Federate},
	"admin":             {principal.Read, principal.Write, principal.Federate, principal.Admin, principal.AuditRead, principal.AdminFederation},
	"instruction:write": {principal.InstructionWrite},
}

// Principal returns the token's bearer as the memory knows them.
//
// The entity is stigmem://AUTHORITY/user/ID of the user who authenticated: under a
// trust the trustee, who acts on behalf of the trustor, whether or not the trust
// impersonates. The project is the tenant, with the default project as tenant
// "default"; so is a system scope. A domain scope is the tenant "domain-ID" of its
// own, as no project is meant. Without a scope there is no role and so no
// permission.
func (s *Issuer) Principal(t *Token) principal.Principal {
	p := t.facts.principal.Load()
	if p == nil {
		made := s.newPrincipal(t)
		p = &made
		t.facts.principal.Store(p)
	}
	out := *p
	out.KeyID = t.AuditID()
	return out
}

// newPrincipal is what is the same for every token of a user in a scope.
func (s *Issuer) newPrincipal(t *Token) principal.Principal {
	p := principal.Principal{Entity: s.userEntity(t.BearerID), Tenant: s.tenant(t)}
	for _, d := range t.facts.delegators {
		p.OnBehalfOf = append(p.OnBehalfOf, s.userEntity(d))
	}
	for _, r := range t.Roles {
		p.Permissions = append(p.Permissions, rolePermissions[id.Lower(r.Name)]...)
	}
	slices.Sort(p.Permissions)
	p.Permissions = slices.Compact(p.Permissions)
	return p
}

func (s *Issuer) userEntity(userID string) string {
	e, err := id.ParseEntity("stigmem://" + s.cfg.Authority + "/user/" + userID)
	if err != nil || e.String() != "stigmem://"+s.cfg.Authority+"/user/"+userID {
		// An id that normalising would change could become another user's.
		return "stigmem://" + s.cfg.Authority + "/user/" + digest(userID)
	}
	return e.String()
}

func (s *Issuer) tenant(t *Token) string {
	switch {
	case t.Project != nil && t.Project.ID == s.cfg.DefaultProjectID:
		return id.DefaultTenant.String()
	case t.Project != nil:
		return tenantOf("", t.Project.ID)
	case t.Domain != nil:
		return tenantOf("domain-", t.Domain.ID)
	}
	return id.DefaultTenant.String()
}

// tenantOf makes a tenant of an id: the id itself where it can be one and is not
// the default tenant's.
func tenantOf(prefix, v string) string {
	name := prefix + v
	if p, err := id.ParseTenant(name); err == nil && p.String() == name && name != id.DefaultTenant.String() {
		return name
	}
	return prefix + "x-" + digest(v)
}

// digest is a stand-in for an id that cannot be used as it is.
func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:16])
}
