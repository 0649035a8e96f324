package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A Keystone and a symbolon share keys and ids, as while one replaces the other behind a
// balancer: what either issues, the other validates, with the same principal, scope and
// roles, whoever rotates the keys.
func TestKeystoneAndSymbolonShareARealm(t *testing.T) {
	needs(t, keystoneManage)
	keys := filepath.Join(workDir(t), "keys")
	k := startKeystone(t, keys)
	n := startSymbolon(t, "--key-repository", keys, "--token-max-active-keys", fmt.Sprint(activeKeys))
	theirs, ours := fill(t, k.url), fill(t, n.url+"/v3")

	args := []string{debianPython, driver(t, "keystone_rename.py"), filepath.Join(k.dir, "keystone.db"),
		theirs.admin + "=" + ours.admin, theirs.alice + "=" + ours.alice, theirs.bob + "=" + ours.bob, theirs.project + "=" + ours.project,
		theirs.aproj + "=" + ours.aproj, theirs.trust + "=" + ours.trust}
	for _, role := range []string{"admin", "member", "reader"} {
		args = append(args, theirs.roleID(t, theirs.sys.Text, role)+"="+ours.roleID(t, ours.sys.Text, role))
	}
	mustRun(t, cleanEnv(k.dir), "", args...)
	at := theirs.identity
	theirs = ours
	theirs.identity = at
	theirs.sys = theirs.issue(t, byPassword(admin(), adminPassword, systemScope()))

	cross := func(t *testing.T) {
		for _, d := range []struct {
			name     string
			from, to world
		}{{"Keystone's at ours", theirs, ours}, {"ours at Keystone's", ours, theirs}} {
			caller := d.to.issue(t, byPassword(admin(), adminPassword, systemScope()))
			for kind, tok := range d.from.kinds(t) {
				a := d.to.validate(t, caller.Text, tok.Text)
				if a.Status != 200 {
					t.Errorf("%s: a %s token is answered with %d: %s", d.name, kind, a.Status, tail(a.Text, 5))
					continue
				}
				got := dig(a.object(t), "token").(map[string]any)
				for _, path := range [][]string{{"user", "id"}, {"user", "name"}, {"project", "id"}, {"domain", "id"}, {"system", "all"}, {"OS-TRUST:trust", "id"},
					{"OS-TRUST:trust", "trustee_user", "id"}, {"issued_at"}, {"expires_at"}, {"is_domain"}} {
					equal(t, fmt.Sprintf("%s: %s token: %v", d.name, kind, path), dig(got, path...), dig(tok.Body, path...))
				}
				sameSet(t, d.name+": "+kind+" token: methods", strs(got["methods"]), tok.Body["methods"])
				if g, w := roleNames(got), roleNames(tok.Body); !slices.Equal(g, w) {
					t.Errorf("%s: %s token: roles %v, want %v", d.name, kind, g, w)
				}
			}
		}
	}
	t.Run("every kind of token", cross)

	t.Run("used as a credential", func(t *testing.T) {
		// A token of the other's is good for more than being looked at.
		tok := theirs.issue(t, byPassword(admin(), adminPassword, systemScope()))
		ours.get(t, tok.Text, "/users")
		tok = ours.issue(t, byPassword(admin(), adminPassword, systemScope()))
		theirs.get(t, tok.Text, "/users")
		unscoped := theirs.issue(t, byPassword(admin(), adminPassword, "unscoped"))
		rescoped := ours.issue(t, byToken(unscoped.Text, adminProject()))
		theirs.validate(t, theirs.sys.Text, rescoped.Text).want(t, "Keystone's unscoped token rescoped by us, at Keystone", 200)
		sameSet(t, "audit chain", strs(rescoped.Body["audit_ids"])[1:], unscoped.Body["audit_ids"])
	})

	t.Run("rotation by keystone-manage", func(t *testing.T) {
		k.rotate(t)
		time.Sleep(1100 * time.Millisecond)
		ours.validate(t, ours.sys.Text, theirs.sys.Text).want(t, "a token from before", 200)
		cross(t)
	})
	t.Run("rotation by symbolon keys rotate", func(t *testing.T) {
		n.command(t, "", "keys", "rotate", "--repository", "token", "--key-repository", keys, "--token-max-active-keys", fmt.Sprint(activeKeys))
		ours.validate(t, ours.sys.Text, theirs.sys.Text).want(t, "a token from before, at ours", 200)
		theirs.validate(t, theirs.sys.Text, ours.sys.Text).want(t, "a token from before, at Keystone", 200)
		time.Sleep(1100 * time.Millisecond)
		cross(t)
	})
	t.Run("a retired key ends its tokens on both", func(t *testing.T) {
		old := []issued{theirs.issue(t, byPassword(admin(), adminPassword, "unscoped")), ours.issue(t, byPassword(admin(), adminPassword, "unscoped"))}
		for range activeKeys {
			k.rotate(t)
		}
		time.Sleep(1100 * time.Millisecond)
		for _, w := range []world{theirs, ours} {
			caller := w.issue(t, byPassword(admin(), adminPassword, systemScope()))
			for _, o := range old {
				w.validate(t, caller.Text, o.Text).want(t, "a token under a retired key at "+w.url, 404)
			}
		}
		cross(t)
	})
}

func strs(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, x := range list {
		out = append(out, text(x))
	}
	return out
}

// roleNames returns the names of a token's roles but for manager, which Keystone has
// only since its release 24.
func roleNames(body map[string]any) []string {
	list, _ := body["roles"].([]any)
	var out []string
	for _, r := range list {
		if name := text(dig(r, "name")); name != "manager" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
