package id

import (
	"strings"

	"symbolon/internal/errs"
)

// A Scope says how far a fact may travel (Stigmem wire §25.11). Its zero value
// is no scope.
type Scope uint8

// The scopes, from the narrowest to the widest.
const (
	NoScope Scope = iota
	Local
	Team
	Company
	Public
)

var scopeNames = [...]string{NoScope: "", Local: "local", Team: "team", Company: "company", Public: "public"}

// Scopes returns all four, from the narrowest to the widest.
func Scopes() []Scope { return []Scope{Local, Team, Company, Public} }

// ParseScope returns the scope that s names exactly.
func ParseScope(s string) (Scope, error) {
	switch s {
	case "local":
		return Local, nil
	case "team":
		return Team, nil
	case "company":
		return Company, nil
	case "public":
		return Public, nil
	}
	return NoScope, errs.E(errs.Invalid, "scope must be one of 'company', 'local', 'public', 'team'")
}

// String returns the scope's name on the wire, or "" for NoScope.
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return ""
}

// A ScopeSet is a set of scopes; its zero value is empty.
type ScopeSet uint8

// ScopesOf returns the set of the given scopes.
func ScopesOf(list ...Scope) (set ScopeSet) {
	for _, s := range list {
		set = set.With(s)
	}
	return set
}

// ScopesNamed returns the set of those names that name a scope; others are
// left out, as the wire wants it for a peer token's list.
func ScopesNamed(names []string) (set ScopeSet) {
	for _, n := range names {
		if s, err := ParseScope(n); err == nil {
			set = set.With(s)
		}
	}
	return set
}

// With returns the set with s added.
func (set ScopeSet) With(s Scope) ScopeSet {
	if s == NoScope || s > Public {
		return set
	}
	return set | 1<<s
}

// Without returns the set with s taken out.
func (set ScopeSet) Without(s Scope) ScopeSet { return set &^ (1 << s) }

// And returns what is in both sets.
func (set ScopeSet) And(o ScopeSet) ScopeSet { return set & o }

// Has reports whether s is in the set.
func (set ScopeSet) Has(s Scope) bool { return s != NoScope && set&(1<<s) != 0 }

// Empty reports whether the set has no member.
func (set ScopeSet) Empty() bool { return set == 0 }

// Names returns the members' names sorted as text, the order in which the wire
// lists them; it is never nil.
func (set ScopeSet) Names() []string {
	names := make([]string, 0, 4)
	for _, s := range [...]Scope{Company, Local, Public, Team} {
		if set.Has(s) {
			names = append(names, s.String())
		}
	}
	return names
}

// String returns the names joined by commas.
func (set ScopeSet) String() string { return strings.Join(set.Names(), ",") }
