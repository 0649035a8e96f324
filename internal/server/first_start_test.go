package server

import (
	"context"
	"sync"
	"testing"

	"symbolon/internal/config"
	"symbolon/internal/store"
)

func firstConfig(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Auth.BcryptRounds = t.TempDir()+"/data", "127.0.0.1:8765", 4
	return &c
}

// Of processes that begin together on one store one makes the administrator, and no
// other shows a password that nobody has.
func TestOneOfManyFirstStartsSetsThePassword(t *testing.T) {
	c := firstConfig(t)
	// The directory, the keys and the store are there: what is left to race for
	// is who bootstraps.
	n, err := Open(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	const many = 4
	var wg sync.WaitGroup
	nodes := make([]*Node, many)
	for i := range nodes {
		wg.Go(func() {
			n, err := Open(context.Background(), c, Options{FirstStart: true})
			if err != nil {
				t.Error(err)
				return
			}
			nodes[i] = n
		})
	}
	wg.Wait()
	shown := map[string]bool{}
	projects := map[string]bool{}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		defer n.Close()
		if n.First != nil {
			shown[n.First.Password] = true
		}
		p, err := n.defaultProject(t.Context())
		if err != nil {
			t.Error(err)
		}
		projects[p] = true
	}
	if len(shown) != 1 || shown[""] {
		t.Fatalf("%d processes showed a password, want 1", len(shown))
	}
	if len(projects) != 1 || projects[""] {
		t.Errorf("the processes know %v as the default project, want one", projects)
	}
	u, err := nodes[0].Store.UserByName(t.Context(), "default", "admin")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := nodes[0].Store.Passwords(t.Context(), u.ID)
	if err != nil || len(stored) != 1 {
		t.Fatalf("%d passwords, %v; want one", len(stored), err)
	}
	for password := range shown {
		if ok, _, err := nodes[0].hasher.Verify(t.Context(), stored[0].Hash, password); err != nil || !ok {
			t.Errorf("the password that was shown is not the administrator's: %v", err)
		}
	}
}

// A process that ends between making the default project and recording it leaves a
// store whose next start records it.
func TestTheDefaultProjectIsRecordedByTheNextStart(t *testing.T) {
	c := firstConfig(t)
	n, err := Open(t.Context(), c, Options{FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	want, err := n.defaultProject(t.Context())
	if err != nil || want == "" {
		t.Fatalf("defaultProject = %q, %v", want, err)
	}
	err = n.Store.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), "DELETE FROM node_settings WHERE key = $1", settingDefaultProject)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	n, err = Open(t.Context(), c, Options{FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got, err := n.defaultProject(t.Context()); err != nil || got != want || n.First != nil {
		t.Errorf("the next start has the default project %q, %v, %v; want %q", got, err, n.First, want)
	}
}
