package identity

import (
	"context"
	"time"

	"symbolon/internal/audit"
	"symbolon/internal/errs"
)

// A Reader is what is known of the identity resources. A look-up of one thing
// that does not exist returns an error of kind NotFound whose message is the
// protocol's; a list of nothing is empty and no error. Lists are ordered by id
// unless a method says otherwise. Trusts that were deleted are not found.
type Reader interface {
	User(ctx context.Context, id string) (User, error)
	UserByName(ctx context.Context, domainID, name string) (User, error)
	Users(ctx context.Context, q Query) ([]User, error)
	// Passwords returns the user's hashes, the newest first.
	Passwords(ctx context.Context, userID string) ([]Password, error)
	LoginFailures(ctx context.Context, userID string) (Failures, error)

	Group(ctx context.Context, id string) (Group, error)
	Groups(ctx context.Context, q Query) ([]Group, error)
	// GroupIDsOf returns the groups that the user is a member of.
	GroupIDsOf(ctx context.Context, userID string) ([]string, error)
	GroupsOf(ctx context.Context, userID string, q Query) ([]Group, error)
	UsersIn(ctx context.Context, groupID string, q Query) ([]User, error)
	IsMember(ctx context.Context, userID, groupID string) (bool, error)

	// Project returns a project or a domain.
	Project(ctx context.Context, id string) (Project, error)
	ProjectByName(ctx context.Context, domainID, name string) (Project, error)
	// Domain returns the domain, and NotFound for a project that is none.
	Domain(ctx context.Context, id string) (Project, error)
	DomainByName(ctx context.Context, name string) (Project, error)
	// Projects lists domains too unless the query filters on is_domain.
	Projects(ctx context.Context, q Query) ([]Project, error)
	// Ancestors returns the project's parents, the nearest first, up to and
	// with its domain.
	Ancestors(ctx context.Context, projectID string) ([]Project, error)
	// Descendants returns everything below the project, parents before
	// children.
	Descendants(ctx context.Context, projectID string) ([]Project, error)

	Role(ctx context.Context, id string) (Role, error)
	// RoleByName returns the role of that name in the domain; an empty domain
	// is the global roles.
	RoleByName(ctx context.Context, domainID, name string) (Role, error)
	// Roles returns every role, global and domain-specific.
	Roles(ctx context.Context) ([]Role, error)
	FindRoles(ctx context.Context, q Query) ([]Role, error)
	// Implications returns the roles that each role implies directly, by the
	// id of the role that implies them.
	Implications(ctx context.Context) (map[string][]string, error)
	// AssignmentsOf returns every role given to the user or to one of the
	// groups.
	AssignmentsOf(ctx context.Context, userID string, groupIDs []string) ([]Assignment, error)
	Assignments(ctx context.Context, f AssignmentFilter) ([]Assignment, error)

	Service(ctx context.Context, id string) (Service, error)
	Services(ctx context.Context) ([]Service, error)
	FindServices(ctx context.Context, q Query) ([]Service, error)
	Endpoint(ctx context.Context, id string) (Endpoint, error)
	Endpoints(ctx context.Context) ([]Endpoint, error)
	FindEndpoints(ctx context.Context, q Query) ([]Endpoint, error)
	Region(ctx context.Context, id string) (Region, error)
	Regions(ctx context.Context) ([]Region, error)
	FindRegions(ctx context.Context, q Query) ([]Region, error)

	Trust(ctx context.Context, id string) (Trust, error)
	// Trusts lists by trustor and trustee; an empty one does not restrict.
	Trusts(ctx context.Context, trustorID, trusteeID string) ([]Trust, error)
	// TrustsOn lists the trusts that are for the project.
	TrustsOn(ctx context.Context, projectID string) ([]Trust, error)
	// TrustsMadeFrom returns the trusts redelegated directly from the trust.
	TrustsMadeFrom(ctx context.Context, trustID string) ([]Trust, error)

	// RevocationEvents returns every event kept, oldest first.
	RevocationEvents(ctx context.Context) ([]RevocationEvent, error)
	// RevocationEventsSince returns those recorded at or after an instant.
	RevocationEventsSince(ctx context.Context, since time.Time) ([]RevocationEvent, error)
	// RevocationEventsAfter returns those of every later revision of identity
	// state, whichever process made it, oldest first. It misses none, as a
	// question by time could.
	RevocationEventsAfter(ctx context.Context, revision uint64) ([]RevocationEvent, error)
}

