package fernet

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

// A key is never seen, however it is printed, logged or encoded, alone or inside
// something else. What is searched for is its text and its bytes in the usual
// notations.
func TestKeyIsNeverShown(t *testing.T) {
	k := NewKey()
	r, err := NewRing(NumberedKey{3, k})
	if err != nil {
		t.Fatal(err)
	}
	text := seal(t, r, "x")
	r.Open(text)
	type holder struct {
		K Key
		k Key
		n NumberedKey
		r *Ring
		s []Key
	}
	h := holder{k, k, NumberedKey{3, k}, r, []Key{k}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%08b"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &k)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", *r)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "k", k, "kp", &k, "h", h, "n", h.n, "r", r)
	log = slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "k", k, "kp", &k, "h", h, "n", h.n, "r", r)
	for _, v := range []any{k, &k, h, h.n, r} {
		b, err := json.Marshal(v)
		if _, isRing := v.(*Ring); err == nil && !isRing {
			t.Errorf("json.Marshal(%T) = %s, want an error", v, b)
		}
		out.Write(b)
	}
	for _, part := range [][]byte{k.signing(), k.encryption()} {
		for _, s := range []string{
			string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
			strings.Trim(fmt.Sprint(part), "[]"), base64.URLEncoding.EncodeToString(part)[:20],
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"),
			strings.Trim(fmt.Sprintf("%08b", part), "[]"),
		} {
			if strings.Contains(out.String(), s) {
				t.Errorf("the key is seen as %q", s)
			}
		}
	}
	if strings.Contains(out.String(), k.reveal()[:20]) {
		t.Error("the key's text is seen")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		if got := fmt.Sprintf(verb, k); got != secretText {
			t.Errorf("%s prints %q, want %q", verb, got, secretText)
		}
	}
	if k.String() != secretText || !strings.Contains(out.String(), secretText) {
		t.Error("a key does not say that it is one")
	}
}

func TestParseKey(t *testing.T) {
	text := NewKey().reveal()
	k, err := ParseKey(text)
	if err != nil || k.reveal() != text {
		t.Fatalf("ParseKey: %v", err)
	}
	for name, s := range map[string]string{
		"nothing": "", "no padding": text[:43], "a line end for the padding": text[:43] + "\n", "two": text + text,
		"a line end inside": text[:10] + "\n" + text[10:43], "spaces": strings.Repeat(" ", 44),
		"hex": hex.EncodeToString(make([]byte, 22)), "31 bytes": base64.URLEncoding.EncodeToString(make([]byte, 31)),
		"33 bytes": base64.URLEncoding.EncodeToString(make([]byte, 33)), "unused bits": text[:42] + "B=",
		"the standard alphabet": "+/" + text[2:], "padding inside": text[:20] + "=" + text[21:],
	} {
		if k, err := ParseKey(s); err == nil {
			t.Errorf("%s: ParseKey accepted it as %s", name, k.Hash())
		} else if len(s) > 20 && strings.Contains(err.Error(), s[:10]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
	null, err := ParseKey(strings.Repeat("A", 43) + "=")
	if err != nil || !null.IsNull() || k.IsNull() {
		t.Errorf("the key of zeros: IsNull %v, %v", null.IsNull(), err)
	}
	// As sha1sum says of the text of the key of zeros.
	if got, want := null.Hash(), "c5bdc272b97a0d521ef878dc26fb73e4075544dc"; got != want {
		t.Errorf("Hash = %s, want %s", got, want)
	}
	if (Key{}).Equal(Key{}) || !k.Equal(k) || k.Equal(null) || (Key{}).IsNull() || (Key{}).Hash() != "" {
		t.Error("the zero Key equals something")
	}
	for name, ks := range map[string][]NumberedKey{
		"no key": nil, "the zero Key": {{0, Key{}}}, "a number twice": {{1, k}, {1, null}}, "a negative number": {{-1, k}},
	} {
		if _, err := NewRing(ks...); err == nil {
			t.Errorf("a ring of %s was made", name)
		}
	}
}

// DESIGN L1: nothing outside this package can make an Opened that holds
// anything, so a decoder that takes one has been given authentic bytes.
func TestOpenedIsSealed(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Opened](), reflect.TypeFor[Ring](), reflect.TypeFor[Key]()} {
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() {
				t.Errorf("%s has an exported field %s", typ, f.Name)
			}
		}
	}
	typ := reflect.TypeFor[*Opened]()
	for i := range typ.NumMethod() {
		if m := typ.Method(i); m.Type.NumIn() != 1 {
			t.Errorf("%s.%s takes an argument: an Opened is not to be changed", typ, m.Name)
		}
	}
}
