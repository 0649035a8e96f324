package issuer

import (
	"context"
	"slices"

	"symbolon/internal/identity"
)

// DomainsOf returns the domains that the user can have a token for, by id.
func (s *Issuer) DomainsOf(ctx context.Context, userID string) ([]identity.Project, error) {
	gen, w, as, err := s.assignments(ctx, userID)
	if err != nil {
		return nil, err
	}
	var out []identity.Project
	for _, a := range as {
		d := a.Target.DomainID
		if d == "" || a.Inherited || len(w.global(w.close([]string{a.RoleID}))) == 0 ||
			slices.ContainsFunc(out, func(p identity.Project) bool { return p.ID == d }) {
			continue
		}
		p, err := gen.project(ctx, s.Store, d)
		if err != nil {
			return nil, unavailable(err)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b identity.Project) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out, nil
}

// OnSystem reports whether the user can have a token for the system.
func (s *Issuer) OnSystem(ctx context.Context, userID string) (bool, error) {
	_, w, as, err := s.assignments(ctx, userID)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(as, func(a identity.Assignment) bool {
		return a.Target.System && !a.Inherited && len(w.global(w.close([]string{a.RoleID}))) > 0
	}), nil
}

func (s *Issuer) assignments(ctx context.Context, userID string) (*generation, *world, []identity.Assignment, error) {
	gen, err := s.current(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := gen.worldOf(ctx, s.Store)
	if err != nil {
		return nil, nil, nil, unavailable(err)
	}
	groups, err := s.Store.GroupIDsOf(ctx, userID)
	if err != nil {
		return nil, nil, nil, unavailable(err)
	}
	as, err := s.Store.AssignmentsOf(ctx, userID, groups)
	if err != nil {
		return nil, nil, nil, unavailable(err)
	}
	return gen, w, as, nil
}
