package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A cli is the openstack command with one set of credentials.
type cli struct {
	environ []string
}

func newCLI(t *testing.T, url string, credentials ...string) cli {
	t.Helper()
	return cli{cleanEnv(t.TempDir(), append([]string{"OS_AUTH_URL=" + url, "OS_IDENTITY_API_VERSION=3", "OS_REGION_NAME=RegionOne"}, credentials...)...)}
}

func adminCLI(t *testing.T, url string, scope ...string) cli {
	return newCLI(t, url, append([]string{"OS_USERNAME=admin", "OS_PASSWORD=" + adminPassword, "OS_USER_DOMAIN_ID=default"}, scope...)...)
}

// do runs a command that shows nothing.
func (c cli) do(t *testing.T, args ...string) {
	t.Helper()
	mustRun(t, c.environ, "", append([]string{openstackCLI}, args...)...)
}

// show runs a command that shows one thing.
func (c cli) show(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out := mustRun(t, c.environ, "", append(append([]string{openstackCLI}, args...), "-f", "json")...)
	var m map[string]any
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("openstack %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return m
}

// list runs a command that shows a table.
func (c cli) list(t *testing.T, args ...string) []map[string]any {
	t.Helper()
	out := mustRun(t, c.environ, "", append(append([]string{openstackCLI}, args...), "-f", "json")...)
	var rows []map[string]any
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("openstack %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return rows
}

// refused runs a command that must fail, with a message.
func (c cli) refused(t *testing.T, message string, args ...string) {
	t.Helper()
	_, err := run(t, c.environ, "", append([]string{openstackCLI}, args...)...)
	if err == nil {
		t.Errorf("openstack %s: succeeded, want %q", strings.Join(args, " "), message)
	} else if !strings.Contains(err.Error(), message) {
		t.Errorf("openstack %s: want %q in: %v", strings.Join(args, " "), message, err)
	}
}

func column(rows []map[string]any, name string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, text(r[name]))
	}
	return out
}

func has(t *testing.T, what string, list []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(list, w) {
			t.Errorf("%s: %q is not in %q", what, w, list)
		}
	}
}

