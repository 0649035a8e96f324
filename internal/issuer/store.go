package issuer

import (
	"context"

	"symbolon/internal/identity"
)

// Store is what issuing and validating need of storage: a small part of
// [identity.Store], and its revision. Errors are as there.
type Store interface {
	// IdentityRevision grows with every committed change of anything below,
	// whichever process made it. A change made by this process shows before the
	// call that made it returns, one of another process within a second. It does
	// no I/O.
	IdentityRevision() uint64

	User(ctx context.Context, id string) (identity.User, error)
	// Project finds projects and the domains among them.
	Project(ctx context.Context, id string) (identity.Project, error)
	ProjectByName(ctx context.Context, domainID, name string) (identity.Project, error)
	DomainByName(ctx context.Context, name string) (identity.Project, error)
	Ancestors(ctx context.Context, projectID string) ([]identity.Project, error)
	Projects(ctx context.Context, q identity.Query) ([]identity.Project, error)
	Descendants(ctx context.Context, projectID string) ([]identity.Project, error)

	Role(ctx context.Context, id string) (identity.Role, error)
	Roles(ctx context.Context) ([]identity.Role, error)
	Implications(ctx context.Context) (map[string][]string, error)
	GroupIDsOf(ctx context.Context, userID string) ([]string, error)
	AssignmentsOf(ctx context.Context, userID string, groupIDs []string) ([]identity.Assignment, error)

	Trust(ctx context.Context, id string) (identity.Trust, error)

	Services(ctx context.Context) ([]identity.Service, error)
	Endpoints(ctx context.Context) ([]identity.Endpoint, error)

	RevocationEventsAfter(ctx context.Context, revision uint64) ([]identity.RevocationEvent, error)

	UpdateIdentity(ctx context.Context, fn func(tx identity.Tx) error) error
}
