package keystone_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/fernet"
	"symbolon/internal/identity"
	"symbolon/internal/testkit/cloud"
	"symbolon/token"
)

type liveTokens struct {
	Keys   map[string]string
	Tokens []struct {
		Name, Token string
		Body        struct{ Token map[string]any } `json:"validate_body"`
	}
}

// A cloud that holds what the Keystone which issued the live tokens held, on the
// same keys.
func liveCloud(t *testing.T) (*face, liveTokens) {
	t.Helper()
	text, err := os.ReadFile("testdata/keystone-live-tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var live liveTokens
	if err := json.Unmarshal(text, &live); err != nil {
		t.Fatal(err)
	}
	var keys []fernet.NumberedKey
	for n, id := range map[string]fernet.KeyID{"0": 0, "1": 1} {
		k, err := fernet.ParseKey(live.Keys[n])
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fernet.NumberedKey{ID: id, Key: k})
	}
	f := newFace(t, cloud.Config{Keys: keys, NoBootstrap: true, Start: time.Date(2026, 11, 21, 19, 59, 0, 0, time.UTC)})
	body := func(name string) map[string]any {
		for _, x := range live.Tokens {
			if x.Name == name {
				return x.Body.Token
			}
		}
		t.Fatalf("no live token %q", name)
		return nil
	}
	sub := func(m map[string]any, k string) map[string]any { return m[k].(map[string]any) }
	id := func(m map[string]any) string { return m["id"].(string) }
	user, project, domain := id(sub(body("project"), "user")), id(sub(body("project"), "project")), sub(body("domain-uuid"), "domain")
	hash, err := f.Hasher.Hash(t.Context(), cloud.Password)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Store.UpdateIdentity(t.Context(), func(tx identity.Tx) error {
		ctx := t.Context()
		immutable := identity.Options{"immutable": json.RawMessage("true")}
		roles := map[string]string{}
		steps := []error{
			tx.CreateProject(ctx, identity.Project{ID: "default", Name: "Default", IsDomain: true, Enabled: true}),
			tx.CreateProject(ctx, identity.Project{ID: id(domain), Name: domain["name"].(string), IsDomain: true, Enabled: true}),
			tx.CreateProject(ctx, identity.Project{ID: project, Name: "admin", DomainID: "default", ParentID: "default", Enabled: true}),
			tx.CreateUser(ctx, identity.User{ID: user, Name: "admin", DomainID: "default", Enabled: true, CreatedAt: f.Clock.Now()}),
			tx.SetPassword(ctx, user, identity.Password{Hash: hash, CreatedAt: f.Clock.Now()}, 1),
		}
		for _, r := range body("project")["roles"].([]any) {
			r := r.(map[string]any)
			roles[r["name"].(string)] = id(r)
			steps = append(steps, tx.CreateRole(ctx, identity.Role{ID: id(r), Name: r["name"].(string), Options: immutable}))
		}
		steps = append(steps,
			tx.CreateImplication(ctx, identity.Implication{PriorID: roles["admin"], ImpliedID: roles["member"]}),
			tx.CreateImplication(ctx, identity.Implication{PriorID: roles["member"], ImpliedID: roles["reader"]}),
			tx.CreateTrust(ctx, identity.Trust{
				ID: id(sub(body("trust"), "OS-TRUST:trust")), TrustorID: user, TrusteeID: user, ProjectID: project, Impersonation: true,
				RoleIDs: []string{roles["admin"]},
			}))
		for _, target := range []identity.Target{{ProjectID: project}, {DomainID: "default"}, {DomainID: id(domain)}, {System: true}} {
			_, err := tx.Assign(ctx, identity.Assignment{Actor: identity.Actor{UserID: user}, Target: target, RoleID: roles["admin"]})
			steps = append(steps, err)
		}
		for _, err := range steps {
			if err != nil {
				return err
			}
		}
		tx.TouchIdentity()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.AdminID, f.ProjectID = user, project
	return f, live
}

// Tokens that a running Keystone issued are answered with the body that it gave for
// them; those of credentials that are not held here are refused, and say why.
func TestLiveTokensOfKeystone(t *testing.T) {
	f, live := liveCloud(t)
	admin := f.admin()
	for _, x := range live.Tokens {
		t.Run(x.Name, func(t *testing.T) {
			f.reasons()
			a := f.do("GET", "/v3/auth/tokens?nocatalog", nil, as(admin), subject(x.Token), header{"OpenStack-Identity-Access-Rules", "1.0"})
			if strings.HasPrefix(x.Name, "federated") || x.Name == "application-credential" {
				a.want(404)
				if got := f.reasons(); !slices.Equal(got, []token.Reason{token.WrongKind}) {
					t.Errorf("refused for %v", got)
				}
				return
			}
			a.want(200)
			got, _ := a.body["token"].(map[string]any)
			byName := func(m map[string]any) {
				if l, ok := m["roles"].([]any); ok {
					slices.SortFunc(l, func(a, b any) int {
						return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
					})
				}
			}
			byName(got)
			byName(x.Body.Token)
			if !reflect.DeepEqual(got, x.Body.Token) {
				want, _ := json.Marshal(x.Body.Token)
				t.Errorf("got  %s\nwant %s", a.raw, want)
			}
			if a.token() != x.Token {
				t.Error("the answer does not carry the token in its header")
			}
		})
	}
	// The members come in the order of the system studied.
	a := f.do("GET", "/v3/auth/tokens", nil, as(admin), subject(live.Tokens[0].Token))
	last := -1
	for _, k := range []string{`"methods"`, `"user"`, `"audit_ids"`, `"expires_at"`, `"issued_at"`, `"project"`, `"is_domain"`, `"roles"`, `"catalog"`} {
		i := strings.Index(a.raw, k)
		if i <= last {
			t.Errorf("%s comes at %d, after %d", k, i, last)
		}
		last = i
	}
	// An EC2 token may be looked at and nothing else, on whichever node it was made.
	for _, x := range live.Tokens {
		if x.Name == "ec2" {
			if got := f.c(x.Token); got != 403 {
				t.Errorf("an EC2 token as a caller's: %d, want 403", got)
			}
		}
	}
}
