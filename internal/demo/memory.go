package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"symbolon/internal/federation"
	"symbolon/internal/id"
)

// A factBody is what a node says of a fact.
type factBody struct {
	ID           string
	Entity       string
	Relation     string
	Value        struct{ V any }
	Scope        string
	ReceivedFrom string `json:"received_from"`
}

func (f factBody) String() string {
	s := fmt.Sprintf("%s %s %v, scope %s", f.Entity, f.Relation, f.Value.V, f.Scope)
	if f.ReceivedFrom != "" {
		s += ", received from " + f.ReceivedFrom
	}
	return s
}

// memory shows facts said under those identities.
func (p *play) memory() error {
	p.begin("Memory: facts under the same identity", `The memory face takes the same tokens. A project is a tenant, and roles become permissions: a member
reads and writes, an administrator may do anything.`)
	n := p.athens
	a, err := n.do(p.ctx, request{method: http.MethodGet, path: "/v1/me", token: p.agent})
	if err != nil {
		return err
	}
	var me struct {
		Tenant      string `json:"tenant_id"`
		Permissions []string
	}
	if err := a.json(&me); err != nil {
		return err
	}
	p.show("the agent asks athens what it may do, with the trust's token", n, a,
		fmt.Sprintf("tenant %s, permissions %s", me.Tenant, strings.Join(me.Permissions, " ")), expect{status: http.StatusOK})
	if p.ours, err = p.assert(n, "the agent tells athens a fact", p.agent, "user:alice", "memory:role", "engineer", "company"); err != nil {
		return err
	}
	if p.local, err = p.assert(n, "and one that is nobody else's business", p.agent, "user:alice", "memory:mood", "tired", "local"); err != nil {
		return err
	}
	_, text, err := p.issue(p.corinth, within(user("admin", p.corinth.password), projectScope))
	if err != nil {
		return err
	}
	p.theirs, err = p.assert(p.corinth, "the administrator of corinth tells corinth a fact", text, "user:bob", "memory:role", "smith", "company")
	return err
}

func (p *play) assert(n *node, what, token, entity, relation, value, scope string) (factID string, err error) {
	a, err := n.do(p.ctx, request{method: http.MethodPost, path: "/v1/facts", token: token, body: object{
		"entity": entity, "relation": relation, "value": object{"type": "string", "v": value}, "source": "agent:planner", "scope": scope,
	}})
	if err != nil {
		return "", err
	}
	var f factBody
	if err := a.json(&f); err != nil {
		return "", err
	}
	p.show(what, n, a, f.String(), expect{status: http.StatusCreated})
	return f.ID, nil
}

// federation makes the two peers of each other and waits for facts to pass.
func (p *play) federation() error {
	p.begin("Federation: facts pass between peers", `Each node is declared to the other and waits there until an operator approves it by the fingerprint of its
key, learned by another way. Then each pulls from the other, every request with a signed token of its own.`)
	_, corinthAdmin, err := p.issue(p.corinth, within(user("admin", p.corinth.password), projectScope))
	if err != nil {
		return err
	}
	for _, pair := range []struct {
		on, of *node
		token  string
	}{{p.athens, p.corinth, p.project}, {p.corinth, p.athens, corinthAdmin}} {
		if err := p.befriend(pair.on, pair.of, pair.token); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		at          *node
		token, fact string
		what        string
	}{
		{p.corinth, corinthAdmin, p.ours, "athens's fact, asked of corinth"},
		{p.athens, p.project, p.theirs, "corinth's fact, asked of athens"},
	} {
		a, err := p.wait(f.at, request{method: http.MethodGet, path: "/v1/facts/" + f.fact, token: f.token})
		if err != nil {
			return err
		}
		var got factBody
		if err := a.json(&got); err != nil {
			return err
		}
		p.show(f.what, f.at, a, p.named(got.String()), expect{status: http.StatusOK})
	}
	a, err := p.corinth.do(p.ctx, request{method: http.MethodGet, path: "/v1/facts/" + p.local, token: corinthAdmin})
	if err != nil {
		return err
	}
	p.show("the fact of scope local, asked of corinth", p.corinth, a, a.message(), expect{status: http.StatusNotFound, why: "Facts of scope local never leave their node."})
	return nil
}

// named puts the nodes' names where their ids stand.
func (p *play) named(s string) string {
	return strings.NewReplacer(p.athens.id, "athens", p.corinth.id, "corinth").Replace(s)
}

func (p *play) befriend(on, of *node, token string) error {
	d := of.Federation.Declaration(id.ScopesNamed([]string{"company", "public"}))
	a, err := on.do(p.ctx, request{method: http.MethodPost, path: "/v1/federation/peers", token: token, body: object{
		"node_url": d.NodeURL, "node_id": d.NodeID, "federation_pubkey": d.PubKey, "allowed_scopes": d.Scopes,
		"declaration_sig": d.Signature, "signed_at": d.SignedAt,
	}})
	if err != nil {
		return err
	}
	var peer struct {
		ID     string `json:"peer_id"`
		Status string
	}
	if err := a.json(&peer); err != nil {
		return err
	}
	p.show(fmt.Sprintf("%s is declared to %s", of.name, on.name), on, a, peer.Status, expect{status: http.StatusCreated})
	approve := func(fingerprint string) (answer, error) {
		return on.do(p.ctx, request{method: http.MethodPost, path: "/v1/federation/peers/" + peer.ID + "/approve", token: token,
			body: object{"pubkey_fingerprint": fingerprint}})
	}
	if on == p.athens {
		if a, err = approve(federation.Fingerprint("another key")); err != nil {
			return err
		}
		p.show("approved by the fingerprint of another key", on, a, a.message(), expect{status: http.StatusBadRequest})
	}
	if a, err = approve(federation.Fingerprint(d.PubKey)); err != nil {
		return err
	}
	if err := a.json(&peer); err != nil {
		return err
	}
	p.show("approved by the fingerprint of its own", on, a, peer.Status, expect{status: http.StatusOK})
	return nil
}

// wait asks until what it asks for is there, or for ten seconds.
func (p *play) wait(n *node, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := n.do(ctx, r)
		if err != nil || a.status != http.StatusNotFound {
			return a, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return a, nil // shown for what it is
		}
	}
}
