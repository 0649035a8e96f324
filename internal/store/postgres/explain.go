package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"symbolon/internal/store/sqltext"
)

// A Trouble is why a database does not open.
type Trouble uint8

// The troubles.
const (
	Elsewhere Trouble = iota // none of the others
	BadURL
	Denied
	Unreachable
)

// Explain turns an error of Open or Migrate into one line that says what to do. The
// line holds no password.
func Explain(err error) (Trouble, string) {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return BadURL, "the database address cannot be understood: write it as postgres://user@host:5432/name"
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "28P01", "28000":
			return Denied, fmt.Sprintf("the database refuses this user (%s): check the user, the password and pg_hba.conf", pe.Message)
		case "3D000":
			return Unreachable, fmt.Sprintf("%s: create it with createdb, or correct the database address", pe.Message)
		case "42501":
			return Denied, fmt.Sprintf("the database user may not create tables (%s): grant it CREATE on the schema", pe.Message)
		}
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) || sqltext.ClassOf(err) == sqltext.Unreachable {
		where := "the database"
		if ce != nil && ce.Config != nil {
			where = fmt.Sprintf("the database %s at %s:%d", ce.Config.Database, ce.Config.Host, ce.Config.Port)
		}
		return Unreachable, where + " cannot be reached: start it, or correct the database address"
	}
	return Elsewhere, fmt.Sprintf("the database cannot be used: %v", err)
}
