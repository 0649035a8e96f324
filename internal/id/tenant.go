package id

import (
	"golang.org/x/text/unicode/norm"

	"symbolon/internal/errs"
)

// A Tenant names a partition of the memory: 1 to 63 characters of lower-case
// ASCII letters, digits and hyphens, the first not a hyphen.
type Tenant string

// DefaultTenant is the tenant of everything that names none.
const DefaultTenant Tenant = "default"

// maxRawTenant bounds the text that is normalised, in bytes: 63 letters in their
// longest spellings, and blanks around them.
const maxRawTenant = 1024

// ParseTenant normalises s (NFKC, strip, lower case; Stigmem wire §3.2) and
// checks the result. Errors are of kind Invalid and have the wire's texts.
func ParseTenant(s string) (Tenant, error) {
	if len(s) > maxRawTenant {
		return "", errs.E(errs.Invalid, "tenant_id_invalid: more than %d bytes", maxRawTenant)
	}
	t := s
	if !plainTenant(t) {
		t = Lower(strip(norm.NFKC.String(s)))
	}
	if t == "" {
		return "", errs.E(errs.Invalid, "tenant_id_empty")
	}
	if !plainTenant(t) {
		return "", errs.E(errs.Invalid, "tenant_id_invalid: %s", Quote(s))
	}
	return Tenant(t), nil
}

// String returns the tenant's text.
func (t Tenant) String() string { return string(t) }

func plainTenant(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
