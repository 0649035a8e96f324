package interop

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/keytoken"
)

// A world is what a Keystone was filled with, so that it can make each kind of token.
type world struct {
	identity
	sys                               issued // an administrator's token of system scope
	admin, project                    string
	alice, bob, trust, appCred, aproj string
	member                            string
}

const (
	alicePassword = "alice-password"
	bobPassword   = "bob-password"
	appCredSecret = "app-cred-secret"
)

func (w world) aliceID() object { return object{"id": w.alice} }

// fill makes users, a project, assignments, a trust and an application credential on an
// identity server that was only bootstrapped.
func fill(t *testing.T, url string) world {
	t.Helper()
	w := world{identity: identity{url}}
	w.sys = w.issue(t, byPassword(admin(), adminPassword, systemScope()))
	w.admin = text(dig(w.sys.Body, "user", "id"))
	w.project = text(dig(w.issue(t, byPassword(admin(), adminPassword, adminProject())).Body, "project", "id"))
	w.put(t, w.sys.Text, "/domains/default/users/"+w.admin+"/roles/"+w.roleID(t, w.sys.Text, "admin"))
	w.member = w.roleID(t, w.sys.Text, "member")
	user := func(name, password string) string {
		return text(dig(w.post(t, w.sys.Text, "/users", object{"user": object{"name": name, "password": password, "domain_id": "default"}}), "user", "id"))
	}
	w.alice, w.bob = user("alice", alicePassword), user("bob", bobPassword)
	w.aproj = text(dig(w.post(t, w.sys.Text, "/projects", object{"project": object{"name": "alpha", "domain_id": "default"}}), "project", "id"))
	w.put(t, w.sys.Text, "/projects/"+w.aproj+"/users/"+w.alice+"/roles/"+w.member)
	tok := w.issue(t, byPassword(w.aliceID(), alicePassword, w.aliceProject()))
	w.trust = text(dig(w.post(t, tok.Text, "/OS-TRUST/trusts", object{"trust": object{
		"trustor_user_id": w.alice, "trustee_user_id": w.bob, "project_id": w.aproj, "impersonation": true, "roles": []object{{"id": w.member}},
	}}), "trust", "id"))
	return w
}

func (w world) aliceProject() object { return object{"project": object{"id": w.aproj}} }

// withAppCred adds an application credential of alice's.
func (w world) withAppCred(t *testing.T) world {
	t.Helper()
	tok := w.issue(t, byPassword(w.aliceID(), alicePassword, w.aliceProject()))
	w.appCred = text(dig(w.post(t, tok.Text, "/users/"+w.alice+"/application_credentials",
		object{"application_credential": object{"name": "robot", "secret": appCredSecret}}), "application_credential", "id"))
	return w
}

// kinds issues a token of every kind that a server makes from a password or a token.
func (w world) kinds(t *testing.T) map[string]issued {
	t.Helper()
	unscoped := w.issue(t, byPassword(admin(), adminPassword, "unscoped"))
	m := map[string]issued{
		"unscoped": unscoped,
		"project":  w.issue(t, byPassword(admin(), adminPassword, adminProject())),
		"domain":   w.issue(t, byPassword(admin(), adminPassword, domainScope())),
		"system":   w.issue(t, byPassword(admin(), adminPassword, systemScope())),
		"trust":    w.issue(t, byPassword(object{"id": w.bob}, bobPassword, trustScope(w.trust))),
		"rescoped": w.issue(t, byToken(unscoped.Text, adminProject())),
	}
	if w.appCred != "" {
		m["application credential"] = w.issue(t, withScope(object{"methods": []string{"application_credential"},
			"application_credential": object{"id": w.appCred, "secret": appCredSecret}}, nil))
	}
	return m
}

var layouts = map[string]keytoken.Version{
	"unscoped": keytoken.Unscoped, "project": keytoken.Project, "domain": keytoken.Domain, "system": keytoken.System,
	"trust": keytoken.Trust, "rescoped": keytoken.Project, "application credential": keytoken.AppCred,
}

