package identity

import (
	"context"

	"symbolon/internal/errs"
)

// An Effective assignment is one that somebody has, whichever way: given to the
// user or to a group of the user, on the target or inherited from above it, as
// itself or implied by another role. Its actor is a user and it is not inherited.
type Effective struct {
	Assignment
	// GroupID is the group that the user has the role by; empty: none.
	GroupID string
	// From is where the role is inherited from; the zero Target: it is given on
	// the target itself.
	From Target
	// PriorRoleID is the role that implies this one; empty: none.
	PriorRoleID string
}

// An EffectiveFilter narrows a list of effective assignments; what is empty does
// not restrict. Assignments on the system are listed when System asks for them.
type EffectiveFilter struct {
	RoleID    string
	UserID    string
	ProjectID string
	// Subtree adds what is below ProjectID.
	Subtree  bool
	DomainID string
	System   bool
	// Inherited selects what is, or is not, inherited from above.
	Inherited *bool
}

// EffectiveAssignments lists who has which roles. Domain-specific roles count for
// what they imply and are not listed.
func (d *Directory) EffectiveAssignments(ctx context.Context, f EffectiveFilter) ([]Effective, error) {
	x := &expansion{
		Reader: d.Reader, ctx: ctx, f: f,
		members: map[string][]string{}, below: map[string][]string{},
	}
	return x.run()
}

// expansion is one computation of effective assignments.
type expansion struct {
	Reader
	ctx context.Context
	f   EffectiveFilter
	// above holds, for each project of interest, all that is above it; nil
	// when every project is of interest.
	above   map[string]map[string]bool
	members map[string][]string // users by group
	below   map[string][]string // projects by what they are below
}

func (x *expansion) run() ([]Effective, error) {
	given, err := x.given()
	if err != nil {
		return nil, err
	}
	var out []Effective
	for _, a := range given {
		if x.f.Inherited != nil && a.Inherited != *x.f.Inherited {
			continue
		}
		onTargets, err := x.targets(a)
		if err != nil {
			return nil, err
		}
		for _, e := range onTargets {
			users, err := x.users(e)
			if err != nil {
				return nil, err
			}
			out = append(out, users...)
		}
	}
	return x.implied(out)
}

// given returns the assignments that can matter.
func (x *expansion) given() ([]Assignment, error) {
	if x.f.ProjectID != "" {
		if err := x.interest(); err != nil {
			return nil, err
		}
	}
	if x.f.UserID != "" {
		groups, err := x.GroupIDsOf(x.ctx, x.f.UserID)
		if err != nil {
			return nil, err
		}
		return x.AssignmentsOf(x.ctx, x.f.UserID, groups)
	}
	q := AssignmentFilter{DomainID: x.f.DomainID, System: x.f.System}
	if x.f.ProjectID == "" {
		return x.Assignments(x.ctx, q)
	}
	// Roles on the projects and on everything above them.
	ids := map[string]bool{}
	for p, above := range x.above {
		ids[p] = true
		for a := range above {
			ids[a] = true
		}
	}
	var out []Assignment
	for id := range ids {
		for _, f := range [...]AssignmentFilter{{ProjectID: id}, {DomainID: id}} {
			some, err := x.Assignments(x.ctx, f)
			if err != nil {
				return nil, err
			}
			out = append(out, some...)
		}
	}
	return out, nil
}

// interest finds the projects of interest and what is above each.
func (x *expansion) interest() error {
	x.above = map[string]map[string]bool{}
	up, err := x.Ancestors(x.ctx, x.f.ProjectID)
	if err != nil {
		return err
	}
	set := map[string]bool{}
	for _, p := range up {
		set[p.ID] = true
	}
	x.above[x.f.ProjectID] = set
	if !x.f.Subtree {
		return nil
	}
	down, err := x.Descendants(x.ctx, x.f.ProjectID)
	if err != nil {
		return err
	}
	for _, p := range down { // parents come first
		set := map[string]bool{p.ParentID: true}
		for a := range x.above[p.ParentID] {
			set[a] = true
		}
		x.above[p.ID] = set
	}
	return nil
}

