package id

import (
	"testing"
	"time"
)

func TestAuditIDsCarryTheirInstant(t *testing.T) {
	seen := map[Audit]bool{}
	for _, at := range []time.Time{
		time.Unix(1790000000, 0), time.Unix(1790000000, 1), time.Unix(1790000000, 999_999_999), time.Unix(1790000000, 123_456_789), time.Unix(0, 0),
	} {
		a := NewAuditAt(at)
		if _, err := ParseAudit(a.String()); err != nil || seen[a] || NewAuditAt(at) == a {
			t.Errorf("NewAuditAt(%v) = %q: %v", at, a, err)
		}
		seen[a] = true
		got, ok := a.At()
		if d := at.Sub(got); !ok || d < 0 || d > 250*time.Nanosecond {
			t.Errorf("the audit id of %v says %v, %v", at, got, ok)
		}
	}
}

func TestOtherAuditIDsCarryNone(t *testing.T) {
	for range 100 {
		if at, ok := NewAudit().At(); ok {
			t.Fatalf("a random audit id says %v", at)
		}
	}
	for _, a := range []Audit{"", "x", "!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, ok := a.At(); ok {
			t.Errorf("%q carries an instant", a)
		}
	}
}
