package id

import (
	"strings"
	"unicode/utf8"

	"symbolon/internal/errs"
)

// An Entity names what a fact is about, or who says it: a formal URI
// stigmem://authority/type/id or any other text. One made by ParseEntity is
// normalised; one taken from a peer is as the peer sent it (Stigmem wire §25.9).
type Entity string

// MaxEntityLen bounds an entity, in bytes. Entities are index keys, and the
// smallest limit of the engines for one is just above it.
const MaxEntityLen = 2048

// ParseEntity normalises s as Stigmem wire §5.1 says. It accepts at most
// MaxEntityLen bytes of UTF-8, before and after. Normalising again changes
// nothing. Errors are of kind Invalid with the wire's texts, without the prefix
// that a route puts before them.
func ParseEntity(s string) (Entity, error) {
	if len(s) > MaxEntityLen {
		return "", errs.E(errs.Invalid, "entity URI must not be longer than %d bytes", MaxEntityLen)
	}
	if normalASCII(s) {
		return Entity(s), nil
	}
	if !ValidText(s) {
		return "", errs.E(errs.Invalid, "entity URI must be valid Unicode text without U+0000")
	}
	t := strip(s)
	if t == "" {
		return "", errs.E(errs.Invalid, "entity URI must not be empty")
	}
	if authority, kind, rest, ok := formal(t); ok {
		authority, kind = Lower(strip(authority)), Lower(strip(kind))
		rest = hyphenate(Lower(strip(rest)))
		if authority == "" || kind == "" || rest == "" {
			return "", errs.E(errs.Invalid, "normalization produced empty component in formal URI: %s", Quote(s))
		}
		t = scheme + authority + "/" + kind + "/" + rest
	} else {
		t = hyphenate(Lower(t))
	}
	if len(t) > MaxEntityLen {
		return "", errs.E(errs.Invalid, "entity URI must not be longer than %d bytes", MaxEntityLen)
	}
	return Entity(t), nil
}

// String returns the entity's text.
func (e Entity) String() string { return string(e) }

// Formal reports whether the entity is written as stigmem://authority/type/id,
// and returns the parts.
func (e Entity) Formal() (authority, kind, rest string, ok bool) { return formal(string(e)) }

const scheme = "stigmem://"

// formal splits a formal URI. Only the lower-case scheme counts, and a newline
// after the second part makes the text an ordinary one.
func formal(s string) (authority, kind, rest string, ok bool) {
	body, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return "", "", "", false
	}
	authority, body, ok = strings.Cut(body, "/")
	if !ok || authority == "" {
		return "", "", "", false
	}
	kind, rest, ok = strings.Cut(body, "/")
	if !ok || kind == "" || rest == "" || strings.ContainsRune(rest, '\n') {
		return "", "", "", false
	}
	return authority, kind, rest, true
}

// ValidText reports whether every engine can hold s as text: UTF-8 without U+0000.
func ValidText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// normalASCII reports whether s is non-empty and certainly normalised: printable
// ASCII without capitals and blanks. Most entities are.
func normalASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 'A' && c <= 'Z' || c >= 0x7F {
			return false
		}
	}
	return s != ""
}

// space reports whether r is white space by the reference's definition, which
// counts four control characters (U+001C to U+001F) that Unicode does not.
func space(r rune) bool {
	switch {
	case r <= 0x20:
		return r >= 0x09 && r <= 0x0D || r >= 0x1C
	case r < 0x80:
		return false
	case r >= 0x2000 && r <= 0x200A:
		return true
	}
	switch r {
	case 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000:
		return true
	}
	return false
}

// Strip removes white space from both ends, as the wire's normalisations and
// its number texts understand white space.
func Strip(s string) string { return strip(s) }

func strip(s string) string { return strings.TrimFunc(s, space) }

// hyphenate replaces each run of white space by one hyphen.
func hyphenate(s string) string {
	if strings.IndexFunc(s, space) < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	in := false
	for _, r := range s {
		if space(r) {
			if !in {
				b.WriteByte('-')
			}
			in = true
			continue
		}
		in = false
		b.WriteRune(r)
	}
	return b.String()
}
