package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/store"
	"symbolon/internal/store/migrations"
)

// grows reports whether a table grows with the facts: such a table may one day be
// spread over machines by tenant and entity, and then a unique index can hold only
// if it contains both.
func grows(table string) bool {
	return strings.HasPrefix(table, "fact") || strings.HasPrefix(table, "conflict")
}

func ours(t *testing.T, s *store.Store, query string) []string {
	t.Helper()
	rows, err := s.Reader().Query(t.Context(), query)
	out, err := store.Collect(rows, err, func(r store.Row) (v string, err error) { return v, r.Scan(&v) })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUniqueIndexesOfGrowingTablesHoldTheDistributionColumns(t *testing.T) {
	t.Parallel()
	s := Open(t, SQLite(t))
	looked := 0
	for _, table := range ours(t, s, "SELECT name FROM sqlite_master WHERE type = 'table'") {
		if !grows(table) {
			continue
		}
		for _, index := range ours(t, s, fmt.Sprintf("SELECT name FROM pragma_index_list('%s') WHERE \"unique\" = 1", table)) {
			columns := ours(t, s, fmt.Sprintf("SELECT name FROM pragma_index_info('%s')", index))
			looked++
			for _, want := range []string{"tenant", "entity"} {
				if !slices.Contains(columns, want) {
					t.Errorf("%s: the unique index %s (%s) lacks %s", table, index, strings.Join(columns, ", "), want)
				}
			}
		}
	}
	if looked < 3 {
		t.Errorf("looked at %d unique indexes only", looked)
	}
}

func TestFactsAndAuditRefuseChange(t *testing.T) {
	t.Parallel()
	s := Open(t, SQLite(t))
	triggers := strings.Join(ours(t, s, "SELECT sql FROM sqlite_master WHERE type = 'trigger'"), "\n")
	for _, want := range []string{"BEFORE UPDATE ON audit_log", "BEFORE DELETE ON audit_log", "BEFORE UPDATE ON facts", "BEFORE DELETE ON facts"} {
		if !strings.Contains(triggers, want) {
			t.Errorf("no trigger %q", want)
		}
	}
	p := Open(t, Postgres(t))
	got := ours(t, p, "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal ORDER BY c.relname")
	for _, want := range []string{"audit_log", "facts"} {
		if !slices.Contains(got, want) {
			t.Errorf("PostgreSQL: no trigger on %s", want)
		}
	}
}

func TestPostgresSortsTextByBytesAndHasNoSequences(t *testing.T) {
	t.Parallel()
	s := Open(t, Postgres(t))
	for _, c := range ours(t, s, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`) {
		t.Errorf("%s does not state byte collation", c)
	}
	own := "SELECT relname FROM pg_class WHERE relkind = 'S' AND relname NOT LIKE '" + migrations.Table + "%'"
	for _, seq := range ours(t, s, own) {
		t.Errorf("there is a sequence %s", seq)
	}
	if n := len(ours(t, s, "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND collation_name = 'C'")); n < 50 {
		t.Errorf("found %d columns of text only", n)
	}
}
