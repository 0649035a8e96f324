package identity

import (
	"context"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// CreateGroup makes a group in its domain. The id of g is set here.
func (d *Directory) CreateGroup(ctx context.Context, g Group) (Group, error) {
	var err error
	if g.Name, err = trimName(g.Name, MaxGroupName); err != nil {
		return Group{}, err
	}
	g.ID = id.NewHex().String()
	err = d.change(ctx, func(w *work) error {
		if _, err := w.Domain(ctx, g.DomainID); err != nil {
			return err
		}
		if err := w.CreateGroup(ctx, g); err != nil {
			return err
		}
		w.record("group.created", g.ID, map[string]any{"domain_id": g.DomainID, "name": g.Name})
		return nil
	})
	if err != nil {
		return Group{}, err
	}
	return d.Group(ctx, g.ID)
}

// A GroupPatch changes a group.
type GroupPatch struct {
	Name        Field[string]
	DomainID    Field[string]
	Description Field[*string]
	Extra       Extra
}

// UpdateGroup changes a group.
func (d *Directory) UpdateGroup(ctx context.Context, groupID string, p GroupPatch) (Group, error) {
	var err error
	if p.Name.Set {
		if p.Name.To, err = trimName(p.Name.To, MaxGroupName); err != nil {
			return Group{}, err
		}
	}
	err = d.change(ctx, func(w *work) error {
		g, err := w.Group(ctx, groupID)
		if err != nil {
			return err
		}
		if p.DomainID.Set && p.DomainID.To != g.DomainID {
			return errs.E(errs.Invalid, "Cannot change Domain ID")
		}
		p.Name.apply(&g.Name)
		p.Description.apply(&g.Description)
		g.Extra = g.Extra.merge(p.Extra)
		if err := w.UpdateGroup(ctx, g); err != nil {
			return err
		}
		w.record("group.updated", groupID, map[string]any{"domain_id": g.DomainID})
		return nil
	})
	if err != nil {
		return Group{}, err
	}
	return d.Group(ctx, groupID)
}

// DeleteGroup removes a group with its memberships and assignments. When it had
// assignments the tokens of its members are revoked.
func (d *Directory) DeleteGroup(ctx context.Context, groupID string) error {
	return d.change(ctx, func(w *work) error { return w.deleteGroup(groupID) })
}

func (w *work) deleteGroup(groupID string) error {
	g, err := w.Group(w.ctx, groupID)
	if err != nil {
		return err
	}
	had, err := w.AssignmentsOf(w.ctx, "", []string{groupID})
	if err != nil {
		return err
	}
	if len(had) > 0 {
		members, err := w.UsersIn(w.ctx, groupID, Query{})
		if err != nil {
			return err
		}
		for _, u := range members {
			if err := w.revoke(RevocationEvent{UserID: u.ID}); err != nil {
				return err
			}
		}
	}
	if err := w.Tx.DeleteGroup(w.ctx, groupID); err != nil {
		return err
	}
	w.record("group.deleted", groupID, map[string]any{"domain_id": g.DomainID, "name": g.Name})
	return nil
}

// AddMember puts a user into a group; doing so twice changes nothing.
func (d *Directory) AddMember(ctx context.Context, userID, groupID string) error {
	return d.change(ctx, func(w *work) error {
		if err := w.bothExist(userID, groupID); err != nil {
			return err
		}
		added, err := w.AddMember(ctx, userID, groupID)
		if err != nil || !added {
			return err
		}
		w.record("group.updated", groupID, map[string]any{"added_user_id": userID})
		return nil
	})
}

// RemoveMember takes a user out of a group and revokes the user's tokens.
func (d *Directory) RemoveMember(ctx context.Context, userID, groupID string) error {
	return d.change(ctx, func(w *work) error {
		if err := w.bothExist(userID, groupID); err != nil {
			return err
		}
		removed, err := w.RemoveMember(ctx, userID, groupID)
		if err != nil {
			return err
		}
		if !removed {
			return notMember(userID, groupID)
		}
		w.record("group.updated", groupID, map[string]any{"removed_user_id": userID})
		return w.revoke(RevocationEvent{UserID: userID})
	})
}

// CheckMember returns NotFound unless the user is a member of the group.
func (d *Directory) CheckMember(ctx context.Context, userID, groupID string) error {
	if err := bothExist(ctx, d, userID, groupID); err != nil {
		return err
	}
	in, err := d.IsMember(ctx, userID, groupID)
	if err != nil {
		return err
	}
	if !in {
		return notMember(userID, groupID)
	}
	return nil
}

func notMember(userID, groupID string) error {
	return errs.E(errs.NotFound, "User '%s' not found in group '%s'", userID, groupID)
}

func (w *work) bothExist(userID, groupID string) error { return bothExist(w.ctx, w, userID, groupID) }

func bothExist(ctx context.Context, r Reader, userID, groupID string) error {
	if _, err := r.User(ctx, userID); err != nil {
		return err
	}
	_, err := r.Group(ctx, groupID)
	return err
}
