package authn

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
)

// A Method is one way to prove an identity. It is safe for concurrent use.
type Method interface {
	// Name is what requests call it.
	Name() string
	// Parse reads the data that a request brings for the method, before
	// anybody is authenticated. Its errors are of kind Invalid.
	Parse(data json.RawMessage) (any, error)
	// Authenticate tests what Parse returned. The scope is what a token is
	// asked for, which some methods limit. An error of kind Unauthenticated
	// made by [Service.Refuse] tells nobody which of its causes it had.
	Authenticate(ctx context.Context, data any, scope issuer.ScopeKind) (Proof, error)
}

// A Proof is what one method established.
type Proof struct {
	UserID string
	// Methods are further ones that the proof includes: those of the token
	// that it is.
	Methods []string
	// ExpiresAt bounds the life of a token made of the proof; zero does not.
	ExpiresAt epoch.Seconds
	// ChainID is the audit chain that such a token belongs to; empty begins
	// one.
	ChainID string
}

// A Reason is why a login failed. The list is closed; the texts are stable.
type Reason string

// The reasons.
const (
	NoMethod        Reason = "no_method"
	UnknownDomain   Reason = "unknown_domain"
	UnknownUser     Reason = "unknown_user"
	DomainDisabled  Reason = "domain_disabled"
	UserDisabled    Reason = "user_disabled"
	NoPassword      Reason = "no_password"
	WrongPassword   Reason = "wrong_password"
	PasswordExpired Reason = "password_expired"
	Locked          Reason = "locked"
	BadToken        Reason = "bad_token"
	Conflicting     Reason = "conflicting_identities"
	MoreMethods     Reason = "more_methods_required"
	NoScope         Reason = "scope_refused"
	Stale           Reason = "revoked_meanwhile"
)

// A Failure is a login that failed, for the log. It never holds what was typed.
type Failure struct {
	Reason Reason
	Method string
	// UserID and DomainID are set as far as they are known to exist.
	UserID   string
	DomainID string
	At       time.Time
}

// Deps are what a Service works with. All but Observe are required.
type Deps struct {
	Store  identity.Store
	Issuer *issuer.Issuer
	Hasher *Hasher
	Now    func() time.Time
	// Observe is told of every login that fails. It must not block.
	Observe func(ctx context.Context, f Failure)
}

// Config is what logins depend on. The zero Config locks nobody out.
type Config struct {
	// LockoutAttempts is after how many wrong passwords in a row an account is
	// locked, for LockoutDuration; zero attempts never lock, and a duration of
	// zero lasts until an administrator enables the user.
	LockoutAttempts int
	LockoutDuration time.Duration
}

// A Service authenticates. It is safe for concurrent use.
type Service struct {
	Deps
	cfg     Config
	methods []Method
}

// New returns a Service with the methods password and token and those given.
func New(d Deps, c Config, more ...Method) *Service {
	if d.Observe == nil {
		d.Observe = func(context.Context, Failure) {}
	}
	s := &Service{Deps: d, cfg: c}
	s.methods = append([]Method{password{s}, tokenMethod{s}}, more...)
	return s
}

// Refuse reports a failed login and returns the one error of all of them.
func (s *Service) Refuse(ctx context.Context, f Failure) error {
	f.At = s.Now()
	s.Observe(ctx, f)
	return errs.E(errs.Unauthenticated, "The request you have made requires authentication.")
}

// A Request is a login.
type Request struct {
	attempts []attempt
	Scope    issuer.Scope
}

type attempt struct {
	method Method
	data   any
}

// maxMethods bounds how many methods a request can name.
const maxMethods = 64

// Parse reads the identity part of a request: the methods in order, each once
// however often it is named, and the data of each by its name. A method without
// data is an error of kind Invalid, one that is not offered or none at all one of
// kind Unauthenticated.
func (s *Service) Parse(methods []string, data map[string]json.RawMessage) (Request, error) {
	seen := make(map[string]bool, len(methods))
	var names []string
	for _, name := range methods {
		if seen[name] {
			continue
		}
		seen[name] = true
		names = append(names, name)
		if _, ok := data[name]; !ok {
			return Request{}, missing(name, "identity")
		}
		if len(names) > maxMethods {
			return Request{}, errs.E(errs.Invalid, "More than %d authentication methods.", maxMethods)
		}
	}
	var req Request
	for _, name := range names {
		i := slices.IndexFunc(s.methods, func(m Method) bool { return m.Name() == name })
		if i < 0 {
			return Request{}, errs.Detail(errs.Unauthenticated, "Attempted to authenticate with an unsupported method.",
				map[string][]string{"methods": s.MethodNames()})
		}
		d, err := s.methods[i].Parse(data[name])
		if err != nil {
			return Request{}, err
		}
		req.attempts = append(req.attempts, attempt{s.methods[i], d})
	}
	return req, nil
}

