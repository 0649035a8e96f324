package issuer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"symbolon/epoch"
	"symbolon/internal/catalog"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/rule"
	"symbolon/keytoken"
	"symbolon/token"
)

// DefaultAllowExpiredWindow is Keystone's allow_expired_window.
const DefaultAllowExpiredWindow = 48 * time.Hour

// Config is how tokens are issued and validated. The zero Config has Keystone's
// defaults but for the window.
type Config struct {
	// Expiration is how long a new token lives; zero is an hour.
	Expiration time.Duration
	// AllowExpiredWindow is how long after its expiry a token can still be
	// looked at by those who ask for it; zero is not at all.
	AllowExpiredWindow time.Duration
	// NoRescoping refuses to make a token of one that has a scope.
	NoRescoping bool
	// AllowRedelegation lets a trustee pass a trust on that was made for it, at
	// most MaxRedelegation times; zero is 3.
	AllowRedelegation bool
	MaxRedelegation   int
	// Authority is the host part of the entity URIs of users; empty is
	// "localhost".
	Authority string
	// DefaultProjectID is the project that is tenant "default" of the memory.
	// Empty is none.
	DefaultProjectID string
	// CacheSize bounds how many users in a scope, and how many projects, are
	// kept resolved; zero is 32768. One takes about two kilobytes.
	CacheSize int
}

func (c Config) withDefaults() Config {
	if c.Expiration == 0 {
		c.Expiration = time.Hour
	}
	if c.MaxRedelegation == 0 {
		c.MaxRedelegation = 3
	}
	if c.Authority == "" {
		c.Authority = "localhost"
	}
	if c.CacheSize == 0 {
		c.CacheSize = 1 << 15
	}
	return c
}

// keepBeyond is how much longer than needed an event is kept: clocks differ, and
// whoever reads the list of events may be late.
const keepBeyond = 30 * time.Minute

// Deps are what an Issuer works with. All are required but Observe and Log.
type Deps struct {
	Store  Store
	Tokens *keytoken.Tokens
	Now    func() time.Time
	// Sleep waits for a duration or until ctx ends; nil waits by a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Observe is told of every token that is refused.
	Observe token.Observer
	Log     *slog.Logger
}

// An Issuer issues, validates and revokes identity tokens. It is safe for
// concurrent use.
//
// What a token's user and scope mean is computed once for each revision of
// identity state and kept until the next; the token itself is verified every
// time, so that nothing is kept that a retired key could leave behind. Revocation
// events are kept in memory and brought up to date before a revision is first used.
type Issuer struct {
	Deps
	cfg Config

	gen    atomic.Pointer[generation]
	events atomic.Pointer[revocations]
	latest atomic.Int64 // see LatestBirth
	mu     sync.Mutex   // held to bring in a revision
}

