package demo

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"symbolon/internal/federation"
	"symbolon/internal/id"
)

type object = map[string]any

// nodes shows who the two are.
func (p *play) nodes() error {
	p.begin("Two nodes", `Two whole nodes, athens and corinth, each with a data directory, keys and a store of its own, listening on
loopback. Neither knows the other.`)
	for _, n := range []*node{p.athens, p.corinth} {
		a, err := n.do(p.ctx, request{method: http.MethodGet, path: "/.well-known/stigmem"})
		if err != nil {
			return err
		}
		var doc struct {
			NodeID string `json:"node_id"`
			Key    string `json:"federation_pubkey"`
			Auth   string `json:"auth"`
		}
		if err := a.json(&doc); err != nil {
			return err
		}
		n.id = doc.NodeID
		p.show("who are you, "+n.name+"?  GET /.well-known/stigmem", n, a,
			fmt.Sprintf("%s, authentication %s, key %s", doc.NodeID, doc.Auth, short(federation.Fingerprint(doc.Key))), expect{status: http.StatusOK})
	}
	return nil
}

// short cuts a fingerprint to what a person compares at a glance.
func short(fingerprint string) string {
	if len(fingerprint) > 19 {
		return fingerprint[:19] + "…"
	}
	return fingerprint
}

// user names somebody by name and domain, with a password.
func user(name, password string) object {
	return object{"identity": object{"methods": []string{"password"}, "password": object{"user": object{
		"name": name, "domain": object{"id": "default"}, "password": password,
	}}}}
}

// within adds a scope to a login.
func within(login, scope object) object {
	out := object{"scope": scope}
	for k, v := range login {
		out[k] = v
	}
	return object{"auth": out}
}

var projectScope = object{"project": object{"name": "admin", "domain": object{"id": "default"}}}

// issue asks for a token.
func (p *play) issue(n *node, body object) (answer, string, error) {
	a, err := n.do(p.ctx, request{method: http.MethodPost, path: "/v3/auth/tokens", body: body})
	if err != nil {
		return a, "", err
	}
	text := a.header.Get("X-Subject-Token")
	if text == "" {
		return a, "", fmt.Errorf("demo: %s gave no token: %d %s", n.name, a.status, a.message())
	}
	return a, p.keep(text), nil
}

// A tokenBody is what a node says of a token.
type tokenBody struct {
	Token struct {
		User    struct{ ID, Name string }
		Project *struct{ ID, Name string }
		Domain  *struct{ Name string }
		System  map[string]bool
		Trust   *struct {
			Impersonation bool `json:"impersonation"`
		} `json:"OS-TRUST:trust"`
		Roles []struct{ ID, Name string }
	}
}

func (b tokenBody) String() string {
	t := b.Token
	s := "user " + t.User.Name
	switch {
	case t.Project != nil:
		s += ", project " + t.Project.Name
	case t.Domain != nil:
		s += ", domain " + t.Domain.Name
	case t.System != nil:
		s += ", the whole system"
	default:
		s += ", no scope"
	}
	if t.Trust != nil {
		s += ", by a trust"
	}
	var roles []string
	for _, r := range t.Roles {
		roles = append(roles, r.Name)
	}
	if len(roles) > 0 {
		s += ", roles " + strings.Join(roles, " ")
	}
	return s
}

// identity shows tokens of every scope at athens.
func (p *play) identity() error {
	p.begin("Identity: a token of every scope", `The administrator of athens logs in as any OpenStack client would, and each token is looked at with
GET /v3/auth/tokens. A token's layout is the version of its payload, which stands inside what is encrypted
and authenticated.`)
	n := p.athens
	admin := user("admin", n.password)
	var err error
	if _, p.project, err = p.issue(n, within(admin, projectScope)); err != nil {
		return err
	}
	if err := p.grant(); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		body object
	}{
		{"unscoped", object{"auth": admin}},
		{"a project's", within(admin, projectScope)},
		{"a domain's", within(admin, object{"domain": object{"id": "default"}})},
		{"the system's", within(admin, object{"system": object{"all": true}})},
	} {
		if _, err := p.scoped(s.name, s.body); err != nil {
			return err
		}
	}
	if err := p.trust(); err != nil {
		return err
	}
	return p.revoke(admin)
}

