package id_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

func golden(t *testing.T, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

type vector struct{ In, Out, Error string }

func TestNewIdentifiersHaveTheirForm(t *testing.T) {
	t.Parallel()
	forms := map[string]struct {
		make  func() string
		parse func(string) error
		form  string
	}{
		"hex": {
			func() string { return id.NewHex().String() },
			func(s string) error { _, err := id.ParseHex(s); return err },
			`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$`,
		},
		"uuid": {
			func() string { return id.NewUUID().String() },
			func(s string) error { _, err := id.ParseUUID(s); return err },
			`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
		},
		"audit": {
			func() string { return id.NewAudit().String() },
			func(s string) error { _, err := id.ParseAudit(s); return err },
			`^[A-Za-z0-9_-]{21}[AQgw]$`,
		},
		"secret": {id.Secret, func(string) error { return nil }, `^[A-Za-z0-9_-]{43}$`},
	}
	for name, f := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form, seen := regexp.MustCompile(f.form), map[string]bool{}
			for range 1000 {
				s := f.make()
				if !form.MatchString(s) {
					t.Fatalf("made %q, want %s", s, f.form)
				}
				if err := f.parse(s); err != nil {
					t.Fatalf("parse of the made %q: %v", s, err)
				}
				if seen[s] {
					t.Fatalf("made %q twice", s)
				}
				seen[s] = true
			}
		})
	}
}

func TestIdentifiersOfAnotherFormAreRefused(t *testing.T) {
	t.Parallel()
	hex32 := strings.Repeat("0f", 16)
	cid := "sha256:" + strings.Repeat("0f", 32)
	cases := map[string]struct {
		parse func(string) error
		good  []string
		bad   []string
	}{
		"hex": {
			func(s string) error { _, err := id.ParseHex(s); return err },
			[]string{hex32},
			[]string{"", hex32[1:], hex32 + "0", strings.ToUpper(hex32), strings.Repeat("g", 32), "00000000-0000-4000-8000-00000000000"},
		},
		"uuid": {
			func(s string) error { _, err := id.ParseUUID(s); return err },
			[]string{"3f0d2f9e-0000-4000-8000-000000000001"},
			[]string{"", hex32, "3F0D2F9E-0000-4000-8000-000000000001", "3f0d2f9e-0000-4000-8000-00000000000", "3f0d2f9e00000-4000-8000-000000000001", "{f0d2f9e-0000-4000-8000-000000000001"},
		},
		"audit": {
			func(s string) error { _, err := id.ParseAudit(s); return err },
			[]string{"AAAAAAAAAAAAAAAAAAAAAA", "_-AAAAAAAAAAAAAAAAAAAw"},
			[]string{"", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAA\nA", "+/AAAAAAAAAAAAAAAAAAAA"},
		},
		"cid": {
			func(s string) error { _, err := id.ParseCID(s); return err },
			[]string{cid},
			[]string{"", cid[7:], cid[:70], cid + "0", strings.ToUpper(cid), "sha512:" + cid[7:], cid[:69] + "\n\n"},
		},
	}
	for name, c := range cases {
		for _, s := range c.good {
			if err := c.parse(s); err != nil {
				t.Errorf("%s: %q: %v, want it accepted", name, s, err)
			}
		}
		for _, s := range c.bad {
			if err := c.parse(s); !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %q: %v, want an error of kind invalid", name, s, err)
			}
		}
	}
}

func TestCIDOfIsParsable(t *testing.T) {
	t.Parallel()
	c := id.CIDOf([32]byte{0: 0xAB, 31: 0x01})
	if want := "sha256:ab" + strings.Repeat("00", 30) + "01"; c.String() != want {
		t.Errorf("CIDOf = %q, want %q", c, want)
	}
	if !id.LooksLikeCID("sha256:zz") || id.LooksLikeCID("sha25") {
		t.Error("LooksLikeCID does not go by the prefix")
	}
}

func TestEntityNormalisationAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Vectors []vector `json:"entity_normalize"`
	}
	golden(t, &g)
	if len(g.Vectors) < 24 {
		t.Fatalf("only %d vectors", len(g.Vectors))
	}
	checkEntities(t, g.Vectors)
}

// The vectors of reference_entities.json were made by handing generated texts to
// the reference's own normaliser (stigmem-node 0.9.0a10); tools that made them
// are described in the file.
func TestEntityNormalisationAgreesOnGeneratedTexts(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/reference_entities.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct{ Vectors []vector }
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	checkEntities(t, g.Vectors)
}

func checkEntities(t *testing.T, vs []vector) {
	t.Helper()
	for _, v := range vs {
		got, err := id.ParseEntity(v.In)
		switch {
		case v.Error != "":
			if !errs.Is(err, errs.Invalid) || err.Error() != v.Error {
				t.Errorf("ParseEntity(%+q) = %+q, %v, want error %q", v.In, got, err, v.Error)
			}
		case err != nil || string(got) != v.Out:
			t.Errorf("ParseEntity(%+q) = %+q, %v, want %+q", v.In, got, err, v.Out)
		}
	}
}

func TestEntityBounds(t *testing.T) {
	t.Parallel()
	fits := strings.Repeat("a", id.MaxEntityLen)
	if _, err := id.ParseEntity(fits); err != nil {
		t.Errorf("an entity of the greatest length: %v", err)
	}
	for name, s := range map[string]string{
		"one byte too long":         fits + "a",
		"too long once in lower":    strings.Repeat("\u0130", id.MaxEntityLen/2),
		"not Unicode text":          "user:\xff",
		"a surrogate's three bytes": "user:\xed\xa0\x80",
		"U+0000":                    "user:a\x00b",
	} {
		if e, err := id.ParseEntity(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: ParseEntity = %q, %v, want an error of kind invalid", name, e, err)
		}
	}
}

func TestEntityParts(t *testing.T) {
	t.Parallel()
	a, k, r, ok := id.Entity("stigmem://h/t/a/b").Formal()
	if a != "h" || k != "t" || r != "a/b" || !ok {
		t.Errorf("Formal = %q, %q, %q, %v", a, k, r, ok)
	}
	for _, s := range []string{"user:x", "stigmem://h/t", "stigmem://h/t/", "stigmem:///t/x", "stigmem://h//x"} {
		if _, _, _, ok := id.Entity(s).Formal(); ok {
			t.Errorf("%q is called formal", s)
		}
	}
}

func TestTenantNormalisationAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	var g struct {
		Vectors []vector `json:"tenant_id"`
	}
	golden(t, &g)
	g.Vectors = append(
		g.Vectors,
		vector{In: "\u212Aelvin", Out: "kelvin"},
		vector{In: "\u3000\u24D0\u2460\u3000", Out: "a1"},
		vector{In: "a\u0301", Error: "tenant_id_invalid: 'a\u0301'"},
		vector{In: "it's", Error: `tenant_id_invalid: "it's"`},
		vector{In: "\u200B", Error: `tenant_id_invalid: '\u200b'`},
		vector{In: " \u0085", Error: "tenant_id_empty"},
	)
	for _, v := range g.Vectors {
		got, err := id.ParseTenant(v.In)
		switch {
		case v.Error != "":
			if !errs.Is(err, errs.Invalid) || err.Error() != v.Error {
				t.Errorf("ParseTenant(%+q) = %q, %v, want error %q", v.In, got, err, v.Error)
			}
		case err != nil || string(got) != v.Out:
			t.Errorf("ParseTenant(%+q) = %q, %v, want %q", v.In, got, err, v.Out)
		}
	}
	if _, err := id.ParseTenant(strings.Repeat(" ", 2000) + "a"); !errs.Is(err, errs.Invalid) {
		t.Errorf("an over-long tenant: %v, want an error of kind invalid", err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, s := range id.Scopes() {
		if got, err := id.ParseScope(s.String()); err != nil || got != s {
			t.Errorf("ParseScope(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "Public", "public ", "world"} {
		if _, err := id.ParseScope(s); !errs.Is(err, errs.Invalid) {
			t.Errorf("ParseScope(%q): %v, want an error of kind invalid", s, err)
		}
	}
	set := id.ScopesNamed([]string{"public", "company", "world", "public", ""})
	if got := set.String(); got != "company,public" {
		t.Errorf("set = %q, want company,public", got)
	}
	if !set.Has(id.Public) || set.Has(id.Local) || set.Has(id.NoScope) {
		t.Errorf("membership of %v is wrong", set)
	}
	if got := set.And(id.ScopesOf(id.Public, id.Team)).String(); got != "public" {
		t.Errorf("intersection = %q, want public", got)
	}
	if got := set.Without(id.Public).Without(id.Company); !got.Empty() || got.Names() == nil {
		t.Errorf("emptied set = %v, names %v", got, got.Names())
	}
}

func TestQuoteIsTheReferencesWay(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":              `'plain'`,
		"it's":               `"it's"`,
		`it's "x"`:           `'it\'s "x"'`,
		`a\b`:                `'a\\b'`,
		"\t\n\r\x00\x1f\x7f": `'\t\n\r\x00\x1f\x7f'`,
		"\u00a0\u00ad\u200b": `'\xa0\xad\u200b'`,
		"é😀\U000E0001":       `'é😀\U000e0001'`,
		"":                   `''`,
	} {
		if got := id.Quote(in); got != want {
			t.Errorf("Quote(%+q) = %s, want %s", in, got, want)
		}
	}
}

func FuzzEntity(f *testing.F) {
	for _, s := range []string{
		"user:Alice Smith", " stigmem://A B/User/ X\tY ", "stigmem:// h / t / x\ny", "agent:\u03A3\u03A3.\u03A3", "STIGMEM://H/T/X",
		"\u0130\u0085", "\ufeffx", "stigmem://\u00a0/t/x", "a\u03A3'\u03A3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := id.ParseEntity(s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("ParseEntity(%+q): %v, want an error of kind invalid", s, err)
			}
			return
		}
		if e == "" || len(e) > id.MaxEntityLen || !id.ValidText(string(e)) {
			t.Fatalf("ParseEntity(%+q) = %+q", s, e)
		}
		if again, err := id.ParseEntity(string(e)); err != nil || again != e {
			t.Fatalf("ParseEntity(%+q) = %+q, and again %+q, %v", s, e, again, err)
		}
	})
}

func FuzzTenant(f *testing.F) {
	for _, s := range []string{"default", " ACME ", "\uff21\uff22c", "\u212A", "-a", "ﷺ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := id.ParseTenant(s)
		if err != nil {
			return
		}
		if again, err := id.ParseTenant(string(n)); err != nil || again != n || len(n) > 63 {
			t.Fatalf("ParseTenant(%+q) = %q, and again %q, %v", s, n, again, err)
		}
	})
}

func BenchmarkParseEntity(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := id.ParseEntity("stigmem://acme.example/user/alice"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestUUIDsOfLaterInstantsSortLater(t *testing.T) {
	t.Parallel()
	at := epoch.Millis(1795300579898)
	a, b := id.NewUUIDAt(at), id.NewUUIDAt(at+1)
	for _, u := range []id.UUID{a, b} {
		if _, err := id.ParseUUID(string(u)); err != nil || u[14] != '7' || !strings.ContainsRune("89ab", rune(u[19])) {
			t.Errorf("NewUUIDAt = %q, want a UUID of version 7 (%v)", u, err)
		}
	}
	if a >= b {
		t.Errorf("%q does not sort before %q", a, b)
	}
	if got, want := string(a[:13]), "01a20040-da3a"; got != want {
		t.Errorf("the instant is written %q, want %q", got, want)
	}
	if again := id.NewUUIDAt(at); again == a {
		t.Error("two UUIDs of one instant are equal")
	}
}
