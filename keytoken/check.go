package keytoken

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"symbolon/epoch"
	"symbolon/token"
)

// A field is one optional part of the claims, as a set of bits.
type field uint8

const (
	fSystem field = 1 << iota
	fDomain
	fProject
	fTrust
	fFederated
	fAccessToken
	fAppCred
	fThumbprint
)

var fieldNames = [...]string{"system", "domain", "project", "trust", "federation", "access token", "application credential", "thumbprint"}

// String names the fields of the set.
func (f field) String() string {
	s := ""
	for i, n := range fieldNames {
		if f&(1<<i) != 0 {
			s += ", " + n
		}
	}
	return s[min(len(s), 2):]
}

// fit says which fields a layout must and may hold besides the user, the
// methods, the times and the audit ids.
var fit = [...]struct{ must, may field }{
	Unscoped: {},
	Domain:   {must: fDomain},
	Project:  {must: fProject},
	// A federated user's trust token forgets the federation, as the
	// reference's does: its roles are the trust's.
	Trust:             {must: fTrust, may: fProject | fFederated},
	FederatedUnscoped: {must: fFederated},
	FederatedProject:  {must: fFederated | fProject},
	FederatedDomain:   {must: fFederated | fDomain},
	OAuth1:            {must: fAccessToken | fProject},
	System:            {must: fSystem},
	AppCred:           {must: fAppCred, may: fProject},
	OAuth2:            {must: fThumbprint, may: fProject | fDomain},
}

func (c *Claims) fields() field {
	var f field
	for bit, set := range [...]bool{
		c.System != "", c.DomainID != "", c.ProjectID != "", c.TrustID != "", c.Federated(), c.AccessTokenID != "",
		c.AppCredID != "", c.Thumbprint != "",
	} {
		if set {
			f |= 1 << bit
		}
	}
	return f
}

// fits reports what makes the claims such as no token can carry.
func (c *Claims) fits() error {
	have, want := c.fields(), fit[c.Layout()]
	if lack := want.must &^ have; lack != 0 {
		return fmt.Errorf("a token of kind %v needs %v", c.Layout(), lack)
	}
	if over := have &^ (want.must | want.may); over != 0 {
		return fmt.Errorf("a token of kind %v cannot carry %v", c.Layout(), over)
	}
	if c.Federated() && (c.IdentityProviderID == "" || c.ProtocolID == "") {
		return errors.New("a federated user's token needs an identity provider and a protocol")
	}
	if len(c.FederatedGroupIDs) > MaxGroups || slices.Contains(c.FederatedGroupIDs, "") {
		return fmt.Errorf("want at most %d groups and each with an id", MaxGroups)
	}
	return nil
}

// check says what is wrong with claims that are to be minted. What passes comes
// back from the token as it went in, methods without a bit aside.
func (c *Claims) check(l Limits) error {
	if err := c.fits(); err != nil {
		return err
	}
	switch {
	case c.UserID == "":
		return errors.New("no user id")
	case c.System != "" && c.System != systemAll:
		return errors.New(`the system scope is not "all"`)
	case len(c.AuditIDs) < 1 || len(c.AuditIDs) > 2:
		return fmt.Errorf("%d audit ids, want one or two", len(c.AuditIDs))
	case !c.IssuedAt.Plausible() || !c.ExpiresAt.Plausible():
		return errors.New("issue or expiry is not a number of seconds between 2015 and 2100")
	case !c.IssuedAt.Before(c.ExpiresAt):
		return errors.New("expiry is not after issue")
	case l.MaxLifetime > 0 && c.IssuedAt.Add(l.MaxLifetime).Before(c.ExpiresAt):
		return fmt.Errorf("expiry is more than %v after issue", l.MaxLifetime)
	}
	if err := checkMethods(c.Methods); err != nil {
		return err
	}
	for _, id := range c.AuditIDs {
		if !isAuditID(id) {
			return errors.New("an audit id is 16 bytes in canonical unpadded base64url")
		}
	}
	for _, s := range [...]string{
		c.UserID, c.DomainID, c.ProjectID, c.IdentityProviderID, c.ProtocolID, c.AccessTokenID, c.AppCredID, c.Thumbprint,
	} {
		if !utf8.ValidString(s) {
			return errors.New("an id is not UTF-8")
		}
	}
	if slices.ContainsFunc(c.FederatedGroupIDs, func(g string) bool { return !utf8.ValidString(g) }) {
		return errors.New("a group id is not UTF-8")
	}
	return nil
}

