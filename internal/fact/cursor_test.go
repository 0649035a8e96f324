package fact_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
)

func TestCursorTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []fact.Cursor{{}, {At: "1795300579898.000001"}, {At: "2026-05-02T00:00:00+00:00", ID: "stigmem:conflict:x"}} {
		if got, err := fact.ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("%+v comes back as %+v, %v", c, got, err)
		}
	}
	enc := base64.RawURLEncoding.EncodeToString
	for _, bad := range []string{
		"x", "%", "AAAA\n", enc([]byte("noline")), enc([]byte("\nid")), enc([]byte("a\nb\nc")), enc([]byte("a\x00\nb")), enc([]byte("\xff\nb")),
		base64.URLEncoding.EncodeToString([]byte("a\nbb")) + "=", fact.Cursor{At: "a"}.String() + "A", strings.Repeat("A", fact.MaxCursor+1), "MQo\r",
	} {
		if c, err := fact.ParseCursor(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("ParseCursor(%q) = %+v, %v", bad, c, err)
		}
	}
}

// Whatever is read as a cursor is written back as it came: no second spelling.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{"", "MQo", "MTc5NTMwMDU3OTg5OC4wMDAwMDEK", fact.Cursor{At: "a", ID: "b"}.String(), "====", "MQp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := fact.ParseCursor(s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("ParseCursor(%q): %v", s, err)
			}
			return
		}
		if got := c.String(); got != s {
			t.Fatalf("%q is read as %+v and written as %q", s, c, got)
		}
	})
}