func hasNot(t *testing.T, what string, list []string, not ...string) {
	t.Helper()
	for _, w := range not {
		if slices.Contains(list, w) {
			t.Errorf("%s: %q is still in %q", what, w, list)
		}
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The openstack command as Debian ships it gets, validates and revokes tokens of every
// scope, and walks every kind of resource.
func TestOpenStackCLI(t *testing.T) {
	needs(t, openstackCLI)
	url := identityServer(t)
	api := identity{url}
	sys := adminCLI(t, url, "OS_SYSTEM_SCOPE=all")
	sysToken := api.issue(t, byPassword(admin(), adminPassword, systemScope()))

	t.Run("tokens", func(t *testing.T) {
		sys.do(t, "role", "add", "--user", "admin", "--user-domain", "default", "--domain", "default", "admin")
		for _, s := range []struct {
			name  string
			scope []string
			field string
			where []string
		}{
			{"unscoped", nil, "", nil},
			{"project", []string{"OS_PROJECT_NAME=admin", "OS_PROJECT_DOMAIN_ID=default"}, "project_id", []string{"project", "id"}},
			{"domain", []string{"OS_DOMAIN_ID=default"}, "domain_id", []string{"domain", "id"}},
			{"system", []string{"OS_SYSTEM_SCOPE=all"}, "system", nil},
		} {
			t.Run(s.name, func(t *testing.T) {
				c := adminCLI(t, url, s.scope...)
				tok := c.show(t, "token", "issue")
				body := dig(api.validate(t, sysToken.Text, text(tok["id"])).want(t, "validate", 200).object(t), "token").(map[string]any)
				equal(t, "user", tok["user_id"], dig(body, "user", "id"))
				if s.where != nil {
					equal(t, s.field, tok[s.field], dig(body, s.where...))
				}
				if s.name == "system" {
					equal(t, "system", tok["system"], "all")
					equal(t, "system in the body", dig(body, "system", "all"), true)
				}
				// The token is itself a credential: for another scope, unless it is of
				// system scope, and for a revocation.
				byTok := newCLI(t, url, "OS_AUTH_TYPE=v3token", "OS_TOKEN="+text(tok["id"]), "OS_PROJECT_NAME=admin", "OS_PROJECT_DOMAIN_ID=default")
				if s.name == "system" {
					byTok.refused(t, "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.", "token", "issue")
				} else {
					again := byTok.show(t, "token", "issue")
					b := dig(api.validate(t, sysToken.Text, text(again["id"])).want(t, "validate the rescoped token", 200).object(t), "token").(map[string]any)
					equal(t, "scope after rescoping", dig(b, "project", "name"), "admin")
					sameSet(t, "methods after rescoping", []string{"password", "token"}, b["methods"])
				}
				sys.do(t, "token", "revoke", text(tok["id"]))
				api.validate(t, sysToken.Text, text(tok["id"])).want(t, "validate after revoke", 404)
				call(t, "GET", url+"/auth/projects", nil, "X-Auth-Token", text(tok["id"])).want(t, "use after revoke", 401)
			})
		}
		t.Run("refusals", func(t *testing.T) {
			newCLI(t, url, "OS_USERNAME=admin", "OS_PASSWORD=wrong", "OS_USER_DOMAIN_ID=default").
				refused(t, "The request you have made requires authentication.", "token", "issue")
			adminCLI(t, url).refused(t, "The service catalog is empty", "user", "list") // the client's words for an unscoped token
			sys.refused(t, "", "token", "revoke", "nonsense")
		})
		t.Run("catalog", func(t *testing.T) {
			rows := adminCLI(t, url, "OS_PROJECT_NAME=admin", "OS_PROJECT_DOMAIN_ID=default").list(t, "catalog", "list")
			has(t, "catalog", column(rows, "Type"), "identity")
			sys.show(t, "catalog", "show", "identity")
		})
	})

	t.Run("domain", func(t *testing.T) {
		d := sys.show(t, "domain", "create", "--description", "a domain", "acme")
		equal(t, "description", d["description"], "a domain")
		equal(t, "enabled", d["enabled"], true)
		sys.refused(t, "409", "domain", "create", "acme")
		equal(t, "--or-show", sys.show(t, "domain", "create", "--or-show", "acme")["id"], d["id"])
		has(t, "domain list", column(sys.list(t, "domain", "list"), "Name"), "acme", "Default")
		equal(t, "show by name", sys.show(t, "domain", "show", "acme")["id"], d["id"])
		equal(t, "show by id", sys.show(t, "domain", "show", text(d["id"]))["name"], "acme")
		sys.do(t, "domain", "set", "--description", "changed", "--name", "acme-2", "acme")
		equal(t, "description after set", sys.show(t, "domain", "show", "acme-2")["description"], "changed")
		sys.do(t, "domain", "set", "--name", "acme", "acme-2")
		sys.refused(t, "Cannot delete a domain that is enabled", "domain", "delete", "acme")
		sys.refused(t, "No domain with a name or ID", "domain", "show", "nowhere")
	})

	t.Run("project", func(t *testing.T) {
		p := sys.show(t, "project", "create", "--domain", "acme", "--description", "a project", "--tag", "one", "--property", "colour=blue", "alpha")
		equal(t, "description", p["description"], "a project")
		equal(t, "parent", p["parent_id"], p["domain_id"])
		sys.refused(t, "409", "project", "create", "--domain", "acme", "alpha")
		c := sys.show(t, "project", "create", "--domain", "acme", "--parent", text(p["id"]), "alpha-child")
		equal(t, "child's parent", c["parent_id"], p["id"])
		has(t, "project list", column(sys.list(t, "project", "list", "--domain", "acme"), "Name"), "alpha", "alpha-child")
		has(t, "by tag", column(sys.list(t, "project", "list", "--tags", "one"), "Name"), "alpha")
		has(t, "by parent", column(sys.list(t, "project", "list", "--parent", text(p["id"])), "Name"), "alpha-child")
		sys.do(t, "project", "set", "--domain", "acme", "--description", "changed", "--tag", "two", "--property", "size=xl", "alpha")
		s := sys.show(t, "project", "show", "--domain", "acme", "alpha")
		equal(t, "description after set", s["description"], "changed")
		equal(t, "colour", s["colour"], "blue")
		equal(t, "size", s["size"], "xl")
		sys.do(t, "project", "set", "--domain", "acme", "--disable", "alpha-child")
		equal(t, "enabled after --disable", sys.show(t, "project", "show", text(c["id"]))["enabled"], false)
		sys.refused(t, "403", "project", "delete", text(p["id"]))
		sys.do(t, "project", "delete", text(c["id"]))
		sys.refused(t, "No project with a name or ID", "project", "show", text(c["id"]))
	})

	var alice, bob map[string]any
	t.Run("user", func(t *testing.T) {
		alice = sys.show(t, "user", "create", "--domain", "acme", "--password", alicePassword, "--email", "alice@example.org",
			"--project", "alpha", "--project-domain", "acme", "--description", "a user", "alice")
		equal(t, "email", alice["email"], "alice@example.org")
		bob = sys.show(t, "user", "create", "--domain", "acme", "--password", bobPassword, "bob")
		sys.refused(t, "409", "user", "create", "--domain", "acme", "alice")
		has(t, "user list", column(sys.list(t, "user", "list", "--domain", "acme"), "Name"), "alice", "bob")
		equal(t, "show", sys.show(t, "user", "show", "--domain", "acme", "alice")["id"], alice["id"])
		sys.do(t, "user", "set", "--domain", "acme", "--email", "a@example.org", "--description", "changed", "alice")
		equal(t, "email after set", sys.show(t, "user", "show", text(alice["id"]))["email"], "a@example.org")
		sys.do(t, "user", "set", "--domain", "acme", "--password", "another", "bob")
		newCLI(t, url, "OS_USERNAME=bob", "OS_PASSWORD="+bobPassword, "OS_USER_DOMAIN_NAME=acme").refused(t, "401", "token", "issue")
		// The client wants a scoped token for this.
		sys.do(t, "role", "add", "--user", "bob", "--user-domain", "acme", "--project", "alpha", "--project-domain", "acme", "reader")
		own := newCLI(t, url, "OS_USERNAME=bob", "OS_PASSWORD=another", "OS_USER_DOMAIN_NAME=acme", "OS_PROJECT_NAME=alpha", "OS_PROJECT_DOMAIN_NAME=acme")
		own.do(t, "user", "password", "set", "--original-password", "another", "--password", bobPassword)
		own = newCLI(t, url, "OS_USERNAME=bob", "OS_PASSWORD="+bobPassword, "OS_USER_DOMAIN_NAME=acme")
		own.show(t, "token", "issue")
		sys.do(t, "user", "set", "--domain", "acme", "--disable", "bob")
		own.refused(t, "401", "token", "issue")
		sys.do(t, "user", "set", "--domain", "acme", "--enable", "bob")
		own.show(t, "token", "issue")
	})

	t.Run("role", func(t *testing.T) {
		r := sys.show(t, "role", "create", "--description", "a role", "operator")
		sys.refused(t, "409", "role", "create", "operator")
		has(t, "role list", column(sys.list(t, "role", "list"), "Name"), "operator", "admin", "member", "reader")
		equal(t, "show", sys.show(t, "role", "show", "operator")["id"], r["id"])
		sys.do(t, "role", "set", "--description", "changed", "--name", "operator-2", "operator")
		equal(t, "description after set", sys.show(t, "role", "show", "operator-2")["description"], "changed")
		sys.do(t, "role", "set", "--name", "operator", "operator-2")
		sys.refused(t, "403", "role", "delete", "admin")
		dr := sys.show(t, "role", "create", "--domain", "acme", "local-operator")
		has(t, "roles of a domain", column(sys.list(t, "role", "list", "--domain", "acme"), "Name"), "local-operator")
		sys.do(t, "role", "delete", text(dr["id"]))
		sys.list(t, "implied", "role", "list")
		sys.show(t, "implied", "role", "create", "--implied-role", "reader", "operator")
		has(t, "implied roles", column(sys.list(t, "implied", "role", "list"), "Prior Role Name"), "operator", "admin")
		sys.do(t, "implied", "role", "delete", "--implied-role", "reader", "operator")
	})

	t.Run("assignment", func(t *testing.T) {
		who := []string{"--user", "alice", "--user-domain", "acme"}
		for _, on := range []struct {
			name   string
			target []string
			col    string
			value  string
		}{
			{"project", []string{"--project", "alpha", "--project-domain", "acme"}, "Project", "alpha@acme"},
			{"domain", []string{"--domain", "acme"}, "Domain", "acme"},
			{"system", []string{"--system", "all"}, "System", "all"},
		} {
			t.Run(on.name, func(t *testing.T) {
				args := append(slices.Clone(who), on.target...)
				add := append([]string{"role", "add"}, append(slices.Clone(args), "member")...)
				sys.do(t, add...)
				sys.do(t, add...) // a second time changes nothing
				rows := sys.list(t, append([]string{"role", "assignment", "list", "--names"}, args...)...)
				if len(rows) != 1 {
					t.Fatalf("assignments: %v", rows)
				}
				equal(t, "role", rows[0]["Role"], "member")
				equal(t, "user", rows[0]["User"], "alice@acme")
				equal(t, on.col, rows[0][on.col], on.value)
				sys.do(t, append([]string{"role", "remove"}, append(slices.Clone(args), "member")...)...)
				if rows := sys.list(t, append([]string{"role", "assignment", "list"}, args...)...); len(rows) != 0 {
					t.Errorf("assignments after remove: %v", rows)
				}
				sys.refused(t, "404", append([]string{"role", "remove"}, append(slices.Clone(args), "member")...)...)
				sys.do(t, add...)
			})
		}
		eff := sys.list(t, append([]string{"role", "assignment", "list", "--names", "--effective", "--project", "alpha", "--project-domain", "acme"}, who...)...)
		has(t, "effective roles", column(eff, "Role"), "member", "reader")
		alice := newCLI(t, url, "OS_USERNAME=alice", "OS_PASSWORD="+alicePassword, "OS_USER_DOMAIN_NAME=acme", "OS_PROJECT_NAME=alpha", "OS_PROJECT_DOMAIN_NAME=acme")
		alice.show(t, "token", "issue")
		alice.refused(t, "identity:list_users", "user", "list")
		has(t, "own projects", column(alice.list(t, "project", "list", "--my-projects"), "Name"), "alpha")
	})

	t.Run("region, service, endpoint", func(t *testing.T) {
		sys.show(t, "region", "create", "--description", "north", "north")
		sys.show(t, "region", "create", "--parent-region", "north", "north-1")
		sys.refused(t, "409", "region", "create", "north")
		has(t, "region list", column(sys.list(t, "region", "list"), "Region"), "north", "north-1", "RegionOne")
		has(t, "by parent", column(sys.list(t, "region", "list", "--parent-region", "north"), "Region"), "north-1")
		sys.do(t, "region", "set", "--description", "changed", "north")
		equal(t, "region after set", sys.show(t, "region", "show", "north")["description"], "changed")

		s := sys.show(t, "service", "create", "--name", "mem", "--description", "a service", "memory-test")
		has(t, "service list", column(sys.list(t, "service", "list"), "Name"), "mem")
		equal(t, "by name", sys.show(t, "service", "show", "mem")["id"], s["id"])
		equal(t, "by type", sys.show(t, "service", "show", "memory-test")["id"], s["id"])
		sys.do(t, "service", "set", "--description", "changed", "mem")
		equal(t, "service after set", sys.show(t, "service", "show", "mem")["description"], "changed")

		e := sys.show(t, "endpoint", "create", "--region", "north", "mem", "public", "http://127.0.0.1:1/v1/$(project_id)s")
		equal(t, "endpoint's region", e["region"], "north")
		equal(t, "endpoint's service", e["service_id"], s["id"])
		has(t, "endpoint list", column(sys.list(t, "endpoint", "list", "--service", "mem"), "ID"), text(e["id"]))
		has(t, "by region and interface", column(sys.list(t, "endpoint", "list", "--region", "north", "--interface", "public"), "ID"), text(e["id"]))
		sys.do(t, "endpoint", "set", "--url", "http://127.0.0.1:2/$(project_id)s", text(e["id"]))
		equal(t, "endpoint after set", sys.show(t, "endpoint", "show", text(e["id"]))["url"], "http://127.0.0.1:2/$(project_id)s")
		tok := api.issue(t, byPassword(admin(), adminPassword, adminProject()))
		if found := endpointURL(tok.Body, "memory-test"); found != "http://127.0.0.1:2/"+text(dig(tok.Body, "project", "id")) {
			t.Errorf("in the catalog of a token: %q", found)
		}
		sys.refused(t, "403", "region", "delete", "north")
		sys.do(t, "endpoint", "delete", text(e["id"]))
		sys.do(t, "service", "delete", "mem")
		sys.do(t, "region", "delete", "north-1", "north")
		hasNot(t, "service list", column(sys.list(t, "service", "list"), "Name"), "mem")
		hasNot(t, "region list", column(sys.list(t, "region", "list"), "Region"), "north")
	})

	t.Run("trust", func(t *testing.T) {
		alice := newCLI(t, url, "OS_USERNAME=alice", "OS_PASSWORD="+alicePassword, "OS_USER_DOMAIN_NAME=acme", "OS_PROJECT_NAME=alpha", "OS_PROJECT_DOMAIN_NAME=acme")
		tok := alice.show(t, "token", "issue")
		// Who may not list roles names them by id.
		member := text(sys.show(t, "role", "show", "member")["id"])
		tr := alice.show(t, "trust", "create", "--project", text(tok["project_id"]), "--role", member, "--impersonate", text(tok["user_id"]), text(bob["id"]))
		equal(t, "roles", tr["roles"], "member")
		equal(t, "impersonation", tr["impersonation"], true)
		has(t, "trust list", column(sys.list(t, "trust", "list"), "ID"), text(tr["id"]))
		alice.refused(t, "identity:list_trusts", "trust", "list")
		equal(t, "show", alice.show(t, "trust", "show", text(tr["id"]))["trustee_user_id"], bob["id"])
		bob := newCLI(t, url, "OS_USERNAME=bob", "OS_PASSWORD="+bobPassword, "OS_USER_DOMAIN_NAME=acme", "OS_TRUST_ID="+text(tr["id"]))
		through := bob.show(t, "token", "issue")
		equal(t, "user of the token through the trust", through["user_id"], tok["user_id"])
		equal(t, "project of the token through the trust", through["project_id"], tok["project_id"])
		body := api.validate(t, sysToken.Text, text(through["id"])).want(t, "validate", 200).object(t)
		equal(t, "trust in the body", dig(body, "token", "OS-TRUST:trust", "id"), tr["id"])
		alice.refused(t, "", "trust", "create", "--project", text(tok["project_id"]), "--role", "admin", text(tok["user_id"]), text(tok["user_id"]))
		alice.do(t, "trust", "delete", text(tr["id"]))
		bob.refused(t, "401", "token", "issue")
		api.validate(t, sysToken.Text, text(through["id"])).want(t, "validate after the trust's end", 404)
		alice.refused(t, "", "trust", "show", text(tr["id"]))
	})

	t.Run("delete", func(t *testing.T) {
		tok := api.issue(t, byPassword(object{"id": alice["id"]}, alicePassword, systemScope()))
		sys.do(t, "role", "remove", "--user", text(alice["id"]), "--system", "all", "member")
		api.validate(t, sysToken.Text, tok.Text).want(t, "validate after the role was taken away", 404)
		sys.do(t, "role", "delete", "operator")
		sys.do(t, "user", "delete", "--domain", "acme", "alice", "bob")
		hasNot(t, "user list", column(sys.list(t, "user", "list"), "Name"), "alice", "bob")
		sys.do(t, "project", "delete", "--domain", "acme", "alpha")
		sys.do(t, "domain", "set", "--disable", "acme")
		sys.do(t, "domain", "delete", "acme")
		hasNot(t, "domain list", column(sys.list(t, "domain", "list"), "Name"), "acme")
	})
}

// endpointURL finds the public endpoint of a type of service in a token's catalog.
func endpointURL(body map[string]any, kind string) string {
	services, _ := body["catalog"].([]any)
	for _, s := range services {
		if dig(s, "type") != kind {
			continue
		}
		for _, e := range dig(s, "endpoints").([]any) {
			if dig(e, "interface") == "public" {
				return text(dig(e, "url"))
			}
		}
	}
	return ""
}
