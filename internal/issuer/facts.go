package issuer

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/principal"
	"symbolon/internal/rule"
	"symbolon/keytoken"
	"symbolon/token"
)

// A key names what facts are about: a user in a scope. At most one of the others
// is set, but for a trust with its project.
type key struct {
	user, project, domain, trust string
	system                       bool
}

func keyOf(c *keytoken.Claims) key {
	return key{user: c.UserID, project: c.ProjectID, domain: c.DomainID, trust: c.TrustID, system: c.System != ""}
}

// A fault is why a token of some user and scope is not accepted now. It says so
// of a login for it too: forbidden tells the logins whose user may know.
type fault struct {
	reason    token.Reason
	detail    string
	forbidden bool
}

// facts are what a user and a scope mean at one revision. They are shared and do
// not change.
type facts struct {
	fault *fault

	user    User
	project *Project
	domain  *Ref
	system  bool
	trust   *Trust
	// delegators are the users on whose behalf a trustee acts, the nearest
	// first: the trustor, then that of the trust it was made from, and so on.
	delegators []string
	roles      []identity.Role
	// until is when the facts end without any change, by a trust's expiry; zero
	// is never.
	until time.Time

	creds rule.Creds
	// Made when they are first asked for.
	rendered  atomic.Pointer[[2][]byte]
	principal atomic.Pointer[principal.Principal]
}

// A generation holds what was computed from one revision of identity state. When
// the revision changes another takes its place, and whatever this one is still
// computing is seen by nobody.
type generation struct {
	revision uint64
	facts    *bounded[key, *lazy[*facts]]
	projects *bounded[string, *lazy[identity.Project]]
	world    lazy[*world]
	catalog  lazy[catalogue]
}

func newGeneration(revision uint64, limit int) *generation {
	return &generation{
		revision: revision,
		facts:    newBounded[key, *lazy[*facts]](limit),
		projects: newBounded[string, *lazy[identity.Project]](limit),
	}
}

// world is what every computation of roles needs.
type world struct {
	roles   map[string]identity.Role
	implied map[string][]string
}

func (g *generation) worldOf(ctx context.Context, s Store) (*world, error) {
	return g.world.get(func() (*world, error) {
		rs, err := s.Roles(ctx)
		if err != nil {
			return nil, err
		}
		w := &world{roles: make(map[string]identity.Role, len(rs))}
		for _, r := range rs {
			w.roles[r.ID] = r
		}
		w.implied, err = s.Implications(ctx)
		return w, err
	})
}

// project returns a project or domain. Missing ones are errors of kind NotFound
// and not kept.
func (g *generation) project(ctx context.Context, s Store, id string) (identity.Project, error) {
	l := g.projects.get(id, func() *lazy[identity.Project] { return new(lazy[identity.Project]) })
	return l.get(func() (identity.Project, error) { return s.Project(ctx, id) })
}

// factsOf returns the facts of a key. An error means that they are not known now.
func (g *generation) factsOf(ctx context.Context, s Store, k key, now time.Time) (*facts, error) {
	l := g.facts.get(k, func() *lazy[*facts] { return new(lazy[*facts]) })
	return l.get(func() (*facts, error) {
		r := resolver{ctx: ctx, s: s, g: g, k: k, now: now, f: new(facts)}
		flt, err := r.resolve()
		if err != nil {
			return nil, err
		}
		r.f.fault = flt
		return r.f, nil
	})
}

// A resolver computes the facts of one key. Each of its steps returns the fault
// that it found, or an error when it could not tell.
type resolver struct {
	ctx context.Context
	s   Store
	g   *generation
	k   key
	now time.Time
	f   *facts
}

func (r *resolver) resolve() (*fault, error) {
	steps := []func() (*fault, error){r.scope, r.who, r.grants}
	if r.k.trust != "" {
		steps = []func() (*fault, error){r.delegation, r.scope, r.who, r.trustRoles}
	}
	for _, step := range steps {
		if flt, err := step(); flt != nil || err != nil {
			return flt, err
		}
	}
	r.f.creds = credsOf(&Token{User: r.f.user, Project: r.f.project, Domain: r.f.domain, System: r.f.system, Trust: r.f.trust, Roles: r.f.roles})
	return nil, nil
}

// absent turns the error of a missing resource into a fault.
func absent(err error, reason token.Reason, what string) (*fault, error) {
	if errs.Is(err, errs.NotFound) {
		return &fault{reason: reason, detail: "the " + what + " does not exist"}, nil
	}
	return nil, errs.Wrap(err, "issuer: resolving a token's "+what)
}

// enabledDomain checks a domain and returns its name.
func (r *resolver) enabledDomain(id string, reason token.Reason, what string) (Ref, *fault, error) {
	d, err := r.g.project(r.ctx, r.s, id)
	switch {
	case err != nil:
		flt, err := absent(err, reason, what)
		return Ref{}, flt, err
	case !d.IsDomain:
		return Ref{}, &fault{reason: reason, detail: "the " + what + " is not a domain"}, nil
	case !d.Enabled:
		return Ref{}, &fault{reason: reason, detail: "the " + what + " is disabled"}, nil
	}
	return Ref{d.ID, d.Name}, nil, nil
}

