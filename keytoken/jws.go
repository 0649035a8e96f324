package keytoken

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/token"
)

// NewJWS returns Tokens whose envelope is a signed JWT in compact form.
//
// An ECDSA signature can be rewritten into another that is as good, so that a
// JWS, unlike a Fernet token, may have a second text. Its identity is therefore
// that of what is signed.
func NewJWS(keys JWSKeyring, l Limits) *Tokens {
	return &Tokens{jws: &jwsProvider{keys: keys}, limits: l}
}

// A jwsProvider carries claims in signed JWTs, readable by whoever holds one.
type jwsProvider struct{ keys JWSKeyring }

// jwtClaims is the payload, its members in the reference's order; those that
// make no claim are left out.
type jwtClaims struct {
	Sub         string      `json:"sub"`
	IssuedAt    int64       `json:"iat"`
	Expires     int64       `json:"exp"`
	Methods     []string    `json:"openstack_methods"`
	AuditIDs    []string    `json:"openstack_audit_ids"`
	System      string      `json:"openstack_system,omitempty"`
	Domain      string      `json:"openstack_domain_id,omitempty"`
	Project     string      `json:"openstack_project_id,omitempty"`
	Trust       string      `json:"openstack_trust_id,omitempty"`
	Groups      *[]jwtGroup `json:"openstack_group_ids,omitempty"`
	IDP         string      `json:"openstack_idp_id,omitempty"`
	Protocol    string      `json:"openstack_protocol_id,omitempty"`
	AccessToken string      `json:"openstack_access_token_id,omitempty"`
	AppCred     string      `json:"openstack_app_cred_id,omitempty"`
	Thumbprint  string      `json:"openstack_thumbprint,omitempty"`
}

type jwtGroup struct {
	ID string `json:"id"`
}

func (p *jwsProvider) mint(c *Claims) (string, error) {
	signer := p.keys.JWSKeys().signer
	if signer == nil {
		return "", errors.New("this node has no signing key")
	}
	j := jwtClaims{
		Sub: c.UserID, IssuedAt: int64(c.IssuedAt), Expires: int64(c.ExpiresAt), Methods: c.Methods, AuditIDs: c.AuditIDs,
		System: c.System, Domain: c.DomainID, Project: c.ProjectID, Trust: c.TrustID, IDP: c.IdentityProviderID,
		Protocol: c.ProtocolID, AccessToken: c.AccessTokenID, AppCred: c.AppCredID, Thumbprint: c.Thumbprint,
	}
	if j.Methods == nil {
		j.Methods = []string{}
	}
	if c.FederatedGroupIDs != nil {
		groups := make([]jwtGroup, len(c.FederatedGroupIDs))
		for i, g := range c.FederatedGroupIDs {
			groups[i].ID = g
		}
		j.Groups = &groups
	}
	payload, err := json.Marshal(j)
	if err != nil {
		return "", err
	}
	sig, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	text, err := sig.CompactSerialize()
	if err != nil {
		return "", err
	}
	if len(text) > fernet.MaxText {
		return "", fmt.Errorf("token of %d characters, want at most %d", len(text), fernet.MaxText)
	}
	return text, nil
}

func (p *jwsProvider) decode(text string) (Decoded, *token.Rejection) {
	d := &Decoded{version: NoVersion}
	rej := p.read(text, d)
	return *d, rej
}

func (p *jwsProvider) read(text string, d *Decoded) *token.Rejection {
	if len(text) > fernet.MaxText || strings.Count(text, ".") != 2 {
		return d.refuse(token.Malformed, "not a JWS in compact form")
	}
	parts := strings.Split(text, ".")
	for _, part := range parts {
		if !canonical(part) {
			return d.refuse(token.NotCanonical, "a part of the JWS is not canonical base64url")
		}
	}
	keys := p.keys.JWSKeys()
	if len(keys.verify) == 0 {
		return d.refuse(token.UnknownKey, "no key is loaded")
	}
	alg, rej := keys.algorithm(parts[0], d)
	if rej != nil {
		return rej
	}
	sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return d.refuse(token.Malformed, "not a JWS")
	}
	for _, k := range keys.verify {
		if jose.SignatureAlgorithm(k.alg) != alg {
			continue
		}
		payload, err := sig.Verify(k.pub)
		if err != nil {
			continue
		}
		d.key.text = k.name
		d.id = sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if why := readJWT(payload, &d.claims); why != "" {
			return d.refuse(token.BadLayout, why)
		}
		return nil
	}
	return d.refuse(token.BadSignature, "")
}

// canonical reports whether a part is the one base64url text, without padding,
// of at least one byte.
func canonical(part string) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && len(b) > 0 && base64.RawURLEncoding.EncodeToString(b) == part
}

