package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"symbolon/internal/errs"
)

// The longest names, in characters.
const (
	MaxDomainName  = 64 // of projects too
	MaxProjectName = 64
	MaxUserName    = 255
	MaxGroupName   = 255
	MaxRoleName    = 255
	MaxRegionID    = 255
	MaxServiceType = 255
	MaxURL         = 225
	MaxDescription = 255 // of domains only; others are bounded by the request
	MaxTags        = 80
	MaxTag         = 255
	maxID          = 64
)

// trimName returns a name without the blanks around it, or an error when nothing is
// left or too much.
func trimName(name string, limit int) (string, error) {
	t := strings.TrimFunc(name, unicode.IsSpace)
	switch {
	case t == "":
		return "", errs.E(errs.Invalid, "Invalid input for field/attribute name. Value: %s. %s does not match '[\\\\S]+'", name, Quote(name))
	case utf8.RuneCountInString(name) > limit:
		return "", errs.E(errs.Invalid, "Invalid input for field/attribute name. Value: %s. %s is too long", name, Quote(name))
	}
	return t, nil
}

// CheckID checks an id given by a caller: letters, digits and dashes.
func CheckID(field, v string) error {
	switch {
	case v == "":
		return errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: . '' is too short", field)
	case len(v) > maxID:
		return errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: %s. %s is too long", field, v, Quote(v))
	}
	for i := range len(v) {
		if c := v[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: %s. %s does not match '^[a-zA-Z0-9-]+$'", field, v, Quote(v))
		}
	}
	return nil
}

// CheckTag checks one tag of a project.
func CheckTag(tag string) error {
	n := utf8.RuneCountInString(tag)
	switch {
	case n == 0:
		return errs.E(errs.Invalid, "Invalid input for field/attribute tags. Value: . '' is too short")
	case n > MaxTag:
		return errs.E(errs.Invalid, "Invalid input for field/attribute tags. Value: %s. %s is too long", tag, Quote(tag))
	case strings.ContainsAny(tag, ",/"):
		return errs.E(errs.Invalid, "Invalid input for field/attribute tags. Value: %s. %s does not match '^[^,/]*$'", tag, Quote(tag))
	}
	return nil
}

// CheckTags checks a project's tags.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return errs.E(errs.Invalid, "Invalid input for field/attribute tags. %d tags are too many, at most %d are allowed", len(tags), MaxTags)
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if err := CheckTag(t); err != nil {
			return err
		}
		if seen[t] {
			return errs.E(errs.Invalid, "Invalid input for field/attribute tags. The tags have non-unique elements")
		}
		seen[t] = true
	}
	return nil
}

// Quote returns s in single quotes, as the protocol's messages show values.
func Quote(s string) string { return "'" + s + "'" }