func checkMethods(methods []string) error {
	if len(methods) > maxMethods+2 {
		return fmt.Errorf("%d methods, want at most %d", len(methods), maxMethods+2)
	}
	for i, m := range methods {
		if m == "" || !utf8.ValidString(m) || slices.Contains(methods[:i], m) {
			return fmt.Errorf("method %q is empty, not UTF-8 or given twice", m)
		}
	}
	return nil
}

func isAuditID(id string) bool {
	if len(id) != 22 {
		return false
	}
	var raw [16]byte
	n, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(id))
	return err == nil && n == len(raw)
}

// refuse makes a rejection of the token.
func (d *Decoded) refuse(reason token.Reason, detail string) *token.Rejection {
	return &token.Rejection{
		Reason: reason, Kind: token.Identity, KeyID: d.KeyID(), Detail: detail, IssuedAt: shown(d.claims.IssuedAt),
	}
}

// unfit says what makes a token unacceptable at any time although it could be
// read: no issuer of ours makes such a one, and the reference does not look.
func (d *Decoded) unfit() string {
	switch {
	case d.claims.System != "" && d.claims.System != systemAll:
		return `the system scope is not "all"`
	case len(d.claims.AuditIDs) == 0:
		return "the token has no audit id"
	}
	return ""
}

// Check decides whether the token is to be accepted at now. It is expired at the
// very instant of its expiry, plus the grace that o grants.
func (d *Decoded) Check(now time.Time, o Options) (Verified, *token.Rejection) {
	if rej := d.check(now, o); rej != nil {
		return Verified{}, rej
	}
	return Verified{*d}, nil
}

func (d *Decoded) check(now time.Time, o Options) *token.Rejection {
	var rej *token.Rejection
	if why := d.unfit(); why != "" {
		rej = d.refuse(token.BadLayout, why)
	} else if rej = checkTimes(d.claims.IssuedAt, d.claims.ExpiresAt, now, d.limits, o.Grace); rej == nil {
		return nil
	}
	rej.Kind, rej.KeyID, rej.Now, rej.Leeway = token.Identity, d.KeyID(), now, d.limits.Leeway
	rej.IssuedAt, rej.Expires = shown(d.claims.IssuedAt), shown(d.claims.ExpiresAt)
	return rej
}

// checkTimes makes every check of time that a token or receipt undergoes, and
// returns a rejection that has only its reason and what explains it.
func checkTimes(issued, expires epoch.Seconds, now time.Time, l Limits, grace time.Duration) *token.Rejection {
	for _, n := range [...]struct {
		claim string
		at    epoch.Seconds
	}{{"issued_at", issued}, {"expires_at", expires}} {
		if n.at.Plausible() {
			continue
		}
		if u, mistaken := epoch.Mistaken(float64(n.at), epoch.UnitSeconds); mistaken {
			return &token.Rejection{
				Reason: token.UnitMismatch, LooksLike: u, Claim: n.claim, Detail: n.claim + " looks like a number of " + u.String(),
			}
		}
	}
	end := epoch.Window{Grace: grace, ExpiredAtExpiry: true}
	if f := end.Expiry(now, expires.Time()); f != epoch.Fine {
		return &token.Rejection{Reason: token.ReasonOf(f)}
	}
	// What lies outside the plausible years is refused whatever the clock says,
	// and before the arithmetic of time.Time can wrap around.
	if !issued.Plausible() {
		if issued.Before(epoch.SecondsOf(now)) {
			return &token.Rejection{Reason: token.IssuedTooLongAgo}
		}
		return &token.Rejection{Reason: token.IssuedInFuture}
	}
	w := epoch.Window{Leeway: l.Leeway, MaxLifetime: l.MaxLifetime}
	f := w.IssuedFuture(now, issued.Time())
	if f == epoch.Fine {
		f = w.Lifetime(issued.Time(), expires.Time())
	}
	if f != epoch.Fine {
		return &token.Rejection{Reason: token.ReasonOf(f)}
	}
	return nil
}

// shown returns the instant for a log line, or the zero time when it is none
// that can be written.
func shown(s epoch.Seconds) time.Time {
	t, _ := epoch.At(float64(s), epoch.UnitSeconds)
	return t
}
