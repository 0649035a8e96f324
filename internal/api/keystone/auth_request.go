package keystone

import (
	"encoding/json"

	"symbolon/internal/authn"
	"symbolon/internal/errs"
	"symbolon/internal/issuer"
)

// members reads a JSON object of a login, of which unknown members are ignored.
func members(raw json.RawMessage, path string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, badLogin(path, "object")
	}
	return m, nil
}

// badLogin says what is wrong with a login's form without repeating any of it: it
// may be a secret.
func badLogin(path, want string) error {
	return errs.E(errs.Invalid, "Invalid input for field '%s': the value is not of type '%s'", path, want)
}

// optionalText reads a member that is a text if it is there.
func optionalText(m map[string]json.RawMessage, path, name string, to *string) error {
	raw, ok := m[name]
	if ok && (raw[0] != '"' || json.Unmarshal(raw, to) != nil) {
		return badLogin(path+"/"+name, "string")
	}
	return nil
}

// parseLogin reads the body of a login. What is wrong with its form is told before
// anything is looked up.
func (r *request) parseLogin() (authn.Request, error) {
	raw, ok := r.body["auth"]
	if !ok || isNull(raw) {
		return authn.Request{}, missing("auth", "request body")
	}
	auth, err := members(raw, "auth")
	if err != nil {
		return authn.Request{}, err
	}
	identityRaw, ok := auth["identity"]
	if !ok {
		return authn.Request{}, missing("identity", "auth")
	}
	id, err := members(identityRaw, "identity")
	if err != nil {
		return authn.Request{}, err
	}
	methodsRaw, ok := id["methods"]
	if !ok {
		return authn.Request{}, missing("methods", "identity")
	}
	methods, err := textList(methodsRaw)
	if err != nil {
		return authn.Request{}, badLogin("identity/methods", "array of strings")
	}
	var scope issuer.Scope
	scopeRaw, scoped := auth["scope"]
	if scoped {
		if scope, err = parseScope(scopeRaw); err != nil {
			return authn.Request{}, err
		}
	}
	req, err := r.api.Logins.Parse(methods, id)
	req.Scope = scope
	return req, err
}

// scopeKinds are the members that a scope can have, one at a time.
var scopeKinds = [...]string{"project", "domain", "system", "OS-TRUST:trust", "unscoped"}

// parseScope reads the scope of a login: exactly one of the kinds, or the text
// "unscoped".
func parseScope(raw json.RawMessage) (issuer.Scope, error) {
	var text string
	if raw[0] == '"' {
		if json.Unmarshal(raw, &text) == nil && text == "unscoped" {
			return issuer.Scope{Kind: issuer.ScopeNone}, nil
		}
		return issuer.Scope{}, oneScope()
	}
	m, err := members(raw, "scope")
	if err != nil {
		return issuer.Scope{}, err
	}
	kind, given := "", 0
	for _, k := range scopeKinds {
		if _, ok := m[k]; ok {
			kind, given = k, given+1
		}
	}
	if given != 1 {
		return issuer.Scope{}, oneScope()
	}
	if kind == "unscoped" {
		return issuer.Scope{Kind: issuer.ScopeNone}, nil
	}
	path := "scope/" + kind
	in, err := members(m[kind], path)
	if err != nil {
		return issuer.Scope{}, err
	}
	switch kind {
	case "project":
		return projectScope(in, path)
	case "domain":
		ref, err := idOrName(in, path, "domain")
		return issuer.Scope{Kind: issuer.ScopeDomain, ID: ref.ID, Name: ref.Name}, err
	case "system":
		if string(in["all"]) != "true" {
			return issuer.Scope{}, errs.E(errs.Invalid, "Invalid input for field 'scope/system': all must be true")
		}
		return issuer.Scope{Kind: issuer.ScopeSystem}, nil
	}
	s := issuer.Scope{Kind: issuer.ScopeTrust}
	if err := optionalText(in, path, "id", &s.ID); err != nil {
		return s, err
	}
	if s.ID == "" {
		return s, missing("trust_id", "trust")
	}
	return s, nil
}

func oneScope() error {
	return missing("system, project, domain, OS-TRUST:trust or unscoped", "scope")
}

// idOrName reads an id or a name.
func idOrName(m map[string]json.RawMessage, path, what string) (issuer.Ref, error) {
	var ref issuer.Ref
	if err := optionalText(m, path, "id", &ref.ID); err != nil {
		return ref, err
	}
	if err := optionalText(m, path, "name", &ref.Name); err != nil {
		return ref, err
	}
	if ref == (issuer.Ref{}) {
		return ref, missing("id or name", what)
	}
	return ref, nil
}

func projectScope(m map[string]json.RawMessage, path string) (issuer.Scope, error) {
	ref, err := idOrName(m, path, "project")
	if err != nil {
		return issuer.Scope{}, err
	}
	s := issuer.Scope{Kind: issuer.ScopeProject, ID: ref.ID, Name: ref.Name}
	raw, ok := m["domain"]
	if !ok {
		if ref.Name != "" {
			return s, missing("domain", "project")
		}
		return s, nil
	}
	domain, err := members(raw, path+"/domain")
	if err != nil {
		return s, err
	}
	s.Domain, err = idOrName(domain, path+"/domain", "domain")
	return s, err
}
