package issuer

import (
	"context"

	"symbolon/internal/identity"
)

// Store is what issuing and validating read. Methods are safe for concurrent use
// and return an error of kind NotFound when the resource that an id or a name
// asks for does not exist, Unavailable when the store cannot answer, or the
// context's error.
type Store interface {
	// IdentityRevision grows with every committed change of anything below,
	// made by whichever process. A change made by this process shows at once,
	// one of another process within a second. It does no I/O.
	IdentityRevision() int64

	User(ctx context.Context, id string) (identity.User, error)
	UserByName(ctx context.Context, domainID, name string) (identity.User, error)
	// Project finds projects and the domains among them.
	Project(ctx context.Context, id string) (identity.Project, error)
	// ProjectByName finds projects that are not domains.
	ProjectByName(ctx context.Context, domainID, name string) (identity.Project, error)
	DomainByName(ctx context.Context, name string) (identity.Project, error)
	// Ancestors returns what is above a project, its parent first and its
	// domain last.
	Ancestors(ctx context.Context, projectID string) ([]identity.Project, error)

	Role(ctx context.Context, id string) (identity.Role, error)
	// Roles returns every role.
	Roles(ctx context.Context) ([]identity.Role, error)
	// Implications returns every implied role by the role that implies it.
	Implications(ctx context.Context) (map[string][]string, error)
	GroupIDsOf(ctx context.Context, userID string) ([]string, error)
	// AssignmentsOf returns the assignments, inherited ones included, of a
	// user and of the groups given; userID may be empty.
	AssignmentsOf(ctx context.Context, userID string, groupIDs []string) ([]identity.Assignment, error)

	// Trust finds trusts that are not deleted.
	Trust(ctx context.Context, id string) (identity.Trust, error)

	Services(ctx context.Context) ([]identity.Service, error)
	Endpoints(ctx context.Context) ([]identity.Endpoint, error)

	// RevocationEvents returns every revocation event kept.
	RevocationEvents(ctx context.Context) ([]identity.RevocationEvent, error)
}
