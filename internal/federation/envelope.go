package federation

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
	"symbolon/internal/sign"
)

// A Wire is a version of the federation protocol as a node's well-known document
// names it. Nodes up to stigmem-node 0.9.0a10 say "0.5" and exchange plain facts.
// Later ones say "2.1": each fact is in an envelope that its origin signed, and
// content ids cover how a value asks to be read. A node of the one version cannot
// read the pages of the other, and a request does not say which it wants.
type Wire string

// The versions met so far.
const (
	WirePlain     Wire = "0.5"
	WireEnvelopes Wire = "2.1"
)

const maxWire = 32

func wireOf(version string) Wire {
	if len(version) > maxWire || !storable(version) {
		return ""
	}
	return Wire(version)
}

// Envelopes reports whether a node of this version wants its facts in envelopes.
func (w Wire) Envelopes() bool { return w == "2" || strings.HasPrefix(string(w), "2.") }

// An Envelope is what goes around a fact on the newer wire. Its texts are those that
// are signed.
type Envelope struct {
	Tenant         string   `json:"tenant"`
	NodeID         string   `json:"node_id"`
	AllowedScopes  []string `json:"allowed_scopes"`
	AllowedTenants []string `json:"allowed_tenants"`
	EntityURI      string   `json:"entity_uri"`
}

// signed returns the bytes that an origin signs for one fact.
func (e Envelope) signed(factID, cid string, validUntil *string) ([]byte, error) {
	scopes, tenants := slices.Clone(e.AllowedScopes), slices.Clone(e.AllowedTenants)
	slices.Sort(scopes)
	slices.Sort(tenants)
	return canon.Marshal(map[string]any{
		"tv": "2.1", "cid": cid, "entity_uri": e.EntityURI, "fact_id": factID, "origin_allowed_scopes": scopes,
		"origin_allowed_tenants": tenants, "origin_node_id": e.NodeID, "origin_tenant": e.Tenant, "valid_until": validUntil,
	}, canon.UTF8)
}

// Seal returns the envelope of a fact of this node's, the content id that is valid on
// the newer wire, and the signature's text.
func (s *Service) Seal(f *fact.Fact) (e Envelope, cid id.CID, sig string, err error) {
	c := canonical(f)
	if cid, err = c.CIDIn(canon.CIDv2); err != nil {
		return e, "", "", errs.Wrap(err, "federation: seal")
	}
	tenant := id.DefaultTenant.String()
	e = Envelope{
		Tenant: tenant, NodeID: s.cfg.NodeID, AllowedScopes: []string{f.Scope.String()}, AllowedTenants: []string{tenant},
		EntityURI: s.cfg.NodeURL,
	}
	b, err := e.signed(string(f.ID), cid.String(), f.EffectiveValidUntil())
	if err != nil {
		return e, "", "", errs.Wrap(err, "federation: seal")
	}
	return e, cid, s.key.SignText(b), nil
}

// An entry is one fact of a page or of a push as it came.
type entry struct {
	raw json.RawMessage // the fact
	// origin and sig are the envelope's, on the newer wire only.
	enveloped bool
	origin    json.RawMessage
	sig       string
}

// open checks the envelope of an entry against the peer that sent it: the peer is
// the origin, it signed this very fact, and the fact's scope is one that it let out.
// On the older wire there is none to check.
func (e entry) open(p Peer, prev bool, o *offer) *refusal {
	if !e.enveloped {
		return nil
	}
	var env Envelope
	if len(e.origin) == 0 || json.Unmarshal(e.origin, &env) != nil || canon.HasLoneSurrogate(e.origin) {
		return refuse(factMalformed)
	}
	if env.NodeID != p.NodeID {
		return refuse(factRelayed)
	}
	b, err := env.signed(string(o.fact.ID), string(o.claimed), o.fact.ValidUntil)
	if err != nil || !verifies(p, prev, b, e.sig) {
		return refuse(factSignature)
	}
	if !slices.Contains(env.AllowedScopes, o.fact.Scope.String()) {
		return refuse(factScope)
	}
	return nil
}

// verifies reports whether a peer's key signed b; prev says whether the key before
// a re-key is still good.
func verifies(p Peer, prev bool, b []byte, sig string) bool {
	for _, text := range [...]string{p.PubKey, p.PrevPubKey} {
		if pub, err := sign.ParsePublicKey(text); err == nil && pub.VerifyText(b, sig) {
			return true
		}
		if !prev {
			break
		}
	}
	return false
}

// decodeEntries reads the members of a page's list in the shape of its version.
func decodeEntries(version json.RawMessage, list []json.RawMessage) ([]entry, bool, error) {
	out := make([]entry, len(list))
	switch v := string(bytes.TrimSpace(version)); v {
	case "", "null", "1":
		for i, raw := range list {
			out[i].raw = raw
		}
		return out, false, nil
	case "2":
	default:
		return nil, false, errs.E(errs.Invalid, "the page is of an unknown version")
	}
	for i, raw := range list {
		var in struct {
			Fact   json.RawMessage `json:"fact"`
			Origin json.RawMessage `json:"origin"`
			Sig    *string         `json:"origin_sig"`
		}
		out[i].enveloped = true
		if json.Unmarshal(raw, &in) != nil { // the fact is then unreadable, and refused as such
			continue
		}
		out[i].raw, out[i].origin = in.Fact, in.Origin
		if in.Sig != nil {
			out[i].sig = *in.Sig
		}
	}
	return out, true, nil
}

// canonical returns what a fact's content id covers.
func canonical(f *fact.Fact) canon.Fact {
	return canon.Fact{
		Entity: string(f.Entity), Relation: f.Relation, ValueType: f.Value.Type, Value: f.Value.V, Source: string(f.Source),
		Scope: f.Scope.String(), Confidence: f.Confidence, InterpretAs: f.Value.InterpretAs,
	}
}
