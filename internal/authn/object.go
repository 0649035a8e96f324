package authn

import (
	"encoding/json"

	"symbolon/internal/errs"
)

// object is a JSON object of a request, member by member: names count exactly as
// they are written.
type object map[string]json.RawMessage

// readObject reads a JSON object; path is where it stands below auth/identity.
func readObject(raw json.RawMessage, path string) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, errs.E(errs.Invalid, "Invalid input for field 'identity/%s': the value is not of type 'object'", path)
	}
	return o, nil
}

// text reads a member that is a text if it is there at all. What it holds is not
// repeated: it may be a password.
func (o object) text(name string, to *string) error {
	raw, ok := o[name]
	if !ok {
		return nil
	}
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, to) != nil {
		return errs.E(errs.Invalid, "Invalid input for field '%s': the value is not of type 'string'", name)
	}
	return nil
}
