// Package issuer issues, validates and revokes identity tokens.
//
// A token text proves only what package keytoken reads from it: who, how, which
// scope, from when to when. Everything else a token means is looked up when it is
// used: whether its user and scope still exist and are enabled, which roles it
// carries now, whether it was revoked. The answers are cached for as long as
// nothing they were computed from has changed (see [Issuer]), so that no answer
// outlives the key, the event or the role behind it.
//
// The package knows neither HTTP nor SQL nor the wall clock.
package issuer

import (
	"time"

	"symbolon/epoch"
	"symbolon/internal/identity"
	"symbolon/internal/rule"
)

// A Ref names a resource.
type Ref struct{ ID, Name string }

// A User is a token's user as it is at this moment.
type User struct {
	ID     string
	Name   string
	Domain Ref
	// PasswordExpiresAt is zero when the password never expires or there is
	// none.
	PasswordExpiresAt time.Time
}

// A Project is a token's project.
type Project struct {
	ID       string
	Name     string
	Domain   Ref
	IsDomain bool
}

// A Trust is the trust that a token was issued under.
type Trust struct {
	ID            string
	Impersonation bool
	TrustorID     string
	TrusteeID     string
	// RedelegationCount tells how many more times the trust may be passed on.
	RedelegationCount int

	roleIDs []string
	limited bool // in its uses
}

// A Token is an accepted token with everything that it means now. It is shared
// between requests and must not be changed.
type Token struct {
	// Methods are the names of the methods that proved the identity, in the
	// order in which the token's own encoding lists them.
	Methods []string
	// AuditIDs holds the token's audit id and, for a rescoped token, that of
	// the first token of its chain.
	AuditIDs  []string
	IssuedAt  epoch.Seconds
	ExpiresAt epoch.Seconds

	// User acts and owns what it makes: the trustor when the token was issued
	// under an impersonating trust, else whoever authenticated.
	User User
	// BearerID is the id of the user who authenticated.
	BearerID string

	// At most one of Project, Domain and System is set; none is an unscoped
	// token.
	Project *Project
	Domain  *Ref
	System  bool
	// Trust is set with Project.
	Trust *Trust
	// Roles are sorted by name. They are empty for unscoped tokens only.
	Roles []identity.Role
	// KeyID names the key that made the token.
	KeyID string

	facts *facts
	gen   *generation
}

// Creds returns what policy rules know of the token's bearer. It is shared.
func (t *Token) Creds() *rule.Creds {
	if t.facts == nil { // made by hand
		c := credsOf(t)
		return &c
	}
	return &t.facts.creds
}

// Rendered returns what make makes of the token's user and of its scope and roles:
// two texts that are the same for every token of that user in that scope, and kept
// for as long as they are.
func (t *Token) Rendered(make func(*Token) [2][]byte) [2][]byte {
	if p := t.facts.rendered.Load(); p != nil {
		return *p
	}
	parts := make(t)
	t.facts.rendered.Store(&parts)
	return parts
}

// AuditID returns the token's own audit id.
func (t *Token) AuditID() string { return t.AuditIDs[0] }

// ChainID returns the audit id of the first token of the chain that this one was
// rescoped from, which is its own for the first.
func (t *Token) ChainID() string { return t.AuditIDs[len(t.AuditIDs)-1] }

// ProjectID returns the id of the project the token is scoped to, or "".
func (t *Token) ProjectID() string {
	if t.Project == nil {
		return ""
	}
	return t.Project.ID
}

// DomainID returns the id of the domain the token is scoped to, or "".
func (t *Token) DomainID() string {
	if t.Domain == nil {
		return ""
	}
	return t.Domain.ID
}

// Scoped reports whether the token has a scope.
func (t *Token) Scoped() bool {
	return t.Project != nil || t.Domain != nil || t.System || t.Trust != nil
}
