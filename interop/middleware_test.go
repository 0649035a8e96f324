package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A service protected by keystonemiddleware, as every OpenStack service is, learns from
// us who its caller is, and refuses who it should.
func TestKeystoneMiddleware(t *testing.T) {
	needs(t, debianPython)
	url := identityServer(t)
	w := fill(t, url)
	port := freePort(t)
	service := fmt.Sprintf("http://127.0.0.1:%d", port)
	p := startWithInput(t, "protected service", workDir(t), cleanEnv(t.TempDir()), adminPassword+"\n",
		debianPython, driver(t, "protected_app.py"), url, "127.0.0.1", fmt.Sprint(port))
	p.ready(t, service)

	ask := func(token string) answer { return call(t, "GET", service, nil, "X-Auth-Token", token) }
	for kind, tok := range w.kinds(t) {
		t.Run(kind, func(t *testing.T) {
			told := ask(tok.Text).want(t, "ask the service", 200).object(t)
			for header, path := range map[string][]string{
				"HTTP_X_USER_ID": {"user", "id"}, "HTTP_X_USER_NAME": {"user", "name"}, "HTTP_X_USER_DOMAIN_ID": {"user", "domain", "id"},
				"HTTP_X_PROJECT_ID": {"project", "id"}, "HTTP_X_PROJECT_NAME": {"project", "name"}, "HTTP_X_DOMAIN_ID": {"domain", "id"},
			} {
				if got, want := text(told[header]), text(dig(tok.Body, path...)); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			equal(t, "HTTP_X_IDENTITY_STATUS", told["HTTP_X_IDENTITY_STATUS"], "Confirmed")
			got := strings.FieldsFunc(text(told["HTTP_X_ROLES"]), func(r rune) bool { return r == ',' })
			slices.Sort(got)
			want := slices.DeleteFunc(append(roleNames(tok.Body), "manager"), func(s string) bool { return s == "manager" && !slices.Contains(got, "manager") })
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("roles are %v, want %v", got, want)
			}
			if kind == "system" && !strings.Contains(text(told["HTTP_OPENSTACK_SYSTEM_SCOPE"]), "all") {
				t.Errorf("no system scope in %v", told)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		a := ask("nonsense").want(t, "a nonsense token", 401)
		if !strings.Contains(a.Header.Get("Www-Authenticate"), url) {
			t.Errorf("the service sends the caller to %q", a.Header.Get("Www-Authenticate"))
		}
		call(t, "GET", service, nil).want(t, "no token", 401)
		tok := w.issue(t, byPassword(admin(), adminPassword, adminProject()))
		ask(tok.Text).want(t, "a good token", 200)
		call(t, "DELETE", url+"/auth/tokens", nil, "X-Auth-Token", w.sys.Text, "X-Subject-Token", tok.Text).want(t, "revoke", 204)
		ask(tok.Text).want(t, "a revoked token", 401)
		alice := w.issue(t, byPassword(w.aliceID(), alicePassword, w.aliceProject()))
		ask(alice.Text).want(t, "alice's token", 200)
		time.Sleep(1100 * time.Millisecond) // her token is from an earlier second than its end
		call(t, "PATCH", url+"/users/"+w.alice, object{"user": object{"enabled": false}}, "X-Auth-Token", w.sys.Text).want(t, "disable alice", 200)
		ask(alice.Text).want(t, "a disabled user's token", 401)
	})
}
