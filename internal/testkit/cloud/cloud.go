// Package cloud sets up an identity service for tests: the real store on SQLite,
// bootstrapped, with a clock that the test moves.
package cloud

import (
	"context"
	"sync"
	"testing"
	"time"

	"symbolon/fernet"
	"symbolon/internal/authn"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/store"
	"symbolon/keytoken"
	"symbolon/token"
)

// Password is the administrator's.
const Password = "correct horse"

// Start is when every cloud begins, a quarter into a second.
var Start = time.Date(2026, 11, 21, 12, 0, 0, 250_000_000, time.UTC)

// A Clock stands still until it is moved.
type Clock struct {
	mu sync.Mutex // guards t
	t  time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// Set moves the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

// Sleep moves the clock on instead of waiting.
func (c *Clock) Sleep(_ context.Context, d time.Duration) error {
	c.Advance(d)
	return nil
}

// Config is how a cloud is set up. The zero Config is a usual one.
type Config struct {
	// Issuer's window for expired tokens is Keystone's unless set.
	Issuer issuer.Config
	Authn  authn.Config
	// Keys are the token keys; empty makes one.
	Keys []fernet.NumberedKey
	// Start is where the clock begins; zero is [Start].
	Start time.Time
	// Clock is a clock to share; nil makes one.
	Clock *Clock
	// Dir is the data directory to share; empty makes one.
	Dir string
	// NoBootstrap leaves an empty store as it is.
	NoBootstrap bool
	Limits      keytoken.Limits
}

// A Cloud is one process of an identity service.
type Cloud struct {
	Config Config
	Clock  *Clock
	Store  *store.Store
	Dir    *identity.Directory
	Tokens *keytoken.Tokens
	Ring   *fernet.Ring
	Issuer *issuer.Issuer
	Logins *authn.Service
	Hasher *authn.Hasher

	// The administrator, its project, and the roles by name.
	AdminID, ProjectID string
	Roles              map[string]string

	mu         sync.Mutex // guards all below
	rejections []token.Rejection
	failures   []authn.Failure
}

// New sets up a cloud that ends with the test.
func New(t testing.TB, c Config) *Cloud {
	t.Helper()
	ctx := t.Context()
	if c.Start.IsZero() {
		c.Start = Start
	}
	if c.Clock == nil {
		c.Clock = &Clock{t: c.Start}
	}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if len(c.Keys) == 0 {
		c.Keys = []fernet.NumberedKey{{ID: 0, Key: fernet.NewKey()}, {ID: 1, Key: fernet.NewKey()}}
	}
	if c.Issuer.AllowExpiredWindow == 0 {
		c.Issuer.AllowExpiredWindow = issuer.DefaultAllowExpiredWindow
	}
	if c.Limits == (keytoken.Limits{}) {
		c.Limits = keytoken.Limits{Leeway: keytoken.DefaultLeeway}
	}
	out := &Cloud{Config: c, Clock: c.Clock, Roles: map[string]string{}}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	out.Store, err = store.Open(ctx, store.Options{Dir: c.Dir, Now: c.Clock.Now})
	check(err)
	t.Cleanup(func() { _ = out.Store.Close() })
	out.Hasher, err = authn.NewHasher(authn.HasherConfig{Params: authn.Params{Algorithm: authn.Bcrypt, Cost: 4}, Workers: 4})
	check(err)
	out.Dir = identity.New(out.Store, identity.Config{}, c.Clock.Now, authn.MakePassword(out.Hasher, c.Clock.Now))
	if !c.NoBootstrap {
		_, err = out.Dir.Bootstrap(ctx, identity.BootstrapParams{
			Password: Password, RegionID: "RegionOne", PublicURL: "http://keystone.example.org/v3",
			InternalURL: "http://keystone.example.org/v3", AdminURL: "http://keystone.example.org/v3",
			Matches: func(ctx context.Context, stored identity.PasswordHash, password string) (bool, error) {
				ok, _, err := out.Hasher.Verify(ctx, stored, password)
				return ok, err
			},
		})
		check(err)
		u, err := out.Store.UserByName(ctx, "default", "admin")
		check(err)
		p, err := out.Store.ProjectByName(ctx, "default", "admin")
		check(err)
		rs, err := out.Store.Roles(ctx)
		check(err)
		out.AdminID, out.ProjectID = u.ID, p.ID
		for _, r := range rs {
			out.Roles[r.Name] = r.ID
		}
		if c.Issuer.DefaultProjectID == "" {
			c.Issuer.DefaultProjectID = p.ID
		}
	}
	out.Ring, err = fernet.NewRing(c.Keys...)
	check(err)
	out.Tokens, err = keytoken.NewFernet(keytoken.Fixed(out.Ring), keytoken.Format{}, c.Limits)
	check(err)
	out.Issuer, err = issuer.New(ctx, issuer.Deps{
		Store: out.Store, Tokens: out.Tokens, Now: c.Clock.Now, Sleep: c.Clock.Sleep, Observe: out.reject,
	}, c.Issuer)
	check(err)
	out.Logins = authn.New(authn.Deps{
		Store: out.Store, Issuer: out.Issuer, Hasher: out.Hasher, Now: c.Clock.Now, Observe: out.fail,
	}, c.Authn)
	return out
}

// Peer is another process on the same store, with the same keys and clock.
func (c *Cloud) Peer(t testing.TB) *Cloud {
	t.Helper()
	cfg := c.Config
	cfg.Issuer = c.Issuer.Config()
	return New(t, cfg)
}

func (c *Cloud) reject(_ context.Context, r *token.Rejection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rejections = append(c.rejections, *r)
}

func (c *Cloud) fail(_ context.Context, f authn.Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, f)
}

// Rejections returns the tokens refused since the last call.
func (c *Cloud) Rejections() []token.Rejection {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.rejections
	c.rejections = nil
	return out
}

// Failures returns the logins that failed since the last call.
func (c *Cloud) Failures() []authn.Failure {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.failures
	c.failures = nil
	return out
}

// User makes a user of the default domain with a password.
func (c *Cloud) User(t testing.TB, name, password string) identity.User {
	t.Helper()
	u, err := c.Dir.CreateUser(t.Context(), identity.User{Name: name, DomainID: "default", Enabled: true}, &password)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Project makes a project; an empty parent is the default domain.
func (c *Cloud) Project(t testing.TB, name, parent string) identity.Project {
	t.Helper()
	if parent == "" {
		parent = "default"
	}
	p, err := c.Dir.CreateProject(t.Context(), identity.Project{Name: name, DomainID: "default", ParentID: parent, Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Grant gives a role, named by its name or id, to a user or group on a target.
func (c *Cloud) Grant(t testing.TB, a identity.Assignment) {
	t.Helper()
	if id, ok := c.Roles[a.RoleID]; ok {
		a.RoleID = id
	}
	if err := c.Dir.Grant(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// Ungrant takes a role away.
func (c *Cloud) Ungrant(t testing.TB, a identity.Assignment) {
	t.Helper()
	if id, ok := c.Roles[a.RoleID]; ok {
		a.RoleID = id
	}
	if err := c.Dir.Ungrant(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// On is a project as the target of an assignment to a user.
func On(userID, roleID, projectID string) identity.Assignment {
	return identity.Assignment{Actor: identity.Actor{UserID: userID}, Target: identity.Target{ProjectID: projectID}, RoleID: roleID}
}
