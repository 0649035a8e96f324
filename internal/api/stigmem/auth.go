package stigmem

import (
	"context"
	"net/http"
	"strings"

	"symbolon/internal/apikey"
	"symbolon/internal/errs"
	"symbolon/internal/principal"
)

// Anonymous is who a caller without a known key is while authentication is off.
func Anonymous() principal.Principal {
	return principal.Principal{
		Entity: "anon:trusted", Tenant: "default",
		Permissions: []principal.Permission{principal.Federate, principal.Read, principal.Write},
	}
}

// ErrNoCredential refuses a request that brings no proof of who makes it.
var ErrNoCredential = errs.E(errs.Unauthenticated, "Authorization header required")

// BearerToken returns the text after "Bearer" in the Authorization header, the
// scheme in any case.
func BearerToken(r *http.Request) (string, bool) {
	h := r.Header.Get("Authorization")
	const scheme = "bearer "
	if len(h) < len(scheme) || !strings.EqualFold(h[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(h[len(scheme):]), true
}

// An IdentityFunc says who the bearer of an identity token is. known is false when
// the text is no identity token of this node's.
type IdentityFunc func(ctx context.Context, r *http.Request, token string) (p principal.Principal, known bool, err error)

// Bearer returns the authentication of the face: an API key, or an identity token
// unless identity is nil, in the Authorization header; an identity token alone in
// X-Auth-Token. With off, whoever brings nothing that is known is [Anonymous].
func Bearer(keys *apikey.Service, identity IdentityFunc, off bool) func(r *http.Request) (principal.Principal, error) {
	return func(r *http.Request) (principal.Principal, error) {
		ctx := r.Context()
		refusal := ErrNoCredential
		if len(r.Header["X-Auth-Token"]) > 1 || len(r.Header["Authorization"]) > 1 {
			// Two callers are nobody, also while authentication is off:
			// what stands before us may have checked the other one.
			return principal.Principal{}, errUnknownCredential
		}
		if text := r.Header.Get("X-Auth-Token"); text != "" && identity != nil {
			p, known, err := identity(ctx, r, text)
			if known || err != nil {
				return p, err
			}
			refusal = errUnknownCredential
		} else if text, ok := BearerToken(r); ok {
			p, err := keys.Authenticate(ctx, text)
			if err == nil || !errs.Is(err, errs.Unauthenticated) {
				return p, err
			}
			refusal = err
			if identity != nil {
				p, known, err := identity(ctx, r, text)
				if known || err != nil {
					return p, err
				}
			}
		}
		if off {
			return Anonymous(), nil
		}
		return principal.Principal{}, refusal
	}
}

var errUnknownCredential = errs.E(errs.Unauthenticated, "Invalid or expired API key")
