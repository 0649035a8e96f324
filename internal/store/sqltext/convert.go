package sqltext

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"symbolon/internal/errs"
)

// Arg converts an argument to nil, int64, float64, bool, string or []byte.
// Pointers stand for NULL or what they point to; named types count as what they
// are made of; a byte array is a []byte, a json.RawMessage a string. A string must be UTF-8 without a zero
// byte, which not every engine can store, and is refused as Invalid otherwise. A
// time is refused: instants are stored as integers or as text of a stated form.
func Arg(a any) (any, error) {
	switch v := a.(type) {
	case nil, int64, bool, float64, []byte:
		if b, ok := v.([]byte); ok && b == nil {
			return nil, nil
		}
		return v, nil
	case string:
		return a, checkText(v) // a, not v: it is in an interface already
	case int:
		return int64(v), nil
	case json.RawMessage:
		if v == nil {
			return nil, nil
		}
		return string(v), checkText(string(v))
	case *string:
		if v == nil {
			return nil, nil
		}
		return *v, checkText(*v)
	case *int64:
		if v == nil {
			return nil, nil
		}
		return *v, nil
	}
	return argByKind(a)
}

func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return errs.E(errs.Invalid, "text with a zero byte cannot be stored")
	}
	if !utf8.ValidString(s) {
		return errs.E(errs.Invalid, "text that is not UTF-8 cannot be stored")
	}
	return nil
}

func argByKind(a any) (any, error) {
	if v, ok := a.(driver.Valuer); ok {
		if rv := reflect.ValueOf(a); rv.Kind() == reflect.Pointer && rv.IsNil() {
			return nil, nil
		}
		x, err := v.Value()
		if err != nil {
			return nil, err
		}
		if _, again := x.(driver.Valuer); again {
			return nil, fmt.Errorf("argument of type %T values itself as a Valuer", a)
		}
		return Arg(x)
	}
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return Arg(v.Elem().Interface())
	case reflect.String:
		s := v.String()
		return s, checkText(s)
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u := v.Uint()
		if u > math.MaxInt64 {
			return nil, fmt.Errorf("argument %d does not fit a BIGINT", u)
		}
		return int64(u), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.IsNil() {
				return nil, nil
			}
			return v.Bytes(), nil
		}
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			reflect.Copy(reflect.ValueOf(b), v)
			return b, nil
		}
	}
	return nil, fmt.Errorf("argument of type %T cannot be stored", a)
}

// Args converts all arguments with [Arg].
func Args(args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, a := range args {
		v, err := Arg(a)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

var errNull = errors.New("NULL in a destination that cannot be nil")

// Scan converts column values to destinations: pointers to strings, integers,
// floats, booleans, byte slices and arrays, to named types made of these, to
// pointers to any of these (nil for NULL), to any, or a sql.Scanner. A []byte is
// a copy. Numbers convert when nothing is lost, 0 and 1 convert to a bool; text and
// numbers do not convert into each other.
func Scan(cols []any, dest []any) error {
	if len(cols) != len(dest) {
		return fmt.Errorf("scan: %d columns into %d destinations", len(cols), len(dest))
	}
	for i, d := range dest {
		if err := scanOne(cols[i], d); err != nil {
			return fmt.Errorf("scan: column %d: %w", i+1, err)
		}
	}
	return nil
}

type scanner interface{ Scan(src any) error }

func scanOne(src, dest any) error {
	switch d := dest.(type) {
	case *string:
		if s, ok := src.(string); ok {
			*d = s
			return nil
		}
	case *int64:
		if n, ok := src.(int64); ok {
			*d = n
			return nil
		}
	case *[]byte:
		switch s := src.(type) {
		case []byte:
			*d = append([]byte{}, s...)
			return nil
		case string:
			*d = []byte(s)
			return nil
		case nil:
			*d = nil
			return nil
		}
	case *any:
		*d = src
		return nil
	case scanner:
		return d.Scan(src)
	}
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("destination %T is no pointer", dest)
	}
	return assign(src, v.Elem())
}

func assign(src any, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if src == nil {
			v.SetZero()
			return nil
		}
		p := reflect.New(v.Type().Elem())
		if err := scanOne(src, p.Interface()); err != nil {
			return err
		}
		v.Set(p)
		return nil
	}
	bytesLike := (v.Kind() == reflect.Slice || v.Kind() == reflect.Array) && v.Type().Elem().Kind() == reflect.Uint8
	switch s := src.(type) {
	case nil:
		if v.Kind() == reflect.Slice && bytesLike {
			v.SetZero()
			return nil
		}
		return errNull
	case string:
		switch {
		case v.Kind() == reflect.String:
			v.SetString(s)
			return nil
		case v.Kind() == reflect.Slice && bytesLike:
			v.SetBytes([]byte(s))
			return nil
		}
	case []byte:
		switch {
		case v.Kind() == reflect.Slice && bytesLike:
			v.SetBytes(append([]byte{}, s...))
			return nil
		case bytesLike:
			if len(s) != v.Len() {
				return fmt.Errorf("%d bytes into %s", len(s), v.Type())
			}
			reflect.Copy(v, reflect.ValueOf(s))
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(s)
			return nil
		}
	case int64:
		return assignInt(s, v)
	case float64:
		return assignFloat(s, v)
	}
	return fmt.Errorf("%T into %s", src, v.Type())
}

func assignInt(n int64, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v.OverflowInt(n) {
			return fmt.Errorf("%d overflows %s", n, v.Type())
		}
		v.SetInt(n)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n < 0 || v.OverflowUint(uint64(n)) {
			return fmt.Errorf("%d overflows %s", n, v.Type())
		}
		v.SetUint(uint64(n))
		return nil
	case reflect.Float64:
		if f := float64(n); int64(f) == n {
			v.SetFloat(f)
			return nil
		}
	case reflect.Bool:
		if n == 0 || n == 1 {
			v.SetBool(n == 1)
			return nil
		}
	}
	return fmt.Errorf("integer %d into %s", n, v.Type())
}

func assignFloat(f float64, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		v.SetFloat(f)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := int64(f); float64(n) == f && !v.OverflowInt(n) {
			v.SetInt(n)
			return nil
		}
	}
	return fmt.Errorf("number %v into %s", f, v.Type())
}
