package keystone_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"symbolon/internal/testkit/cloud"
)

// send gives the handler a request as it may arrive, and checks that the answer is
// one of the protocol's.
func (f *face) send(t *testing.T, method, path, body string, h http.Header) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://keystone.example.org"+path, strings.NewReader(body))
	r.Header = h
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	if w.Code >= 500 {
		t.Fatalf("%s %s with %q: %d %s", method, path, body, w.Code, w.Body)
	}
	if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%s %s with %q: %d, not JSON: %q", method, path, body, w.Code, w.Body)
	}
	return w.Code
}

// Whatever is sent as a login is answered by the protocol, and is a login only with
// the right password or a good token.
func FuzzLogin(f *testing.F) {
	c := newFace(f, cloud.Config{})
	u := c.User(f, "alice", "alice password")
	for _, body := range []any{
		byPassword(u.ID, "wrong", nil), byPassword(u.ID, "wrong", onProject("x")), byPassword(u.ID, "wrong", onTrust("x")), byName("alice", "default", "x"),
		byToken("gAAAAAB", "unscoped"), m{"auth": m{"identity": m{"methods": []string{"password", "token"}, "password": m{"user": m{}}, "token": m{"id": 1}}}},
		m{"auth": m{"identity": m{"methods": []string{}}, "scope": m{"system": m{"all": true}, "project": m{}}}}, m{}, []int{1}, "x", nil,
	} {
		b, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "alice password") {
			return
		}
		if got := c.send(t, "POST", "/v3/auth/tokens", body, http.Header{"Content-Type": {"application/json"}}); got < 400 {
			t.Errorf("%q: %d", body, got)
		}
	})
}

// Whatever is sent as a token is refused as one, wherever it is sent.
func FuzzTokenTexts(f *testing.F) {
	c := newFace(f, cloud.Config{})
	_, _, tok := c.member("alice")
	admin := c.admin()
	for _, s := range []string{"", "x", tok[:40], tok + "=", strings.ToLower(tok), "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("A", 255), "\x00", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.TrimRight(text, "=") == tok || strings.TrimRight(text, "=") == admin {
			return
		}
		if got := c.send(t, "GET", "/v3/auth/tokens", "", http.Header{"X-Auth-Token": {admin}, "X-Subject-Token": {text}}); got != 404 {
			t.Errorf("%q as a subject: %d", text, got)
		}
		if got := c.send(t, "GET", "/v3/auth/projects", "", http.Header{"X-Auth-Token": {text}}); got != 401 {
			t.Errorf("%q as a caller's: %d", text, got)
		}
	})
}

// Whatever is sent as a trust is made or refused, never half.
func FuzzTrust(f *testing.F) {
	c := newFace(f, cloud.Config{})
	u, p, tok := c.member("alice")
	for _, body := range []m{
		{"trust": m{"trustor_user_id": u.ID, "trustee_user_id": c.AdminID, "project_id": p.ID, "impersonation": true, "roles": []m{{"name": "member"}}}},
		{"trust": m{"trustor_user_id": u.ID, "trustee_user_id": c.AdminID, "impersonation": false, "expires_at": "2999-01-01T00:00:00Z", "remaining_uses": 1}},
		{"trust": m{"roles": []m{{}}, "redelegation_count": 1e9}}, {"trust": nil}, {},
	} {
		b, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, body string) {
		c.send(t, "POST", "/v3/OS-TRUST/trusts", body, http.Header{"Content-Type": {"application/json"}, "X-Auth-Token": {tok}})
	})
}