// grant gives the administrator a role on the default domain, which bootstrap does not.
func (p *play) grant() error {
	self, err := p.self()
	if err != nil {
		return err
	}
	for _, r := range self.Token.Roles {
		if r.Name != "admin" {
			continue
		}
		a, err := p.athens.do(p.ctx, request{method: http.MethodPut, token: p.project,
			path: "/v3/domains/default/users/" + self.Token.User.ID + "/roles/" + r.ID})
		if err == nil && a.status != http.StatusNoContent {
			err = fmt.Errorf("demo: the administrator was not given the domain: %d %s", a.status, a.message())
		}
		return err
	}
	return errors.New("demo: the administrator has no role admin")
}

// self returns what athens says of its administrator's token.
func (p *play) self() (t tokenBody, err error) {
	a, err := p.athens.do(p.ctx, request{method: http.MethodGet, path: "/v3/auth/tokens", token: p.project, subject: p.project})
	if err != nil {
		return t, err
	}
	if err := a.json(&t); err != nil {
		return t, err
	}
	if t.Token.Project == nil {
		return t, errors.New("demo: the administrator's token has no project")
	}
	return t, nil
}

// scoped asks athens for a token, looks at it and shows it.
func (p *play) scoped(name string, body object) (string, error) {
	n := p.athens
	_, text, err := p.issue(n, body)
	if err != nil {
		return "", err
	}
	a, err := n.do(p.ctx, request{method: http.MethodGet, path: "/v3/auth/tokens", token: text, subject: text})
	if err != nil {
		return "", err
	}
	var t tokenBody
	if err := a.json(&t); err != nil {
		return "", err
	}
	layout, err := n.layout(text, p.Now())
	if err != nil {
		return "", err
	}
	p.show(fmt.Sprintf("%s token, %s", name, layout), n, a, t.String(), expect{status: http.StatusOK})
	return text, nil
}

// trust makes a user for an agent and trusts it with a role of the administrator's.
func (p *play) trust() error {
	n := p.athens
	password := p.keep(id.Secret())
	a, err := n.do(p.ctx, request{method: http.MethodPost, path: "/v3/users", token: p.project, body: object{"user": object{
		"name": "planner", "domain_id": "default", "password": password,
	}}})
	if err != nil {
		return err
	}
	var made struct{ User struct{ ID string } }
	if err := a.json(&made); err != nil {
		return err
	}
	self, err := p.self()
	if err != nil {
		return err
	}
	a, err = n.do(p.ctx, request{method: http.MethodPost, path: "/v3/OS-TRUST/trusts", token: p.project, body: object{"trust": object{
		"trustor_user_id": self.Token.User.ID, "trustee_user_id": made.User.ID, "project_id": self.Token.Project.ID, "impersonation": false,
		"roles": []object{{"name": "member"}},
	}}})
	if err != nil {
		return err
	}
	var trust struct{ Trust struct{ ID string } }
	if err := a.json(&trust); err != nil {
		return err
	}
	if trust.Trust.ID == "" {
		return fmt.Errorf("demo: no trust was made: %d %s", a.status, a.message())
	}
	p.agent, err = p.scoped("a trust's", within(user("planner", password), object{"OS-TRUST:trust": object{"id": trust.Trust.ID}}))
	return err
}

// revoke shows a token that was handed back.
func (p *play) revoke(admin object) error {
	n := p.athens
	_, text, err := p.issue(n, within(admin, projectScope))
	if err != nil {
		return err
	}
	a, err := n.do(p.ctx, request{method: http.MethodDelete, path: "/v3/auth/tokens", token: p.project, subject: text})
	if err != nil {
		return err
	}
	p.show("a token is revoked", n, a, "no content", expect{status: http.StatusNoContent})
	if a, err = n.do(p.ctx, request{method: http.MethodGet, path: "/v3/auth/tokens", token: p.project, subject: text}); err != nil {
		return err
	}
	p.show("the same token afterwards", n, a, a.message(), expect{http.StatusNotFound, "revoked",
		"The wire answers as for any bad token. The log knows better."})
	return nil
}
