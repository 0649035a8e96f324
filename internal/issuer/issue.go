package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/internal/principal"
	"symbolon/keytoken"
)

// A ScopeKind is what a token is asked to be good for.
type ScopeKind uint8

// The kinds of scope.
const (
	// ScopeDefault is the user's default project where there is one in which
	// the user has a role, else no scope.
	ScopeDefault ScopeKind = iota
	ScopeNone
	ScopeProject
	ScopeDomain
	ScopeSystem
	ScopeTrust
)

// A Scope is what a token is asked to be good for. A project is named by ID, or by
// Name in a domain that is named by either; a domain by ID or Name; a trust by ID.
type Scope struct {
	Kind     ScopeKind
	ID, Name string
	Domain   Ref
}

// A Mark is a point in the history of revocations.
type Mark struct{ revision uint64 }

// Mark returns the present point in the history of revocations. Whoever gives a
// proof of identity takes one before reading what the proof is compared with.
func (s *Issuer) Mark(ctx context.Context) (Mark, error) {
	events := s.events.Load()
	if err := events.sync(ctx, s.Store); err != nil {
		return Mark{}, unavailable(err)
	}
	return Mark{events.at()}, nil
}

// A Grant is what a new token is made of.
type Grant struct {
	UserID string
	// Methods are those that proved the identity, each once.
	Methods []string
	Scope   Scope
	// ExpiresAt is when the token expires at the latest, zero for no such
	// bound: that of the token it is made of.
	ExpiresAt epoch.Seconds
	// ChainID is the audit id of the first token of the chain, empty for a new
	// chain.
	ChainID string
	// Since is when the proof began.
	Since Mark
}

// ErrStale is returned for a grant whose proof began before something was revoked
// that it may rest on: to prove it again tells.
var ErrStale = errs.E(errs.Unauthenticated, "What the login rests on was revoked meanwhile.")

// refused is the one error of every login that is refused for its scope.
func refused(detail string) error {
	return errs.With(errs.Unauthenticated, errors.New(detail), "The request you have made requires authentication.")
}

// forbidden is the error for what a caller may not do; why is for the log alone.
func forbidden(format string, args ...any) error {
	return errs.With(errs.Forbidden, fmt.Errorf(format, args...), "You are not authorized to perform the requested action.")
}

// forbiddenAction is the same where the protocol says what it is.
func forbiddenAction(action string) error {
	return errs.E(errs.Forbidden, "You are not authorized to perform the requested action: %s.", action)
}

func (f *fault) err() error {
	if f.forbidden {
		return forbidden("%s", f.detail)
	}
	return refused(f.detail)
}

// maxWait bounds how long a login waits for an event's reach to end. More than
// slack is left only when another node's clock is ahead.
const maxWait = 3 * time.Second

// Issue makes a token. Errors are of kind Unauthenticated when the user cannot
// have the scope, Forbidden when a trust does not allow it, Unavailable when it
// cannot be told.
//
// A token that an event revokes is never made, however soon after the event: the
// login waits until its token is born after the event's reach, a fraction of a
// second. Nor is one made for a proof that began before the event, for which the
// error is ErrStale.
func (s *Issuer) Issue(ctx context.Context, g Grant) (text string, t *Token, err error) {
	for start := s.Now(); ; {
		gen, err := s.current(ctx)
		if err != nil {
			return "", nil, err
		}
		claims, err := s.claims(ctx, gen, &g)
		if err != nil {
			return "", nil, err
		}
		f, err := gen.factsOf(ctx, s.Store, keyOf(&claims), s.Now())
		if err != nil {
			return "", nil, unavailable(err)
		}
		if flt := f.fault; flt != nil {
			return "", nil, flt.err()
		}
		if flt := f.ended(s.Now()); flt != nil {
			return "", nil, flt.err()
		}
		wait, err := s.clear(ctx, &claims, f, g.Since)
		if err != nil {
			return "", nil, err
		}
		if wait <= 0 {
			return s.mint(ctx, gen, claims, f)
		}
		if s.Now().Add(wait).Sub(start) > maxWait {
			return "", nil, &errs.Error{Kind: errs.Unavailable, Msg: "The login comes too soon after a revocation.", RetryAfter: maxWait}
		}
		if err := s.Sleep(ctx, wait); err != nil {
			return "", nil, errs.With(errs.Unavailable, err, "the login was given up")
		}
	}
}

