package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"symbolon/internal/api/keystone"
	"symbolon/internal/api/stigmem"
	"symbolon/internal/apikey"
	"symbolon/internal/authn"
	"symbolon/internal/config"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/obs"
	"symbolon/internal/principal"
	"symbolon/internal/rule"
	"symbolon/internal/sign"
	"symbolon/internal/store"
	"symbolon/keytoken"
	"symbolon/token"
)

// A Node is a whole server. Its parts are there for the commands that work beside a
// running one. Close it.
type Node struct {
	Store      *store.Store
	Directory  *identity.Directory
	Issuer     *issuer.Issuer
	Keys       *apikey.Service
	Facts      *fact.Service
	Federation *federation.Service
	// First says what Open made when Options asked for it and there was
	// nothing yet; nil otherwise.
	First *FirstStart

	cfg        config.Config
	log        *slog.Logger
	now        func() time.Time
	version    string
	metrics    *obs.Metrics
	nodeID     string
	hasher     *authn.Hasher
	tokens     *keytoken.Tokens
	identity   http.Handler // nil: off
	memory     http.Handler // nil: off
	background []func(ctx context.Context) error
	closers    []func()
}

// Open builds a node without listening. It makes the data directory, the keys and
// the store where they are missing. An *Unusable says what to put right.
func Open(ctx context.Context, c *config.Config, o Options) (*Node, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if found := Preflight(ctx, c, o); len(found) > 0 {
		return nil, found[0].Err
	}
	n := &Node{cfg: *c, log: o.Log, now: o.Now, version: o.Version, metrics: obs.NewMetrics(o.Version)}
	if err := n.open(ctx, o); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// open does what Open does once nothing is known to stand in its way. The database
// comes first, since it is what is likely to fail yet.
func (n *Node) open(ctx context.Context, o Options) (err error) {
	c := &n.cfg
	if err := prepareData(c, n.log); err != nil {
		return err
	}
	if n.Store, err = store.Open(ctx, storeOptions(c, o)); err != nil {
		return asUnusable(err)
	}
	n.closers = append(n.closers, func() {
		if err := n.Store.Close(); err != nil {
			n.log.Error("store.close_failed", slog.String("error", err.Error()))
		}
	})
	n.background = append(n.background, n.Store.Run)
	if err := setupKeys(c); err != nil {
		return unusable("the keys cannot be made: %w", err)
	}
	nodeKey, err := loadNodeKey(c)
	if err != nil {
		return &Unusable{err}
	}
	if n.nodeID, err = settle(ctx, c, n.Store, nodeKey.Public().Fingerprint()); err != nil {
		return err
	}
	if err := n.openTokens(); err != nil {
		return err
	}
	reject := obs.Rejections(n.log, n.metrics)
	if err := n.openIdentity(ctx, o, reject); err != nil {
		return err
	}
	return n.openMemory(nodeKey, reject)
}

// Close ends what Open began.
func (n *Node) Close() {
	for i := len(n.closers) - 1; i >= 0; i-- {
		n.closers[i]()
	}
	n.closers = nil
}

// openTokens opens the keys of identity tokens, Fernet or JWS.
func (n *Node) openTokens() error {
	format, limits := TokenFormat(&n.cfg), TokenLimits()
	if n.cfg.Token.Provider == "jws" {
		return n.openJWS(limits)
	}
	w, err := watchKeys(&n.cfg, "token", n.log)
	if err != nil {
		return err
	}
	n.background = append(n.background, w.Run)
	n.tokens, err = keytoken.NewFernet(w, format, limits)
	return err
}

func (n *Node) openIdentity(ctx context.Context, o Options, reject token.Observer) error {
	c := &n.cfg
	var err error
	n.hasher, err = authn.NewHasher(authn.HasherConfig{Params: authn.Params{Algorithm: authn.Bcrypt, Cost: c.Auth.BcryptRounds}, Workers: c.Auth.HashWorkers})
	if err != nil {
		return err
	}
	n.Directory = identity.New(n.Store, identity.Config{
		DefaultDomainID: c.Token.DefaultDomainID, KeepRevocations: config.MaxTokenExpiration + c.Token.AllowExpiredWindow + 30*time.Minute,
	}, n.revoking, authn.MakePassword(n.hasher, n.now))
	if o.FirstStart {
		if n.First, err = n.firstStart(ctx); err != nil {
			return err
		}
	}
	project, err := n.defaultProject(ctx)
	if err != nil {
		return err
	}
	n.Issuer, err = issuer.New(ctx, issuer.Deps{Store: n.Store, Tokens: n.tokens, Now: n.now, Observe: reject, Log: n.log}, issuer.Config{
		Expiration: c.Token.Expiration, AllowExpiredWindow: c.Token.AllowExpiredWindow, NoRescoping: !c.Token.AllowRescope,
		AllowRedelegation: c.Auth.AllowRedelegation, MaxRedelegation: c.Auth.MaxRedelegation, Authority: authority(c), DefaultProjectID: project,
	})
	if err != nil {
		return err
	}
	n.background = append(n.background, n.Issuer.Run)
	if !c.Identity {
		return nil
	}
	rules, err := rule.NewEnforcer(rule.Defaults())
	if err != nil {
		return err
	}
	logins := authn.New(authn.Deps{Store: n.Store, Issuer: n.Issuer, Hasher: n.hasher, Now: n.now, Observe: n.loginFailed}, authn.Config{})
	n.identity = keystone.New(keystone.Deps{
		Identity: n.Directory, Tokens: n.Issuer, Issuer: n.Issuer, Logins: logins, Rules: rules, Principal: n.Issuer.Principal,
		ChangePassword: logins.ChangePassword(n.Directory),
		PublicURL:      c.PublicURL, MaxBody: c.MaxBody, Log: n.log, Now: n.now,
	})
	return nil
}

// revoking is the clock of changes to identity. It is not before the birth of any
// token that this process knows, so that what a change revokes stays revoked when
// the wall clock goes back or another node's is ahead.
func (n *Node) revoking() time.Time {
	now := n.now()
	if n.Issuer != nil {
		if born := n.Issuer.LatestBirth(); born.After(now) {
			return born
		}
	}
	return now
}

// settingDefaultProject holds the id of the project that bootstrap made.
const settingDefaultProject = "identity.default_project"

func (n *Node) defaultProject(ctx context.Context) (string, error) {
	v, _, err := store.Setting(ctx, n.Store.Reader(), settingDefaultProject)
	return v, err
}

// loginFailed logs a failed login under the name that rules match.
func (n *Node) loginFailed(ctx context.Context, f authn.Failure) {
	n.metrics.LoginFailed(string(f.Reason))
	attrs := []slog.Attr{slog.String("reason", string(f.Reason)), slog.String("method", f.Method)}
	if f.UserID != "" {
		attrs = append(attrs, slog.String("user_id", f.UserID))
	}
	if f.DomainID != "" {
		attrs = append(attrs, slog.String("domain_id", f.DomainID))
	}
	n.log.LogAttrs(ctx, slog.LevelWarn, obs.EventLoginFailed, attrs...)
}

func (n *Node) openMemory(key sign.PrivateKey, reject token.Observer) error {
	c := &n.cfg
	n.Facts = fact.New(n.Store, n.now)
	n.Keys = APIKeys(c, n.Store, n.now)
	client := PeerClient(c)
	n.closers = append(n.closers, client.Close)
	var err error
	n.Federation, err = federation.New(federation.Config{
		NodeID: n.nodeID, NodeURL: c.MemoryURL(), Enabled: c.Federation.Enabled, PushEnabled: c.Federation.Push, AllowTeam: c.Federation.AllowTeam,
		Leeway: c.Federation.Leeway, NonceWindow: c.Federation.NonceWindow, PullInterval: c.Federation.PullInterval,
		MaxFutureSkew: c.Federation.MaxFutureSkew, MaxPastSkew: c.Federation.MaxPastSkew,
	}, federation.Parts{Store: n.Store, Remote: client, Key: key, Now: n.now, Log: n.log, OnReject: reject, OnRefusedFact: n.metrics.FactsRefused, Jitter: rand.Float64,
		OnClock: func(node string, c federation.Clock) { n.metrics.PeerSkew(node, c.Ahead) },
	})
	if err != nil {
		return err
	}
	if !c.Memory {
		return nil
	}
	if c.Federation.Enabled {
		n.background = append(n.background, n.Federation.Run)
	}
	node := stigmem.Node{ID: n.nodeID, URL: c.MemoryURL(), AuthOff: !c.Auth.Required}
	if c.Federation.Enabled {
		node.Federation = &stigmem.FederationInfo{PubKey: key.Public().String(), Version: string(federation.WirePlain), Push: c.Federation.Push}
	}
	var tokens stigmem.IdentityFunc
	if c.Identity {
		tokens = n.bearer
	}
	n.memory = stigmem.New(stigmem.Deps{
		Facts: n.Facts, Keys: n.Keys, Audit: n.Store, Authenticate: stigmem.Bearer(n.Keys, tokens, !c.Auth.Required), Node: node, Now: n.now, Log: n.log,
		MaxBody: c.MaxBody, More: stigmem.FederationRoutes(n.Federation),
	})
	return nil
}

// APIKeys returns the API keys of a store, for a node and for commands beside it.
func APIKeys(c *config.Config, s *store.Store, now func() time.Time) *apikey.Service {
	return apikey.New(s, now, apikey.Options{
		MaxAge: time.Duration(c.Auth.APIKeyMaxAgeDays) * 24 * time.Hour, LegacyUntil: c.Auth.LegacySHA256Until,
	})
}

// bearer says who the bearer of an identity token is on the memory face.
func (n *Node) bearer(ctx context.Context, _ *http.Request, text string) (principal.Principal, bool, error) {
	t, err := n.Issuer.Authenticate(ctx, text)
	switch {
	case err == nil:
		return n.Issuer.Principal(t), true, nil
	case errs.Is(err, errs.Unavailable) || ctx.Err() != nil:
		return principal.Principal{}, false, err
	}
	return principal.Principal{}, false, nil
}

// Ready reports whether the node can do its work.
func (n *Node) Ready(ctx context.Context) error {
	if err := n.Store.Health(ctx); err != nil {
		return err
	}
	return n.tokens.Ready()
}

// A FirstStart says what the first start of a node made.
type FirstStart struct {
	// Password is the administrator's when it was made up, and empty when it
	// was given.
	Password string
}

// firstStart bootstraps a node that has no default domain yet. It returns nil for one
// that has, or that another process bootstraps meanwhile.
func (n *Node) firstStart(ctx context.Context) (*FirstStart, error) {
	_, err := n.Store.Project(ctx, n.cfg.Token.DefaultDomainID)
	if err == nil {
		return nil, n.keepDefaultProject(ctx)
	}
	if !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	first := &FirstStart{}
	password := n.cfg.Bootstrap.Password
	if password == "" {
		password = id.Secret()
		first.Password = password
	}
	steps, err := n.bootstrap(ctx, password, identity.BootstrapParams{OnlyNew: true})
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, n.keepDefaultProject(ctx)
	}
	return first, nil
}

