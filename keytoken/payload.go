package keytoken

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/token"
)

// MaxGroups bounds the groups of a federated user's token.
const MaxGroups = 2000

// systemAll is the one system scope there is.
const systemAll = "all"

// appendPayload writes the payload of claims whose expiry on the wire is exp, as
// the reference packs them:
//
//	0 unscoped            user M EXP AUD
//	1 domain              user M domain EXP AUD          domain bare, no flag
//	2 project             user M project EXP AUD
//	3 trust               user M project EXP AUD trust   trust bare, no flag
//	4 federated unscoped  user M groups idp protocol EXP AUD
//	5 federated project   user M project groups idp protocol EXP AUD
//	6 federated domain    user M domain groups idp protocol EXP AUD
//	7 OAuth1              user M project access_token EXP AUD
//	8 system              user M system EXP AUD
//	9 app. credential     user M project EXP AUD app_cred
//	10 OAuth2 mTLS        user M project domain EXP AUD thumbprint
func (k *codec) appendPayload(b []byte, c *Claims, exp float64) ([]byte, error) {
	v := c.Layout()
	b = append(appendArray(b, elements[v]), byte(v))
	b = k.appendID(b, c.UserID)
	b = appendUint(b, k.mask(c.Methods))
	switch v {
	case Project, Trust, FederatedProject, OAuth1, AppCred, OAuth2:
		b = k.appendNullable(b, c.ProjectID)
	case FederatedDomain:
		b = k.appendID(b, c.DomainID)
	case Domain:
		if u, ok := k.uuid(c.DomainID); ok {
			b = appendBin16(b, u)
		} else if c.DomainID == k.defaultDomain {
			b = appendText(b, c.DomainID)
		} else {
			return nil, errors.New("a domain id that is neither 32 hex digits nor the default domain's has no place in a token")
		}
	case System:
		b = appendText(b, c.System)
	case Unscoped, FederatedUnscoped, NoVersion:
	}
	switch v {
	case FederatedUnscoped, FederatedProject, FederatedDomain:
		b = appendArray(b, len(c.FederatedGroupIDs))
		for _, g := range c.FederatedGroupIDs {
			b = k.appendID(b, g)
		}
		b = appendText(k.appendID(b, c.IdentityProviderID), c.ProtocolID)
	case OAuth1:
		b = k.appendID(b, c.AccessTokenID)
	case OAuth2:
		b = k.appendNullable(b, c.DomainID)
	}
	b = appendFloat(b, exp)
	b, err := appendAudit(b, c.AuditIDs)
	if err != nil {
		return nil, err
	}
	switch v {
	case Trust:
		u, ok := k.uuid(c.TrustID)
		if !ok {
			return nil, errors.New("a trust id that is not 32 hex digits has no place in a token")
		}
		b = appendBin16(b, u)
	case AppCred:
		b = k.appendID(b, c.AppCredID)
	case OAuth2:
		b = appendText(append(appendArray(b, 2), mpFalse), c.Thumbprint)
	}
	if len(b) > fernet.MaxPayload {
		return nil, fmt.Errorf("payload of %d bytes, want at most %d", len(b), fernet.MaxPayload)
	}
	return b, nil
}

// elements is the length of each layout's array, the version counted.
var elements = [...]int{
	Unscoped: 5, Domain: 6, Project: 6, Trust: 7, FederatedUnscoped: 8, FederatedProject: 9, FederatedDomain: 9,
	OAuth1: 7, System: 6, AppCred: 7, OAuth2: 8,
}

// appendID writes an id as [true, its 16 bytes] or [false, its text].
func (k *codec) appendID(b []byte, id string) []byte {
	b = appendArray(b, 2)
	if u, ok := k.uuid(id); ok {
		return appendBin16(append(b, mpTrue), u)
	}
	return appendText(append(b, mpFalse), id)
}

// appendNullable is appendID with [false, nil] for an absent id.
func (k *codec) appendNullable(b []byte, id string) []byte {
	if id == "" {
		return append(appendArray(b, 2), mpFalse, mpNil)
	}
	return k.appendID(b, id)
}

func appendAudit(b []byte, ids []string) ([]byte, error) {
	b = appendArray(b, len(ids))
	for _, id := range ids {
		var raw [18]byte
		n, err := base64.RawURLEncoding.Decode(raw[:], []byte(id[:min(len(id), 24)]))
		if err != nil || n != 16 || len(id) != 22 {
			return nil, errors.New("an audit id is 16 bytes in unpadded base64url")
		}
		b = appendBin16(b, [16]byte(raw[:16]))
	}
	return b, nil
}

// id reads [true, sixteen bytes] or [false, text]; the text may be empty.
func (r *reader) id() string {
	r.arrayOf(2)
	if r.bool() {
		return r.hex(r.sixteen())
	}
	return r.text()
}

