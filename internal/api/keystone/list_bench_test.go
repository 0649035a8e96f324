package keystone

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"symbolon/internal/identity"
)

// populate writes users and projects, with roles between them, past the rules,
// which is faster.
func (f *face) populate(users, projects, assignments int) {
	f.t.Helper()
	ctx := f.t.Context()
	const batch = 5000
	each := func(n int, fn func(tx identity.Tx, i int) error) {
		for from := 0; from < n; from += batch {
			f.must(f.store.UpdateIdentity(ctx, func(tx identity.Tx) error {
				for i := from; i < min(from+batch, n); i++ {
					if err := fn(tx, i); err != nil {
						return err
					}
				}
				return nil
			}))
		}
	}
	extra := identity.Extra{"email": json.RawMessage(`"somebody@example.org"`)}
	each(users, func(tx identity.Tx, i int) error {
		return tx.CreateUser(ctx, identity.User{
			ID: fmt.Sprintf("%032x", i), Name: fmt.Sprint("user ", i), DomainID: f.vars["acme"], Enabled: true, CreatedAt: f.now, Extra: extra,
		})
	})
	each(projects, func(tx identity.Tx, i int) error {
		return tx.CreateProject(ctx, identity.Project{
			ID: fmt.Sprintf("%032x", 1<<40+i), Name: fmt.Sprint("project ", i), DomainID: f.vars["acme"], ParentID: f.vars["acme"], Enabled: true,
			Tags: []string{"a", "b"},
		})
	})
	each(assignments, func(tx identity.Tx, i int) error {
		return second(tx.Assign(ctx, identity.Assignment{
			Actor:  identity.Actor{UserID: fmt.Sprintf("%032x", i%users)},
			Target: identity.Target{ProjectID: fmt.Sprintf("%032x", 1<<40+i/users*7+i%projects)}, RoleID: f.vars["member"],
		}))
	})
}

// A page of a thousand out of a store of a hundred thousand users.
func BenchmarkListPage(b *testing.B) {
	f := newFace(b)
	f.populate(100_000, 10_000, 300_000)
	for name, path := range map[string]string{
		"users":               "/v3/users?limit=1000&marker=0000000000000000000000000000c350",
		"users by name part":  "/v3/users?limit=1000&name__contains=77",
		"projects":            "/v3/projects?limit=1000",
		"assignments of one":  "/v3/role_assignments?user.id=00000000000000000000000000000007&effective&include_names",
		"one user":            "/v3/users/00000000000000000000000000000007",
		"projects of a user":  "/v3/users/00000000000000000000000000000007/projects",
		"users by exact name": "/v3/users?name=user%2077&domain_id=" + f.vars["acme"],
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "http://keystone.test"+path, nil)
				r.Header.Set("X-Auth-Token", "admin")
				w := httptest.NewRecorder()
				f.h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body.String())
				}
			}
		})
	}
}
