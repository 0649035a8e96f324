package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/identity"
	"symbolon/internal/store/sqltext"
)

// identityReads answers identity's questions on any querier: a pool of readers or
// a transaction.
type identityReads struct{ q Querier }

// fields maps the names of a resource's filters, as on the wire, to its columns.
type fields map[string]string

// A selection is a SELECT under construction.
type selection struct {
	sql   strings.Builder
	args  []any
	words int // conditions so far
}

func selectFrom(format string, args ...any) *selection {
	s := &selection{}
	fmt.Fprintf(&s.sql, format, args...)
	return s
}

// arg adds an argument and returns its placeholder.
func (s *selection) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

// where adds a condition, which refers to its arguments by %s.
func (s *selection) where(format string, args ...any) {
	if s.words == 0 {
		s.sql.WriteString(" WHERE ")
	} else {
		s.sql.WriteString(" AND ")
	}
	s.words++
	marks := make([]any, len(args))
	for i, a := range args {
		marks[i] = s.arg(a)
	}
	fmt.Fprintf(&s.sql, format, marks...)
}

// whereIn adds that column is one of the values. It is false for no values.
func (s *selection) whereIn(column string, values []string) {
	if len(values) == 0 {
		s.where("1 = 0")
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	s.where(column+" IN ("+strings.TrimSuffix(strings.Repeat("%s,", len(values)), ",")+")", args...)
}

// narrow adds a query's conditions and its page, ordered by the column id.
func (s *selection) narrow(f fields, id string, q identity.Query) error {
	for _, c := range q.Where {
		if err := s.condition(f, c); err != nil {
			return err
		}
	}
	if q.After != "" {
		s.where(id+" > %s", q.After)
	}
	s.sql.WriteString(" ORDER BY " + id)
	if q.Limit > 0 {
		s.sql.WriteString(" LIMIT " + s.arg(int64(q.Limit)))
	}
	return nil
}

func (s *selection) condition(f fields, c identity.Condition) error {
	col, ok := f[c.Field]
	if !ok {
		return errs.E(errs.Internal, "store: no field %q to filter on", c.Field)
	}
	switch v := c.Value.(type) {
	case bool:
		if c.Op == identity.NotEqual {
			v = !v
		}
		s.where(col+" = %s", v)
	case time.Time:
		op, ok := comparisons[c.Op]
		if !ok {
			return errs.E(errs.Internal, "store: comparison %d of instants", c.Op)
		}
		s.where(col+" "+op+" %s", int64(epoch.MicrosOf(v)))
	case []string:
		return s.tags(col, c.Op, v)
	case string:
		return s.text(col, c.Op, v)
	default:
		return errs.E(errs.Internal, "store: a %T to filter by", v)
	}
	return nil
}

var comparisons = map[identity.Op]string{
	identity.Equal: "=", identity.NotEqual: "<>", identity.Less: "<", identity.LessOrEqual: "<=",
	identity.Greater: ">", identity.GreaterOrEqual: ">=",
}

// text compares text; letters count as they are, as LIKE has it on both engines.
func (s *selection) text(col string, op identity.Op, v string) error {
	if strings.IndexByte(v, 0) >= 0 { // no engine holds such text, so nothing equals it
		s.where("1 = 0")
		return nil
	}
	switch op {
	case identity.ContainsFold, identity.StartsWithFold, identity.EndsWithFold:
		col, v = "lower("+col+")", lowerASCII(v)
	}
	part := sqltext.EscapeLike(v)
	switch op {
	case identity.Equal, identity.NotEqual, identity.Less, identity.LessOrEqual, identity.Greater, identity.GreaterOrEqual:
		s.where(col+" "+comparisons[op]+" %s", v)
		return nil
	case identity.Contains, identity.ContainsFold:
		part = "%" + part + "%"
	case identity.StartsWith, identity.StartsWithFold:
		part += "%"
	case identity.EndsWith, identity.EndsWithFold:
		part = "%" + part
	default:
		return errs.E(errs.Internal, "store: comparison %d of text", op)
	}
	s.where(col+` LIKE %s ESCAPE '\'`, part)
	return nil
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// tags compares the set of a project's tags; col is the project's id.
func (s *selection) tags(col string, op identity.Op, tags []string) error {
	having := func(format string) {
		args := make([]any, 0, len(tags)+1)
		for _, t := range tags {
			args = append(args, t)
		}
		in := strings.TrimSuffix(strings.Repeat("%s,", len(tags)), ",")
		if strings.Contains(format, "%s") {
			args = append(args, int64(len(tags)))
		}
		sub := "SELECT project_id FROM project_tags WHERE tag IN (" + in + ")"
		s.where(strings.Replace(format, "SUB", sub, 1), args...)
	}
	if len(tags) == 0 {
		return nil
	}
	switch op {
	case identity.HasAllTags:
		having(col + " IN (SUB GROUP BY project_id HAVING COUNT(*) = %s)")
	case identity.HasAnyTag:
		having(col + " IN (SUB)")
	case identity.LacksAllTags:
		having(col + " NOT IN (SUB GROUP BY project_id HAVING COUNT(*) = %s)")
	case identity.LacksAnyTag:
		having(col + " NOT IN (SUB)")
	default:
		return errs.E(errs.Internal, "store: comparison %d of tags", op)
	}
	return nil
}

// collect runs the selection and reads each row with scan.
func collect[T any](ctx context.Context, q Querier, s *selection, scan func(row scanner) (T, error)) ([]T, error) {
	rows, err := q.Query(ctx, s.sql.String(), s.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

type scanner interface{ Scan(dest ...any) error }

// object encodes extra attributes or options.
func object[M ~map[string]json.RawMessage](m M) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("store: encode attributes: %w", err)
	}
	return string(b), nil
}

func intoObject[M ~map[string]json.RawMessage](text string, into *M) error {
	if text == "{}" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("store: decode attributes: %w", err)
	}
	return nil
}

// instant is a time as a column: NULL when zero.
func instant(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := int64(epoch.MicrosOf(t))
	return &n
}

func timeOf(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return epoch.Micros(*n).Time()
}

// orNull is a text as a column: NULL when empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
