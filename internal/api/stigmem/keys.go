package stigmem

import (
	"net/http"
	"slices"

	"symbolon/internal/apikey"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

const (
	defaultExpiringDays = 30
	maxExpiringDays     = 365
	// maxPermissions bounds the list of a request; there are fewer to give.
	maxPermissions = 64
	maxRawKey      = 1024
	maxDescription = 4096
)

// registerKey answers POST /v1/auth/keys.
func (a *API) registerKey(c *Call) (Reply, error) {
	c.In.Hide("raw_key")
	o := c.In.Body()
	r := apikey.Request{Raw: o.Text("raw_key", Length{apikey.MinWire, maxRawKey}), Entity: o.Text("entity_uri", Length{1, maxName})}
	var given bool
	if r.Permissions, given = o.Texts("permissions", false, maxPermissions); !given {
		r.Permissions = []string{"read", "write"}
	}
	r.Description = o.OptionalText("description", Length{0, maxDescription})
	r.ExpiresAt = o.OptionalText("expires_at", Length{})
	r.Tenant = o.OptionalText("tenant_id", Length{})
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	k, err := a.Keys.Register(c.Context(), c.Caller, r)
	if err != nil {
		return Reply{}, err
	}
	sorted := slices.Clone(k.Permissions)
	slices.Sort(sorted)
	b := appendKeyHead(nil, &k, sorted)
	b = append(appendText(append(b, `,"tenant_id":`...), string(k.Tenant)), '}')
	return Reply{Status: http.StatusCreated, Body: b}, nil
}

// appendKeyHead appends what every answer says of a key, without the closing
// brace.
func appendKeyHead[T ~string](dst []byte, k *apikey.Key, permissions []T) []byte {
	dst = appendText(append(dst, `{"id":`...), string(k.ID))
	dst = appendText(append(dst, `,"entity_uri":`...), string(k.Entity))
	dst = appendTexts(append(dst, `,"permissions":`...), permissions)
	dst = appendPointer(append(dst, `,"description":`...), k.Description)
	dst = appendText(append(dst, `,"created_at":`...), k.CreatedAt)
	return appendPointer(append(dst, `,"expires_at":`...), k.ExpiresAt)
}

// listKeys answers GET /v1/auth/keys.
func (a *API) listKeys(c *Call) (Reply, error) {
	list, err := a.Keys.Mine(c.Context(), c.Caller)
	if err != nil {
		return Reply{}, err
	}
	b := []byte{'['}
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendKeyHead(b, &list[i], list[i].Permissions)
		b = append(appendOptional(append(b, `,"oidc_sub":`...), list[i].OIDCSubject), '}')
	}
	return Reply{Body: append(b, ']')}, nil
}

// expiringKeys answers GET /v1/auth/keys/expiring-soon.
func (a *API) expiringKeys(c *Call) (Reply, error) {
	days := c.In.QueryInt("within_days", defaultExpiringDays, 1, maxExpiringDays)
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	list, err := a.Keys.ExpiringSoon(c.Context(), c.Caller, days)
	if err != nil {
		return Reply{}, err
	}
	b := []byte{'['}
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		k := &list[i]
		b = appendKeyHead(b, &k.Key, k.Permissions)
		b = appendOptional(append(b, `,"oidc_sub":`...), k.OIDCSubject)
		b = appendText(append(b, `,"tenant_id":`...), string(k.Tenant))
		b = append(canon.AppendJSONFloat(append(b, `,"days_remaining":`...), k.Days), '}')
	}
	return Reply{Body: append(b, ']')}, nil
}

// revokeKey answers DELETE /v1/auth/keys/{key_id}.
func (a *API) revokeKey(c *Call) (Reply, error) {
	if err := a.Keys.Revoke(c.Context(), c.Caller, id.UUID(c.PathValue("key_id"))); err != nil {
		return Reply{}, errs.Wrap(err, "stigmem: revoke key")
	}
	return Reply{Status: http.StatusNoContent}, nil
}
