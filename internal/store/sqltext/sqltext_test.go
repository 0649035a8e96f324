package sqltext

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"symbolon/internal/errs"
)

func TestADialectKeepsItsOwnParts(t *testing.T) {
	const text = "a {{text}}\n-- +sqlite\nb\n-- +postgres\nc {{bytes}}\n-- +both\nd {{bigint_key}} {{without_rowid}}\n-- +goose Up\n"
	for d, want := range map[Dialect]string{
		SQLite:     "a TEXT\nb\nd INTEGER WITHOUT ROWID\n-- +goose Up\n",
		PostgreSQL: "a TEXT COLLATE \"C\"\nc BYTEA\nd BIGINT \n-- +goose Up\n",
	} {
		if got, err := d.Render(text); err != nil || got != want {
			t.Errorf("%v: %q, %v; want %q", d, got, err, want)
		}
	}
	for _, bad := range []string{"{{txt}}", "-- +mysql\n", "-- + sqlite\n"} {
		if _, err := SQLite.Render(bad); err == nil {
			t.Errorf("%q renders", bad)
		}
	}
}

func TestLists(t *testing.T) {
	for _, tt := range []struct {
		first, n int
		want     string
	}{{1, 0, ""}, {1, 1, "$1"}, {3, 3, "$3,$4,$5"}} {
		if got := List(tt.first, tt.n); got != tt.want {
			t.Errorf("List(%d, %d) = %q, want %q", tt.first, tt.n, got, tt.want)
		}
	}
	if got := EscapeLike(`50%_\`); got != `50\%\_\\` {
		t.Errorf("EscapeLike = %q", got)
	}
}

type (
	text  string
	count uint16
)

func TestArguments(t *testing.T) {
	s, n := "x", int64(3)
	for _, tt := range []struct{ in, want any }{
		{nil, nil},
		{"x", "x"},
		{text("x"), "x"},
		{&s, "x"},
		{(*string)(nil), nil},
		{(*text)(nil), nil},
		{7, int64(7)},
		{count(7), int64(7)},
		{&n, int64(3)},
		{uint64(math.MaxInt64), int64(math.MaxInt64)},
		{true, true},
		{float32(0.5), 0.5},
		{[]byte("y"), []byte("y")},
		{[]byte(nil), nil},
		{[2]byte{1, 2}, []byte{1, 2}},
		{json.RawMessage(`{}`), "{}"},
		{json.RawMessage(nil), nil},
		{sql.NullString{String: "v", Valid: true}, "v"},
		{sql.NullString{}, nil},
		{(*sql.NullString)(nil), nil},
	} {
		got, err := Arg(tt.in)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Arg(%#v) = %#v, %v; want %#v", tt.in, got, err, tt.want)
		}
	}
	for _, bad := range []any{time.Now(), uint64(math.MaxUint64), struct{}{}, []int{1}, map[string]int{}, make(chan int)} {
		if got, err := Arg(bad); err == nil {
			t.Errorf("Arg(%#v) = %#v, want it refused", bad, got)
		}
	}
	for _, bad := range []any{"a\x00", text("\xff"), json.RawMessage("\x00")} {
		if _, err := Args([]any{1, bad}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "$2") {
			t.Errorf("Arg(%#v): %v, want invalid, naming the argument", bad, err)
		}
	}
}

// Whatever goes in comes out of a destination of the same type.
func FuzzValuesComeBack(f *testing.F) {
	f.Add("text", int64(1), 0.5, true, []byte{1})
	f.Fuzz(func(t *testing.T, s string, n int64, d float64, b bool, y []byte) {
		in := []any{s, n, d, b, y}
		cols, err := Args(in)
		if err != nil {
			if checkText(s) == nil {
				t.Fatalf("Args: %v", err)
			}
			return
		}
		var (
			s2 string
			n2 int64
			d2 float64
			b2 bool
			y2 []byte
		)
		if err := Scan(cols, []any{&s2, &n2, &d2, &b2, &y2}); err != nil {
			t.Fatalf("Scan: %v", err)
		}
		if s2 != s || n2 != n || math.Float64bits(d2) != math.Float64bits(d) || b2 != b || string(y2) != string(y) {
			t.Errorf("%v came back as %v", in, []any{s2, n2, d2, b2, y2})
		}
	})
}

func TestColumnsConvertOnlyWithoutLoss(t *testing.T) {
	dest := map[string]func() any{
		"string": func() any { return new(string) }, "text": func() any { return new(text) }, "int64": func() any { return new(int64) },
		"count": func() any { return new(count) }, "int8": func() any { return new(int8) }, "float64": func() any { return new(float64) },
		"bool": func() any { return new(bool) }, "bytes": func() any { return new([]byte) }, "pair": func() any { return new([2]byte) },
		"*string": func() any { return new(*string) }, "*count": func() any { return new(*count) }, "null": func() any { return new(sql.NullInt64) },
		"any": func() any { return new(any) },
	}
	for _, tt := range []struct {
		col  any
		into string
		want string // of %v; "refused" for an error
	}{
		{"x", "string", "x"}, {"x", "text", "x"}, {"x", "bytes", "[120]"}, {"x", "int64", "refused"}, {"x", "bool", "refused"}, {"xy", "pair", "refused"},
		{"x", "*string", "x"}, {"x", "*count", "refused"}, {"x", "any", "x"},
		{int64(3), "int64", "3"}, {int64(3), "count", "3"}, {int64(300), "int8", "refused"}, {int64(-1), "count", "refused"}, {int64(3), "float64", "3"},
		{int64(1<<53 + 1), "float64", "refused"}, {int64(1), "bool", "true"}, {int64(2), "bool", "refused"}, {int64(3), "string", "refused"}, {int64(3), "null", "{3 true}"},
		{3.0, "int64", "3"}, {3.5, "int64", "refused"}, {1e30, "int64", "refused"}, {math.NaN(), "int64", "refused"}, {3.5, "float64", "3.5"}, {3.5, "string", "refused"},
		{true, "bool", "true"}, {true, "int64", "refused"},
		{[]byte{1, 2}, "bytes", "[1 2]"}, {[]byte{1, 2}, "pair", "[1 2]"}, {[]byte{1}, "pair", "refused"}, {[]byte{1}, "string", "refused"},
		{nil, "string", "refused"}, {nil, "int64", "refused"}, {nil, "bytes", "[]"}, {nil, "*string", "<nil>"}, {nil, "null", "{0 false}"}, {nil, "any", "<nil>"}, {nil, "pair", "refused"},
	} {
		d := dest[tt.into]()
		got := "refused"
		if err := Scan([]any{tt.col}, []any{d}); err == nil {
			v := reflect.ValueOf(d).Elem()
			if v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			got = fmt.Sprint(v.Interface())
		}
		if got != tt.want {
			t.Errorf("%#v into %s gives %s, want %s", tt.col, tt.into, got, tt.want)
		}
	}
	if err := Scan([]any{"a", "b"}, []any{new(string)}); err == nil {
		t.Error("two columns went into one destination")
	}
	if err := Scan([]any{"a"}, []any{"b"}); err == nil {
		t.Error("a column went into no pointer")
	}
	kept := []byte{1}
	var out []byte
	if err := Scan([]any{kept}, []any{&out}); err != nil {
		t.Fatal(err)
	}
	if kept[0] = 9; out[0] != 1 {
		t.Error("a []byte is not a copy")
	}
}

func TestErrorsKeepTheirClass(t *testing.T) {
	err := fmt.Errorf("insert: %w", &Error{Class: Unique, Err: errors.New("boom")})
	if ClassOf(err) != Unique || ClassOf(errors.New("x")) != Other || ClassOf(nil) != Other {
		t.Error("the class of an error is lost")
	}
}
