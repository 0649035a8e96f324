package authn

import (
	"context"
	"encoding/json"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
)

// password is the method of that name.
type password struct{ s *Service }

// A who names a user: by ID, or by Name in a domain.
type who struct {
	id, name string
	domain   issuer.Ref
	password string
}

func (password) Name() string { return "password" }

// Parse reads {"user": {"id" | "name" and "domain", "password"}}.
func (password) Parse(data json.RawMessage) (any, error) {
	o, err := readObject(data, "password")
	if err != nil {
		return nil, err
	}
	raw, ok := o["user"]
	if !ok {
		return nil, missing("user", "password")
	}
	u, err := readObject(raw, "password/user")
	if err != nil {
		return nil, err
	}
	var w who
	for k, to := range map[string]*string{"id": &w.id, "name": &w.name, "password": &w.password} {
		if err := u.text(k, to); err != nil {
			return nil, err
		}
	}
	if w.id == "" && w.name == "" {
		return nil, missing("id or name", "user")
	}
	if raw, ok := u["domain"]; ok {
		d, err := readObject(raw, "password/user/domain")
		if err != nil {
			return nil, err
		}
		if err := d.text("id", &w.domain.ID); err != nil {
			return nil, err
		}
		if err := d.text("name", &w.domain.Name); err != nil {
			return nil, err
		}
		if w.domain == (issuer.Ref{}) {
			return nil, missing("id or name", "domain")
		}
	}
	if w.name != "" && w.domain == (issuer.Ref{}) {
		return nil, missing("domain", "user")
	}
	return w, nil
}

// Authenticate finds the user and compares the password. Whatever is amiss, one
// hash is computed.
func (m password) Authenticate(ctx context.Context, data any, _ issuer.ScopeKind) (Proof, error) {
	w := data.(who)
	u, amiss, err := m.s.find(ctx, w)
	if err != nil {
		return Proof{}, err
	}
	if _, err := m.s.checkPassword(ctx, u, amiss, w.password, false); err != nil {
		return Proof{}, err
	}
	return Proof{UserID: u.ID}, nil
}

// find returns the user that a login names, and what is amiss with it. The error
// says that it could not be told.
func (s *Service) find(ctx context.Context, w who) (identity.User, Reason, error) {
	var u identity.User
	var err error
	if w.name != "" {
		d, why, err := s.domain(ctx, w.domain)
		if err != nil || why == UnknownDomain {
			return u, why, err
		}
		u, err = s.Store.UserByName(ctx, d.ID, w.name)
		return s.found(u, why, err)
	}
	if u, err = s.Store.User(ctx, w.id); err != nil {
		return s.found(u, "", err)
	}
	_, why, err := s.domain(ctx, issuer.Ref{ID: u.DomainID})
	if err != nil {
		return u, "", err
	}
	return s.found(u, why, nil)
}

func (s *Service) found(u identity.User, why Reason, err error) (identity.User, Reason, error) {
	switch {
	case errs.Is(err, errs.NotFound):
		return identity.User{}, UnknownUser, nil
	case err != nil:
		return u, "", err
	case why != "":
		return u, why, nil
	case !u.Enabled:
		return u, UserDisabled, nil
	}
	return u, "", nil
}

func (s *Service) domain(ctx context.Context, r issuer.Ref) (identity.Project, Reason, error) {
	var d identity.Project
	var err error
	if r.Name != "" {
		d, err = s.Store.DomainByName(ctx, r.Name)
	} else {
		d, err = s.Store.Domain(ctx, r.ID)
	}
	switch {
	case errs.Is(err, errs.NotFound):
		return d, UnknownDomain, nil
	case err != nil:
		return d, "", err
	case !d.Enabled:
		return d, DomainDisabled, nil
	}
	return d, "", nil
}

// CheckPassword returns nil when the user is enabled, not locked, and has this
// password, though it may be expired. Every other outcome is the same error of kind
// Unauthenticated after the same work.
func (s *Service) CheckPassword(ctx context.Context, userID, text string) error {
	_, err := s.prove(ctx, userID, text)
	return err
}

// prove is CheckPassword that also returns the hash which the password matched.
func (s *Service) prove(ctx context.Context, userID, text string) (identity.PasswordHash, error) {
	u, amiss, err := s.find(ctx, who{id: userID})
	if err != nil {
		return "", err
	}
	return s.checkPassword(ctx, u, amiss, text, true)
}

// ChangePassword returns what sets the password of a user who proves the old one. A
// change that happens meanwhile makes the proof worthless.
func (s *Service) ChangePassword(d *identity.Directory) func(ctx context.Context, userID, original, password string) error {
	return func(ctx context.Context, userID, original, password string) error {
		proved, err := s.prove(ctx, userID, original)
		if err != nil {
			return err
		}
		return d.ReplacePassword(ctx, userID, proved, password)
	}
}