// claims looks up the scope that was asked for.
func (s *Issuer) claims(ctx context.Context, gen *generation, g *Grant) (keytoken.Claims, error) {
	c := keytoken.Claims{UserID: g.UserID, Methods: g.Methods, ExpiresAt: g.ExpiresAt, AuditIDs: []string{"", g.ChainID}}
	var err error
	switch g.Scope.Kind {
	case ScopeDefault:
		c.ProjectID, err = s.defaultProject(ctx, gen, g.UserID)
	case ScopeProject:
		c.ProjectID, err = s.projectID(ctx, gen, g.Scope)
	case ScopeDomain:
		c.DomainID, err = s.domainID(ctx, Ref{g.Scope.ID, g.Scope.Name})
	case ScopeSystem:
		c.System = "all"
	case ScopeTrust:
		var t identity.Trust
		if t, err = s.Store.Trust(ctx, g.Scope.ID); err == nil {
			c.TrustID, c.ProjectID = t.ID, t.ProjectID
		}
	case ScopeNone:
	}
	if errs.Is(err, errs.NotFound) {
		return c, refused("the scope does not exist")
	}
	if err != nil && errs.KindOf(err) != errs.Unauthenticated {
		err = unavailable(err)
	}
	return c, err
}

func (s *Issuer) domainID(ctx context.Context, d Ref) (string, error) {
	if d.Name == "" {
		return d.ID, nil
	}
	p, err := s.Store.DomainByName(ctx, d.Name)
	return p.ID, err
}

func (s *Issuer) projectID(ctx context.Context, gen *generation, sc Scope) (string, error) {
	if sc.Name == "" {
		return sc.ID, nil
	}
	domain, err := s.domainID(ctx, sc.Domain)
	if err != nil {
		return "", err
	}
	if d, err := gen.project(ctx, s.Store, domain); err != nil || !d.IsDomain {
		return "", errs.E(errs.NotFound, "no such domain")
	}
	p, err := s.Store.ProjectByName(ctx, domain, sc.Name)
	return p.ID, err
}

// defaultProject returns the user's default project if a token can be had for it.
func (s *Issuer) defaultProject(ctx context.Context, gen *generation, userID string) (string, error) {
	u, err := s.Store.User(ctx, userID)
	if err != nil || u.DefaultProjectID == "" {
		return "", err
	}
	f, err := gen.factsOf(ctx, s.Store, key{user: userID, project: u.DefaultProjectID}, s.Now())
	if err != nil || f.fault != nil {
		return "", err
	}
	return u.DefaultProjectID, nil
}

// clear says how long to wait before a token of the claims outlives the events
// that name it. It asks the store for the latest events, so that one made by
// another process counts too.
func (s *Issuer) clear(ctx context.Context, c *keytoken.Claims, f *facts, since Mark) (time.Duration, error) {
	events := s.events.Load()
	if err := events.sync(ctx, s.Store); err != nil {
		return 0, unavailable(err)
	}
	sub := subjectOf(c, f) // without an own audit id, which does not exist yet
	x, ok := events.find(&sub)
	switch {
	case !ok:
		return 0, nil
	case x.until == forever:
		return 0, refused("an event revokes the chain or the trust")
	case x.revision > since.revision:
		return 0, ErrStale
	}
	if now := epoch.MicrosOf(s.Now()); now <= x.until {
		return time.Duration(x.until-now)*time.Microsecond + time.Millisecond, nil
	}
	return 0, nil
}

