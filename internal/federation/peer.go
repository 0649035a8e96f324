package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// A Status is where a peer stands. The texts are those of Stigmem wire §25.4,
// with one of our own, [Suspended].
type Status string

// The statuses. Only an active peer is believed, served or polled.
const (
	// PendingVerification is a registration whose declaration was not
	// checked yet. Registering writes nothing before the check, so that only
	// stores made by others hold it; such a peer may register again.
	PendingVerification Status = "pending_verification"
	PendingApproval     Status = "pending_approval"
	Active              Status = "active"
	// Suspended is an active peer set aside by an operator for a while.
	Suspended Status = "suspended"
	// Revoked is a peer that is not trusted again; it must be removed before
	// its node may register anew.
	Revoked  Status = "revoked"
	Rejected Status = "rejected"
)

// An Event is what moves a peer from one status to another.
type Event string

// The events. Each that succeeds is audited under its own name, see audited.
const (
	Verified  Event = "verified"  // a declaration passed every check
	Refused   Event = "refused"   // a declaration failed a check
	Approve   Event = "approve"   // an operator confirmed the key's fingerprint
	Suspend   Event = "suspend"   // an operator set the peer aside
	Resume    Event = "resume"    // an operator took it back
	Revoke    Event = "revoke"    // an operator ended the trust
	Rekey     Event = "rekey"     // an operator confirmed a new key's fingerprint
	Remove    Event = "remove"    // an operator deleted the peer
	removed         = Status("")  // there is no row
	unchanged       = Status("=") // the event keeps the status
)

// transitions is the whole state machine. An event missing from a status's row is
// not possible there. The empty status is that of a node that has no row.
var transitions = map[Status]map[Event]Status{
	removed:             {Verified: PendingApproval, Refused: Rejected},
	PendingVerification: {Verified: PendingApproval, Refused: Rejected, Revoke: Revoked, Remove: removed},
	Rejected:            {Verified: PendingApproval, Refused: Rejected, Remove: removed},
	PendingApproval:     {Approve: Active, Revoke: Revoked, Remove: removed},
	Active:              {Suspend: Suspended, Revoke: Revoked, Rekey: unchanged, Remove: removed},
	Suspended:           {Resume: Active, Revoke: Revoked, Rekey: unchanged, Remove: removed},
	Revoked:             {Remove: removed},
}

// audited names the audit entry of each event. Approval has the wire's name.
var audited = map[Event]string{
	Verified: "peer_registered",
	Refused:  "peer_rejected",
	Approve:  "peer_approved",
	Suspend:  "peer_suspended",
	Resume:   "peer_resumed",
	Revoke:   "peer_revoked",
	Rekey:    "peer_rekeyed",
	Remove:   "peer_removed",
}

// next returns the status that ev leads to from s, or an error of kind Conflict.
func (s Status) next(ev Event) (Status, error) {
	to, ok := transitions[s][ev]
	switch {
	case ok && to == unchanged:
		return s, nil
	case ok:
		return to, nil
	case ev == Approve:
		return s, errs.E(errs.Conflict, "peer is not pending approval (status=%s)", s)
	case ev == Verified || ev == Refused:
		return s, errs.E(errs.Conflict, "peer already registered (status=%s)", s)
	}
	return s, errs.E(errs.Conflict, "cannot %s a peer that is %s", ev, s)
}

// Valid reports whether s is a status that a row may have.
func (s Status) Valid() bool { return s != removed && transitions[s] != nil }

// A Peer is another node as this one knows it.
type Peer struct {
	ID     id.UUID
	NodeID string
	// NodeURL is the base URL under which the peer is polled, without a
	// trailing slash.
	NodeURL string
	// PubKey is the Ed25519 key that the peer's tokens verify under, as the
	// wire writes it: unpadded base64url of 32 bytes. A rejected peer's may be
	// anything it declared.
	PubKey string
	// PrevPubKey is the key before the last re-key, accepted until PrevUntil;
	// empty is none.
	PrevPubKey string
	PrevUntil  time.Time
	// AllowedScopes bound what passes between the nodes in either direction.
	AllowedScopes id.ScopeSet
	// Wire is the version of the protocol that the node last said or showed
	// that it speaks; empty when it has not.
	Wire   Wire
	Status Status
	// DeclarationSig and SignedAt are kept as the peer sent them; both are
	// empty for a peer that an operator added by its address.
	DeclarationSig string
	SignedAt       string
	// Why says for what reason the peer is rejected, suspended or revoked.
	Why string
	// RegisteredBy and ApprovedBy are entity URIs.
	RegisteredBy string
	ApprovedBy   string
	CreatedAt    time.Time
	VerifiedAt   time.Time // zero: never
	ApprovedAt   time.Time // zero: never
	UpdatedAt    time.Time
}

// Fingerprint returns what an operator compares out of band before approving: it
// is computed over the key's text, not over its bytes (Stigmem wire §25.3).
func (p Peer) Fingerprint() string { return Fingerprint(p.PubKey) }

// Fingerprint returns "sha256:" and the hexadecimal SHA-256 of a public key's
// base64url text.
func Fingerprint(pubKey string) string {
	sum := sha256.Sum256([]byte(pubKey))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A Position is how far a peer was read, and how that went last.
type Position struct {
	PeerID id.UUID
	// Cursor is the peer's own, sent back as it came; empty is from the start.
	Cursor string
	// SavedAt is when Cursor was saved; zero is never.
	SavedAt time.Time
}