// checkPassword compares the password of a user, about whom something may be amiss
// already, keeps count of failures, and returns the hash that it matches.
func (s *Service) checkPassword(ctx context.Context, u identity.User, amiss Reason, text string, expired bool) (identity.PasswordHash, error) {
	var stored identity.Password
	var fails identity.Failures
	if u.ID != "" {
		ps, err := s.Store.Passwords(ctx, u.ID)
		if err != nil {
			return "", err
		}
		if len(ps) > 0 {
			stored = ps[0]
		}
		if s.counts(&u) {
			if fails, err = s.Store.LoginFailures(ctx, u.ID); err != nil {
				return "", err
			}
		}
	}
	locked := s.locked(fails)
	ok, renew, err := s.Hasher.Verify(ctx, stored.Hash, text)
	if err != nil {
		return "", err
	}
	refuse := func(why Reason) error {
		return s.Refuse(ctx, Failure{Reason: why, Method: "password", UserID: u.ID, DomainID: u.DomainID})
	}
	switch {
	case amiss != "":
		return "", refuse(amiss)
	case locked:
		return "", refuse(Locked)
	case !ok:
		if err := s.countFailure(ctx, &u, fails); err != nil {
			return "", err
		}
		if stored.Hash == "" {
			return "", refuse(NoPassword)
		}
		return "", refuse(WrongPassword)
	case !expired && !stored.ExpiresAt.IsZero() && !s.Now().Before(stored.ExpiresAt):
		return "", refuse(PasswordExpired)
	}
	return stored.Hash, s.succeeded(ctx, &u, stored.Hash, text, renew, refuse)
}

// counts reports whether failures of the user are counted.
func (s *Service) counts(u *identity.User) bool {
	return s.cfg.LockoutAttempts > 0 && !u.Options.Bool(identity.OptIgnoreLockout)
}

func (s *Service) locked(f identity.Failures) bool {
	return s.cfg.LockoutAttempts > 0 && f.Count >= s.cfg.LockoutAttempts && !s.lapsed(f)
}

// lapsed reports whether the failures were long enough ago to be forgotten.
func (s *Service) lapsed(f identity.Failures) bool {
	return s.cfg.LockoutDuration > 0 && f.Count > 0 && !s.Now().Before(f.Last.Add(s.cfg.LockoutDuration))
}

// countFailure counts a wrong password. The store adds to what it has, so that of
// many at once every one counts.
func (s *Service) countFailure(ctx context.Context, u *identity.User, seen identity.Failures) error {
	if !s.counts(u) {
		return nil
	}
	return s.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		if s.lapsed(seen) && seen.Count >= s.cfg.LockoutAttempts {
			now, err := tx.LoginFailures(ctx, u.ID)
			if err != nil {
				return err
			}
			if now == seen {
				if err := tx.ResetFailures(ctx, u.ID); err != nil {
					return err
				}
			}
		}
		_, err := tx.RecordFailure(ctx, u.ID, s.Now())
		return err
	})
}

// succeeded does what follows a right password: it forgets failures and stores a
// stronger hash. Guesses that were being compared at the same time may have locked
// the account meanwhile; then this one was a guess too.
func (s *Service) succeeded(ctx context.Context, u *identity.User, hash identity.PasswordHash, text string, renew bool, refuse func(Reason) error) error {
	var stronger identity.PasswordHash
	if renew {
		var err error
		if stronger, err = s.Hasher.Hash(ctx, text); err != nil {
			stronger = "" // the old one does
		}
	}
	counted := s.counts(u)
	if !counted && stronger == "" {
		return nil
	}
	if counted && stronger == "" {
		now, err := s.Store.LoginFailures(ctx, u.ID)
		if err != nil {
			return err
		}
		if now.Count == 0 {
			return nil
		}
	}
	locked := false
	err := s.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		locked = false
		if counted {
			now, err := tx.LoginFailures(ctx, u.ID)
			if err != nil {
				return err
			}
			if locked = s.locked(now); locked {
				return nil
			}
			if err := tx.ResetFailures(ctx, u.ID); err != nil {
				return err
			}
		}
		if stronger != "" {
			return tx.UpgradeHash(ctx, u.ID, hash, stronger)
		}
		return nil
	})
	if err == nil && locked {
		return refuse(Locked)
	}
	return err
}

// MakePassword returns an [identity.PasswordMaker] that hashes with h and keeps no
// earlier password.
func MakePassword(h *Hasher, now func() time.Time) identity.PasswordMaker {
	return func(ctx context.Context, _ identity.User, text string, _ []identity.Password, selfService bool) (identity.Password, int, error) {
		hash, err := h.Hash(ctx, text)
		if err != nil {
			return identity.Password{}, 0, err
		}
		return identity.Password{Hash: hash, CreatedAt: now().UTC(), SelfService: selfService}, 1, nil
	}
}