// algorithm reads the header: the algorithm must be one of those accepted, and
// the header must say nothing else that could matter. Which key is then used for
// what does not depend on it.
func (ks *JWSKeys) algorithm(part string, d *Decoded) (jose.SignatureAlgorithm, *token.Rejection) {
	b, _ := base64.RawURLEncoding.DecodeString(part)
	header, ok := jsonObject(b)
	if !ok {
		return "", d.refuse(token.Malformed, "the header is not a JSON object")
	}
	var alg, typ string
	for name, raw := range header {
		var ok bool
		switch name {
		case "alg":
			alg, ok = jsonText(raw)
		case "typ":
			typ, ok = jsonText(raw)
		case "kid":
			_, ok = jsonText(raw)
		}
		if !ok {
			return "", d.refuse(token.Malformed, "the header has a member that no token's has")
		}
	}
	if typ != "" && !strings.EqualFold(typ, "JWT") {
		return "", d.refuse(token.WrongKind, "the header's type is not JWT")
	}
	if !slices.Contains(ks.accept, jose.SignatureAlgorithm(alg)) {
		return "", d.refuse(token.WrongAlgorithm, "the header's algorithm is not one of those accepted")
	}
	return jose.SignatureAlgorithm(alg), nil
}

func (p *jwsProvider) ready() error {
	if len(p.keys.JWSKeys().verify) == 0 {
		return ErrNoPublicKeys
	}
	return nil
}

// readJWT reads the payload of a token whose signature was good, and says what
// is wrong with it if anything is. A member it does not know is refused: it may
// be meant to restrict what the token is good for.
func readJWT(b []byte, c *Claims) (why string) {
	members, ok := jsonObject(b)
	if !ok {
		return "the payload is not a JSON object of distinct members"
	}
	for _, name := range []string{"sub", "iat", "exp", "openstack_methods", "openstack_audit_ids"} {
		if raw, ok := members[name]; !ok || string(raw) == "null" {
			return "the payload has no " + name
		}
	}
	for name, raw := range members {
		if string(raw) == "null" {
			continue
		}
		if !readMember(name, raw, c) {
			return fmt.Sprintf("the payload's member %.40q is unknown, of the wrong type or out of range", name)
		}
	}
	if err := c.fits(); err != nil {
		return err.Error()
	}
	return ""
}

func readMember(name string, raw json.RawMessage, c *Claims) (ok bool) {
	text := map[string]*string{
		"sub": &c.UserID, "openstack_system": &c.System, "openstack_domain_id": &c.DomainID,
		"openstack_project_id": &c.ProjectID, "openstack_trust_id": &c.TrustID, "openstack_idp_id": &c.IdentityProviderID,
		"openstack_protocol_id": &c.ProtocolID, "openstack_access_token_id": &c.AccessTokenID,
		"openstack_app_cred_id": &c.AppCredID, "openstack_thumbprint": &c.Thumbprint,
	}
	if p := text[name]; p != nil {
		*p, ok = jsonText(raw)
		return ok && *p != ""
	}
	switch name {
	case "iat":
		c.IssuedAt, ok = jsonSeconds(raw)
	case "exp":
		c.ExpiresAt, ok = jsonSeconds(raw)
	case "openstack_methods":
		c.Methods, ok = jsonList(raw, maxMethods+2, jsonText)
	case "openstack_audit_ids":
		c.AuditIDs, ok = jsonList(raw, 2, func(raw json.RawMessage) (string, bool) {
			id, ok := jsonText(raw)
			return id, ok && isAuditID(id)
		})
	case "openstack_group_ids":
		c.FederatedGroupIDs, ok = jsonList(raw, MaxGroups, jsonGroup)
	}
	return ok
}

// jsonObject reads a JSON object whose members have distinct names, and nothing
// after it.
func jsonObject(b []byte) (map[string]json.RawMessage, bool) {
	if !utf8.Valid(b) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if _, twice := members[name]; err != nil || !ok || twice {
			return nil, false
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, false
		}
		members[name] = raw
	}
	if _, err := dec.Token(); err != nil {
		return nil, false
	}
	_, err := dec.Token()
	return members, errors.Is(err, io.EOF)
}

func jsonText(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

func jsonSeconds(raw json.RawMessage) (epoch.Seconds, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	return expiry(f)
}

// jsonList reads an array of at most max elements, each as one reads it.
func jsonList(raw json.RawMessage, limit int, one func(json.RawMessage) (string, bool)) ([]string, bool) {
	var all []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &all) != nil || len(all) > limit {
		return nil, false
	}
	out := make([]string, len(all))
	for i, raw := range all {
		var ok bool
		if out[i], ok = one(raw); !ok || out[i] == "" {
			return nil, false
		}
	}
	return out, true
}

// jsonGroup reads {"id": …}.
func jsonGroup(raw json.RawMessage) (string, bool) {
	members, ok := jsonObject(raw)
	if !ok || len(members) != 1 {
		return "", false
	}
	return jsonText(members["id"])
}
