package keytoken

import (
	"symbolon/epoch"
)

// Claims is what an identity token says. An empty string, or a nil slice where
// the field says so, stands for a claim that the token does not make.
type Claims struct {
	// UserID is never absent.
	UserID string
	// Methods are the names of the methods by which the user proved who they
	// are. From a Fernet token they come in falling order of their bits and
	// are not nil; names outside [Format.Methods] cannot be carried and are
	// dropped when the token is made.
	Methods []string
	// AuditIDs is the token's own id and, in a token made from another, the id
	// of the first token of that chain: 16 bytes each in unpadded base64url.
	AuditIDs []string
	// System is "all" in a system-scoped token.
	System    string
	DomainID  string
	ProjectID string
	TrustID   string
	// FederatedGroupIDs is nil in a token that is not federated and not nil,
	// though perhaps empty, in one that is.
	FederatedGroupIDs  []string
	IdentityProviderID string
	ProtocolID         string
	AccessTokenID      string // OAuth1
	AppCredID          string
	Thumbprint         string // of the client certificate, OAuth2 mutual TLS
	// IssuedAt is set by Mint.
	IssuedAt  epoch.Seconds
	ExpiresAt epoch.Seconds
}

// A Version is the number of a payload layout, the first element of a Fernet
// token's payload. The numbers are Keystone's.
type Version uint8

// The layouts, and NoVersion for a token that has none (a JWS, a receipt).
const (
	Unscoped Version = iota
	Domain
	Project
	Trust
	FederatedUnscoped
	FederatedProject
	FederatedDomain
	OAuth1
	System
	AppCred
	OAuth2
	NoVersion Version = 255

	lastVersion = OAuth2
)

var versionNames = [...]string{
	"unscoped", "domain", "project", "trust", "federated_unscoped", "federated_project", "federated_domain", "oauth1",
	"system", "application_credential", "oauth2_mtls",
}

// String returns the layout's name, such as "project".
func (v Version) String() string {
	if v <= lastVersion {
		return versionNames[v]
	}
	return "none"
}

// Federated reports whether the claims are those of a federated user's token.
func (c *Claims) Federated() bool {
	return c.FederatedGroupIDs != nil || c.IdentityProviderID != "" || c.ProtocolID != ""
}

// Layout returns the layout in which the claims travel. The first that fits
// wins, in the reference's order; claims that a layout does not hold are
// [Tokens.Mint]'s to refuse.
func (c *Claims) Layout() Version {
	switch {
	case c.AccessTokenID != "":
		return OAuth1
	case c.TrustID != "":
		return Trust
	case c.Federated() && c.ProjectID != "":
		return FederatedProject
	case c.Federated() && c.DomainID != "":
		return FederatedDomain
	case c.Federated():
		return FederatedUnscoped
	case c.AppCredID != "":
		return AppCred
	case c.Thumbprint != "":
		return OAuth2
	case c.ProjectID != "":
		return Project
	case c.DomainID != "":
		return Domain
	case c.System != "":
		return System
	}
	return Unscoped
}

// TimeText writes an instant as every time of an identity token is written:
// whole seconds with six zeros after the point, in UTC.
func TimeText(s epoch.Seconds) string { return s.Time().Format("2006-01-02T15:04:05.000000Z") }
