package stigmem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"symbolon/internal/api/stigmem"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/principal"
)

func TestAuthenticationOff(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	const anyone = `{"entity_uri":"anon:trusted","permissions":["federate","read","write"],"oidc_sub":null,"tenant_id":"default"}`
	for _, key := range []string{"", "an-unknown-key-is-nobody-s"} {
		if got := n.do("GET", "/v1/me", key, ""); got.Status != 200 || got.Body != anyone {
			t.Errorf("with the key %q: %d %s", key, got.Status, got.Body)
		}
	}
	if got := n.do("POST", "/v1/facts", "", body("value", `{"type":"string","v":"x","interpret_as":"instruction"}`)); got.Status != 403 {
		t.Errorf("an instruction of anyone: %d %s", got.Status, got.Body)
	}
	if got := n.do("GET", "/.well-known/stigmem", "", "").object(t); got["auth"] != "none" {
		t.Errorf("discovery says %v", got["auth"])
	}
}

func TestIdentityTokens(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	someone := principal.Principal{Entity: "user:id", Tenant: "acme", Permissions: []principal.Permission{principal.Read, principal.Write}, OnBehalfOf: []string{"user:trustor"}}
	keys := n.Keys
	n.API = stigmem.New(stigmem.Deps{
		Facts: fact.New(n.store, n.now), Keys: keys, Audit: n.store, Now: n.now,
		Authenticate: stigmem.Bearer(keys, func(_ context.Context, _ *http.Request, token string) (principal.Principal, bool, error) {
			switch token {
			case "good":
				return someone, true, nil
			case "revoked":
				return principal.Principal{}, true, errs.E(errs.Unauthenticated, "Invalid or expired API key")
			case "rule":
				return principal.Principal{}, true, errs.E(errs.Forbidden, "the access rules do not allow it")
			}
			return principal.Principal{}, false, nil
		}, false),
	})
	for _, tt := range []struct {
		name    string
		headers []string
		status  int
		want    string
	}{
		{"in its own header", []string{"X-Auth-Token", "good"}, 200, `"entity_uri":"user:id"`},
		{"as a bearer token", []string{"Authorization", "bEaReR good"}, 200, `"tenant_id":"acme"`},
		{"an API key beside it", []string{"Authorization", "Bearer " + readerKey}, 200, `"entity_uri":"agent:reader"`},
		{"its own header comes first", []string{"X-Auth-Token", "good", "Authorization", "Bearer " + readerKey}, 200, `"entity_uri":"user:id"`},
		{"a bad one does not fall back", []string{"X-Auth-Token", "bad", "Authorization", "Bearer " + readerKey}, 401, "Invalid or expired"},
		{"an API key is none", []string{"X-Auth-Token", readerKey}, 401, "Invalid or expired"},
		{"a revoked one", []string{"X-Auth-Token", "revoked"}, 401, "Invalid or expired"},
		{"a rule that says no", []string{"Authorization", "Bearer rule"}, 403, "the access rules do not allow it"},
	} {
		if got := n.do("GET", "/v1/me", "", "", tt.headers...); got.Status != tt.status || !strings.Contains(got.Body, tt.want) {
			t.Errorf("%s: %d %s, want %d %s", tt.name, got.Status, got.Body, tt.status, tt.want)
		}
	}
	got := n.do("POST", "/v1/facts", "", plainFact, "X-Auth-Token", "good").object(t)
	id, _ := got["id"].(string)
	f, err := n.store.Fact(t.Context(), "acme", idOf(id))
	if err != nil || f.AssertedBy != "user:id" || len(f.OnBehalfOf) != 1 || f.OnBehalfOf[0] != "user:trustor" {
		t.Errorf("stored as %+v, %v", f, err)
	}
}

// Every kind of error has its status and its body, and an internal one says nothing.
func TestEveryKindOfErrorIsMapped(t *testing.T) {
	t.Parallel()
	want := map[errs.Kind]string{
		errs.Internal: "500 Internal Server Error", errs.Invalid: `400 {"detail":"msg"}`, errs.Unprocessable: `422 {"detail":"msg"}`,
		errs.Unauthenticated: `401 {"detail":"msg"}`, errs.Forbidden: `403 {"detail":"msg"}`, errs.NotFound: `404 {"detail":"msg"}`,
		errs.Conflict: `409 {"detail":"msg"}`, errs.Gone: `410 {"detail":"msg"}`, errs.TooLarge: `413 {"detail":"msg"}`, errs.TooMany: `429 {"detail":"msg"}`,
		errs.MethodNotAllowed: `405 {"detail":"msg"}`, errs.NotImplemented: `501 {"detail":"msg"}`, errs.Unavailable: `503 {"detail":"msg"}`,
	}
	var give error
	n := newNode(t, true)
	n.API = stigmem.New(stigmem.Deps{More: []stigmem.Route{{Pattern: "GET /v1/fails", Open: true, Handle: func(*stigmem.Call) (stigmem.Reply, error) { return stigmem.Reply{}, give }}}})
	for k := range errs.NumKinds {
		give = errs.Wrap(&errs.Error{Kind: k, Msg: "msg", Err: errors.New("secret cause"), RetryAfter: 1500 * time.Millisecond}, "op")
		got := n.do("GET", "/v1/fails", "", "")
		if s := fmt.Sprint(got.Status, " ", got.Body); s != want[k] {
			t.Errorf("%v: %s, want %s", k, s, want[k])
		}
		if k != errs.Internal && got.Header.Get("Retry-After") != "2" {
			t.Errorf("%v: Retry-After %q", k, got.Header.Get("Retry-After"))
		}
		if (got.Header.Get("Www-Authenticate") != "") != (k == errs.Unauthenticated) {
			t.Errorf("%v: WWW-Authenticate %q", k, got.Header.Get("Www-Authenticate"))
		}
	}
	give = errors.New("plain")
	if got := n.do("GET", "/v1/fails", "", ""); got.Status != 500 || strings.Contains(got.Body, "plain") {
		t.Errorf("a plain error: %d %s", got.Status, got.Body)
	}
	give = errs.Detail(errs.Conflict, "m", map[string]any{"a<b": "é\u2028"})
	if got := n.do("GET", "/v1/fails", "", ""); got.Body != `{"detail":{"a<b":"é\u2028"}}` || !json.Valid([]byte(got.Body)) {
		t.Errorf("an object: %s", got.Body)
	}
}
