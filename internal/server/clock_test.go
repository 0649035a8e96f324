package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A clock that goes back does not spare tokens from what happens afterwards: a
// password changed "before" a token was made still ends it (attack case D15, law L9).
func TestAPasswordChangeEndsTokensWhenTheClockWentBack(t *testing.T) {
	var off atomic.Int64
	c := firstConfig(t)
	c.Bootstrap.Password = "the first password"
	n, err := Open(t.Context(), c, Options{FirstStart: true, Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	h := n.Handler()
	do := func(method, path, body, caller string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if caller != "" {
			r.Header.Set("X-Auth-Token", caller)
			r.Header.Set("X-Subject-Token", caller)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	login := func(password string) *httptest.ResponseRecorder {
		return do("POST", "/v3/auth/tokens", `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","domain":{"id":"default"},"password":"`+
			password+`"}}},"scope":{"project":{"name":"admin","domain":{"id":"default"}}}}}`, "")
	}
	w := login("the first password")
	tok := w.Header().Get("X-Subject-Token")
	if w.Code != http.StatusCreated {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	user, err := n.Store.UserByName(t.Context(), "default", "admin")
	if err != nil {
		t.Fatal(err)
	}

	off.Store(-int64(30 * time.Second))
	if w := do("GET", "/v3/auth/tokens", "", tok); w.Code != http.StatusOK {
		t.Fatalf("before the change: %d %s", w.Code, w.Body)
	}
	if w := do("POST", "/v3/users/"+user.ID+"/password", `{"user":{"original_password":"the first password","password":"the second password"}}`, ""); w.Code != http.StatusNoContent {
		t.Fatalf("password change: %d %s", w.Code, w.Body)
	}
	for _, at := range []time.Duration{-30 * time.Second, -29 * time.Second, 0, time.Minute} {
		off.Store(int64(at))
		if w := do("GET", "/v3/auth/tokens", "", tok); w.Code != http.StatusUnauthorized {
			t.Errorf("with the clock %v off: %d, want 401", at, w.Code)
		}
	}
	// Once the clock has passed the change, the new password makes tokens that live.
	w = login("the second password")
	if w.Code != http.StatusCreated {
		t.Fatalf("login: %d %s", w.Code, w.Body)
	}
	if w := do("GET", "/v3/auth/tokens", "", w.Header().Get("X-Subject-Token")); w.Code != http.StatusOK {
		t.Errorf("the new token: %d %s", w.Code, w.Body)
	}
}
