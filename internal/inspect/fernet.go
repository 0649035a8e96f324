package inspect

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"symbolon/epoch"
	"symbolon/keytoken"
	"symbolon/token"
)

// identityClaims has the names and the forms of the reference's vectors.
type identityClaims struct {
	UserID             string    `json:"user_id"`
	Methods            []string  `json:"methods"`
	AuditIDs           []string  `json:"audit_ids"`
	System             *string   `json:"system"`
	DomainID           *string   `json:"domain_id"`
	ProjectID          *string   `json:"project_id"`
	TrustID            *string   `json:"trust_id"`
	FederatedGroupIDs  []groupID `json:"federated_group_ids"`
	IdentityProviderID *string   `json:"identity_provider_id"`
	ProtocolID         *string   `json:"protocol_id"`
	AccessTokenID      *string   `json:"access_token_id"`
	AppCredID          *string   `json:"app_cred_id"`
	Thumbprint         *string   `json:"thumbprint"`
	IssuedAt           string    `json:"issued_at"`
	ExpiresAt          string    `json:"expires_at"`
}

type groupID struct {
	ID string `json:"id"`
}

type receiptClaims struct {
	UserID    string   `json:"user_id"`
	Methods   []string `json:"methods"`
	IssuedAt  string   `json:"issued_at"`
	ExpiresAt string   `json:"expires_at"`
}

// keystoneTime is how the Identity API writes an instant.
const keystoneTime = "2006-01-02T15:04:05.000000Z"

func wireTime(s epoch.Seconds) string { return s.Time().Format(keystoneTime) }

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// layoutNames name the payload layouts by version.
var layoutNames = [...]string{
	"unscoped", "domain scope", "project scope", "trust", "federated, unscoped", "federated, project scope", "federated, domain scope", "OAuth1",
	"system scope", "application credential", "OAuth2 mutual TLS",
}

func fernetReport(text string, at time.Time, k Keys) Report {
	r := Report{Kind: token.Unknown}
	if k.Tokens == nil {
		return visibleFernet(text, at)
	}
	d, rej := k.Tokens.Decode(text)
	if rej == nil {
		identityReport(&r, &d, at)
		return r
	}
	if k.Receipts != nil {
		if c, rrej := k.Receipts.Verify(text, at); rrej == nil {
			r.Kind, r.Verified, r.Accepted = token.Receipt, true, true
			r.Claims = receiptClaims{c.UserID, c.Methods, wireTime(c.IssuedAt), wireTime(c.ExpiresAt)}
			r.line("what", "an authentication receipt (Fernet)")
			r.line("user_id", "%s", c.UserID)
			r.line("methods", "%s", strings.Join(c.Methods, ", "))
			timeLines(&r, c.IssuedAt, c.ExpiresAt, at)
			return r
		}
	}
	seen := visibleFernet(text, at)
	r.Kind, r.Lines, r.Notes = seen.Kind, seen.Lines, seen.Notes
	r.refuse(rej)
	return r
}

func identityReport(r *Report, d *keytoken.Decoded, at time.Time) {
	c := d.Claims()
	r.Kind, r.Verified = token.Identity, true
	claims := identityClaims{
		UserID: c.UserID, Methods: c.Methods, AuditIDs: c.AuditIDs, System: orNull(c.System), DomainID: orNull(c.DomainID), ProjectID: orNull(c.ProjectID),
		TrustID: orNull(c.TrustID), IdentityProviderID: orNull(c.IdentityProviderID), ProtocolID: orNull(c.ProtocolID),
		AccessTokenID: orNull(c.AccessTokenID), AppCredID: orNull(c.AppCredID), Thumbprint: orNull(c.Thumbprint),
		IssuedAt: wireTime(c.IssuedAt), ExpiresAt: wireTime(c.ExpiresAt),
	}
	if c.Federated() {
		claims.FederatedGroupIDs = make([]groupID, len(c.FederatedGroupIDs))
		for i, g := range c.FederatedGroupIDs {
			claims.FederatedGroupIDs[i].ID = g
		}
	}
	r.Claims = claims

	if v := int(d.Version()); v < len(layoutNames) {
		r.Version = &v
		r.line("what", "an identity token, layout %d (%s), made with key %s", v, layoutNames[v], d.KeyID())
	} else { // a JWS, whose claims have names
		r.line("what", "an identity token as a JSON web token, made with key %s", d.KeyID())
	}
	for _, f := range []struct{ name, value string }{
		{"user_id", c.UserID}, {"methods", strings.Join(c.Methods, ", ")}, {"system", c.System}, {"domain_id", c.DomainID}, {"project_id", c.ProjectID},
		{"trust_id", c.TrustID}, {"federated_group_ids", strings.Join(c.FederatedGroupIDs, ", ")}, {"identity_provider_id", c.IdentityProviderID},
		{"protocol_id", c.ProtocolID}, {"access_token_id", c.AccessTokenID}, {"app_cred_id", c.AppCredID}, {"thumbprint", c.Thumbprint},
		{"audit_ids", strings.Join(c.AuditIDs, ", ")},
	} {
		if f.value != "" {
			r.line(f.name, "%s", f.value)
		}
	}
	timeLines(r, c.IssuedAt, c.ExpiresAt, at)
	if _, rej := d.Check(at, keytoken.Options{}); rej != nil {
		r.refuse(rej)
		return
	}
	r.Accepted = true
	r.note("whether its user, scope and roles still stand, and whether it was revoked, only the node that keeps them knows")
}

func timeLines(r *Report, issued, expires epoch.Seconds, at time.Time) {
	r.line("issued_at", "%d s = %s (%s)", issued, wireTime(issued), distance(issued.Time(), at))
	r.line("expires_at", "%d s = %s (%s)", expires, wireTime(expires), distance(expires.Time(), at))
}

// fernetOverhead is the least a Fernet token takes: version, time, vector, one block
// and the MAC.
const fernetOverhead = 1 + 8 + 16 + 16 + 32

func visibleFernet(text string, at time.Time) Report {
	r := Report{Kind: token.Unknown}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) < fernetOverhead || raw[0] != 0x80 {
		reason := token.Malformed
		if err != nil {
			reason = token.NotCanonical
		}
		r.Reason = &reason
		r.line("what", "nothing that this program knows: neither Fernet nor a JWT")
		if len(text) > 3 && (text[0] == 'F' || text[0] == 'f') && strings.HasPrefix(text[3:], "gAAAA") {
			r.note("a prefix stands before a Fernet token: such a prefix once chose how the token was read, and is refused")
		}
		return r
	}
	r.Kind = token.Identity
	r.line("what", "a Fernet token, %d bytes; nothing below is verified without its key", len(raw))
	if ts := binary.BigEndian.Uint64(raw[1:9]); ts < 1<<40 {
		t := epoch.Seconds(ts).Time()
		r.line("made", "%d s = %s (%s), not verified", ts, t.Format(keystoneTime), distance(t, at))
	} else {
		r.line("made", "%d, no instant in seconds; not verified", ts)
	}
	r.line("ciphertext", "%d bytes", len(raw)-fernetOverhead+16)
	return r
}
