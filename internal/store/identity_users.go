package store

import (
	"context"
	"errors"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
)

const userColumns = `u.id, u.domain_id, u.name, u.default_project_id, u.enabled, u.options, u.extra, u.created_at, u.last_active_at, u.password_expires_at`

var userFields = fields{
	"id": "u.id", "domain_id": "u.domain_id", "name": "u.name", "enabled": "u.enabled",
	"default_project_id": "u.default_project_id", "password_expires_at": "u.password_expires_at",
}

func scanUser(row scanner) (u identity.User, err error) {
	var options, extra string
	var created int64
	var active, expires *int64
	err = row.Scan(&u.ID, &u.DomainID, &u.Name, &u.DefaultProjectID, &u.Enabled, &options, &extra, &created, &active, &expires)
	if err != nil {
		return u, err
	}
	u.CreatedAt = epoch.Micros(created).Time()
	u.LastActiveAt, u.PasswordExpiresAt = timeOf(active), timeOf(expires)
	return u, errors.Join(intoObject(options, &u.Options), intoObject(extra, &u.Extra))
}

// one turns a missing row into the protocol's not-found error.
func one[T any](v T, err error, resource, id string) (T, error) {
	if errors.Is(err, ErrNoRows) {
		return v, identity.NotFound(resource, id)
	}
	return v, err
}

// User implements [identity.Reader].
func (r identityReads) User(ctx context.Context, id string) (identity.User, error) {
	u, err := scanUser(r.q.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id = $1`, id))
	return one(u, err, "user", id)
}

// UserByName implements [identity.Reader].
func (r identityReads) UserByName(ctx context.Context, domainID, name string) (identity.User, error) {
	u, err := scanUser(r.q.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.domain_id = $1 AND u.name = $2`, domainID, name))
	return one(u, err, "user", name)
}

