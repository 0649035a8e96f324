// Package storetest is the conformance suite of the store: one set of cases that
// every engine passes. A fault found on one engine becomes a case here.
package storetest

import (
	"log/slog"
	"testing"
	"time"

	"symbolon/internal/store"
	"symbolon/internal/testkit/pgtest"
)

// A Case checks one promise of the store.
type Case struct {
	Name string
	// Fn gets a store on an empty, migrated database; it is closed for it.
	Fn func(t *testing.T, s *store.Store)
	// On is set instead of Fn by cases that open the database themselves, more
	// than once.
	On func(t *testing.T, o store.Options)
}

// An area is the cases of one part of the store, in a file of their own.
type area struct {
	name  string
	cases []Case
}

func areas() []area {
	return []area{
		{"core", coreCases()},
		{"values", valueCases()},
		{"audit", auditCases()},
		{"processes", processCases()},
		{"peers", peerCases()},
		{"identity", identityCases()},
		{"facts", factCases()},
	}
}

// Run checks all cases. fresh returns the options of a new, empty database each
// time.
func Run(t *testing.T, fresh func(t testing.TB) store.Options) {
	for _, a := range areas() {
		t.Run(a.name, func(t *testing.T) { RunCases(t, fresh, a.cases) })
	}
}

// RunCases checks some cases.
func RunCases(t *testing.T, fresh func(t testing.TB) store.Options, cases []Case) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			o := fresh(t)
			if c.On != nil {
				c.On(t, o)
				return
			}
			c.Fn(t, Open(t, o))
		})
	}
}

// SQLite returns the options of an empty SQLite database.
func SQLite(t testing.TB) store.Options {
	return store.Options{Dir: t.TempDir(), Now: time.Now, Log: logger(t)}
}

// Postgres returns the options of an empty, migrated PostgreSQL database in the
// process's private cluster. The test is skipped where there is no PostgreSQL.
func Postgres(t testing.TB) store.Options {
	t.Helper()
	url := pgtest.Shared(t).Clone(t, "migrated", func(url string) error {
		return store.Migrate(t.Context(), store.Options{URL: url, Now: time.Now})
	})
	return store.Options{URL: url, Now: time.Now, Log: logger(t)}
}

func emptyPostgres(t testing.TB) string { return pgtest.Shared(t).Database(t) }

// Open opens the database for the length of the test.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
