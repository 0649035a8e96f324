// Package principal describes who makes a request, whichever proof they brought.
//
// Both faces turn an accepted credential into one Principal; everything behind
// them decides by it alone. The package proves nothing itself.
package principal

import (
	"context"
	"slices"
)

// A Permission allows a kind of act on the memory face. No permission implies
// another.
type Permission string

// The permissions of the Stigmem protocol, section 3.1 of the wire reference.
const (
	Read             Permission = "read"
	Write            Permission = "write"
	InstructionWrite Permission = "instruction:write"
	Federate         Permission = "federate"
	Admin            Permission = "admin"
	AuditRead        Permission = "audit.read"
	AdminFederation  Permission = "admin:federation"
)

// All returns every permission, sorted by text.
func All() []Permission {
	return []Permission{Admin, AdminFederation, AuditRead, Federate, InstructionWrite, Read, Write}
}

// A Principal is an authenticated caller. The zero Principal is nobody and may do
// nothing.
type Principal struct {
	// Entity is the caller's normalised entity URI.
	Entity string
	// OnBehalfOf is the chain of delegation, the nearest delegator first: the
	// trustor of a trust, the owner of an application credential.
	OnBehalfOf []string
	// Tenant is the tenant the caller acts in, never empty for somebody.
	Tenant string
	// Permissions are sorted by text.
	Permissions []Permission
	// OIDCSubject is the subject of the identity provider the caller came
	// from, empty for none.
	OIDCSubject string
	// KeyID names the credential used: an API key's id, a token's audit id.
	KeyID string
}

// Can reports whether the caller holds p.
func (p Principal) Can(perm Permission) bool { return slices.Contains(p.Permissions, perm) }

// IsZero reports whether p is nobody.
func (p Principal) IsZero() bool { return p.Entity == "" }

type contextKey struct{}

// NewContext returns ctx carrying p.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the caller that ctx carries, or the zero Principal.
func FromContext(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}
