package storetest

import "testing"

func TestSQLite(t *testing.T) {
	t.Parallel()
	Run(t, SQLite)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	Postgres(t) // one answer to whether there is a server
	Run(t, Postgres)
}