// targets returns the assignment on each target of interest that it has effect on.
func (x *expansion) targets(a Assignment) ([]Effective, error) {
	if !a.Inherited {
		wanted := false
		switch {
		case a.Target.System:
			wanted = x.f.System
		case x.f.System:
		case a.Target.ProjectID != "":
			_, of := x.above[a.Target.ProjectID]
			wanted = x.f.DomainID == "" && (x.above == nil || of)
		default:
			wanted = x.above == nil && (x.f.DomainID == "" || x.f.DomainID == a.Target.DomainID)
		}
		if !wanted {
			return nil, nil
		}
		return []Effective{{Assignment: a}}, nil
	}
	if x.f.System || x.f.DomainID != "" {
		return nil, nil // what is inherited is on projects
	}
	source := a.Target.ProjectID + a.Target.DomainID // one of them is set
	var projects []string
	if x.above != nil {
		for p, above := range x.above {
			if above[source] {
				projects = append(projects, p)
			}
		}
	} else {
		var err error
		if projects, err = x.projectsBelow(source); err != nil {
			return nil, err
		}
	}
	out := make([]Effective, len(projects))
	for i, p := range projects {
		e := Effective{Assignment: a, From: a.Target}
		e.Target, e.Inherited = Target{ProjectID: p}, false
		out[i] = e
	}
	return out, nil
}

func (x *expansion) projectsBelow(id string) ([]string, error) {
	if have, ok := x.below[id]; ok {
		return have, nil
	}
	ps, err := x.Descendants(x.ctx, id)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(ps))
	for i, p := range ps {
		ids[i] = p.ID
	}
	x.below[id] = ids
	return ids, nil
}

// users turns an assignment of a group into one of each of its members.
func (x *expansion) users(e Effective) ([]Effective, error) {
	g := e.Actor.GroupID
	if g == "" {
		return []Effective{e}, nil
	}
	if x.f.UserID != "" {
		e.Actor, e.GroupID = Actor{UserID: x.f.UserID}, g
		return []Effective{e}, nil
	}
	ids, ok := x.members[g]
	if !ok {
		us, err := x.UsersIn(x.ctx, g, Query{})
		if err != nil {
			return nil, err
		}
		for _, u := range us {
			ids = append(ids, u.ID)
		}
		x.members[g] = ids
	}
	out := make([]Effective, len(ids))
	for i, id := range ids {
		out[i] = e
		out[i].Actor, out[i].GroupID = Actor{UserID: id}, g
	}
	return out, nil
}

// implied adds the roles that roles imply, and removes what is not asked for.
func (x *expansion) implied(have []Effective) ([]Effective, error) {
	implies, err := x.Implications(x.ctx)
	if err != nil {
		return nil, err
	}
	roles, err := x.Roles(x.ctx)
	if err != nil {
		return nil, err
	}
	local := map[string]bool{}
	for _, r := range roles {
		local[r.ID] = r.DomainID != ""
	}
	out := have[:0:0]
	keep := func(e Effective) {
		if !local[e.RoleID] && (x.f.RoleID == "" || x.f.RoleID == e.RoleID) {
			out = append(out, e)
		}
	}
	for _, e := range have {
		keep(e)
		seen := map[Implication]bool{}
		for todo := []string{e.RoleID}; len(todo) > 0; {
			prior := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for _, r := range implies[prior] {
				edge := Implication{prior, r}
				if seen[edge] {
					continue
				}
				seen[edge] = true
				todo = append(todo, r)
				c := e
				c.RoleID, c.PriorRoleID = r, prior
				keep(c)
			}
		}
	}
	return out, nil
}

// ProjectIDsOf returns the projects on which the user has a role.
func (d *Directory) ProjectIDsOf(ctx context.Context, userID string) (map[string]bool, error) {
	all, err := d.EffectiveAssignments(ctx, EffectiveFilter{UserID: userID})
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range all {
		if e.Target.ProjectID != "" {
			ids[e.Target.ProjectID] = true
		}
	}
	return ids, nil
}

// ProjectsOf returns the projects on which the user has a role and that fulfil the
// query's conditions, sorted by id.
func (d *Directory) ProjectsOf(ctx context.Context, userID string, q Query) ([]Project, error) {
	ids, err := d.ProjectIDsOf(ctx, userID)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	limit := q.Limit
	q.Limit = 0
	// A few are looked up one by one; for many, reading all costs less.
	const few = 64
	var out []Project
	if len(ids) <= few && len(q.Where) == 0 && q.After == "" {
		for _, id := range sortedIDs(ids) {
			p, err := d.Project(ctx, id)
			if errs.Is(err, errs.NotFound) { // deleted since
				continue
			}
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	} else {
		all, err := d.Projects(ctx, q)
		if err != nil {
			return nil, err
		}
		out = without(all, func(p Project) bool { return !ids[p.ID] })
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
