package issuer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/identity"
	"symbolon/internal/issuer"
	"symbolon/internal/principal"
	"symbolon/internal/testkit/cloud"
	"symbolon/keytoken"
	"symbolon/token"
)

// issue makes a token for a scope of the administrator.
func issue(t testing.TB, c *cloud.Cloud, userID string, scope issuer.Scope) string {
	t.Helper()
	mark, err := c.Issuer.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := c.Issuer.Issue(t.Context(), issuer.Grant{UserID: userID, Methods: []string{"password"}, Scope: scope, Since: mark})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func project(id string) issuer.Scope { return issuer.Scope{Kind: issuer.ScopeProject, ID: id} }

// Whom the memory face sees behind a token (design section 5).
func TestPrincipals(t *testing.T) {
	c := cloud.New(t, cloud.Config{Issuer: issuer.Config{Authority: "cloud.example.org"}})
	ctx := t.Context()
	u, p := c.User(t, "alice", "pw"), c.Project(t, "alice", "")
	instruct, err := c.Dir.CreateRole(ctx, identity.Role{Name: "instruction:write"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.Dir.CreateRole(ctx, identity.Role{Name: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	domain, err := c.Dir.CreateProject(ctx, identity.Project{Name: "d", IsDomain: true, Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	none := []principal.Permission(nil)
	r, w, f := principal.Read, principal.Write, principal.Federate
	all := []principal.Permission{principal.Admin, principal.AdminFederation, principal.AuditRead, f, r, w}
	for _, tt := range []struct {
		name, role string
		target     identity.Target
		scope      issuer.Scope
		tenant     string
		want       []principal.Permission
	}{
		{"a reader of a project", "reader", identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, []principal.Permission{r}},
		{"a member", "member", identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, []principal.Permission{r, w}},
		{"a manager", "manager", identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, []principal.Permission{f, r, w}},
		{"an administrator", "admin", identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, all},
		{"who may write instructions", instruct.ID, identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, []principal.Permission{principal.InstructionWrite}},
		{"a role that means nothing there", other.ID, identity.Target{ProjectID: p.ID}, project(p.ID), p.ID, none},
		{"the first project", "member", identity.Target{ProjectID: c.ProjectID}, project(c.ProjectID), "default", []principal.Permission{r, w}},
		{"the system", "admin", identity.Target{System: true}, issuer.Scope{Kind: issuer.ScopeSystem}, "default", all},
		{"the domain named default is not the tenant default", "admin", identity.Target{DomainID: "default"}, issuer.Scope{Kind: issuer.ScopeDomain, ID: "default"}, "domain-default", all},
		{"another domain", "member", identity.Target{DomainID: domain.ID}, issuer.Scope{Kind: issuer.ScopeDomain, ID: domain.ID}, "domain-" + domain.ID, []principal.Permission{r, w}},
		{"no scope", "", identity.Target{}, issuer.Scope{Kind: issuer.ScopeNone}, "default", none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := identity.Assignment{Actor: identity.Actor{UserID: u.ID}, Target: tt.target, RoleID: tt.role}
			if tt.role != "" {
				c.Grant(t, a)
				defer c.Ungrant(t, a)
			}
			tok, err := c.Issuer.Authenticate(ctx, issue(t, c, u.ID, tt.scope))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // made, and kept
				got := c.Issuer.Principal(tok)
				if got.Entity != "stigmem://cloud.example.org/user/"+u.ID || got.Tenant != tt.tenant || !slices.Equal(got.Permissions, tt.want) ||
					len(got.OnBehalfOf) != 0 || got.KeyID != tok.AuditID() {
					t.Errorf("principal %+v, want tenant %s and %v", got, tt.tenant, tt.want)
				}
			}
		})
	}
}

// Ids that are no entity or tenant as they stand get a stand-in of their own, so that
// no two users or projects become one.
func TestOddIDsStayApart(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	ctx := t.Context()
	seen := map[string]string{}
	for _, odd := range []string{"UPPER", "upper", "default", "a b", "a-b", "a_b", strings.Repeat("x", 70), "ünï", "a/../b", "%2e", "-a"} {
		err := c.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
			if err := tx.CreateUser(ctx, identity.User{ID: odd, Name: odd, DomainID: "default", Enabled: true, CreatedAt: c.Clock.Now()}); err != nil {
				return err
			}
			if odd != "default" {
				if err := tx.CreateProject(ctx, identity.Project{ID: odd, Name: odd, DomainID: "default", ParentID: "default", Enabled: true}); err != nil {
					return err
				}
				if _, err := tx.Assign(ctx, cloud.On(odd, c.Roles["member"], odd)); err != nil {
					return err
				}
			}
			tx.TouchIdentity()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		scope := project(odd)
		if odd == "default" {
			scope = issuer.Scope{Kind: issuer.ScopeNone}
		}
		tok, err := c.Issuer.Authenticate(ctx, issue(t, c, odd, scope))
		if err != nil {
			t.Fatalf("%s: %v", odd, err)
		}
		p := c.Issuer.Principal(tok)
		if _, err := id.ParseTenant(p.Tenant); err != nil || p.Tenant == "default" && odd != "default" {
			t.Errorf("%s: tenant %q: %v", odd, p.Tenant, err)
		}
		if e, err := id.ParseEntity(p.Entity); err != nil || e.String() != p.Entity {
			t.Errorf("%s: entity %q is not normal: %q, %v", odd, p.Entity, e, err)
		}
		for _, v := range []string{p.Entity, p.Tenant} {
			if was, ok := seen[v]; ok {
				t.Errorf("%q is %s and %s", v, was, odd)
			}
			seen[v] = odd
		}
	}
}

// failing is a store that does not answer while it is down.
type failing struct {
	issuer.Store
	down  atomic.Bool
	calls atomic.Int64
}

func (f *failing) User(ctx context.Context, id string) (identity.User, error) {
	f.calls.Add(1)
	if f.down.Load() {
		return identity.User{}, errs.E(errs.Internal, "disk on fire")
	}
	return f.Store.User(ctx, id)
}

func (f *failing) RevocationEventsAfter(ctx context.Context, revision uint64) ([]identity.RevocationEvent, error) {
	f.calls.Add(1)
	if f.down.Load() {
		return nil, errs.E(errs.Internal, "disk on fire")
	}
	return f.Store.RevocationEventsAfter(ctx, revision)
}

// A store that cannot answer makes no token bad and none good: the caller is told to
// come back. What is known already needs no store.
func TestAStoreThatFails(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	ctx := t.Context()
	st := &failing{Store: c.Store}
	var seen []token.Rejection
	s, err := issuer.New(ctx, issuer.Deps{Store: st, Tokens: c.Tokens, Now: c.Clock.Now, Observe: func(_ context.Context, r *token.Rejection) { seen = append(seen, *r) }}, issuer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tok := issue(t, c, c.AdminID, project(c.ProjectID))
	st.down.Store(true)
	if _, err := s.Validate(ctx, tok, issuer.Options{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a user that is not known: %v", err)
	}
	st.down.Store(false)
	if _, err := s.Validate(ctx, tok, issuer.Options{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	st.down.Store(true)
	before := st.calls.Load()
	for range 3 {
		if _, err := s.Validate(ctx, tok, issuer.Options{}); err != nil {
			t.Errorf("what is known: %v", err)
		}
	}
	if got := st.calls.Load(); got != before {
		t.Errorf("a warm validation asked the store %d times", got-before)
	}
	c.User(t, "somebody", "pw") // identity changes, so that nothing is known any more
	if _, err := s.Validate(ctx, tok, issuer.Options{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("after a change: %v", err)
	}
	if _, err := s.Mark(ctx); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Mark: %v", err)
	}
	if len(seen) != 0 {
		t.Errorf("refusals were reported: %+v", seen)
	}
	if _, err := issuer.New(ctx, issuer.Deps{Store: st, Tokens: c.Tokens, Now: c.Clock.Now}, issuer.Config{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("New: %v", err)
	}
}

// Without keys nobody can tell a good token from a bad one.
func TestWithoutKeys(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	tok := issue(t, c, c.AdminID, project(c.ProjectID))
	repo := fernet.NewRepository(filepath.Join(t.TempDir(), "keys"))
	if err := repo.Setup(); err != nil {
		t.Fatal(err)
	}
	keys, err := fernet.Watch(repo, fernet.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0", "1"} {
		if err := os.Remove(filepath.Join(repo.Dir(), name)); err != nil {
			t.Fatal(err)
		}
	}
	_ = keys.Reload() // which finds none
	empty, err := keytoken.NewFernet(keys, keytoken.Format{}, keytoken.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := issuer.New(t.Context(), issuer.Deps{Store: c.Store, Tokens: empty, Now: c.Clock.Now}, issuer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Validate(t.Context(), tok, issuer.Options{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Validate: %v", err)
	}
	mark, err := s.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Issue(t.Context(), issuer.Grant{UserID: c.AdminID, Since: mark}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Issue: %v", err)
	}
}

// Every refusal is reported once, with what is known of the token and nothing of its
// text.
func TestEveryRefusalIsReported(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	ctx := t.Context()
	tok := issue(t, c, c.AdminID, project(c.ProjectID))
	resolved, err := c.Issuer.Validate(ctx, tok, issuer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Issuer.Revoke(ctx, resolved, false); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{tok, "x", tok[:len(tok)-4] + "AAAA"} {
		for _, call := range []func() error{
			func() error { _, err := c.Issuer.Validate(ctx, text, issuer.Options{}); return err },
			func() error { _, err := c.Issuer.Authenticate(ctx, text); return err },
		} {
			c.Rejections()
			err := call()
			var rej *token.Rejection
			got := c.Rejections()
			if !errors.As(err, &rej) || len(got) != 1 || got[0] != *rej || rej.Kind != token.Identity || rej.Now.IsZero() || rej.Reason == "" {
				t.Errorf("error %v, reported %+v", err, got)
			}
			if rej.Reason == token.Revoked && (rej.KeyID != "1" || !rej.IssuedAt.Equal(resolved.IssuedAt.Time()) || !rej.Expires.Equal(resolved.ExpiresAt.Time())) {
				t.Errorf("what is known of a revoked token: %+v", rej)
			}
		}
	}
	if owner := c.Issuer.Owner(tok); owner != c.AdminID {
		t.Errorf("Owner = %q", owner)
	}
	if owner := c.Issuer.Owner(tok[:len(tok)-4] + "AAAA"); owner != "" {
		t.Errorf("Owner of a forgery = %q", owner)
	}
}

// While roles and users change, every answer is one that was right at some instant
// of the call; nothing is answered from before a change that was over.
func TestAnswersFollowChanges(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	ctx := t.Context()
	u, p := c.User(t, "alice", "pw"), c.Project(t, "alice", "")
	c.Grant(t, cloud.On(u.ID, "reader", p.ID))
	tok := issue(t, c, u.ID, project(p.ID))
	has := func() bool {
		got, err := c.Issuer.Validate(ctx, tok, issuer.Options{})
		if err != nil {
			t.Error(err)
			return false
		}
		return slices.ContainsFunc(got.Roles, func(r identity.Role) bool { return r.Name == "member" })
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Microsecond):
					has()
				}
			}
		})
	}
	for range 20 {
		c.Grant(t, cloud.On(u.ID, "member", p.ID))
		if !has() {
			t.Fatal("a role that was given is not there")
		}
		c.Ungrant(t, cloud.On(u.ID, "member", p.ID))
		if has() {
			t.Fatal("a role that was taken away is still there")
		}
	}
	close(stop)
	wg.Wait()
}

// Whoever asks, a trust is its trustor's to make.
func TestTrustsAreTheTrustorsToMake(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	u := c.User(t, "alice", "pw")
	caller, err := c.Issuer.Authenticate(t.Context(), issue(t, c, c.AdminID, project(c.ProjectID)))
	if err != nil {
		t.Fatal(err)
	}
	n := issuer.NewTrust{TrustorID: u.ID, TrusteeID: c.AdminID, ProjectID: c.ProjectID, Roles: []issuer.Ref{{Name: "admin"}}}
	if _, err := c.Issuer.CreateTrust(t.Context(), caller, n); !errs.Is(err, errs.Forbidden) {
		t.Errorf("a trust of somebody else's: %v", err)
	}
	n.TrustorID, n.TrusteeID = c.AdminID, u.ID
	if _, err := c.Issuer.CreateTrust(t.Context(), caller, n); err != nil {
		t.Errorf("one's own: %v", err)
	}
}

// What a source token allows bounds what is made of it.
func TestIssueIsBounded(t *testing.T) {
	c := cloud.New(t, cloud.Config{})
	ctx := t.Context()
	mark, err := c.Issuer.Mark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	now := epoch.SecondsOf(c.Clock.Now())
	chain := id.NewAudit().String()
	g := issuer.Grant{UserID: c.AdminID, Methods: []string{"token", "password"}, Scope: project(c.ProjectID), ExpiresAt: now + 60, ChainID: chain, Since: mark}
	_, tok, err := c.Issuer.Issue(ctx, g)
	if err != nil || tok.ExpiresAt != now+60 || tok.ChainID() != chain || tok.AuditID() == chain || len(tok.AuditIDs) != 2 {
		t.Errorf("issued %+v, %v", tok, err)
	}
	g.ExpiresAt = now
	if _, _, err := c.Issuer.Issue(ctx, g); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("of a source that is expiring: %v", err)
	}
	// A chain that was revoked gives nothing any more.
	if err := c.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		return identity.Revoke(ctx, tx, identity.RevocationEvent{AuditChainID: chain}, c.Clock.Now(), time.Hour)
	}); err != nil {
		t.Fatal(err)
	}
	g.ExpiresAt = now + 60
	if g.Since, err = c.Issuer.Mark(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Issuer.Issue(ctx, g); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("in a chain that was revoked: %v", err)
	}
	// An event of a clock that is far ahead is waited for no longer than a little.
	if err := c.Store.UpdateIdentity(ctx, func(tx identity.Tx) error {
		return identity.Revoke(ctx, tx, identity.RevocationEvent{UserID: c.AdminID}, c.Clock.Now().Add(time.Minute), time.Hour)
	}); err != nil {
		t.Fatal(err)
	}
	if mark, err = c.Issuer.Mark(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Issuer.Issue(ctx, issuer.Grant{UserID: c.AdminID, Since: mark}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a minute before an event: %v", err)
	}
}