func (r *resolver) scope() (*fault, error) {
	switch {
	case r.k.project != "":
		p, err := r.g.project(r.ctx, r.s, r.k.project)
		switch {
		case err != nil:
			return absent(err, token.ScopeDisabled, "project")
		case p.IsDomain:
			return &fault{reason: token.ScopeDisabled, detail: "the project is a domain"}, nil
		case !p.Enabled:
			return &fault{reason: token.ScopeDisabled, detail: "the project is disabled"}, nil
		}
		d, flt, err := r.enabledDomain(p.DomainID, token.ScopeDisabled, "project's domain")
		r.f.project = &Project{ID: p.ID, Name: p.Name, Domain: d, IsDomain: p.IsDomain}
		return flt, err
	case r.k.domain != "":
		d, flt, err := r.enabledDomain(r.k.domain, token.ScopeDisabled, "domain")
		r.f.domain = &d
		return flt, err
	}
	r.f.system = r.k.system
	return nil, nil
}

// enabledUser checks a user and their domain.
func (r *resolver) enabledUser(id, what string) (User, *fault, error) {
	u, err := r.s.User(r.ctx, id)
	switch {
	case err != nil:
		flt, err := absent(err, token.PrincipalDisabled, what)
		return User{}, flt, err
	case !u.Enabled:
		return User{}, &fault{reason: token.PrincipalDisabled, detail: "the " + what + " is disabled"}, nil
	}
	d, flt, err := r.enabledDomain(u.DomainID, token.PrincipalDisabled, what+"'s domain")
	return User{ID: u.ID, Name: u.Name, Domain: d, PasswordExpiresAt: u.PasswordExpiresAt}, flt, err
}

// who finds whom the token shows: its user, or the trustor in its user's place.
func (r *resolver) who() (*fault, error) {
	u, flt, err := r.enabledUser(r.k.user, "user")
	if flt != nil || err != nil || r.f.trust == nil {
		r.f.user = u
		return flt, err
	}
	trustor, flt, err := r.enabledUser(r.f.trust.TrustorID, "trustor")
	if flt != nil {
		flt.forbidden = true
	}
	r.f.user = u
	if r.f.trust.Impersonation {
		r.f.user = trustor
	}
	return flt, err
}

// grants computes the roles of an ordinary token.
func (r *resolver) grants() (*fault, error) {
	if r.k.project == "" && r.k.domain == "" && !r.k.system {
		return nil, nil
	}
	w, err := r.g.worldOf(r.ctx, r.s)
	if err != nil {
		return nil, errs.Wrap(err, "issuer: reading roles")
	}
	ids, err := heldBy(r.ctx, r.s, r.k.user, r.k)
	if err != nil {
		return nil, errs.Wrap(err, "issuer: reading role assignments")
	}
	r.f.roles = w.global(w.close(ids))
	if len(r.f.roles) == 0 {
		return &fault{reason: token.NoRoles, detail: "the user has no role in the scope"}, nil
	}
	return nil, nil
}

// heldBy returns the ids of the roles that a user holds in a scope directly, by a
// group or by inheritance.
func heldBy(ctx context.Context, s Store, user string, k key) ([]string, error) {
	groups, err := s.GroupIDsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	as, err := s.AssignmentsOf(ctx, user, groups)
	if err != nil {
		return nil, err
	}
	above := map[string]bool{}
	if k.project != "" && slices.ContainsFunc(as, func(a identity.Assignment) bool { return a.Inherited }) {
		ps, err := s.Ancestors(ctx, k.project)
		if err != nil {
			return nil, err
		}
		for _, p := range ps {
			above[p.ID] = true
		}
	}
	var ids []string
	for _, a := range as {
		var applies bool
		switch {
		case a.Inherited:
			applies = above[a.Target.ProjectID] || above[a.Target.DomainID]
		case k.project != "":
			applies = a.Target.ProjectID == k.project
		case k.domain != "":
			applies = a.Target.DomainID == k.domain
		default:
			applies = a.Target.System && k.system
		}
		if applies {
			ids = append(ids, a.RoleID)
		}
	}
	return ids, nil
}

// close returns the roles with all that they imply, in whatever circles.
func (w *world) close(ids []string) []string {
	seen := make(map[string]bool, len(ids)+4)
	out := make([]string, 0, len(ids)+4)
	for queue := ids; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
			queue = append(slices.Clip(queue), w.implied[id]...)
		}
	}
	return out
}

// global returns those of the roles that a token may carry, by name: not the
// domain-specific ones, which only imply others.
func (w *world) global(ids []string) []identity.Role {
	out := make([]identity.Role, 0, len(ids))
	for _, id := range ids {
		if role, ok := w.roles[id]; ok && role.DomainID == "" {
			out = append(out, role)
		}
	}
	slices.SortFunc(out, func(a, b identity.Role) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return 0 // names of global roles differ
	})
	return out
}
