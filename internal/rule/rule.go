// Package rule is the policy language of OpenStack services: named rules that say
// who may do what, compiled once and evaluated without allocation.
//
// The language is oslo.policy's, restated in section 10 of the Keystone wire
// reference: "role:admin or (role:reader and domain_id:%(target.user.domain_id)s)".
// A rule that is not defined, or that cannot be evaluated, denies. The package
// knows no resource and no request: callers hand in who asks and what is asked for.
package rule

import (
	"fmt"
	"strings"
)

// A Value is what a name stands for in credentials or in a target. The zero Value
// is missing, which satisfies no comparison.
type Value struct {
	text  string
	state state
}

type state uint8

const (
	missing state = iota
	null
	text
)

// Text is a present value.
func Text(s string) Value { return Value{s, text} }

// Null is a present value that is null. As in the language studied it compares
// equal to the text "None", and so to another null.
func Null() Value { return Value{"None", null} }

// TextOrNull is s, or null when s is empty.
func TextOrNull(s string) Value {
	if s == "" {
		return Null()
	}
	return Text(s)
}

// A Target gives the value of a name such as "target.user.domain_id" in what is
// asked for.
type Target interface{ Value(name string) Value }

// NoTarget is a target in which every name is missing.
type NoTarget struct{}

// Value returns the missing value.
func (NoTarget) Value(string) Value { return Value{} }

// Map is a target, or part of one, held by name.
type Map map[string]Value

// Value returns the value of name.
func (m Map) Value(name string) Value { return m[name] }

// A ScopeType is a kind of token scope.
type ScopeType uint8

// The scope types, to be or-ed.
const (
	System ScopeType = 1 << iota
	Domain
	Project
)

// Creds is who asks. Empty texts are null.
type Creds struct {
	UserID, UserDomainID       string
	ProjectID, ProjectDomainID string
	DomainID                   string
	SystemScope                string // "all" or empty
	TrustID                    string
	TrustorID, TrusteeID       string
	Roles                      []string // names in lower case
	IsAdmin                    bool
}

// Scope returns the scope type of the credentials. As in the system studied, those
// of an unscoped token count as project scope: they hold no role, so only rules
// about the user's own things can allow them.
func (c *Creds) Scope() ScopeType {
	switch {
	case c.SystemScope != "":
		return System
	case c.DomainID != "":
		return Domain
	}
	return Project
}

// field returns the accessor of a dotted name in credentials, or nil when there is
// no such name.
func field(name string) func(*Creds) Value {
	switch name {
	case "user_id":
		return func(c *Creds) Value { return TextOrNull(c.UserID) }
	case "user_domain_id", "token.user.domain.id":
		return func(c *Creds) Value { return TextOrNull(c.UserDomainID) }
	case "token.user.id":
		return func(c *Creds) Value { return TextOrNull(c.UserID) }
	case "project_id", "tenant_id":
		return func(c *Creds) Value { return TextOrNull(c.ProjectID) }
	case "project_domain_id":
		return func(c *Creds) Value { return TextOrNull(c.ProjectDomainID) }
	case "domain_id":
		return func(c *Creds) Value { return TextOrNull(c.DomainID) }
	case "system_scope":
		return func(c *Creds) Value { return TextOrNull(c.SystemScope) }
	case "trust_id":
		return func(c *Creds) Value { return TextOrNull(c.TrustID) }
	case "trustor_id":
		return func(c *Creds) Value { return TextOrNull(c.TrustorID) }
	case "trustee_id":
		return func(c *Creds) Value { return TextOrNull(c.TrusteeID) }
	case "token.domain.id":
		return func(c *Creds) Value { return presentIf(c.DomainID) }
	case "token.project.id":
		return func(c *Creds) Value { return presentIf(c.ProjectID) }
	case "token.project.domain.id":
		return func(c *Creds) Value { return presentIf(c.ProjectDomainID) }
	case "is_admin":
		return func(c *Creds) Value {
			if c.IsAdmin {
				return Text("1")
			}
			return Text("0")
		}
	}
	return nil
}

// presentIf is for parts of the token body, which are absent rather than null.
func presentIf(s string) Value {
	if s == "" {
		return Value{}
	}
	return Text(s)
}

// A Default is a rule as it stands when no operator has changed it. No scope types
// means any.
type Default struct {
	Name   string
	Scopes ScopeType
	Check  string
}

// An Enforcer decides by a fixed set of rules. It is safe for concurrent use.
type Enforcer struct{ rules map[string]*compiled }

type compiled struct {
	node   node
	scopes ScopeType
}

// NewEnforcer compiles defaults. It fails on a check that is not of the language
// and on rules that refer to each other in a circle.
func NewEnforcer(defaults []Default) (*Enforcer, error) {
	e := &Enforcer{rules: make(map[string]*compiled, len(defaults))}
	for _, d := range defaults {
		if e.rules[d.Name] != nil {
			return nil, fmt.Errorf("rule: %s is defined twice", d.Name)
		}
		e.rules[d.Name] = &compiled{scopes: d.Scopes}
	}
	for _, d := range defaults {
		n, err := parse(d.Check, e.rules)
		if err != nil {
			return nil, fmt.Errorf("rule: %s: %w", d.Name, err)
		}
		e.rules[d.Name].node = n
	}
	for _, d := range defaults {
		if e.circular(d.Name, nil) {
			return nil, fmt.Errorf("rule: %s refers to itself", d.Name)
		}
	}
	return e, nil
}

func (e *Enforcer) circular(name string, above []string) bool {
	for _, a := range above {
		if a == name {
			return true
		}
	}
	c := e.rules[name]
	if c == nil {
		return false
	}
	above = append(above, name)
	for _, r := range refs(c.node, nil) {
		if e.circular(r, above) {
			return true
		}
	}
	return false
}

// Allowed reports whether the rule of that name allows c to act on t. An undefined
// rule allows nobody.
func (e *Enforcer) Allowed(name string, c *Creds, t Target) bool {
	r := e.rules[name]
	if r == nil || r.scopes != 0 && r.scopes&c.Scope() == 0 {
		return false
	}
	return r.node.eval(c, t)
}

// Explain says in one line why the rule of that name allows or denies, for an
// operator.
func (e *Enforcer) Explain(name string, c *Creds, t Target) string {
	r := e.rules[name]
	switch {
	case r == nil:
		return fmt.Sprintf("denied: no rule is named %q", name)
	case r.scopes != 0 && r.scopes&c.Scope() == 0:
		return fmt.Sprintf("denied: %s needs a token scoped to %s, this one is scoped to %s", name, r.scopes, c.Scope())
	case r.node.eval(c, t):
		return "allowed by " + name + ": " + r.node.String()
	}
	return "denied by " + name + ": " + r.node.String()
}

// Defined reports whether there is a rule of that name.
func (e *Enforcer) Defined(name string) bool { return e.rules[name] != nil }

// String names the scope types.
func (s ScopeType) String() string {
	var names []string
	for _, x := range [...]struct {
		t ScopeType
		n string
	}{{System, "system"}, {Domain, "domain"}, {Project, "project"}} {
		if s&x.t != 0 {
			names = append(names, x.n)
		}
	}
	return strings.Join(names, ", ")
}