// MethodNames returns the names of the methods offered.
func (s *Service) MethodNames() []string {
	out := make([]string, len(s.methods))
	for i, m := range s.methods {
		out[i] = m.Name()
	}
	return out
}

// missing is the protocol's error for a request in which something is not there.
func missing(what, where string) error {
	return errs.E(errs.Invalid, "Expecting to find %s in %s. The server could not comply with the request since it is either malformed or "+
		"otherwise incorrect. The client is assumed to be in error.", what, where)
}

// Login authenticates and issues a token. When something that the proof may rest
// on is revoked while it is being tested, it is tested once more.
func (s *Service) Login(ctx context.Context, req Request) (text string, t *issuer.Token, err error) {
	for range 2 {
		var g issuer.Grant
		if g, err = s.Authenticate(ctx, req); err != nil {
			return "", nil, err
		}
		if text, t, err = s.Issuer.Issue(ctx, g); !errors.Is(err, issuer.ErrStale) {
			if errs.Is(err, errs.Unauthenticated) || errs.Is(err, errs.Forbidden) {
				s.Observe(ctx, Failure{Reason: NoScope, UserID: g.UserID, At: s.Now()})
			}
			return text, t, err
		}
	}
	return "", nil, s.Refuse(ctx, Failure{Reason: Stale})
}

// Authenticate tests every method of the request in order. All must succeed and
// agree on the user; the earliest expiry of all holds.
func (s *Service) Authenticate(ctx context.Context, req Request) (issuer.Grant, error) {
	if len(req.attempts) == 0 {
		return issuer.Grant{}, s.Refuse(ctx, Failure{Reason: NoMethod})
	}
	since, err := s.Issuer.Mark(ctx)
	if err != nil {
		return issuer.Grant{}, err
	}
	g := issuer.Grant{Scope: req.Scope, Since: since}
	add := func(name string) {
		if !slices.Contains(g.Methods, name) {
			g.Methods = append(g.Methods, name)
		}
	}
	for _, a := range req.attempts {
		p, err := a.method.Authenticate(ctx, a.data, req.Scope.Kind)
		if err != nil {
			return issuer.Grant{}, err
		}
		if g.UserID != "" && g.UserID != p.UserID || p.UserID == "" || g.ChainID != "" && p.ChainID != "" && g.ChainID != p.ChainID {
			return issuer.Grant{}, s.Refuse(ctx, Failure{Reason: Conflicting, Method: a.method.Name(), UserID: p.UserID})
		}
		g.UserID = p.UserID
		if p.ExpiresAt != 0 && (g.ExpiresAt == 0 || p.ExpiresAt < g.ExpiresAt) {
			g.ExpiresAt = p.ExpiresAt
		}
		if p.ChainID != "" {
			g.ChainID = p.ChainID
		}
		add(a.method.Name())
		for _, m := range p.Methods {
			add(m)
		}
	}
	return g, s.enough(ctx, &g)
}

// enough applies the user's own rules of which methods prove them together. A rule
// counts as far as its methods are offered; when none of the rules has one that
// is, the user is let in rather than locked out.
func (s *Service) enough(ctx context.Context, g *issuer.Grant) error {
	u, err := s.Store.User(ctx, g.UserID)
	if errs.Is(err, errs.NotFound) {
		return s.Refuse(ctx, Failure{Reason: UnknownUser})
	}
	if err != nil {
		return err
	}
	raw, ok := u.Options[identity.OptMFARules]
	if !ok || string(u.Options[identity.OptMFAEnabled]) == "false" {
		return nil
	}
	rules, err := identity.ParseMFARules(raw)
	if err != nil {
		return nil //nolint:nilerr // a rule that cannot be read is none, as in the system studied
	}
	offered := s.MethodNames()
	some := false
	for _, rule := range rules {
		applies, met := false, true
		for _, m := range rule {
			if slices.Contains(offered, m) {
				applies = true
				met = met && slices.Contains(g.Methods, m)
			}
		}
		if applies && met {
			return nil
		}
		some = some || applies
	}
	if !some {
		return nil
	}
	return s.Refuse(ctx, Failure{Reason: MoreMethods, UserID: u.ID, DomainID: u.DomainID})
}