func (s *Issuer) mint(ctx context.Context, gen *generation, c keytoken.Claims, f *facts) (string, *Token, error) {
	now := s.Now()
	if c.ExpiresAt == 0 {
		c.ExpiresAt = epoch.SecondsOf(now.Add(s.cfg.Expiration))
	}
	if c.ExpiresAt <= epoch.SecondsOf(now) {
		return "", nil, refused("the token that this one is made of is expiring")
	}
	own := id.NewAuditAt(now).String()
	if c.AuditIDs = append([]string{own}, c.AuditIDs[1:]...); c.AuditIDs[1] == "" {
		c.AuditIDs = c.AuditIDs[:1]
	}
	text, err := s.Tokens.Mint(c, now)
	if err != nil {
		if rerr := s.Tokens.Ready(); rerr != nil {
			return "", nil, rerr
		}
		return "", nil, errs.Wrap(err, "issuer")
	}
	v, rej := s.Tokens.Verify(text, now, keytoken.Options{})
	if rej != nil {
		return "", nil, errs.With(errs.Internal, rej, "a new token does not verify")
	}
	if f.trust != nil && f.trust.limited {
		if err := s.consume(ctx, f.trust.ID); err != nil {
			return "", nil, err
		}
	}
	claims := v.Claims()
	s.noteBirth(bornAt(&claims))
	return text, &Token{
		Methods: claims.Methods, AuditIDs: claims.AuditIDs, IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt, BearerID: claims.UserID,
		User: f.user, Project: f.project, Domain: f.domain, System: f.system, Trust: f.trust, Roles: f.roles, KeyID: v.KeyID(),
		facts: f, gen: gen,
	}, nil
}

// consume takes one use of a trust. Of many logins at once only as many succeed as
// uses are left.
func (s *Issuer) consume(ctx context.Context, trustID string) error {
	return s.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		ok, err := tx.ConsumeTrustUse(ctx, trustID)
		if err != nil {
			return err
		}
		if !ok {
			return forbidden("the trust's uses are exhausted")
		}
		tx.TouchIdentity()
		return nil
	})
}

// CheckRescope reports whether a token may be made of another (tokens reference
// section 16). The error is of kind Forbidden.
func (s *Issuer) CheckRescope(src *Token, want ScopeKind) error {
	switch {
	case len(src.Methods) == 0:
		return forbiddenAction("Using a token that names no known method to create another token is not allowed")
	case src.Trust != nil:
		return forbiddenAction("Using trust-scoped token to create another token. Create a new trust-scoped token instead")
	case src.System && (want == ScopeProject || want == ScopeDomain):
		return forbiddenAction("Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed")
	case s.cfg.NoRescoping && src.Scoped():
		return forbiddenAction("rescope a scoped token")
	}
	return nil
}

// Revoke ends a token, and with chain every token of its chain: the first, and all
// that were rescoped from it. Without chain those live on.
func (s *Issuer) Revoke(ctx context.Context, t *Token, chain bool) error {
	// However long the token was made to live, by whichever server: the event
	// stays for as long as anybody can look at it. Its chain ends when it does.
	e := identity.RevocationEvent{AuditID: t.AuditID(), KeepUntil: t.ExpiresAt.Time().Add(s.cfg.AllowExpiredWindow + keepBeyond)}
	detail := map[string]any{"user_id": t.BearerID}
	if chain {
		e.AuditID, e.AuditChainID = "", t.ChainID()
		detail["chain"] = true
	}
	return s.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		now := s.Now()
		if err := identity.Revoke(ctx, tx, e, now, 0); err != nil {
			return err
		}
		ev := audit.Event{Type: "identity.token.revoked", At: epoch.MicrosOf(now), Actor: "system:symbolon", Subject: t.AuditID()}
		if p := principal.FromContext(ctx); !p.IsZero() {
			ev.Actor, ev.Tenant, ev.AttestedKeyID = p.Entity, p.Tenant, p.KeyID
		}
		ev.Detail, _ = json.Marshal(detail) // text and truth values encode
		tx.Audit(ev)
		tx.TouchIdentity()
		return nil
	})
}
