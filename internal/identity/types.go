// Package identity holds who and what there is: domains, projects, users, groups,
// roles, assignments and trusts, and the rules that keep them consistent.
//
// It decides what may exist, not who may ask: policy is package rule's and proof of
// identity package authn's. It knows neither HTTP nor SQL nor the wall clock. The
// resources and their rules are those of the OpenStack Identity v3 API.
package identity

import (
	"encoding/json"
	"time"
)

// Extra holds attributes of a resource that the API does not define but keeps and
// returns, by name.
type Extra map[string]json.RawMessage

// Options are a resource's options by name, such as "immutable".
type Options map[string]json.RawMessage

// A Project is a container of resources. A domain is a project that acts as one:
// IsDomain is set and DomainID and ParentID are empty.
type Project struct {
	ID          string
	Name        string
	Description *string // nil is shown as null
	DomainID    string
	ParentID    string
	IsDomain    bool
	Enabled     bool
	Tags        []string
	Options     Options
	Extra       Extra
}

// A User is an account in a domain. Its password is kept apart, see [Password].
type User struct {
	ID               string
	Name             string
	DomainID         string
	DefaultProjectID string
	Enabled          bool
	Options          Options
	Extra            Extra
	CreatedAt        time.Time
	// LastActiveAt is when the user last proved who they are; zero is never.
	LastActiveAt time.Time
	// PasswordExpiresAt is when the current password expires; zero is never.
	PasswordExpiresAt time.Time
}

// A Password is a stored password hash, in any of the forms that package authn
// verifies. It has no printable form but "[password hash]".
type Password struct {
	Hash      PasswordHash
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	// SelfService tells that the user, not an administrator, set it.
	SelfService bool
}

// A PasswordHash is the text of a hash as it is stored.
type PasswordHash string

// String hides the hash.
func (PasswordHash) String() string { return "[password hash]" }

// GoString hides the hash.
func (PasswordHash) GoString() string { return "[password hash]" }

// Failures counts wrong passwords in a row.
type Failures struct {
	Count int
	Last  time.Time
}

// A Group is a set of users in a domain.
type Group struct {
	ID          string
	Name        string
	Description *string // nil is shown as null
	DomainID    string
	Extra       Extra
}

// A Role is a named set of permissions. A role with a domain is domain-specific:
// it never appears in a token, it only implies global roles.
type Role struct {
	ID          string
	Name        string
	DomainID    string  // empty: global
	Description *string // nil is shown as null
	Options     Options
	Extra       Extra
}

// An Implication makes every holder of the prior role a holder of the implied one.
type Implication struct{ PriorID, ImpliedID string }

// An Actor is whom a role is assigned to: exactly one field is set.
type Actor struct{ UserID, GroupID string }

// A Target is where a role is assigned: exactly one field is set.
type Target struct {
	ProjectID string
	DomainID  string
	System    bool
}

// An Assignment is one role of one actor on one target. Inherited ones apply to
// what is below the target and not to the target itself.
type Assignment struct {
	Actor     Actor
	Target    Target
	RoleID    string
	Inherited bool
}

// A Service is an entry of the catalogue. Its description is an extra attribute.
type Service struct {
	ID      string
	Type    string
	Name    string
	Enabled bool
	Extra   Extra
}

// The interfaces that an endpoint can offer.
const (
	InterfacePublic   = "public"
	InterfaceInternal = "internal"
	InterfaceAdmin    = "admin"
)

// An Endpoint is an address of a service. URL may hold substitutions such as
// $(project_id)s. Its name and description are extra attributes.
type Endpoint struct {
	ID        string
	ServiceID string
	Interface string
	URL       string
	RegionID  string // empty: none
	Enabled   bool
	Extra     Extra
}

// A Region groups endpoints; regions form trees.
type Region struct {
	ID          string
	ParentID    string
	Description string
	Extra       Extra
}

// A Trust lets the trustee act in the trustor's project with some of the trustor's
// roles.
type Trust struct {
	ID            string
	TrustorID     string
	TrusteeID     string
	ProjectID     string // empty: none
	Impersonation bool
	RoleIDs       []string
	ExpiresAt     time.Time // zero: never
	RemainingUses *int      // nil: unlimited
	// RedelegatedTrustID is the trust this one was made from; empty: none.
	RedelegatedTrustID string
	RedelegationCount  int
	DeletedAt          time.Time // zero: not deleted
	Extra              Extra
}

// A RevocationEvent revokes every token that it matches: each field that is set
// must match, and the token must have been issued no later than IssuedBefore.
type RevocationEvent struct {
	// ID orders events of one store only loosely; it is a random identifier.
	ID            string
	AuditID       string
	AuditChainID  string
	UserID        string
	ProjectID     string
	DomainID      string
	DomainScopeID string
	RoleID        string
	TrustID       string
	ConsumerID    string
	AccessTokenID string
	ExpiresAt     time.Time // zero: not part of the match
	IssuedBefore  time.Time
	RevokedAt     time.Time
	// KeepUntil is when the event can be forgotten because nobody asks for the
	// tokens that it revokes any more; zero is at once.
	KeepUntil time.Time
	// Revision is the revision of identity state that the event came with. The
	// store sets it.
	Revision uint64
}
