package canon_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
)

// Canonical text is a fixed point, reads as the same value, and is refused
// wherever encoding/json refuses.
func FuzzJSON(f *testing.F) {
	var g struct{ Values []struct{ Raw string } }
	load(f, "reference_values.json", &g)
	for _, v := range g.Values {
		f.Add([]byte(v.Raw))
	}
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`"\ud800"`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, form := range []canon.Form{canon.UTF8, canon.ASCII} {
			out, err := canon.JSON(raw, form)
			if err != nil {
				if k := errs.KindOf(err); k != errs.Invalid && k != errs.Unprocessable {
					t.Fatalf("JSON(%q): %v of kind %v", raw, err, k)
				}
				continue
			}
			if !json.Valid(raw) || !json.Valid(out) {
				t.Fatalf("JSON(%q) = %s, but one of them is not JSON", raw, out)
			}
			if again, err := canon.JSON(out, form); err != nil || string(again) != string(out) {
				t.Fatalf("JSON(%q) = %s, and again %s, %v", raw, out, again, err)
			}
			if strings.Contains(string(raw), "-0") {
				continue // the integer -0 is 0 to us and to the reference
			}
			var a, b any
			if json.Unmarshal(raw, &a) == nil && json.Unmarshal(out, &b) == nil {
				x, _ := json.Marshal(a)
				y, _ := json.Marshal(b)
				if string(x) != string(y) {
					t.Fatalf("JSON(%q) = %s changes the value", raw, out)
				}
			}
		}
		if canon.HasLoneSurrogate(raw) && json.Valid(raw) {
			if _, err := canon.JSON(raw, canon.UTF8); err == nil {
				t.Fatalf("JSON(%q) accepts a lone surrogate", raw)
			}
		}
	})
}

// A stored number reads back as itself, whatever it was made from.
func FuzzEncodeValue(f *testing.F) {
	for _, s := range []string{`42`, `" 1_0.5e3 "`, `-0`, `1e-400`, `"x"`, `[1,"a",null,{"b":1.5}]`, `"\ud800"`, `{"a":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, typ := range []canon.ValueType{canon.Number, canon.String, canon.Boolean, canon.Null} {
			s, err := canon.EncodeValue(typ, raw)
			var e *errs.Error
			if err != nil {
				if !errors.As(err, &e) || e.Kind == errs.Internal {
					t.Fatalf("EncodeValue(%s, %q): %v", typ, raw, err)
				}
				continue
			}
			if typ == canon.Number {
				if again, err := canon.EncodeValue(typ, []byte(s)); err != nil || again != s {
					t.Fatalf("EncodeValue(number, %q) = %q, and again %q, %v", raw, s, again, err)
				}
			}
			fact := canon.Fact{ValueType: typ, Value: s}
			cid, err := fact.CID()
			if err != nil {
				t.Fatalf("CID over %q: %v", s, err)
			}
			if m, err := canon.MatchReceived(fact, raw, cid); err != nil || !m.Holds || m.Value != s {
				t.Fatalf("MatchReceived(%s, %q) = %+v, %v", typ, raw, m, err)
			}
		}
	})
}

func BenchmarkCID(b *testing.B) {
	f := canon.Fact{
		Entity: "stigmem://acme.example/user/alice", Relation: "memory:role", ValueType: canon.String, Value: "CEO", Source: "agent:cto",
		Scope: "company", Confidence: 1,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.CID(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeValue(b *testing.B) {
	for _, raw := range []string{`"CEO"`, `42`} {
		typ := canon.String
		if raw == "42" {
			typ = canon.Number
		}
		b.Run(string(typ), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := canon.EncodeValue(typ, []byte(raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