// Users implements [identity.Reader].
func (r identityReads) Users(ctx context.Context, q identity.Query) ([]identity.User, error) {
	s := selectFrom(`SELECT %s FROM users u`, userColumns)
	if err := s.narrow(userFields, "u.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanUser)
}

// UsersIn implements [identity.Reader].
func (r identityReads) UsersIn(ctx context.Context, groupID string, q identity.Query) ([]identity.User, error) {
	s := selectFrom(`SELECT %s FROM users u JOIN group_members m ON m.user_id = u.id`, userColumns)
	s.where("m.group_id = %s", groupID)
	if err := s.narrow(userFields, "u.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanUser)
}

// Passwords implements [identity.Reader].
func (r identityReads) Passwords(ctx context.Context, userID string) ([]identity.Password, error) {
	s := selectFrom(`SELECT hash, created_at, expires_at, self_service FROM passwords`)
	s.where("user_id = %s", userID)
	s.sql.WriteString(" ORDER BY seq DESC")
	return collect(ctx, r.q, s, func(row scanner) (p identity.Password, err error) {
		var created int64
		var expires *int64
		err = row.Scan(&p.Hash, &created, &expires, &p.SelfService)
		p.CreatedAt, p.ExpiresAt = epoch.Micros(created).Time(), timeOf(expires)
		return p, err
	})
}

// LoginFailures implements [identity.Reader].
func (r identityReads) LoginFailures(ctx context.Context, userID string) (identity.Failures, error) {
	f, err := scanFailures(r.q.QueryRow(ctx, `SELECT failures, last_at FROM login_failures WHERE user_id = $1`, userID))
	if errors.Is(err, ErrNoRows) {
		return identity.Failures{}, nil
	}
	return f, err
}

func scanFailures(row scanner) (f identity.Failures, err error) {
	var last int64
	if err = row.Scan(&f.Count, &last); err == nil {
		f.Last = epoch.Micros(last).Time()
	}
	return f, err
}

const groupColumns = `g.id, g.domain_id, g.name, g.description, g.extra`

var groupFields = fields{"id": "g.id", "domain_id": "g.domain_id", "name": "g.name"}

func scanGroup(row scanner) (g identity.Group, err error) {
	var extra string
	if err = row.Scan(&g.ID, &g.DomainID, &g.Name, &g.Description, &extra); err != nil {
		return g, err
	}
	return g, intoObject(extra, &g.Extra)
}

// Group implements [identity.Reader].
func (r identityReads) Group(ctx context.Context, id string) (identity.Group, error) {
	g, err := scanGroup(r.q.QueryRow(ctx, `SELECT `+groupColumns+` FROM user_groups g WHERE g.id = $1`, id))
	return one(g, err, "group", id)
}

// Groups implements [identity.Reader].
func (r identityReads) Groups(ctx context.Context, q identity.Query) ([]identity.Group, error) {
	s := selectFrom(`SELECT %s FROM user_groups g`, groupColumns)
	if err := s.narrow(groupFields, "g.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanGroup)
}

// GroupsOf implements [identity.Reader].
func (r identityReads) GroupsOf(ctx context.Context, userID string, q identity.Query) ([]identity.Group, error) {
	s := selectFrom(`SELECT %s FROM user_groups g JOIN group_members m ON m.group_id = g.id`, groupColumns)
	s.where("m.user_id = %s", userID)
	if err := s.narrow(groupFields, "g.id", q); err != nil {
		return nil, err
	}
	return collect(ctx, r.q, s, scanGroup)
}

// GroupIDsOf implements [identity.Reader].
func (r identityReads) GroupIDsOf(ctx context.Context, userID string) ([]string, error) {
	s := selectFrom(`SELECT group_id FROM group_members`)
	s.where("user_id = %s", userID)
	s.sql.WriteString(" ORDER BY group_id")
	return collect(ctx, r.q, s, scanText)
}

func scanText(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// IsMember implements [identity.Reader].
func (r identityReads) IsMember(ctx context.Context, userID, groupID string) (bool, error) {
	return anyRow(r.q.QueryRow(ctx, `SELECT 1 FROM group_members WHERE user_id = $1 AND group_id = $2`, userID, groupID))
}

func anyRow(row scanner) (bool, error) {
	var n int64
	err := row.Scan(&n)
	if errors.Is(err, ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// CreateUser implements [identity.Tx].
func (t identityTx) CreateUser(ctx context.Context, u identity.User) error {
	options, err1 := object(u.Options)
	extra, err2 := object(u.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, err := t.q.Exec(ctx, `INSERT INTO users (id, domain_id, name, default_project_id, enabled, options, extra, created_at, last_active_at, password_expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		u.ID, u.DomainID, u.Name, u.DefaultProjectID, u.Enabled, options, extra, int64(epoch.MicrosOf(u.CreatedAt)),
		instant(u.LastActiveAt), instant(u.PasswordExpiresAt))
	return duplicate(err, "user", nameIn(u.Name, u.DomainID))
}

// UpdateUser implements [identity.Tx]. When the password expires is SetPassword's
// to say and not changed here.
func (t identityTx) UpdateUser(ctx context.Context, u identity.User) error {
	options, err1 := object(u.Options)
	extra, err2 := object(u.Extra)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE users SET name = $2, default_project_id = $3, enabled = $4, options = $5, extra = $6 WHERE id = $1`,
		u.ID, u.Name, u.DefaultProjectID, u.Enabled, options, extra)
	return changed(n, duplicate(err, "user", nameIn(u.Name, u.DomainID)), "user", u.ID)
}

// DeleteUser implements [identity.Tx].
func (t identityTx) DeleteUser(ctx context.Context, id string) error {
	if _, err := t.q.Exec(ctx, `DELETE FROM assignments WHERE actor_id = $1 AND actor_kind = 'user'`, id); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `DELETE FROM users WHERE id = $1`, id)
	return changed(n, err, "user", id)
}

// SetPassword implements [identity.Tx].
func (t identityTx) SetPassword(ctx context.Context, userID string, p identity.Password, keep int) error {
	n, err := t.q.Exec(ctx, `UPDATE users SET password_expires_at = $2 WHERE id = $1`, userID, instant(p.ExpiresAt))
	if err := changed(n, err, "user", userID); err != nil {
		return err
	}
	var last int64
	if err := t.q.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) FROM passwords WHERE user_id = $1`, userID).Scan(&last); err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO passwords (user_id, seq, hash, created_at, expires_at, self_service) VALUES ($1, $2, $3, $4, $5, $6)`,
		userID, last+1, string(p.Hash), int64(epoch.MicrosOf(p.CreatedAt)), instant(p.ExpiresAt), p.SelfService)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `DELETE FROM passwords WHERE user_id = $1 AND seq <= $2`, userID, last+1-int64(max(keep, 1)))
	return err
}

// RemovePasswords implements [identity.Tx].
func (t identityTx) RemovePasswords(ctx context.Context, userID string) error {
	if _, err := t.q.Exec(ctx, `DELETE FROM passwords WHERE user_id = $1`, userID); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE users SET password_expires_at = NULL WHERE id = $1`, userID)
	return changed(n, err, "user", userID)
}

// UpgradeHash implements [identity.Tx].
func (t identityTx) UpgradeHash(ctx context.Context, userID string, old, hash identity.PasswordHash) error {
	_, err := t.q.Exec(ctx, `UPDATE passwords SET hash = $3
		WHERE user_id = $1 AND hash = $2 AND seq = (SELECT MAX(seq) FROM passwords WHERE user_id = $1)`, userID, string(old), string(hash))
	return err
}

// RecordFailure implements [identity.Tx]. It counts in one statement, so that
// failures at the same moment are all counted.
func (t identityTx) RecordFailure(ctx context.Context, userID string, at time.Time) (identity.Failures, error) {
	f, err := scanFailures(t.q.QueryRow(ctx, `INSERT INTO login_failures (user_id, failures, last_at) VALUES ($1, 1, $2)
		ON CONFLICT (user_id) DO UPDATE SET failures = login_failures.failures + 1, last_at = excluded.last_at
		RETURNING failures, last_at`, userID, int64(epoch.MicrosOf(at))))
	if IsForeignKey(err) {
		return f, identity.NotFound("user", userID)
	}
	return f, err
}

// ResetFailures implements [identity.Tx].
func (t identityTx) ResetFailures(ctx context.Context, userID string) error {
	_, err := t.q.Exec(ctx, `DELETE FROM login_failures WHERE user_id = $1`, userID)
	return err
}

// SetLastActive implements [identity.Tx].
func (t identityTx) SetLastActive(ctx context.Context, userID string, at time.Time) error {
	_, err := t.q.Exec(ctx, `UPDATE users SET last_active_at = $2 WHERE id = $1`, userID, int64(epoch.MicrosOf(at)))
	return err
}

// CreateGroup implements [identity.Tx].
func (t identityTx) CreateGroup(ctx context.Context, g identity.Group) error {
	extra, err := object(g.Extra)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO user_groups (id, domain_id, name, description, extra) VALUES ($1, $2, $3, $4, $5)`,
		g.ID, g.DomainID, g.Name, g.Description, extra)
	return duplicate(err, "group", nameIn(g.Name, g.DomainID))
}

// UpdateGroup implements [identity.Tx].
func (t identityTx) UpdateGroup(ctx context.Context, g identity.Group) error {
	extra, err := object(g.Extra)
	if err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `UPDATE user_groups SET name = $2, description = $3, extra = $4 WHERE id = $1`, g.ID, g.Name, g.Description, extra)
	return changed(n, duplicate(err, "group", nameIn(g.Name, g.DomainID)), "group", g.ID)
}

// DeleteGroup implements [identity.Tx].
func (t identityTx) DeleteGroup(ctx context.Context, id string) error {
	if _, err := t.q.Exec(ctx, `DELETE FROM assignments WHERE actor_id = $1 AND actor_kind = 'group'`, id); err != nil {
		return err
	}
	n, err := t.q.Exec(ctx, `DELETE FROM user_groups WHERE id = $1`, id)
	return changed(n, err, "group", id)
}

// AddMember implements [identity.Tx].
func (t identityTx) AddMember(ctx context.Context, userID, groupID string) (bool, error) {
	n, err := t.q.Exec(ctx, `INSERT INTO group_members (user_id, group_id) VALUES ($1, $2) ON CONFLICT (user_id, group_id) DO NOTHING`, userID, groupID)
	return n > 0, err
}

// RemoveMember implements [identity.Tx].
func (t identityTx) RemoveMember(ctx context.Context, userID, groupID string) (bool, error) {
	n, err := t.q.Exec(ctx, `DELETE FROM group_members WHERE user_id = $1 AND group_id = $2`, userID, groupID)
	return n > 0, err
}

// changed turns a change of no row into the protocol's not-found error.
func changed(n int64, err error, resource, id string) error {
	if err == nil && n == 0 {
		return identity.NotFound(resource, id)
	}
	return err
}

// duplicate turns a unique key that exists already into the protocol's conflict.
func duplicate(err error, resource, details string) error {
	if !IsUnique(err) {
		return err
	}
	return errs.With(errs.Conflict, err, "Conflict occurred attempting to store %s - %s.", resource, details)
}

func nameIn(name, domainID string) string {
	return "Duplicate entry found with name " + name + " at domain ID " + domainID
}
