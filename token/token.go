// Package token names why a token is refused.
//
// Every verifier of this module returns either claims or a [*Rejection] whose
// [Reason] is from one closed list. What a wire shows of a rejection may be
// coarser, so as to stay compatible and give an attacker no oracle; the log, the
// metric and the audit log always carry the reason. A Rejection holds no token
// text and no secret, so that it can be logged as it is.
package token

import (
	"context"
	"log/slog"
	"time"

	"symbolon/epoch"
)

// A Reason is why a token was refused. The list is closed.
type Reason string

// The reasons. Their texts are stable: rules, dashboards and audits match them.
const (
	Malformed         Reason = "malformed"
	NotCanonical      Reason = "not_canonical"
	UnknownVersion    Reason = "unknown_version"
	UnknownKey        Reason = "unknown_key"
	BadMAC            Reason = "bad_mac"
	BadSignature      Reason = "bad_signature"
	BadLayout         Reason = "bad_layout"
	WrongAlgorithm    Reason = "wrong_algorithm"
	WrongKind         Reason = "wrong_kind"
	WrongIssuer       Reason = "wrong_issuer"
	WrongAudience     Reason = "wrong_audience"
	UnitMismatch      Reason = "unit_mismatch"
	Expired           Reason = "expired"
	NotYetValid       Reason = "not_yet_valid"
	IssuedInFuture    Reason = "issued_in_future"
	IssuedTooLongAgo  Reason = "issued_too_long_ago"
	LifetimeTooLong   Reason = "lifetime_too_long"
	MissingNonce      Reason = "missing_nonce"
	Replayed          Reason = "replayed"
	Revoked           Reason = "revoked"
	PrincipalDisabled Reason = "principal_disabled"
	ScopeDisabled     Reason = "scope_disabled"
	NoRoles           Reason = "no_roles"
	IssuerNotApproved Reason = "issuer_not_approved"
	AccessRule        Reason = "access_rule"
	InsufficientScope Reason = "insufficient_scope"
)

// Reasons returns the whole list, in the order of the design.
func Reasons() []Reason {
	return []Reason{
		Malformed, NotCanonical, UnknownVersion, UnknownKey, BadMAC, BadSignature, BadLayout, WrongAlgorithm,
		WrongKind, WrongIssuer, WrongAudience, UnitMismatch, Expired, NotYetValid, IssuedInFuture, IssuedTooLongAgo,
		LifetimeTooLong, MissingNonce, Replayed, Revoked, PrincipalDisabled, ScopeDisabled, NoRoles, IssuerNotApproved,
		AccessRule, InsufficientScope,
	}
}

// ReasonOf returns the reason that stands for a fault of time, or the empty
// Reason for [epoch.Fine].
func ReasonOf(f epoch.Fault) Reason {
	switch f {
	case epoch.Expired:
		return Expired
	case epoch.NotYetValid:
		return NotYetValid
	case epoch.IssuedInFuture:
		return IssuedInFuture
	case epoch.IssuedTooLongAgo:
		return IssuedTooLongAgo
	case epoch.LifetimeTooLong:
		return LifetimeTooLong
	case epoch.Fine:
	}
	return ""
}

// A Kind is a kind of token.
type Kind string

// The kinds of token that this module mints or verifies.
const (
	Identity   Kind = "identity"   // Keystone token, Fernet or JWS
	Receipt    Kind = "receipt"    // Keystone authentication receipt
	Credential Kind = "credential" // Keystone credential blob
	Peer       Kind = "peer"       // Stigmem peer token
	Capability Kind = "capability" // Stigmem capability token
	APIKey     Kind = "api_key"    // Stigmem API key
	Unknown    Kind = "unknown"    // not recognised as any
)

// A Rejection says that a token is refused, and why. The times are those that
// the verified token carries and are zero where it has none or was not verified.
type Rejection struct {
	Reason Reason
	Kind   Kind
	// KeyID names the key that verified the token or was tried: a Fernet key
	// number, a peer's node id. It is empty when no key was found.
	KeyID string
	// Peer is the claimed issuer of a peer token. It is the bearer's word
	// until the signature is checked.
	Peer string
	// Now is the verifier's clock.
	Now       time.Time
	IssuedAt  time.Time
	NotBefore time.Time
	Expires   time.Time
	// Leeway is the clock skew that was tolerated.
	Leeway time.Duration
	// LooksLike is the unit in which the number at fault is plausible, set
	// with UnitMismatch only; Claim is that number's name.
	LooksLike epoch.Unit
	Claim     string
	// Detail is a short explanation for an operator. It never holds token text.
	Detail string
}

// Error returns the kind, the reason and the detail.
func (r *Rejection) Error() string {
	s := string(r.Kind) + " token refused: " + string(r.Reason)
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Skew is how far the token's issue instant lies ahead of the verifier's clock
// (negative: behind), or zero when the token carries none.
func (r *Rejection) Skew() time.Duration {
	if r.IssuedAt.IsZero() || r.Now.IsZero() {
		return 0
	}
	return r.IssuedAt.Sub(r.Now)
}

// LogValue groups what is known under the field names that the detection rules
// match.
func (r *Rejection) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("kind", string(r.Kind)), slog.String("reason", string(r.Reason)))
	for _, kv := range [...]struct{ k, v string }{
		{"key_id", r.KeyID}, {"peer", r.Peer}, {"claim", r.Claim}, {"detail", r.Detail},
	} {
		if kv.v != "" {
			attrs = append(attrs, slog.String(kv.k, kv.v))
		}
	}
	if r.LooksLike != epoch.UnitUnknown {
		attrs = append(attrs, slog.String("looks_like", r.LooksLike.String()))
	}
	for _, kt := range [...]struct {
		k string
		t time.Time
	}{{"now", r.Now}, {"issued_at", r.IssuedAt}, {"not_before", r.NotBefore}, {"expires", r.Expires}} {
		if !kt.t.IsZero() {
			attrs = append(attrs, slog.String(kt.k, kt.t.UTC().Format(time.RFC3339Nano)))
		}
	}
	if s := r.Skew(); s != 0 {
		attrs = append(attrs, slog.Float64("skew_seconds", s.Seconds()))
	}
	if r.Leeway != 0 {
		attrs = append(attrs, slog.Float64("leeway_seconds", r.Leeway.Seconds()))
	}
	return slog.GroupValue(attrs...)
}

// An Observer is told of every rejection, once. It must be safe for concurrent
// use and must not block.
type Observer func(ctx context.Context, r *Rejection)