// New returns an Issuer that knows every revocation event.
func New(ctx context.Context, d Deps, c Config) (*Issuer, error) {
	if d.Observe == nil {
		d.Observe = func(context.Context, *token.Rejection) {}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Sleep == nil {
		d.Sleep = sleep
	}
	s := &Issuer{Deps: d, cfg: c.withDefaults()}
	s.events.Store(newRevocations())
	if _, err := s.current(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Config returns the configuration in use.
func (s *Issuer) Config() Config { return s.cfg }

// tidyEvery is how often Run forgets the events that the store has pruned.
const tidyEvery = time.Hour

// Run keeps the memory of revocation events in step with what the store keeps,
// until ctx ends. Without it nothing is wrong, but nothing is forgotten either.
func (s *Issuer) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.tidy(ctx); err != nil && ctx.Err() == nil {
			s.Log.LogAttrs(ctx, slog.LevelError, "issuer.revocations_unreadable", slog.String("error", err.Error()))
		}
	}
}

// tidy reads all events anew beside those in use and then changes over.
func (s *Issuer) tidy(ctx context.Context) error {
	fresh := newRevocations()
	if err := fresh.sync(ctx, s.Store); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := fresh.sync(ctx, s.Store); err != nil {
		return err
	}
	s.events.Store(fresh)
	return nil
}

// current returns the generation of the store's revision. The events of that
// revision are in when it returns.
func (s *Issuer) current(ctx context.Context) (*generation, error) {
	if g := s.gen.Load(); g != nil && g.revision == s.Store.IdentityRevision() {
		return g, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The revision is read before the events and before anything that the
	// generation will hold: what a later revision changes, a later generation
	// finds.
	revision := s.Store.IdentityRevision()
	if g := s.gen.Load(); g != nil && g.revision == revision {
		return g, nil
	}
	if err := s.events.Load().sync(ctx, s.Store); err != nil {
		return nil, unavailable(err)
	}
	g := newGeneration(revision, s.cfg.CacheSize)
	s.gen.Store(g)
	return g, nil
}

// unavailable is the error of whoever asks while the store does not answer.
func unavailable(err error) error {
	if errs.Is(err, errs.Unavailable) {
		return err
	}
	return errs.With(errs.Unavailable, err, "Identity state cannot be read at the moment.")
}

// Options vary one validation.
type Options struct {
	// AllowExpired accepts a token for a while after its expiry, for services
	// that finish what was begun with it.
	AllowExpired bool
}

// Validate returns the token that text names. The error is a *token.Rejection,
// which the observer was told of, or of kind Unavailable when the answer cannot
// be known.
func (s *Issuer) Validate(ctx context.Context, text string, o Options) (*Token, error) {
	t, rej, err := s.validate(ctx, text, o)
	if err != nil {
		return nil, err
	}
	if rej != nil {
		s.Observe(ctx, rej)
		return nil, rej
	}
	return t, nil
}

// Authenticate returns the token by which a caller proves who they are: one that
// Validate accepts, and that is good for more than being looked at. A token made
// of an EC2 signature is not, nor is one of which no method can be told.
func (s *Issuer) Authenticate(ctx context.Context, text string) (*Token, error) {
	t, rej, err := s.validate(ctx, text, Options{})
	if err != nil {
		return nil, err
	}
	if rej == nil {
		rej = s.usable(t)
	}
	if rej != nil {
		s.Observe(ctx, rej)
		return nil, rej
	}
	return t, nil
}

func (s *Issuer) usable(t *Token) *token.Rejection {
	for _, m := range t.Methods {
		if m == keytoken.MethodEC2 {
			return t.refuse(s.Now(), token.InsufficientScope, "a token of an EC2 signature authorises nothing here")
		}
	}
	if len(t.Methods) == 0 {
		return t.refuse(s.Now(), token.InsufficientScope, "the token names no method that is known")
	}
	return nil
}

func (t *Token) refuse(now time.Time, reason token.Reason, detail string) *token.Rejection {
	return &token.Rejection{
		Reason: reason, Kind: token.Identity, KeyID: t.KeyID, Now: now, IssuedAt: t.IssuedAt.Time(), Expires: t.ExpiresAt.Time(), Detail: detail,
	}
}

// Owner returns the id of the user whom a token was given to, expired or revoked
// as it may be, and "" for a text that is no token of ours.
func (s *Issuer) Owner(text string) string {
	d, rej := s.Tokens.Decode(text)
	if rej != nil {
		return ""
	}
	return d.Claims().UserID
}

func (s *Issuer) validate(ctx context.Context, text string, o Options) (*Token, *token.Rejection, error) {
	now := s.Now()
	var ko keytoken.Options
	if o.AllowExpired {
		ko.Grace = s.cfg.AllowExpiredWindow
	}
	v, rej := s.Tokens.Verify(text, now, ko)
	if rej != nil {
		if rej.Reason == token.UnknownKey {
			if err := s.Tokens.Ready(); err != nil {
				return nil, nil, err
			}
		}
		return nil, rej, nil
	}
	c := v.Claims()
	g, err := s.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, flt, err := s.resolve(ctx, g, &c, now)
	if err != nil {
		return nil, nil, err
	}
	t.KeyID = v.KeyID()
	if flt != nil {
		return nil, t.refuse(now, flt.reason, flt.detail), nil
	}
	return t, nil, nil
}

// resolve says what the claims mean now. The token is never nil and complete
// unless there is a fault.
func (s *Issuer) resolve(ctx context.Context, g *generation, c *keytoken.Claims, now time.Time) (*Token, *fault, error) {
	t := &Token{Methods: c.Methods, AuditIDs: c.AuditIDs, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, BearerID: c.UserID, gen: g}
	if flt := unsupported(c); flt != nil {
		return t, flt, nil
	}
	f, err := g.factsOf(ctx, s.Store, keyOf(c), now)
	if err != nil {
		return t, nil, unavailable(err)
	}
	t.facts = f
	t.User, t.Project, t.Domain, t.System, t.Trust, t.Roles = f.user, f.project, f.domain, f.system, f.trust, f.roles
	if f.fault != nil {
		return t, f.fault, nil
	}
	if flt := f.ended(now); flt != nil {
		return t, flt, nil
	}
	sub := subjectOf(c, f)
	if s.events.Load().revoked(&sub) {
		return t, &fault{reason: token.Revoked, detail: "an event revokes the token"}, nil
	}
	s.noteBirth(sub.born)
	return t, nil, nil
}

// unsupported refuses the tokens whose meaning rests on what this server does not
// hold: it could not tell what they may be used for.
func unsupported(c *keytoken.Claims) *fault {
	what := ""
	switch {
	case c.AppCredID != "":
		what = "an application credential"
	case c.AccessTokenID != "":
		what = "an OAuth1 access token"
	case c.Thumbprint != "":
		what = "a client certificate"
	case c.Federated():
		what = "a federated user"
	default:
		return nil
	}
	return &fault{reason: token.WrongKind, detail: "tokens of " + what + " are not served"}
}

// LatestBirth returns the latest instant at which any token that this process issued
// or accepted was born, by whoever's clock. It is after now when a clock went back or
// another node's is ahead; an event that revokes what exists must reach up to it.
func (s *Issuer) LatestBirth() time.Time { return epoch.Micros(s.latest.Load()).Time() }

func (s *Issuer) noteBirth(born epoch.Micros) {
	for {
		had := s.latest.Load()
		if int64(born) <= had || s.latest.CompareAndSwap(had, int64(born)) {
			return
		}
	}
}

func subjectOf(c *keytoken.Claims, f *facts) subject {
	sub := subject{
		born: bornAt(c), expires: c.ExpiresAt, audit: c.AuditIDs[0], chain: c.AuditIDs[len(c.AuditIDs)-1],
		user: c.UserID, project: c.ProjectID, trust: c.TrustID, roles: f.roles, userDomain: f.user.Domain.ID,
	}
	if f.trust != nil {
		sub.trustor, sub.trustee = f.trust.TrustorID, f.trust.TrusteeID
	}
	switch {
	case f.project != nil:
		sub.scopeDomain = f.project.Domain.ID
	case f.domain != nil:
		sub.scopeDomain = f.domain.ID
	}
	return sub
}

// credsOf is what policy rules know of a token's bearer.
func credsOf(t *Token) rule.Creds {
	c := rule.Creds{
		UserID: t.User.ID, UserDomainID: t.User.Domain.ID, ProjectID: t.ProjectID(), DomainID: t.DomainID(), Roles: make([]string, len(t.Roles)),
	}
	for i := range t.Roles {
		c.Roles[i] = id.Lower(t.Roles[i].Name)
	}
	if t.Project != nil {
		c.ProjectDomainID = t.Project.Domain.ID
	}
	if t.System {
		c.SystemScope = "all"
	}
	if t.Trust != nil {
		c.TrustID, c.TrustorID, c.TrusteeID = t.Trust.ID, t.Trust.TrustorID, t.Trust.TrusteeID
	}
	return c
}

// catalogue is a compiled catalogue, made when it is first asked for.
type catalogue = *catalog.Catalog

// AppendCatalog appends the service catalogue that belongs to the token, as a JSON
// array. That of a trust's token is the trustor's.
func (s *Issuer) AppendCatalog(ctx context.Context, dst []byte, t *Token) ([]byte, error) {
	c, err := t.gen.catalog.get(func() (catalogue, error) {
		services, err := s.Store.Services(ctx)
		if err != nil {
			return nil, err
		}
		endpoints, err := s.Store.Endpoints(ctx)
		if err != nil {
			return nil, err
		}
		return catalog.New(services, endpoints)
	})
	if err != nil {
		return dst, unavailable(errs.Wrap(err, "issuer: reading the catalogue"))
	}
	user := t.BearerID
	if t.Trust != nil {
		user = t.Trust.TrustorID
	}
	return c.Append(dst, t.ProjectID(), user), nil
}
