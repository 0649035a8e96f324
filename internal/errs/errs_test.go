package errs

import (
	"errors"
	"fmt"
	"testing"
)

func TestAKindSurvivesWrapping(t *testing.T) {
	cause := errors.New("disk")
	for _, tt := range []struct {
		name string
		err  error
		want Kind
	}{
		{"made", E(NotFound, "no %s", "user"), NotFound},
		{"wrapped", Wrap(Wrap(E(Conflict, "twice"), "b"), "a"), Conflict},
		{"the outermost counts", With(Unavailable, E(NotFound, "x"), "later"), Unavailable},
		{"foreign", fmt.Errorf("a: %w", cause), Internal},
		{"with a body", Detail(Forbidden, "m", map[string]string{"code": "c"}), Forbidden},
	} {
		if got := KindOf(tt.err); got != tt.want || !Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if Wrap(nil, "x") != nil || Is(nil, Internal) {
		t.Error("no error is an error")
	}
	if err := With(Invalid, cause, "bad"); !errors.Is(err, cause) || err.Error() != "bad: disk" {
		t.Errorf("With: %v", err)
	}
	if (&Error{Err: cause}).Error() != "disk" {
		t.Error("an error without a message hides its cause")
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for k := range NumKinds {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d is named %q", k, s)
		}
		seen[k.String()] = true
	}
	if (NumKinds + 1).String() != "internal" {
		t.Error("a kind outside the list is not internal")
	}
}
