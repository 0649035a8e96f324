package migrations

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"symbolon/internal/store/sqltext"
)

// statements returns the migration for one dialect without comments and without
// text in quotes, so that what is found in it is SQL.
func statements(t *testing.T, m Migration, d sqltext.Dialect) string {
	t.Helper()
	text, err := d.Render(m.Text)
	if err != nil {
		t.Fatalf("%04d_%s: %v", m.Version, m.Name, err)
	}
	text = regexp.MustCompile(`(?m)--.*$`).ReplaceAllString(text, "")
	return regexp.MustCompile(`'[^']*'`).ReplaceAllString(text, "''")
}

func all(t *testing.T) []Migration {
	t.Helper()
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no migrations")
	}
	return list
}

func TestNumbersHaveNoGapsAndNothingGoesBack(t *testing.T) {
	for i, m := range all(t) {
		if m.Version != int64(i+1) {
			t.Errorf("migration %d has number %d", i+1, m.Version)
		}
		if !strings.Contains(m.Text, "-- +goose Up\n") || strings.Contains(m.Text, "+goose Down") {
			t.Errorf("%04d_%s: want an Up part and no Down part", m.Version, m.Name)
		}
		if strings.Contains(m.Text, "NO TRANSACTION") {
			t.Errorf("%04d_%s is not one transaction", m.Version, m.Name)
		}
	}
}

// What a sharding engine of PostgreSQL's wire does not have, or what would order
// rows by something else than the clock, and types that two engines read
// differently.
var forbidden = []struct{ pattern, why string }{
	{`(BIG|SMALL)?SERIAL\b`, "a sequence"},
	{`AUTOINCREMENT`, "a sequence"},
	{`\bSEQUENCE\b`, "a sequence"},
	{`GENERATED\s+(ALWAYS|BY\s+DEFAULT)\s+AS\s+IDENTITY`, "a sequence"},
	{`\bNEXTVAL\b`, "a sequence"},
	{`\bTEMP(ORARY)?\b`, "a temporary table"},
	{`\b(LISTEN|NOTIFY)\b`, "a notification"},
	{`\bPG_(TRY_)?ADVISORY`, "an advisory lock"},
	{`\bUNLOGGED\b`, "a table that a crash empties"},
	{`\b(VAR)?CHAR\b`, "a type of text other than {{text}}"},
	{`\bCITEXT\b`, "a type of text other than {{text}}"},
	{`\b(TIMESTAMP|TIMESTAMPTZ|DATETIME|DATE|TIME)\b`, "a zoned or engine-made instant"},
	{`\bJSONB?\b`, "a type that one engine rewrites"},
	{`\bUUID\b`, "a type of one engine"},
	{`\b(REAL|FLOAT|NUMERIC|DECIMAL)\b`, "a number other than BIGINT and DOUBLE PRECISION"},
	{`\bNOW\s*\(|CURRENT_TIMESTAMP`, "a clock of the engine's"},
	{`\bGEN_RANDOM_UUID|\bRANDOM\s*\(`, "a random number of the engine's"},
}

func TestMigrationsKeepToWhatEveryEngineHas(t *testing.T) {
	for _, m := range all(t) {
		for _, d := range []sqltext.Dialect{sqltext.SQLite, sqltext.PostgreSQL} {
			text := statements(t, m, d)
			for _, f := range forbidden {
				if got := regexp.MustCompile(`(?i)` + f.pattern).FindString(text); got != "" {
					t.Errorf("%04d_%s (%v): %q is %s", m.Version, m.Name, d, got, f.why)
				}
			}
		}
	}
}

func TestTheRulesForMigrationsFindWhatTheyForbid(t *testing.T) {
	for _, bad := range []string{
		"id BIGSERIAL PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT", "CREATE SEQUENCE s", "create temp table t (a bigint)",
		"id BIGINT GENERATED ALWAYS AS IDENTITY", "at TIMESTAMPTZ NOT NULL", "name VARCHAR(64)", "doc JSONB", "at BIGINT DEFAULT (now())",
	} {
		found := false
		for _, f := range forbidden {
			found = found || regexp.MustCompile(`(?i)`+f.pattern).MatchString(bad)
		}
		if !found {
			t.Errorf("%q passes", bad)
		}
	}
}

// Text without a stated collation sorts by the language of whoever made the
// database.
func TestTextStatesItsCollation(t *testing.T) {
	bare := regexp.MustCompile(`(?i)\bTEXT\b( COLLATE "C")?`)
	for _, m := range all(t) {
		for _, match := range bare.FindAllString(statements(t, m, sqltext.PostgreSQL), -1) {
			if !strings.HasSuffix(match, `COLLATE "C"`) {
				t.Errorf("%04d_%s: a bare TEXT; write {{text}}", m.Version, m.Name)
			}
		}
	}
}

func TestRenderedFilesAreWhatGooseReads(t *testing.T) {
	for _, d := range []sqltext.Dialect{sqltext.SQLite, sqltext.PostgreSQL} {
		files, err := render(d)
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil || len(names) != len(all(t)) {
			t.Errorf("%v: %d files, %v", d, len(names), err)
		}
		for _, name := range names {
			b, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			if a, z := strings.Count(text, "+goose StatementBegin"), strings.Count(text, "+goose StatementEnd"); a != z {
				t.Errorf("%v: %s: %d statements begin and %d end", d, name, a, z)
			}
			fi, err := fs.Stat(files, name)
			if err != nil || fi.Size() != int64(len(text)) || fi.IsDir() || fi.Mode().Perm() != 0o400 {
				t.Errorf("%v: %s: %v, %v", d, name, fi, err)
			}
		}
		if _, err := fs.Stat(files, "9999_none.sql"); err == nil {
			t.Errorf("%v: a file that is not there is there", d)
		}
	}
	if n := all(t); Latest() != n[len(n)-1].Version {
		t.Errorf("Latest = %d", Latest())
	}
}
