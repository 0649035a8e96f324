package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	debianPython   = "/usr/bin/python3"
	keystoneManage = "/usr/bin/keystone-manage"
	keystoneNewest = "keystone-29.0.0" // the environment of the newest release
	openstackCLI   = "/usr/bin/openstack"
	adminPassword  = "interop-admin-password"
	activeKeys     = 4 // in a shared key repository
)

// A keystone is a real Keystone with a store and keys of its own.
type keystone struct {
	dir  string
	keys string // the Fernet key repository
	tool string // keystone-manage
	url  string // ends in /v3
}

// startKeystone bootstraps and serves Debian's Keystone with an empty store. keys is
// the key repository to use; it is set up there when it has no key.
func startKeystone(t *testing.T, keys string) *keystone {
	t.Helper()
	return startKeystoneOf(t, debianPython, keystoneManage, keys)
}

// startKeystoneOf is startKeystone for the Keystone of a Python.
func startKeystoneOf(t *testing.T, python, manage, keys string) *keystone {
	t.Helper()
	needs(t, debianPython, python, manage)
	dir := workDir(t)
	port := freePort(t)
	k := &keystone{dir: dir, keys: keys, tool: manage, url: fmt.Sprintf("http://127.0.0.1:%d/v3", port)}
	for _, d := range []string{k.keys, filepath.Join(dir, "credential"), filepath.Join(dir, "receipt")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`[DEFAULT]
log_file = %[1]s/keystone.log
[database]
connection = sqlite:///%[1]s/keystone.db
sqlite_synchronous = false
[fernet_tokens]
key_repository = %[2]s
max_active_keys = %[3]d
[fernet_receipts]
key_repository = %[1]s/receipt
[credential]
key_repository = %[1]s/credential
[cache]
enabled = false
[oslo_policy]
enforce_scope = true
enforce_new_defaults = true
`, dir, k.keys, activeKeys)
	if err := os.WriteFile(k.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	k.manage(t, "db_sync")
	// A reader that Keystone forgets to end would lock out its own next writer.
	mustRun(t, cleanEnv(dir), "", debianPython, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')", filepath.Join(dir, "keystone.db"))
	k.manage(t, append([]string{"fernet_setup"}, owner(t)...)...)
	k.manage(t, append([]string{"credential_setup"}, owner(t)...)...)
	k.manage(t, "bootstrap", "--bootstrap-password", adminPassword, "--bootstrap-region-id", "RegionOne",
		"--bootstrap-public-url", k.url, "--bootstrap-internal-url", k.url, "--bootstrap-admin-url", k.url)
	p := start(t, "keystone", dir, cleanEnv(dir), python, driver(t, "keystone_server.py"), k.config(), "127.0.0.1", fmt.Sprint(port))
	p.ready(t, k.url)
	return k
}

func (k *keystone) config() string { return filepath.Join(k.dir, "keystone.conf") }

// manage runs keystone-manage on this Keystone.
func (k *keystone) manage(t *testing.T, args ...string) {
	t.Helper()
	mustRun(t, cleanEnv(k.dir), "", append([]string{k.tool, "--config-file", k.config()}, args...)...)
}

// rotate runs the rotation of Keystone's own tool.
func (k *keystone) rotate(t *testing.T) {
	t.Helper()
	k.manage(t, append([]string{"fernet_rotate"}, owner(t)...)...)
}

// owner is the arguments by which keystone-manage is told whose the key files are: ours.
func owner(t *testing.T) []string {
	t.Helper()
	name := strings.TrimSpace(mustRun(t, cleanEnv("/"), "", "id", "-un"))
	group := strings.TrimSpace(mustRun(t, cleanEnv("/"), "", "id", "-gn"))
	return []string{"--keystone-user", name, "--keystone-group", group}
}

// identity makes requests of an Identity API, whoever serves it.
type identity struct{ url string }

// An issued token is its text and the body that came with it.
type issued struct {
	Text string
	Body map[string]any
}

func byPassword(user map[string]any, password string, scope any) map[string]any {
	who := map[string]any{"password": password}
	for k, v := range user {
		who[k] = v
	}
	return withScope(map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": who}}, scope)
}

func byToken(token string, scope any) map[string]any {
	return withScope(map[string]any{"methods": []string{"token"}, "token": map[string]any{"id": token}}, scope)
}

func withScope(method map[string]any, scope any) map[string]any {
	auth := map[string]any{"identity": method}
	if scope != nil {
		auth["scope"] = scope
	}
	return map[string]any{"auth": auth}
}

type object = map[string]any

func admin() object       { return object{"name": "admin", "domain": object{"id": "default"}} }
func systemScope() object { return object{"system": object{"all": true}} }
func domainScope() object { return object{"domain": object{"id": "default"}} }
func adminProject() object {
	return object{"project": object{"name": "admin", "domain": object{"id": "default"}}}
}
func trustScope(id string) object { return object{"OS-TRUST:trust": object{"id": id}} }

// issue asks for a token and fails the test when it is refused.
func (i identity) issue(t *testing.T, body any) issued {
	t.Helper()
	a := call(t, "POST", i.url+"/auth/tokens", body).want(t, "issue a token", 201)
	text := a.Header.Get("X-Subject-Token")
	if text == "" {
		t.Fatal("issue a token: no X-Subject-Token")
	}
	return issued{text, dig(a.object(t), "token").(map[string]any)}
}

// validate asks, as caller, what a token is.
func (i identity) validate(t *testing.T, caller, subject string) answer {
	t.Helper()
	return call(t, "GET", i.url+"/auth/tokens", nil, "X-Auth-Token", caller, "X-Subject-Token", subject)
}

// get, post and put are requests with a token.
func (i identity) get(t *testing.T, token, path string) map[string]any {
	t.Helper()
	return call(t, "GET", i.url+path, nil, "X-Auth-Token", token).want(t, "GET "+path, 200).object(t)
}

func (i identity) post(t *testing.T, token, path string, body any) map[string]any {
	t.Helper()
	return call(t, "POST", i.url+path, body, "X-Auth-Token", token).want(t, "POST "+path, 201).object(t)
}

func (i identity) put(t *testing.T, token, path string) {
	t.Helper()
	call(t, "PUT", i.url+path, nil, "X-Auth-Token", token).want(t, "PUT "+path, 204)
}

// roleID finds a role by name.
func (i identity) roleID(t *testing.T, token, name string) string {
	t.Helper()
	for _, r := range i.get(t, token, "/roles?name="+name)["roles"].([]any) {
		return text(dig(r, "id"))
	}
	t.Fatalf("no role %s", name)
	return ""
}
