package peertoken

import (
	"errors"

	"symbolon/epoch"
	"symbolon/token"
)

// Detail returns the text that the wire's 401 gives for an error of
// [Verifier.Verify], and "" for one that is not a rejection. It is coarser than
// the reason where real peers and the reference's audit expect one word for
// several: a unit mistake, a missing number and one of another shape all read as
// the reference's refusal of that claim.
func Detail(err error) string {
	detail, _ := wire(err)
	return detail
}

// The types of event in the federation audit log.
const (
	EventRejected = "rejected_token"
	EventReplay   = "replay_attempt"
)

// Audit returns the type of the event and the reason that the reference would
// write into the federation audit log for an error of [Verifier.Verify]. The event
// is empty for what it does not audit, which is text that is no token at all.
func Audit(err error) (event, reason string) {
	detail, a := wire(err)
	switch a {
	case auditNone:
		return "", ""
	case auditUnknown:
		return EventRejected, "peer_not_found"
	case auditReplay:
		return EventReplay, detail
	case auditRejected:
	}
	return EventRejected, detail
}

type auditAs uint8

const (
	auditNone auditAs = iota
	auditUnknown
	auditRejected
	auditReplay
)

// wire is the one table from our reasons to the reference's words.
func wire(err error) (string, auditAs) {
	var r *token.Rejection
	if !errors.As(err, &r) || r.Kind != token.Peer {
		return "", auditNone
	}
	switch r.Reason {
	case token.Malformed, token.NotCanonical:
		return "malformed token", auditNone
	case token.UnknownKey:
		return "peer not registered", auditUnknown
	case token.IssuerNotApproved:
		return "peer_not_approved", auditRejected
	case token.BadSignature:
		return "invalid_signature", auditRejected
	case token.Expired:
		return "token_expired", auditRejected
	case token.WrongAudience:
		return "invalid_sub", auditRejected
	case token.WrongIssuer:
		return "invalid_iss", auditRejected
	case token.IssuedInFuture:
		return "iat_in_future", auditRejected
	case token.IssuedTooLongAgo:
		return "iat_too_old", auditRejected
	case token.NotYetValid:
		return "nbf_in_future", auditRejected
	case token.MissingNonce:
		return "missing_nonce", auditRejected
	case token.Replayed:
		return "nonce_already_seen", auditReplay
	case token.LifetimeTooLong:
		return "lifetime_too_long", auditRejected // ours: the reference sets no bound
	case token.UnitMismatch, token.BadLayout:
		return claimDetail(r)
	default: // wrong_algorithm, wrong_kind
		return "invalid_token", auditRejected
	}
}

// claimDetail is what the reference says of a claim whose number or shape is
// wrong, or would say if it did not fail.
func claimDetail(r *token.Rejection) (string, auditAs) {
	switch r.Claim {
	case "iss":
		return "peer not registered", auditUnknown
	case claimExpires:
		return "token_expired", auditRejected
	case claimIssued:
		if r.LooksLike == epoch.UnitMicros || r.LooksLike == epoch.UnitNanos {
			return "iat_in_future", auditRejected
		}
		return "iat_too_old", auditRejected
	case claimNotBefore:
		return "nbf_in_future", auditRejected
	}
	return "invalid_token", auditRejected
}
