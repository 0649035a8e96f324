package federation

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/principal"
)

// The entries of the federation log that the wire names (Stigmem wire §25.10), and
// those that our own changes of a peer add.
var auditTypes = []string{
	"rejected_fact", "rejected_token", "scope_violation", "replay_attempt",
	"tl_proof_missing", "tl_proof_verified", "manifest_stored", "manifest_refresh_failed", "san_mismatch",
	"peer_approved", "peer_approval_failed",
	"peer_registered", "peer_rejected", "peer_suspended", "peer_resumed", "peer_revoked", "peer_rekeyed",
	"peer_rekey_failed", "peer_removed",
}

// AuditTypes returns the types of entry that the federation log shows.
func AuditTypes() []string { return slices.Clone(auditTypes) }

// An AuditQuery asks for a page of the federation log, the newest first. Empty
// filters do not filter.
type AuditQuery struct {
	PeerID string
	Type   string
	// Before leaves out this position and everything newer; zero is the start.
	Before int64
	// Limit is 1 to 500.
	Limit int
}

// An AuditEntry is one entry of the federation log.
type AuditEntry struct {
	ID     string
	Seq    int64
	PeerID string
	Type   string
	Detail json.RawMessage // an object, or nil
	At     epoch.Micros
}

// An AuditPage is one page. Next is the position to ask before; zero when there is
// nothing older.
type AuditPage struct {
	Entries []AuditEntry
	Next    int64
}

// AuditLog returns a page of the federation log: by going down the chain's own
// order every entry is met exactly once. It needs the permission federate.
func (s *Service) AuditLog(ctx context.Context, by principal.Principal, q AuditQuery) (AuditPage, error) {
	if err := needFederate(by); err != nil {
		return AuditPage{}, err
	}
	if q.Limit < 1 || q.Limit > maxPage || q.Before < 0 {
		return AuditPage{}, errs.E(errs.Invalid, "limit must be 1 to %d", maxPage)
	}
	if q.Type != "" && !slices.Contains(auditTypes, q.Type) || !storable(q.PeerID) {
		return AuditPage{}, nil // nothing of such a type is ever written here
	}
	return s.store.FederationAudit(ctx, q)
}

// Cursor returns the text by which a caller asks for the next page, or "".
func (p AuditPage) Cursor() string {
	if p.Next == 0 {
		return ""
	}
	return strconv.FormatInt(p.Next, 10)
}

// ParseAuditCursor reads what [AuditPage.Cursor] wrote. The error is of kind
// Invalid.
func ParseAuditCursor(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != s {
		return 0, errs.Detail(errs.Invalid, "unreadable pagination cursor",
			map[string]string{"code": "invalid_cursor", "message": "unreadable pagination cursor"})
	}
	return n, nil
}
