package sqltext

import (
	"fmt"
	"strings"
)

// A Dialect names an engine's SQL.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota
	PostgreSQL
)

// String returns "sqlite" or "postgres".
func (d Dialect) String() string {
	if d == PostgreSQL {
		return "postgres"
	}
	return "sqlite"
}

// words are the tokens of a migration and what each dialect writes for them.
var words = map[string][2]string{
	// text that compares by bytes
	"{{text}}":  {"TEXT", `TEXT COLLATE "C"`},
	"{{bytes}}": {"BLOB", "BYTEA"},
	// a whole number as the primary key of a table that is read in its order
	"{{bigint_key}}": {"INTEGER", "BIGINT"},
	// keeps a table in its primary key; for rows that are small
	"{{without_rowid}}": {"WITHOUT ROWID", ""},
}

// Render returns the migration text for one dialect: it replaces the tokens and
// keeps, of the parts that begin with a line "-- +sqlite" or "-- +postgres" and end
// with "-- +both", those of the dialect. An unknown token or marker is an error.
func (d Dialect) Render(text string) (string, error) {
	var b strings.Builder
	keep := true
	for line := range strings.Lines(text) {
		switch marker := strings.TrimSpace(line); marker {
		case "-- +sqlite":
			keep = d == SQLite
		case "-- +postgres":
			keep = d == PostgreSQL
		case "-- +both":
			keep = true
		default:
			if strings.HasPrefix(marker, "-- +") && !strings.HasPrefix(marker, "-- +goose ") {
				return "", fmt.Errorf("unknown marker %q", marker)
			}
			if keep {
				b.WriteString(line)
			}
		}
	}
	out := b.String()
	for token, w := range words {
		out = strings.ReplaceAll(out, token, w[d])
	}
	if i := strings.Index(out, "{{"); i >= 0 {
		return "", fmt.Errorf("unknown token at %.30q", out[i:])
	}
	return out, nil
}
