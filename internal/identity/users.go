package identity

import (
	"context"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// CreateUser makes a user in its domain, with a password unless that is nil. The
// id and the instants of u are set here.
func (d *Directory) CreateUser(ctx context.Context, u User, password *string) (User, error) {
	var err error
	if u.Name, err = trimName(u.Name, MaxUserName); err != nil {
		return User{}, err
	}
	u.ID, u.CreatedAt, u.PasswordExpiresAt = id.NewHex().String(), d.now().UTC(), time.Time{}
	var pw Password
	keep := 0
	if password != nil {
		// The domain is looked up before the password is hashed, which is
		// slow work that a request for nothing must not cause.
		if _, err := d.Domain(ctx, u.DomainID); err != nil {
			return User{}, err
		}
		if pw, keep, err = d.password(ctx, u, *password, nil, false); err != nil {
			return User{}, err
		}
	}
	u.Options = Options{}.merge(u.Options)
	err = d.change(ctx, func(w *work) error {
		if _, err := w.Domain(ctx, u.DomainID); err != nil {
			return err
		}
		if err := w.checkDefaultProject(u.DefaultProjectID); err != nil {
			return err
		}
		if err := w.CreateUser(ctx, u); err != nil {
			return err
		}
		if password != nil {
			if err := w.SetPassword(ctx, u.ID, pw, keep); err != nil {
				return err
			}
		}
		w.record("user.created", u.ID, map[string]any{"domain_id": u.DomainID, "name": u.Name})
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return d.User(ctx, u.ID)
}

func (w *work) checkDefaultProject(projectID string) error {
	if projectID == "" {
		return nil
	}
	p, err := w.Project(w.ctx, projectID)
	switch {
	case errs.Is(err, errs.NotFound): // it need not exist
		return nil
	case err != nil:
		return err
	case p.IsDomain:
		return errs.E(errs.Invalid, "User's default project ID cannot be a domain ID: %s", projectID)
	}
	return nil
}

// A UserPatch changes a user. A Password of nil leaves the user without one; an
// option of null is removed.
type UserPatch struct {
	Name             Field[string]
	DomainID         Field[string]
	DefaultProjectID Field[string]
	Enabled          Field[bool]
	Password         Field[*string]
	Options          Options
	Extra            Extra
}

// UpdateUser changes a user. Disabling it and changing its password revoke its
// tokens; enabling it forgets its failed logins.
func (d *Directory) UpdateUser(ctx context.Context, userID string, p UserPatch) (User, error) {
	var err error
	if p.Name.Set {
		if p.Name.To, err = trimName(p.Name.To, MaxUserName); err != nil {
			return User{}, err
		}
	}
	var pw Password
	keep := 0
	newPassword := p.Password.Set && p.Password.To != nil
	if newPassword {
		u, err := d.User(ctx, userID)
		if err != nil {
			return User{}, err
		}
		u.Options = u.Options.merge(p.Options)
		old, err := d.Passwords(ctx, userID)
		if err != nil {
			return User{}, err
		}
		if pw, keep, err = d.password(ctx, u, *p.Password.To, old, false); err != nil {
			return User{}, err
		}
	}
	err = d.change(ctx, func(w *work) error {
		old, err := w.User(ctx, userID)
		if err != nil {
			return err
		}
		if p.DomainID.Set && p.DomainID.To != old.DomainID {
			return errs.E(errs.Invalid, "Cannot change Domain ID")
		}
		if p.DefaultProjectID.Set {
			if err := w.checkDefaultProject(p.DefaultProjectID.To); err != nil {
				return err
			}
		}
		u := old
		p.Name.apply(&u.Name)
		p.DefaultProjectID.apply(&u.DefaultProjectID)
		p.Enabled.apply(&u.Enabled)
		u.Options, u.Extra = old.Options.merge(p.Options), old.Extra.merge(p.Extra)
		if err := w.UpdateUser(ctx, u); err != nil {
			return err
		}
		switch {
		case newPassword:
			err = w.SetPassword(ctx, userID, pw, keep)
		case p.Password.Set:
			err = w.RemovePasswords(ctx, userID)
		}
		if err != nil {
			return err
		}
		if p.Enabled.Set && p.Enabled.To {
			if err := w.ResetFailures(ctx, userID); err != nil {
				return err
			}
		}
		if p.Password.Set || old.Enabled && !u.Enabled {
			if err := w.revoke(RevocationEvent{UserID: userID}); err != nil {
				return err
			}
		}
		detail := map[string]any{"domain_id": u.DomainID}
		if old.Enabled != u.Enabled {
			detail["enabled"] = u.Enabled
		}
		if p.Password.Set {
			detail["password"] = "changed"
		}
		w.record("user.updated", userID, detail)
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return d.User(ctx, userID)
}

// ChangePassword sets the password of a user who has proved the old one, resets
// the user's failed logins and revokes the user's tokens.
func (d *Directory) ChangePassword(ctx context.Context, userID, password string) error {
	return d.ReplacePassword(ctx, userID, "", password)
}

// ReplacePassword is ChangePassword for a user who has proved the password of which
// proved is the hash: when that is no longer the user's password the proof is worth
// nothing any more, and the error is of kind Conflict. Empty is any.
func (d *Directory) ReplacePassword(ctx context.Context, userID string, proved PasswordHash, password string) error {
	u, err := d.User(ctx, userID)
	if err != nil {
		return err
	}
	if u.Options.Bool(OptLockPassword) {
		return errs.E(errs.Invalid, "Password change is not allowed: the user's password is locked.")
	}
	old, err := d.Passwords(ctx, userID)
	if err != nil {
		return err
	}
	if proved != "" && (len(old) == 0 || old[0].Hash != proved) {
		return errs.E(errs.Conflict, "The password was changed by another request at the same time.")
	}
	pw, keep, err := d.password(ctx, u, password, old, true)
	if err != nil {
		return err
	}
	pw.SelfService = true
	return d.change(ctx, func(w *work) error {
		now, err := w.Passwords(ctx, userID)
		if err != nil {
			return err
		}
		// Two changes at once that proved the same old password: one wins.
		if len(now) == 0 || len(old) == 0 || now[0].Hash != old[0].Hash {
			return errs.E(errs.Conflict, "The password was changed by another request at the same time.")
		}
		if err := w.SetPassword(ctx, userID, pw, keep); err != nil {
			return err
		}
		if err := w.ResetFailures(ctx, userID); err != nil {
			return err
		}
		w.record("user.updated", userID, map[string]any{"domain_id": u.DomainID, "password": "changed by the user"})
		return w.revoke(RevocationEvent{UserID: userID})
	})
}

// DeleteUser removes a user with everything that is only about it, and revokes its
// tokens and the trusts it gave or took.
func (d *Directory) DeleteUser(ctx context.Context, userID string) error {
	return d.change(ctx, func(w *work) error { return w.deleteUser(userID) })
}

func (w *work) deleteUser(userID string) error {
	u, err := w.User(w.ctx, userID)
	if err != nil {
		return err
	}
	given, err := w.Trusts(w.ctx, userID, "")
	if err != nil {
		return err
	}
	taken, err := w.Trusts(w.ctx, "", userID)
	if err != nil {
		return err
	}
	for _, t := range append(given, taken...) {
		if err := w.deleteTrust(t.ID); err != nil && !errs.Is(err, errs.NotFound) { // gone with its parent
			return err
		}
	}
	if err := w.Tx.DeleteUser(w.ctx, userID); err != nil {
		return err
	}
	w.record("user.deleted", userID, map[string]any{"domain_id": u.DomainID, "name": u.Name})
	return w.revoke(RevocationEvent{UserID: userID})
}

// DeleteTrust removes a trust and those that were redelegated from it, and revokes
// their tokens.
func (d *Directory) DeleteTrust(ctx context.Context, trustID string) error {
	return d.change(ctx, func(w *work) error { return w.deleteTrust(trustID) })
}

func (w *work) deleteTrust(trustID string) error {
	children, err := w.TrustsMadeFrom(w.ctx, trustID)
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := w.deleteTrust(c.ID); err != nil {
			return err
		}
	}
	if err := w.Tx.DeleteTrust(w.ctx, trustID, w.now); err != nil {
		return err
	}
	w.record("OS-TRUST:trust.deleted", trustID, nil)
	return w.revoke(RevocationEvent{TrustID: trustID})
}