// A Tx reads and writes in one transaction, which commits as a whole when the
// function that was given it returns nil, and may be run twice before it does.
// Creating what exists is an error of kind Conflict and changing what does not
// one of kind NotFound, both with the protocol's message. Rules that need more
// than one row are [Directory]'s, not the store's.
type Tx interface {
	Reader

	CreateUser(ctx context.Context, u User) error
	UpdateUser(ctx context.Context, u User) error
	// DeleteUser removes the user with its passwords, failures, memberships,
	// assignments and trusts.
	DeleteUser(ctx context.Context, id string) error
	// SetPassword makes p the user's newest password and keeps the newest
	// keep of all, at least one.
	SetPassword(ctx context.Context, userID string, p Password, keep int) error
	// RemovePasswords leaves the user without any.
	RemovePasswords(ctx context.Context, userID string) error
	// UpgradeHash replaces the hash of the newest password by one of the same
	// password, if it still is old.
	UpgradeHash(ctx context.Context, userID string, old, hash PasswordHash) error
	// RecordFailure counts one more wrong password and returns the count.
	RecordFailure(ctx context.Context, userID string, at time.Time) (Failures, error)
	ResetFailures(ctx context.Context, userID string) error
	SetLastActive(ctx context.Context, userID string, at time.Time) error

	CreateGroup(ctx context.Context, g Group) error
	UpdateGroup(ctx context.Context, g Group) error
	// DeleteGroup removes the group with its memberships and assignments.
	DeleteGroup(ctx context.Context, id string) error
	// AddMember and RemoveMember report whether anything changed.
	AddMember(ctx context.Context, userID, groupID string) (bool, error)
	RemoveMember(ctx context.Context, userID, groupID string) (bool, error)

	CreateProject(ctx context.Context, p Project) error
	UpdateProject(ctx context.Context, p Project) error
	// DeleteProject removes one project, which has no children, or a domain,
	// which has no content, with its assignments and trusts.
	DeleteProject(ctx context.Context, id string) error

	CreateRole(ctx context.Context, r Role) error
	UpdateRole(ctx context.Context, r Role) error
	// DeleteRole removes the role with its assignments and implications, and
	// from trusts.
	DeleteRole(ctx context.Context, id string) error
	CreateImplication(ctx context.Context, i Implication) error
	DeleteImplication(ctx context.Context, i Implication) error
	// Assign and Unassign report whether anything changed.
	Assign(ctx context.Context, a Assignment) (bool, error)
	Unassign(ctx context.Context, a Assignment) (bool, error)

	CreateService(ctx context.Context, s Service) error
	UpdateService(ctx context.Context, s Service) error
	// DeleteService removes the service with its endpoints.
	DeleteService(ctx context.Context, id string) error
	CreateEndpoint(ctx context.Context, e Endpoint) error
	UpdateEndpoint(ctx context.Context, e Endpoint) error
	DeleteEndpoint(ctx context.Context, id string) error
	CreateRegion(ctx context.Context, r Region) error
	UpdateRegion(ctx context.Context, r Region) error
	DeleteRegion(ctx context.Context, id string) error

	CreateTrust(ctx context.Context, t Trust) error
	// DeleteTrust marks the trust as deleted.
	DeleteTrust(ctx context.Context, id string, at time.Time) error
	// ConsumeTrustUse takes one of the trust's remaining uses. It reports false
	// when none was left; a trust without a limit always has one.
	ConsumeTrustUse(ctx context.Context, id string) (bool, error)

	// AddRevocation records the event in the next revision of identity state.
	AddRevocation(ctx context.Context, e RevocationEvent) error
	// PruneRevocations removes the events that need to be kept no longer.
	PruneRevocations(ctx context.Context, now time.Time) error

	// Audit records an act in this transaction.
	Audit(e audit.Event)
	// TouchIdentity makes every process notice, after the commit, that
	// identity changed.
	TouchIdentity()
	// AfterCommit runs fn once the transaction has been committed.
	AfterCommit(fn func())
}

// A Store keeps the identity resources.
type Store interface {
	Reader
	// UpdateIdentity runs fn in a transaction. fn may run more than once and
	// must do nothing but use tx.
	UpdateIdentity(ctx context.Context, fn func(tx Tx) error) error
}

// A Query narrows and pages a list. The zero Query is everything.
type Query struct {
	Where []Condition
	// After is the id that the list continues behind; empty is the start.
	After string
	// Limit bounds the number of results; zero does not.
	Limit int
}

// A Condition compares a field, named as on the wire, with Value: a string, a
// bool for Equal on a truth value, or a [time.Time].
type Condition struct {
	Field string
	Op    Op
	Value any
}

// An Op is a comparison.
type Op uint8

// The comparisons. Those of text regard letters as they are; the Fold variants
// take ASCII letters of either case for the same.
const (
	Equal Op = iota
	NotEqual
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	Contains
	StartsWith
	EndsWith
	ContainsFold
	StartsWithFold
	EndsWithFold
	// HasAllTags, HasAnyTag, LacksAllTags and LacksAnyTag compare a project's
	// tags with a Value of type []string.
	HasAllTags
	HasAnyTag
	LacksAllTags
	LacksAnyTag
)

// An AssignmentFilter narrows a list of assignments; what is empty does not
// restrict.
type AssignmentFilter struct {
	RoleID    string
	UserID    string
	GroupIDs  []string
	ProjectID string
	// ProjectIDs and DomainID restrict together: the target is one of them.
	ProjectIDs []string
	DomainID   string
	System     bool
	// Inherited selects assignments that are, or are not, inherited.
	Inherited *bool
}

// NotFound is the error for a resource that does not exist. The resource is the
// protocol's word for its type, such as "user" or "Application Credential".
func NotFound(resource, id string) error {
	return errs.E(errs.NotFound, "Could not find %s: %s.", resource, id)
}