// need reads an id that is neither absent nor empty.
func (r *reader) need() string {
	s := r.id()
	if s == "" {
		r.fail()
	}
	return s
}

// needText reads text that is not empty.
func (r *reader) needText() string {
	s := r.text()
	if s == "" {
		r.fail()
	}
	return s
}

// nullable reads an id or [false, nil].
func (r *reader) nullable() string {
	if b := r.b[r.at:]; len(b) >= 3 && b[0] == mpFixArray|2 && b[1] == mpFalse && b[2] == mpNil {
		r.take(3)
		return ""
	}
	return r.need()
}

func (r *reader) groups() []string {
	n := r.array()
	if n > MaxGroups {
		r.fail()
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		if out = append(out, r.need()); r.bad {
			return nil
		}
	}
	return out
}

// audit reads at most two audit ids. An empty list is left for the check to
// refuse.
func (r *reader) audit() []string {
	n := r.array()
	if n > 2 {
		r.fail()
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.base64(r.sixteen())
	}
	return out
}

// bareDomain reads the domain of layout 1: sixteen bytes, or the text of the
// default domain's id.
func (k *codec) bareDomain(r *reader) string {
	b, isText := r.bytes()
	switch {
	case isText && string(b) == k.defaultDomain:
		return k.defaultDomain
	case len(b) == 16:
		r.textAsBytes = r.textAsBytes || isText
		return r.hex([16]byte(b))
	case string(b) == k.defaultDomain:
		return k.defaultDomain
	}
	r.fail()
	return ""
}

// decodeToken reads the payload of a token into d.
func (k *codec) decodeToken(o *fernet.Opened, d *Decoded) *token.Rejection {
	d.key.number, d.id, d.version = o.KeyID(), Identity(o.Identity()), NoVersion
	d.claims.IssuedAt = o.IssuedAt()
	r := newReader(o)
	n := r.array()
	if r.bad || n == 0 {
		return d.refuse(token.BadLayout, "the payload is not an array with something in it")
	}
	switch c := r.peek(); {
	case c&0xf0 == mpFixArray:
		return d.refuse(token.WrongKind, "a receipt, not a token")
	case !isInt(c):
		return d.refuse(token.UnknownVersion, "the payload's version is not an integer")
	}
	v := r.int()
	if v < 0 || v > int64(lastVersion) {
		return d.refuse(token.UnknownVersion, "no layout has the payload's version")
	}
	d.version = Version(v)
	if n != elements[v] {
		return d.refuse(token.BadLayout, "the payload has another number of elements than its layout")
	}
	exp, ok := expiry(k.decodeLayout(&r, d.version, &d.claims))
	if !r.end() || !ok {
		return d.refuse(token.BadLayout, "an element of the payload is not of its layout's type or out of its range")
	}
	d.claims.ExpiresAt = exp
	return nil
}

// decodeLayout reads the elements after the version and returns the expiry. What
// it read counts only if the reader is then at a good end.
func (k *codec) decodeLayout(r *reader, v Version, c *Claims) (exp float64) {
	c.UserID = r.id()
	c.Methods = k.names(r.int())
	switch v {
	case Project, FederatedProject, OAuth1:
		c.ProjectID = r.need()
	case Trust, AppCred, OAuth2:
		c.ProjectID = r.nullable()
	case FederatedDomain:
		c.DomainID = r.need()
	case Domain:
		c.DomainID = k.bareDomain(r)
	case System:
		c.System = r.needText()
	case Unscoped, FederatedUnscoped, NoVersion:
	}
	switch v {
	case FederatedUnscoped, FederatedProject, FederatedDomain:
		c.FederatedGroupIDs = r.groups()
		c.IdentityProviderID = r.need()
		c.ProtocolID = r.needText()
	case OAuth1:
		c.AccessTokenID = r.need()
	case OAuth2:
		c.DomainID = r.nullable()
	}
	exp = r.float()
	c.AuditIDs = r.audit()
	switch v {
	case Trust:
		c.TrustID = r.hex(r.sixteen())
	case AppCred:
		c.AppCredID = r.need()
	case OAuth2:
		r.arrayOf(2)
		if r.bool() {
			r.fail()
		}
		c.Thumbprint = r.needText()
	}
	return exp
}

// expiry converts the expiry on the wire, cut to the second toward zero as the
// reference shows it. It is false for a number that names no instant of the
// years 1 to 9999, unless the number is one in another unit: that is kept, so
// that the check can say so.
func expiry(f float64) (epoch.Seconds, bool) {
	if _, ok := epoch.At(f, epoch.UnitSeconds); !ok {
		if _, mistaken := epoch.Mistaken(f, epoch.UnitSeconds); !mistaken {
			return 0, false
		}
	}
	return epoch.Seconds(math.Trunc(f)), true
}
