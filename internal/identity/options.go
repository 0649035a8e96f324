package identity

import (
	"encoding/json"
	"slices"

	"symbolon/internal/errs"
)

// The options of users.
const (
	OptIgnoreFirstUse   = "ignore_change_password_upon_first_use"
	OptIgnoreExpiry     = "ignore_password_expiry"
	OptIgnoreLockout    = "ignore_lockout_failure_attempts"
	OptLockPassword     = "lock_password"
	OptIgnoreInactivity = "ignore_user_inactivity"
	OptMFARules         = "multi_factor_auth_rules"
	OptMFAEnabled       = "multi_factor_auth_enabled"
)

// CheckOptions checks the options of a project, a domain or a role: immutable, true
// or false or null.
func CheckOptions(o Options) error {
	for name, v := range o {
		if name != Immutable {
			return unknownOption(name)
		}
		if err := checkBool(name, v); err != nil {
			return err
		}
	}
	return nil
}

// CheckUserOptions checks the options of a user, each of which may be null.
func CheckUserOptions(o Options) error {
	for name, v := range o {
		switch name {
		case OptIgnoreFirstUse, OptIgnoreExpiry, OptIgnoreLockout, OptLockPassword, OptIgnoreInactivity, OptMFAEnabled:
			if err := checkBool(name, v); err != nil {
				return err
			}
		case OptMFARules:
			if isNull(v) {
				continue
			}
			if _, err := ParseMFARules(v); err != nil {
				return err
			}
		default:
			return unknownOption(name)
		}
	}
	return nil
}

func unknownOption(name string) error {
	return errs.E(errs.Invalid, "Invalid input for field/attribute options. Additional properties are not allowed (%s was unexpected)", Quote(name))
}

func checkBool(name string, v json.RawMessage) error {
	switch string(v) {
	case "true", "false", "null":
		return nil
	}
	return errs.E(errs.Invalid, "Invalid input for field/attribute %s. Value: %s. The value is not of type 'boolean', 'null'", name, v)
}

// ParseMFARules reads the value of [OptMFARules]: a list of non-empty lists of method
// names, without repetition.
func ParseMFARules(v json.RawMessage) ([][]string, error) {
	var rules [][]string
	bad := errs.E(errs.Invalid, "Invalid input for field/attribute %s. Invalid data type, must be a list of lists comprised of strings. "+
		"Sub-lists may not be duplicated. Strings in sub-lists may not be duplicated.", OptMFARules)
	if err := json.Unmarshal(v, &rules); err != nil || isNull(v) {
		return nil, bad
	}
	for i, r := range rules {
		if len(r) == 0 {
			return nil, bad
		}
		for j, m := range r {
			if m == "" || slices.Contains(r[:j], m) {
				return nil, bad
			}
		}
		for _, other := range rules[:i] {
			if slices.Equal(r, other) {
				return nil, bad
			}
		}
	}
	return rules, nil
}
