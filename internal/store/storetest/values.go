package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/store"
	"symbolon/internal/store/sqltext"
)

func valueCases() []Case {
	return []Case{
		{Name: "unique, foreign key and check failures are told apart", Fn: constraints},
		{Name: "text compares by bytes, not by language", Fn: collation},
		{Name: "LIKE tells upper from lower case", Fn: likeCase},
		{Name: "values of every type come back as they went in", Fn: values},
		{Name: "text that one engine cannot hold is refused by both", Fn: badText},
		{Name: "settings are kept", Fn: settings},
	}
}

func blob(s *store.Store) string {
	if s.Dialect() == sqltext.PostgreSQL {
		return "BYTEA"
	}
	return "BLOB"
}

func ddl(t *testing.T, s *store.Store, statements ...string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		for _, q := range statements {
			if _, err := tx.Exec(t.Context(), q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func constraints(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ddl(t, s, "CREATE TABLE parent (id BIGINT NOT NULL PRIMARY KEY)",
		"CREATE TABLE child (id BIGINT NOT NULL PRIMARY KEY, parent BIGINT NOT NULL REFERENCES parent (id), n BIGINT CHECK (n > 0))",
		"INSERT INTO parent (id) VALUES (1)", "INSERT INTO child (id, parent) VALUES (1, 1)")
	for _, tt := range []struct {
		query string
		is    func(error) bool
	}{
		{"INSERT INTO parent (id) VALUES (1)", store.IsUnique},
		{"INSERT INTO child (id, parent) VALUES (2, 7)", store.IsForeignKey},
		{"DELETE FROM parent WHERE id = 1", store.IsForeignKey},
		{"INSERT INTO child (id, parent, n) VALUES (2, 1, 0)", store.IsRefused},
		{"INSERT INTO child (id, parent) VALUES (2, NULL)", store.IsRefused},
		{"UPDATE audit_log SET actor = 'x'", func(err error) bool { return err == nil }}, // no row, no trigger
	} {
		err := s.Update(ctx, func(tx *store.Tx) error { _, err := tx.Exec(ctx, tt.query); return err })
		if !tt.is(err) || err != nil && btoi(store.IsUnique(err))+btoi(store.IsForeignKey(err))+btoi(store.IsRefused(err)) != 1 {
			t.Errorf("%s: %v is not recognised", tt.query, err)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func collation(t *testing.T, s *store.Store) {
	ctx := t.Context()
	want := []string{"", "1", "A", "B", "Z", "_", "a", "a b", "a-b", "aB", "ab", "z", "é", "日", "𝄞"}
	for _, k := range slices.Backward(want) {
		if err := put(ctx, s, k, ""); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Reader().Query(ctx, "SELECT key FROM node_settings ORDER BY key")
	got, err := store.Collect(rows, err, func(r store.Row) (k string, err error) { return k, r.Scan(&k) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func likeCase(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, k := range []string{"abc", "ABC", "a%c", "a_c"} {
		if err := put(ctx, s, k, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		pattern string
		want    int
	}{{"ab%", 1}, {"AB%", 1}, {"a%", 3}, {sqltext.EscapeLike("a%") + "%", 1}, {sqltext.EscapeLike("a_") + "%", 1}} {
		var n int
		if err := s.Reader().QueryRow(ctx, `SELECT COUNT(*) FROM node_settings WHERE key LIKE $1 ESCAPE '\'`, tt.pattern).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != tt.want {
			t.Errorf("LIKE %q gives %d rows, want %d", tt.pattern, n, tt.want)
		}
	}
}

type (
	namedText string
	namedInt  int32
	digest    [4]byte
)

func values(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ddl(t, s, "CREATE TABLE probe (n BIGINT NOT NULL PRIMARY KEY, b BOOLEAN, i BIGINT, d DOUBLE PRECISION, t TEXT, y "+blob(s)+")")
	text, number := "x", int64(-5)
	rows := [][]any{
		{int64(1), true, int64(1) << 62, 0.1, "Grüße", []byte{0, 1, 255}},
		{int64(2), false, int64(-1), -1e300, "", []byte{}},
		{int64(3), nil, nil, nil, nil, nil},
		{int64(4), (*bool)(nil), &number, (*float64)(nil), &text, []byte(nil)},
		{int64(5), true, namedInt(7), float32(0.5), namedText("named"), digest{1, 2, 3, 4}},
		{int64(6), true, 12, 3.0, "whole", []byte("y")},
	}
	err := s.Update(ctx, func(tx *store.Tx) error {
		for _, r := range rows {
			if n, err := tx.Exec(ctx, "INSERT INTO probe (n, b, i, d, t, y) VALUES ($1, $2, $3, $4, $5, $6)", r...); err != nil || n != 1 {
				return fmt.Errorf("insert: %d rows, %w", n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	type scanned struct {
		b *bool
		i *int64
		d *float64
		t *string
		y []byte
	}
	get := func(n int) (v scanned) {
		err := s.Reader().QueryRow(ctx, "SELECT b, i, d, t, y FROM probe WHERE n = $1", n).Scan(&v.b, &v.i, &v.d, &v.t, &v.y)
		if err != nil {
			t.Fatalf("row %d: %v", n, err)
		}
		return v
	}
	if v := get(1); !*v.b || *v.i != 1<<62 || *v.d != 0.1 || *v.t != "Grüße" || string(v.y) != "\x00\x01\xff" {
		t.Errorf("row 1: %+v", v)
	}
	if v := get(2); *v.b || *v.i != -1 || *v.d != -1e300 || *v.t != "" || v.y == nil || len(v.y) != 0 {
		t.Errorf("row 2: %+v", v)
	}
	if v := get(3); v.b != nil || v.i != nil || v.d != nil || v.t != nil || v.y != nil {
		t.Errorf("row 3: %+v", v)
	}
	if v := get(4); v.b != nil || *v.i != -5 || v.d != nil || *v.t != "x" || v.y != nil {
		t.Errorf("row 4: %+v", v)
	}
	var (
		nt namedText
		ni namedInt
		dg digest
		np *namedText
		f  float64
	)
	if err := s.Reader().QueryRow(ctx, "SELECT t, i, y, t, d FROM probe WHERE n = 5").Scan(&nt, &ni, &dg, &np, &f); err != nil {
		t.Fatal(err)
	}
	if nt != "named" || ni != 7 || dg != (digest{1, 2, 3, 4}) || *np != "named" || f != 0.5 {
		t.Errorf("row 5: %v %v %v %v %v", nt, ni, dg, *np, f)
	}
	var sum, count int64
	var any1, less bool
	if err := s.Reader().QueryRow(ctx, "SELECT SUM(n), COUNT(*), EXISTS (SELECT 1 FROM probe WHERE n = 6), 2 < 1 FROM probe").Scan(&sum, &count, &any1, &less); err != nil {
		t.Fatal(err)
	}
	if sum != 21 || count != 6 || !any1 || less {
		t.Errorf("sum %d, count %d, exists %v, less %v", sum, count, any1, less)
	}
	if err := s.Reader().QueryRow(ctx, "SELECT n FROM probe WHERE b AND n > $2 AND n < $1", 7, 5).Scan(&number); err != nil || number != 6 {
		t.Errorf("placeholders out of order: %d, %v", number, err)
	}
	if err := s.Reader().QueryRow(ctx, "SELECT n FROM probe WHERE n = 99").Scan(&number); !errors.Is(err, store.ErrNoRows) {
		t.Errorf("no row: %v", err)
	}
	if err := s.Reader().QueryRow(ctx, "SELECT t FROM probe WHERE n = 3").Scan(&text); err == nil {
		t.Error("NULL went into a string")
	}
	if err := s.Reader().QueryRow(ctx, "SELECT t FROM probe WHERE n = 1").Scan(&number); err == nil {
		t.Error("text went into an integer")
	}
	// Both engines support RETURNING and ON CONFLICT.
	err = s.Update(ctx, func(tx *store.Tx) error {
		const upsert = "INSERT INTO probe (n, i) VALUES ($1, $2) ON CONFLICT (n) DO UPDATE SET i = probe.i + excluded.i RETURNING i"
		if err := tx.QueryRow(ctx, upsert, 6, 30).Scan(&number); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "INSERT INTO probe (n) VALUES ($1) ON CONFLICT DO NOTHING", 6)
		if n != 0 {
			t.Errorf("ON CONFLICT DO NOTHING changed %d rows", n)
		}
		return err
	})
	if err != nil || number != 42 {
		t.Errorf("upsert returned %d, %v; want 42", number, err)
	}
}

func badText(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, v := range []string{"a\x00b", "\xff", strings.Repeat("x", 10) + "\xc3"} {
		if err := put(ctx, s, "k", v); !errs.Is(err, errs.Invalid) {
			t.Errorf("storing %q: %v, want invalid", v, err)
		}
	}
	if err := s.Reader().QueryRow(ctx, "SELECT value FROM node_settings WHERE key = $1", "\x00").Scan(new(string)); !errs.Is(err, errs.Invalid) {
		t.Errorf("asking for it: %v, want invalid", err)
	}
}

func settings(t *testing.T, s *store.Store) {
	ctx := t.Context()
	wantSetting(t, s, "a", "")
	for _, v := range []string{"1", "2"} {
		if err := put(ctx, s, "a", v); err != nil {
			t.Fatal(err)
		}
		wantSetting(t, s, "a", v)
	}
}
