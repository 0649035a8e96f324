//go:build unix

package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestADatabaseAnswersAndSortsByLanguage(t *testing.T) {
	c := Shared(t)
	conn, err := pgx.Connect(t.Context(), c.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var before bool
	if err := conn.QueryRow(t.Context(), "SELECT 'a' < 'B'").Scan(&before); err != nil {
		t.Fatal(err)
	}
	if !before {
		t.Log("this server has no language's collation; byte collation is not put to the test")
	}
}

func TestAKilledServerStartsAgain(t *testing.T) {
	c := Durable(t)
	url := c.Database(t)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Fatal("a killed server still answers")
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
}
