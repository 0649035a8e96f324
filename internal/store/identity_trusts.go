package store

import (
	"context"
	"time"

	"symbolon/epoch"
	"symbolon/internal/identity"
)

const trustColumns = `t.id, t.trustor_id, t.trustee_id, t.project_id, t.impersonation, t.expires_at, t.remaining_uses, t.redelegated_trust_id,
	t.redelegation_count, t.deleted_at, t.extra`

func scanTrust(row scanner) (t identity.Trust, err error) {
	var expires, deleted *int64
	var extra string
	err = row.Scan(&t.ID, &t.TrustorID, &t.TrusteeID, &t.ProjectID, &t.Impersonation, &expires, &t.RemainingUses, &t.RedelegatedTrustID,
		&t.RedelegationCount, &deleted, &extra)
	if err != nil {
		return t, err
	}
	t.ExpiresAt, t.DeletedAt = timeOf(expires), timeOf(deleted)
	return t, intoObject(extra, &t.Extra)
}

func (r identityReads) trusts(ctx context.Context, s *selection) ([]identity.Trust, error) {
	s.where("t.deleted_at IS NULL")
	s.sql.WriteString(" ORDER BY t.id")
	ts, err := collect(ctx, r.q, s, scanTrust)
	if err != nil {
		return nil, err
	}
	for i := range ts {
		s := selectFrom(`SELECT role_id FROM trust_roles`)
		s.where("trust_id = %s", ts[i].ID)
		s.sql.WriteString(" ORDER BY role_id")
		if ts[i].RoleIDs, err = collect(ctx, r.q, s, scanText); err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// Trust implements [identity.Reader].
func (r identityReads) Trust(ctx context.Context, id string) (identity.Trust, error) {
	s := selectFrom(`SELECT %s FROM trusts t`, trustColumns)
	s.where("t.id = %s", id)
	ts, err := r.trusts(ctx, s)
	if err != nil {
		return identity.Trust{}, err
	}
	if len(ts) == 0 {
		return identity.Trust{}, identity.NotFound("trust", id)
	}
	return ts[0], nil
}

// Trusts implements [identity.Reader].
func (r identityReads) Trusts(ctx context.Context, trustorID, trusteeID string) ([]identity.Trust, error) {
	s := selectFrom(`SELECT %s FROM trusts t`, trustColumns)
	if trustorID != "" {
		s.where("t.trustor_id = %s", trustorID)
	}
	if trusteeID != "" {
		s.where("t.trustee_id = %s", trusteeID)
	}
	return r.trusts(ctx, s)
}

// TrustsOn implements [identity.Reader].
func (r identityReads) TrustsOn(ctx context.Context, projectID string) ([]identity.Trust, error) {
	s := selectFrom(`SELECT %s FROM trusts t`, trustColumns)
	s.where("t.project_id = %s", projectID)
	return r.trusts(ctx, s)
}

// TrustsMadeFrom implements [identity.Reader].
func (r identityReads) TrustsMadeFrom(ctx context.Context, trustID string) ([]identity.Trust, error) {
	s := selectFrom(`SELECT %s FROM trusts t`, trustColumns)
	s.where("t.redelegated_trust_id = %s", trustID)
	return r.trusts(ctx, s)
}

// CreateTrust implements [identity.Tx].
func (t identityTx) CreateTrust(ctx context.Context, n identity.Trust) error {
	extra, err := object(n.Extra)
	if err != nil {
		return err
	}
	_, err = t.q.Exec(ctx, `INSERT INTO trusts (id, trustor_id, trustee_id, project_id, impersonation, expires_at, remaining_uses,
		redelegated_trust_id, redelegation_count, extra) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		n.ID, n.TrustorID, n.TrusteeID, n.ProjectID, n.Impersonation, instant(n.ExpiresAt), n.RemainingUses, n.RedelegatedTrustID,
		n.RedelegationCount, extra)
	if err != nil {
		return duplicate(err, "trust", "Duplicate entry found with ID "+n.ID)
	}
	for _, id := range n.RoleIDs {
		_, err := t.q.Exec(ctx, `INSERT INTO trust_roles (trust_id, role_id) VALUES ($1, $2) ON CONFLICT (trust_id, role_id) DO NOTHING`, n.ID, id)
		if IsForeignKey(err) {
			return identity.NotFound("role", id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteTrust implements [identity.Tx].
func (t identityTx) DeleteTrust(ctx context.Context, id string, at time.Time) error {
	n, err := t.q.Exec(ctx, `UPDATE trusts SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL`, id, int64(epoch.MicrosOf(at)))
	return changed(n, err, "trust", id)
}

// ConsumeTrustUse implements [identity.Tx]. One statement tests and takes, so that
// of many logins at once only as many succeed as uses are left.
func (t identityTx) ConsumeTrustUse(ctx context.Context, id string) (bool, error) {
	n, err := t.q.Exec(ctx, `UPDATE trusts SET remaining_uses = remaining_uses - 1
		WHERE id = $1 AND deleted_at IS NULL AND (remaining_uses IS NULL OR remaining_uses > 0)`, id)
	return n > 0, err
}

const eventColumns = `id, audit_id, audit_chain_id, user_id, project_id, domain_id, domain_scope_id, role_id, trust_id, consumer_id,
	access_token_id, expires_at, issued_before, revoked_at, keep_until, revision`

// RevocationEvents implements [identity.Reader].
func (r identityReads) RevocationEvents(ctx context.Context) ([]identity.RevocationEvent, error) {
	return r.RevocationEventsSince(ctx, time.Time{})
}

// RevocationEventsSince implements [identity.Reader].
func (r identityReads) RevocationEventsSince(ctx context.Context, since time.Time) ([]identity.RevocationEvent, error) {
	s := selectFrom(`SELECT %s FROM revocation_events`, eventColumns)
	if !since.IsZero() {
		s.where("revoked_at >= %s", int64(epoch.MicrosOf(since)))
	}
	s.sql.WriteString(" ORDER BY revoked_at, id")
	return collect(ctx, r.q, s, scanEvent)
}

// RevocationEventsAfter implements [identity.Reader].
func (r identityReads) RevocationEventsAfter(ctx context.Context, revision uint64) ([]identity.RevocationEvent, error) {
	s := selectFrom(`SELECT %s FROM revocation_events`, eventColumns)
	s.where("revision > %s", int64(revision)) // #nosec G115 -- a count of changes
	s.sql.WriteString(" ORDER BY revision, id")
	return collect(ctx, r.q, s, scanEvent)
}

func scanEvent(row scanner) (e identity.RevocationEvent, err error) {
	var expires *int64
	var before, at, keep int64
	err = row.Scan(&e.ID, &e.AuditID, &e.AuditChainID, &e.UserID, &e.ProjectID, &e.DomainID, &e.DomainScopeID, &e.RoleID, &e.TrustID,
		&e.ConsumerID, &e.AccessTokenID, &expires, &before, &at, &keep, &e.Revision)
	e.ExpiresAt, e.IssuedBefore, e.RevokedAt = timeOf(expires), epoch.Micros(before).Time(), epoch.Micros(at).Time()
	e.KeepUntil = epoch.Micros(keep).Time()
	return e, err
}

// AddRevocation implements [identity.Tx]. The transaction holds the node's row, so
// that the revision it ends with is the next one.
func (t identityTx) AddRevocation(ctx context.Context, e identity.RevocationEvent) error {
	t.tx.TouchIdentity()
	_, err := t.q.Exec(ctx, `INSERT INTO revocation_events (`+eventColumns+`)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, identity_revision + 1 FROM node_state WHERE id = 1`,
		e.ID, e.AuditID, e.AuditChainID, e.UserID, e.ProjectID, e.DomainID, e.DomainScopeID, e.RoleID, e.TrustID, e.ConsumerID,
		e.AccessTokenID, instant(e.ExpiresAt), int64(epoch.MicrosOf(e.IssuedBefore)), int64(epoch.MicrosOf(e.RevokedAt)),
		int64(epoch.MicrosOf(e.KeepUntil)))
	return duplicate(err, "revocation_event", "Duplicate entry found with ID "+e.ID)
}

// PruneRevocations implements [identity.Tx].
func (t identityTx) PruneRevocations(ctx context.Context, now time.Time) error {
	_, err := t.q.Exec(ctx, `DELETE FROM revocation_events WHERE keep_until < $1`, int64(epoch.MicrosOf(now)))
	return err
}
