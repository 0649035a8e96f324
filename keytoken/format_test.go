package keytoken

import (
	"fmt"
	"testing"
)

func TestFormatIsChecked(t *testing.T) {
	many := make([]string, maxMethods+1)
	for i := range many {
		many[i] = fmt.Sprint("method", i)
	}
	_, ring := benchTokens(t)
	for name, methods := range map[string][]string{
		"33 methods": many, "one twice": {"password", "token", "password"}, "one without a name": {"password", ""},
		"a reserved one": {"password", MethodEC2}, "another reserved one": {MethodOAuth2},
	} {
		if _, err := NewFernet(Fixed(ring), Format{Methods: methods}, Limits{}); err == nil {
			t.Errorf("%s: NewFernet took it", name)
		}
		if _, err := NewReceipts(Fixed(ring), Format{Methods: methods}, Limits{}); err == nil {
			t.Errorf("%s: NewReceipts took it", name)
		}
	}
	// Thirty-two fit below the two that have bits of their own.
	ts, err := NewFernet(Fixed(ring), Format{Methods: many[:maxMethods]}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	c := projectClaims()
	c.Methods = []string{MethodEC2, many[31], many[0]}
	v, rej := ts.Verify(mint(t, ts, c), benchNow.Time(), Options{})
	if rej != nil || fmt.Sprint(v.Claims().Methods) != fmt.Sprint(c.Methods) {
		t.Errorf("Methods = %q, %v, want %q", v.Claims().Methods, rej, c.Methods)
	}
}

// M5: two servers can tell whether they read tokens alike.
func TestM5_Fingerprint(t *testing.T) {
	same := Format{}.Fingerprint()
	if got := (Format{Methods: DefaultMethods(), DefaultDomainID: "default"}).Fingerprint(); got != same {
		t.Errorf("the default spelled out: %s, want %s", got, same)
	}
	seen := map[string]string{same: "the default"}
	for name, f := range map[string]Format{
		"another domain": {DefaultDomainID: "d"}, "one method more": {Methods: append(DefaultMethods(), "totp")},
		"another order": {Methods: []string{"password", "external", "token", "oauth1", "mapped", "application_credential"}},
		"none":          {Methods: []string{}}, "names run together": {Methods: []string{"externalpassword"}},
	} {
		if other, ok := seen[f.Fingerprint()]; ok {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[f.Fingerprint()] = name
	}
}

// What one caller does with its claims no other sees.
func TestClaimsAreTheCallersOwn(t *testing.T) {
	ts, _ := benchTokens(t)
	c := projectClaims()
	c.Methods = []string{"token", "password"}
	text := mint(t, ts, c)
	for range 2 {
		v, rej := ts.Verify(text, benchNow.Time(), Options{})
		if rej != nil || v.Claims().Methods[0] != "token" {
			t.Fatalf("Methods = %q, %v", v.Claims().Methods, rej)
		}
		v.Claims().Methods[0] = "changed"
		v.Claims().AuditIDs[0] = "changed"
	}
}
