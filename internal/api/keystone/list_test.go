package keystone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/identity"
)

// namesIn returns the names of a list's members, sorted.
func namesIn(a answer, plural string) string {
	var out []string
	list, _ := a.body[plural].([]any)
	for _, x := range list {
		m, _ := x.(map[string]any)
		n, _ := m["name"].(string)
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestFilters(t *testing.T) {
	f := newFace(t)
	for _, p := range []string{
		`{"name":"red","domain_id":"<acme>","tags":["a","b"]}`, `{"name":"green","domain_id":"<acme>","tags":["b"],"enabled":false}`,
		`{"name":"Greenish","domain_id":"<acme>"}`,
	} {
		f.make("p", "/v3/projects", `{"project":`+p+`}`)
	}
	f.make("child", "/v3/projects", `{"project":{"name":"child","domain_id":"<acme>","parent_id":"<p>"}}`)
	for q, want := range map[string]string{
		"domain_id=<acme>":                           "Greenish child green red web",
		"domain_id=<acme>&enabled=false":             "green",
		"domain_id=<acme>&enabled=0":                 "green",
		"domain_id=<acme>&enabled=TRUE":              "Greenish child red web",
		"domain_id=<acme>&enabled":                   "Greenish child red web",
		"name=red":                                   "red",
		"name=Red":                                   "",
		"name=red&name=green":                        "",
		"name__contains=green":                       "green",
		"name__icontains=GREEN":                      "Greenish green",
		"name__startswith=g":                         "green",
		"name__istartswith=g":                        "Greenish green",
		"name__endswith=ish":                         "Greenish",
		"name__iendswith=ED":                         "red",
		"domain_id=<acme>&name__regex=x":             "Greenish child green red web",
		"domain_id=<acme>&colour=x":                  "Greenish child green red web",
		"tags=a":                                     "red",
		"tags=a,b":                                   "red",
		"tags-any=a,b":                               "green red",
		"domain_id=<acme>&not-tags=a,b":              "Greenish child green web",
		"domain_id=<acme>&not-tags-any=a,b":          "Greenish child web",
		"parent_id=<p>":                              "child",
		"is_domain=true&name__contains=a":            "Default acme",
		"is_domain=1&domain_id=x":                    "",
		"domain_id=<acme>&is_domain=0&parent_id=<p>": "child",
	} {
		a := f.want(200, "admin", "GET", "/v3/projects?"+q, "")
		if got := namesIn(a, "projects"); got != want {
			t.Errorf("projects?%s: %q, want %q", q, got, want)
		}
	}
	for q, want := range map[string]string{
		"domain_id=<acme>&name__contains=man": "manager-user", "name=nobody-user": "nobody-user", "idp_id=x": "", "enabled=false": "",
		"password_expires_at=gt:2020-01-01T00:00:00Z": "",
	} {
		if got := namesIn(f.want(200, "admin", "GET", "/v3/users?"+q, ""), "users"); got != want {
			t.Errorf("users?%s: %q, want %q", q, got, want)
		}
	}
	f.make("local", "/v3/roles", `{"role":{"name":"local","domain_id":"<acme>"}}`)
	if got := namesIn(f.want(200, "admin", "GET", "/v3/roles", ""), "roles"); got != "admin manager member reader service" {
		t.Errorf("roles: %q", got)
	}
	if got := namesIn(f.want(200, "admin", "GET", "/v3/roles?domain_id=<acme>", ""), "roles"); got != "local" {
		t.Errorf("roles of acme: %q", got)
	}
}

// Following next from the first page to the last gives every member once.
func TestPages(t *testing.T) {
	f := newFace(t)
	for i := range 7 {
		f.make("u", "/v3/users", fmt.Sprintf(`{"user":{"name":"page %d","domain_id":"<acme>"}}`, i))
	}
	var got []string
	pages := 0
	for next := "/v3/users?name__startswith=page&limit=3"; next != ""; pages++ {
		a := f.want(200, "admin", "GET", strings.ReplaceAll(next, " ", "%20"), "")
		if n := namesIn(a, "users"); n != "" {
			got = append(got, n)
		}
		links, _ := a.body["links"].(map[string]any)
		truncated, _ := a.body["truncated"].(bool)
		n, full := links["next"].(string)
		if full != truncated || links["previous"] != nil {
			t.Errorf("page %d: next %q, truncated %v", pages, n, truncated)
		}
		next = strings.TrimPrefix(n, "http://keystone.test")
	}
	all := strings.ReplaceAll(strings.Join(got, " "), "page ", "")
	words := strings.Fields(all)
	slices.Sort(words)
	if pages != 3 || strings.Join(words, "") != "0123456" {
		t.Errorf("%d pages: %q", pages, got)
	}
	f.api.MaxPage = 2
	if a := f.want(200, "admin", "GET", "/v3/users?limit=500", ""); strings.Count(a.text, `"password_expires_at"`) != 2 {
		t.Errorf("a page over the bound: %s", a.text)
	}
	f.api.PageSize = 1
	if a := f.want(200, "admin", "GET", "/v3/users", ""); strings.Count(a.text, `"password_expires_at"`) != 1 || a.body["truncated"] != true {
		t.Errorf("a list over the default bound: %s", a.text)
	}
}

func TestRoleAssignments(t *testing.T) {
	f := newFace(t)
	f.make("g", "/v3/groups", `{"group":{"name":"g","domain_id":"<acme>"}}`)
	f.want(204, "admin", "PUT", "/v3/groups/<g>/users/<user:nobody>", "")
	f.want(204, "admin", "PUT", "/v3/OS-INHERIT/domains/<acme>/groups/<g>/roles/<member>/inherited_to_projects", "")
	f.want(204, "admin", "PUT", "/v3/projects/<web>/users/<user:member>/roles/<reader>", "")
	f.want(204, "admin", "PUT", "/v3/system/users/<user:reader>/roles/<reader>", "")

	a := f.want(200, "admin", "GET", "/v3/role_assignments?group.id=<g>", "")
	want := f.fill(`{"role_assignments":[{"links":{"assignment":"` + base + `/OS-INHERIT/domains/<acme>/groups/<g>/roles/<member>/inherited_to_projects"},` +
		`"scope":{"domain":{"id":"<acme>"},"OS-INHERIT:inherited_to":"projects"},"group":{"id":"<g>"},"role":{"id":"<member>"}}],` +
		`"links":{"next":null,"self":"` + base + `/role_assignments?group.id=<g>","previous":null}}`)
	if a.text != want {
		t.Errorf("got  %s\nwant %s", a.text, want)
	}
	a = f.want(200, "admin", "GET", "/v3/role_assignments?effective&user.id=<user:nobody>&role.id=<reader>&include_names", "")
	want = f.fill(`{"role_assignments":[{"links":{"membership":"` + base + `/groups/<g>/users/<user:nobody>","assignment":"` + base +
		`/OS-INHERIT/domains/<acme>/groups/<g>/roles/<member>/inherited_to_projects","prior_role":"` + base + `/prior_role/<reader>/implies/<member>"},` +
		`"scope":{"project":{"id":"<web>","name":"web","domain":{"id":"<acme>","name":"acme"}},"OS-INHERIT:inherited_to":"projects"},` +
		`"user":{"id":"<user:nobody>","name":"nobody-user","domain":{"id":"<acme>","name":"acme"}},"role":{"id":"<reader>","name":"reader"}}],`)
	if !strings.HasPrefix(a.text, want) {
		t.Errorf("got  %s\nwant %s", a.text, want)
	}
	for q, n := range map[string]int{
		"": 5, "scope.system=all": 2, "scope.system=all&user.id=<user:reader>": 1, "scope.domain.id=<acme>": 1, "scope.project.id=<web>": 1,
		"scope.OS-INHERIT:inherited_to=projects": 1, "scope.OS-INHERIT:inherited_to=x": 4, "effective&scope.project.id=<web>": 3,
		"effective=0&scope.project.id=<web>": 1, "role.id=<reader>": 2, "user.id=nothing": 0, "scope.project.id=<web>&include_subtree": 1,
	} {
		a := f.want(200, "admin", "GET", "/v3/role_assignments?"+q, "")
		if got := strings.Count(a.text, `"scope":`); got != n {
			t.Errorf("role_assignments?%s: %d, want %d: %s", q, got, n, a.text)
		}
	}
	for _, q := range []string{
		"scope.project.id=x&scope.domain.id=y", "scope.system=all&scope.domain.id=y", "scope.project.id=x&scope.system=all", "user.id=x&group.id=y",
		"effective&group.id=x", "effective&scope.domain.id=x&scope.OS-INHERIT:inherited_to=projects", "include_subtree", "role.id=a/b", "group.id=",
	} {
		f.says(f.want(400, "admin", "GET", "/v3/role_assignments?"+q, ""), "")
	}
	// A domain's reader sees that domain only.
	a = f.want(200, "domainreader", "GET", "/v3/role_assignments", "")
	if n := strings.Count(a.text, `"scope":`); n != 2 || strings.Contains(a.text, "system") {
		t.Errorf("assignments of acme: %s", a.text)
	}
	f.want(200, "domainreader", "GET", "/v3/role_assignments?scope.project.id=<web>&include_subtree", "")
	p := f.make("foreign", "/v3/projects", `{"project":{"name":"foreign"}}`)
	f.want(403, "domainreader", "GET", "/v3/role_assignments?scope.project.id=<foreign>&include_subtree", "")
	f.want(403, "domainreader", "GET", "/v3/role_assignments?scope.project.id=no-such-project&include_subtree", "")
	f.want(404, "admin", "GET", "/v3/role_assignments?scope.project.id=no-such-project&include_subtree", "")
	_ = p
}

func TestProjectTrees(t *testing.T) {
	f := newFace(t)
	f.make("a", "/v3/projects", `{"project":{"name":"a","domain_id":"<acme>"}}`)
	f.make("b", "/v3/projects", `{"project":{"name":"b","domain_id":"<acme>","parent_id":"<a>"}}`)
	f.make("c", "/v3/projects", `{"project":{"name":"c","domain_id":"<acme>","parent_id":"<b>"}}`)
	for q, want := range map[string]string{
		"parents_as_ids":   `"parents":{"<b>":{"<a>":{"<acme>":null}}}`,
		"subtree_as_ids":   `"subtree":null`,
		"parents_as_list":  `"parents":[]`,
		"subtree_as_list":  `"subtree":[]`,
		"parents_as_ids=0": `"options":{},"links"`,
	} {
		if a := f.want(200, "admin", "GET", "/v3/projects/<c>?"+q, ""); !strings.Contains(a.text, f.fill(want)) {
			t.Errorf("%s: %s, want %s", q, a.text, f.fill(want))
		}
	}
	if a := f.want(200, "admin", "GET", "/v3/projects/<a>?subtree_as_ids", ""); !strings.Contains(a.text, f.fill(`"subtree":{"<b>":{"<c>":null}}`)) {
		t.Errorf("below a: %s", a.text)
	}
	if a := f.want(200, "admin", "GET", "/v3/projects/<acme>?parents_as_ids", ""); !strings.Contains(a.text, `"parents":null`) {
		t.Errorf("above a domain: %s", a.text)
	}
	f.want(400, "admin", "GET", "/v3/projects/<a>?parents_as_ids&parents_as_list", "")
	f.want(400, "admin", "GET", "/v3/projects/<a>?subtree_as_ids&subtree_as_list", "")
	// As lists they hold what the caller has roles on.
	f.must(f.dir.Grant(t.Context(), identity.Assignment{
		Actor: identity.Actor{UserID: f.vars["user:admin"]}, Target: identity.Target{ProjectID: f.vars["a"]}, RoleID: f.vars["reader"],
	}))
	a := f.want(200, "admin", "GET", "/v3/projects/<c>?parents_as_list", "")
	if !strings.Contains(a.text, `"parents":[{"project":{"id":"`+f.vars["a"]) || strings.Contains(a.text, `"name":"b"`) {
		t.Errorf("parents with a role: %s", a.text)
	}
}

func TestTagRoutes(t *testing.T) {
	f := newFace(t)
	const tags = "/v3/projects/<web>/tags"
	a := f.want(200, "admin", "PUT", tags, `{"tags":["x y","b"]}`)
	if want := `{"links":{"self":"` + base + f.fill(`/projects/<web>/tags`) + `"},"tags":["b","x y"]}`; a.text != want {
		t.Errorf("PUT tags: %s, want %s", a.text, want)
	}
	f.want(204, "admin", "GET", tags+"/x%20y", "")
	f.says(f.want(404, "admin", "GET", tags+"/none", ""), "Could not find project tag: none.")
	a = f.want(201, "admin", "PUT", tags+"/new", "")
	if a.text != "" || !strings.HasSuffix(a.Header.Get("Location"), "/tags/new") {
		t.Errorf("PUT one: %q, Location %q", a.text, a.Header.Get("Location"))
	}
	f.want(400, "admin", "PUT", tags+"/a,b", "")
	f.want(400, "admin", "PUT", tags, `{"tags":["a","a"]}`)
	f.want(400, "admin", "PUT", tags, `{"tags":["a",1]}`)
	f.want(400, "admin", "PUT", tags, `{"tags":"a"}`)
	f.want(400, "admin", "PUT", tags, `{}`)
	f.want(404, "admin", "DELETE", tags+"/none", "")
	f.want(200, "member", "GET", tags, "")
	f.want(403, "member", "PUT", tags+"/mine", "")
}