// keepDefaultProject records the project that bootstrap made, where a process ended
// before it came to that.
func (n *Node) keepDefaultProject(ctx context.Context) error {
	if known, err := n.defaultProject(ctx); err != nil || known != "" {
		return err
	}
	p, err := n.Store.ProjectByName(ctx, n.cfg.Token.DefaultDomainID, n.cfg.Bootstrap.ProjectName)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err == nil {
		_, err = agree(ctx, n.Store, settingDefaultProject, p.ID)
	}
	return err
}

// Bootstrap makes or repairs the administrator and the catalogue's first entry.
func (n *Node) Bootstrap(ctx context.Context, password string, mutableRoles bool) ([]identity.BootstrapStep, error) {
	return n.bootstrap(ctx, password, identity.BootstrapParams{MutableRoles: mutableRoles})
}

// bootstrap runs bootstrap with the settings' names, and what p says besides.
func (n *Node) bootstrap(ctx context.Context, password string, p identity.BootstrapParams) ([]identity.BootstrapStep, error) {
	b := n.cfg.Bootstrap
	public := b.PublicURL
	if public == "" {
		public = n.cfg.URL() + "/v3"
	}
	or := func(s string) string {
		if s == "" {
			return public
		}
		return s
	}
	p.Password, p.Username, p.ProjectName, p.RoleName, p.ServiceName, p.RegionID = password, b.Username, b.ProjectName, b.RoleName, b.ServiceName, b.RegionID
	p.PublicURL, p.InternalURL, p.AdminURL = public, or(b.InternalURL), or(b.AdminURL)
	p.Matches = func(ctx context.Context, stored identity.PasswordHash, password string) (bool, error) {
		ok, _, err := n.hasher.Verify(ctx, stored, password)
		return ok, err
	}
	steps, err := n.Directory.Bootstrap(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if s.Resource == "project" {
			if _, err := agree(ctx, n.Store, settingDefaultProject, s.ID); err != nil {
				return nil, err
			}
		}
	}
	return steps, nil
}