func tokens(t *testing.T, repo *fernet.Repository) *keytoken.Tokens {
	t.Helper()
	ring, _, err := repo.Load()
	if err != nil {
		t.Fatal(err)
	}
	ts, err := keytoken.NewFernet(keytoken.Fixed(ring), keytoken.Format{}, keytoken.Limits{Leeway: keytoken.DefaultLeeway})
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// sameClaims checks claims against the body that came with the token: what the server
// that made it says about it.
func sameClaims(t *testing.T, c keytoken.Claims, body map[string]any, kind string) {
	t.Helper()
	check := func(what, got, want string) {
		if got != want {
			t.Errorf("%s token: %s is %q, want %q", kind, what, got, want)
		}
	}
	user := text(dig(body, "user", "id"))
	check("trust", c.TrustID, text(dig(body, "OS-TRUST:trust", "id")))
	if c.TrustID != "" {
		// The token is the trustee's, its body shows the trustor impersonated.
		user = text(dig(body, "OS-TRUST:trust", "trustee_user", "id"))
	}
	check("user", c.UserID, user)
	check("project", c.ProjectID, text(dig(body, "project", "id")))
	check("domain", c.DomainID, text(dig(body, "domain", "id")))
	check("application credential", c.AppCredID, text(dig(body, "application_credential", "id")))
	check("issued at", keytoken.TimeText(c.IssuedAt), text(body["issued_at"]))
	check("expires at", keytoken.TimeText(c.ExpiresAt), text(body["expires_at"]))
	if want := dig(body, "system") != nil; (c.System == "all") != want {
		t.Errorf("%s token: system is %q, want system scope %v", kind, c.System, want)
	}
	sameSet(t, kind+" token: methods", c.Methods, body["methods"])
	var ids []string
	for _, id := range body["audit_ids"].([]any) {
		ids = append(ids, text(id))
	}
	if !slices.Equal(c.AuditIDs, ids) {
		t.Errorf("%s token: audit ids are %v, want %v", kind, c.AuditIDs, ids)
	}
}

func sameSet(t *testing.T, what string, got []string, want any) {
	t.Helper()
	var w []string
	list, _ := want.([]any)
	for _, x := range list {
		w = append(w, text(x))
	}
	g := slices.Clone(got)
	slices.Sort(g)
	slices.Sort(w)
	if !slices.Equal(g, w) {
		t.Errorf("%s are %v, want %v", what, g, w)
	}
}

// A real Keystone and this token core share a key repository: each reads what the other
// makes, of every kind, before and after a rotation by either.
func TestKeystoneSharedKeys(t *testing.T) {
	needs(t, keystoneManage)
	keys := filepath.Join(workDir(t), "keys")
	k := startKeystone(t, keys)
	w := fill(t, k.url).withAppCred(t)
	repo := fernet.NewRepository(keys)

	read := func(t *testing.T) {
		ts := tokens(t, repo)
		for kind, tok := range w.kinds(t) {
			v, rej := ts.Verify(tok.Text, time.Now(), keytoken.Options{})
			if rej != nil {
				t.Errorf("Keystone's %s token is refused: %v", kind, rej)
				continue
			}
			if v.Version() != layouts[kind] {
				t.Errorf("Keystone's %s token has layout %s, want %s", kind, v.Version(), layouts[kind])
			}
			sameClaims(t, v.Claims(), tok.Body, kind)
		}
	}
	written := func(t *testing.T) {
		ts := tokens(t, repo)
		now := time.Now()
		for kind, c := range map[string]keytoken.Claims{
			"unscoped":               {UserID: w.admin},
			"project":                {UserID: w.admin, ProjectID: w.project},
			"domain":                 {UserID: w.admin, DomainID: "default"},
			"system":                 {UserID: w.admin, System: "all"},
			"trust":                  {UserID: w.bob, ProjectID: w.aproj, TrustID: w.trust},
			"rescoped":               {UserID: w.admin, ProjectID: w.project, Methods: []string{"password", "token"}},
			"application credential": {UserID: w.alice, ProjectID: w.aproj, AppCredID: w.appCred, Methods: []string{"application_credential"}},
		} {
			if c.Methods == nil {
				c.Methods = []string{"password"}
			}
			c.AuditIDs = []string{"3T2dcSGZQxyQ1cbd9LQCSA"}
			if kind == "rescoped" {
				c.AuditIDs = append(c.AuditIDs, "0mWdtwPBQvWPaUcO4SUNqg")
			}
			c.ExpiresAt = epoch.SecondsOf(now.Add(time.Hour))
			text, err := ts.Mint(c, now)
			if err != nil {
				t.Errorf("mint a %s token: %v", kind, err)
				continue
			}
			a := w.validate(t, w.sys.Text, text)
			if a.Status != 200 {
				t.Errorf("Keystone answers %d to our %s token: %s", a.Status, kind, tail(a.Text, 5))
				continue
			}
			got, rej := ts.Verify(text, now, keytoken.Options{})
			if rej != nil {
				t.Errorf("our %s token is refused by us: %v", kind, rej)
				continue
			}
			sameClaims(t, got.Claims(), dig(a.object(t), "token").(map[string]any), kind)
		}
	}

	t.Run("tokens of Keystone are read", read)
	t.Run("Keystone reads our tokens", written)

	t.Run("neither takes a foreign key or a relabelled token", func(t *testing.T) {
		other := fernet.NewRepository(filepath.Join(workDir(t), "other"))
		if err := other.Setup(); err != nil {
			t.Fatal(err)
		}
		foreign, err := tokens(t, other).Mint(keytoken.Claims{UserID: w.admin, System: "all", Methods: []string{"password"},
			AuditIDs: []string{"3T2dcSGZQxyQ1cbd9LQCSA"}, ExpiresAt: epoch.SecondsOf(time.Now().Add(time.Hour))}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.validate(t, w.sys.Text, foreign).want(t, "Keystone, of a token under another key", 404)
		ts := tokens(t, repo)
		for _, bad := range []string{foreign, "F00" + w.sys.Text, "F01" + w.sys.Text, "F02" + w.sys.Text[3:]} {
			if _, rej := ts.Verify(bad, time.Now(), keytoken.Options{}); rej == nil {
				t.Errorf("accepted: %.8s…", bad)
			}
		}
	})

	t.Run("rotation by Keystone", func(t *testing.T) {
		before := tokens(t, repo)
		k.rotate(t)
		if _, rej := tokens(t, repo).Verify(w.sys.Text, time.Now(), keytoken.Options{}); rej != nil {
			t.Errorf("a token from before the rotation is refused: %v", rej)
		}
		// The new primary was staged before, so who has not yet seen the rotation reads
		// tokens made after it.
		fresh := w.issue(t, byPassword(admin(), adminPassword, systemScope()))
		if _, rej := before.Verify(fresh.Text, time.Now(), keytoken.Options{}); rej != nil {
			t.Errorf("the ring from before the rotation refuses a token from after it: %v", rej)
		}
		t.Run("read", read)
		t.Run("written", written)
	})

	t.Run("rotation by us", func(t *testing.T) {
		if _, err := repo.Rotate(activeKeys); err != nil {
			t.Fatal(err)
		}
		w.validate(t, w.sys.Text, w.sys.Text).want(t, "a token from before the rotation, at Keystone", 200)
		t.Run("read", read)
		t.Run("written", written)
	})

	t.Run("a retired key retires its tokens on both sides", func(t *testing.T) {
		old := w.issue(t, byPassword(admin(), adminPassword, systemScope()))
		for range 2 {
			k.rotate(t)
			if _, err := repo.Rotate(activeKeys); err != nil {
				t.Fatal(err)
			}
		}
		if _, rej := tokens(t, repo).Verify(old.Text, time.Now(), keytoken.Options{}); rej == nil {
			t.Error("our side still takes it")
		}
		caller := w.issue(t, byPassword(admin(), adminPassword, systemScope()))
		w.validate(t, caller.Text, old.Text).want(t, "Keystone's side", 404)
	})
}
