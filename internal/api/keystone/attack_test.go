package keystone

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf16"
)

// The cases are named as in the reference of attack cases, sections J and K.
func TestAttack(t *testing.T) {
	for name, fn := range map[string]func(f *face){
		"J1_target_in_body":               bodyTarget,
		"J2_owner_in_query":               ownerInQuery,
		"J3_null_domains_compared":        nullDomains,
		"J4_domain_manager_reaches_out":   domainManager,
		"J5_domain_admin_on_system_rules": domainAdmin,
		"J12_endpoint_url_substitutions":  endpointURLs,
		"J13_immutable":                   immutableResources,
		"J14_implied_roles":               impliedRoles,
		"J15_mass_assignment":             massAssignment,
		"K6_existence":                    existence,
		"K15_bodies":                      badBodies,
		"K16_paging":                      badPaging,
		"K17_enabled_text":                enabledText,
		"K18_names":                       oddNames,
		"K10_passwords_in_answers":        secretsInAnswers,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFace(t)
			f.t = t
			fn(f)
		})
	}
}

// Whatever body and query claim about the target, policy sees what is stored.
func bodyTarget(f *face) {
	claims := []string{
		`{"target":{"user":{"id":"<user:nobody>","domain_id":"<acme>"},"project":{"id":"<web>","domain_id":"<acme>"},"domain":{"id":"<acme>"},` +
			`"group":{"domain_id":"<acme>"},"role":{"name":"reader","domain_id":"<acme>"}},"user_id":"<user:nobody>","target.user.domain_id":"<acme>"}`,
		`{"user":{"domain_id":"<acme>","name":"x"},"target":{"user":{"domain_id":"<acme>"}}}`,
	}
	f.make("p", "/v3/projects", `{"project":{"name":"p"}}`)
	f.make("g", "/v3/groups", `{"group":{"name":"g"}}`)
	for _, as := range []string{"nobody", "member", "manager", "domainreader"} {
		for _, body := range claims {
			for _, rq := range []string{
				"GET /v3/users/<user:admin>", "DELETE /v3/users/<user:admin>", "GET /v3/users/<user:admin>/groups", "GET /v3/users/<user:admin>/projects",
				"GET /v3/projects/<p>", "DELETE /v3/projects/<p>", "GET /v3/projects/<p>/tags", "DELETE /v3/projects/<p>/tags", "PUT /v3/projects/<p>/tags/x",
				"GET /v3/domains/default", "DELETE /v3/domains/default", "GET /v3/groups/<g>", "DELETE /v3/groups/<g>", "GET /v3/groups/<g>/users",
				"PUT /v3/groups/<g>/users/<user:admin>", "DELETE /v3/groups/<g>/users/<user:admin>", "GET /v3/services", "GET /v3/endpoints",
				"PUT /v3/projects/<p>/users/<user:nobody>/roles/<reader>", "GET /v3/projects/<p>/users/<user:nobody>/roles",
				"DELETE /v3/projects/<p>/users/<user:admin>/roles/<admin>", "PUT /v3/domains/default/users/<user:nobody>/roles/<reader>",
				"PUT /v3/system/users/<user:nobody>/roles/<admin>", "DELETE /v3/roles/<reader>", "PUT /v3/roles/<reader>/implies/<member>",
			} {
				method, path, _ := strings.Cut(rq, " ")
				f.want(403, as, method, path, body)
			}
		}
	}
}

func ownerInQuery(f *face) {
	for _, path := range []string{"/v3/users/<user:admin>", "/v3/users/<user:admin>/groups", "/v3/users/<user:admin>/projects"} {
		for _, q := range []string{"?user_id=<user:nobody>", "?target.user.id=<user:nobody>&target.user.domain_id=<acme>", "?domain_id=<acme>"} {
			f.want(403, "nobody", "GET", path+q, "")
		}
	}
}

func nullDomains(f *face) {
	for _, as := range []string{"member", "nobody"} {
		f.want(403, as, "GET", "/v3/projects/default", "")
		f.want(403, as, "PATCH", "/v3/projects/<acme>", `{"project":{"description":"x"}}`)
	}
	f.want(200, "member", "GET", "/v3/projects/<web>", "")
}

func domainManager(f *face) {
	f.make("p", "/v3/projects", `{"project":{"name":"p"}}`)
	const on = "/v3/projects/<web>/users/<user:member>/roles/"
	f.want(204, "manager", "PUT", on+"<member>", "")
	f.want(403, "manager", "PUT", on+"<admin>", "")
	f.want(403, "manager", "PUT", on+"<service>", "")
	f.want(403, "manager", "PUT", "/v3/projects/<web>/users/<user:admin>/roles/<member>", "") // an outsider
	f.want(403, "manager", "PUT", "/v3/projects/<p>/users/<user:member>/roles/<member>", "")
	f.want(403, "manager", "PUT", "/v3/system/users/<user:member>/roles/<reader>", "")
	f.want(204, "manager", "PUT", "/v3/OS-INHERIT/domains/<acme>/users/<user:member>/roles/<reader>/inherited_to_projects", "")
	f.want(403, "manager", "PUT", "/v3/OS-INHERIT/domains/default/users/<user:member>/roles/<reader>/inherited_to_projects", "")
	f.want(403, "manager", "PUT", "/v3/OS-INHERIT/domains/<acme>/users/<user:member>/roles/<admin>/inherited_to_projects", "")

	f.want(201, "manager", "POST", "/v3/users", `{"user":{"name":"new","domain_id":"<acme>"}}`)
	for _, kind := range []string{"user", "project", "group"} {
		f.want(403, "manager", "POST", "/v3/"+kind+"s", `{"`+kind+`":{"name":"n1"}}`)
		f.want(403, "manager", "POST", "/v3/"+kind+"s", `{"`+kind+`":{"name":"n2","domain_id":"default"}}`)
		f.want(201, "manager", "POST", "/v3/"+kind+"s", `{"`+kind+`":{"name":"n3","domain_id":"<acme>"}}`)
	}
	// A manager of a project has no domain, which is not the same as naming none.
	for _, kind := range []string{"user", "project", "group"} {
		f.want(403, "leader", "POST", "/v3/"+kind+"s", `{"`+kind+`":{"name":"n5"}}`)
		f.want(403, "leader", "POST", "/v3/"+kind+"s", `{"`+kind+`":{"name":"n5","domain_id":"<acme>"}}`)
	}
	f.want(403, "leader", "POST", "/v3/projects", `{"project":{"name":"n5","domain_id":null}}`)
	f.want(403, "manager", "POST", "/v3/projects", `{"project":{"name":"n4","is_domain":true}}`)
	f.want(400, "manager", "POST", "/v3/projects", `{"project":{"name":"n4","is_domain":true,"domain_id":"<acme>"}}`)
	f.want(400, "manager", "POST", "/v3/projects", `{"project":{"name":"n4","domain-id":"default","domain_id":"<acme>"}}`)
	f.want(400, "manager", "POST", "/v3/users", `{"user":{"name":"n4","domain:id":"default"}}`)
	f.want(403, "manager", "PATCH", "/v3/users/<user:admin>", `{"user":{"enabled":false}}`)
	f.want(403, "manager", "POST", "/v3/roles", `{"role":{"name":"x","domain_id":"<acme>"}}`)
	f.want(403, "manager", "DELETE", "/v3/domains/<acme>", "")
	// Lists show the manager's own domain only.
	for _, path := range []string{"/v3/users", "/v3/users?domain_id=default", "/v3/groups", "/v3/projects", "/v3/projects?domain_id=default", "/v3/role_assignments"} {
		a := f.want(200, "manager", "GET", path, "")
		if strings.Contains(a.text, `"domain_id":"default"`) || strings.Contains(a.text, f.vars["user:admin"]) {
			f.t.Errorf("GET %s: %s", path, a.text)
		}
	}
}

func domainAdmin(f *face) {
	// The one who is admin of a domain is still admin: what limits is the scope.
	for rq, body := range map[string]string{
		"POST /v3/domains": `{"domain":{"name":"x"}}`, "POST /v3/regions": `{"region":{}}`, "POST /v3/services": `{"service":{"type":"x"}}`,
		"POST /v3/roles": `{"role":{"name":"x"}}`, "GET /v3/services": "", "GET /v3/role_inferences": "",
		"PUT /v3/system/users/<user:member>/roles/<reader>": "", "PATCH /v3/domains/<acme>": `{"domain":{"description":"x"}}`,
		"DELETE /v3/domains/<acme>": "",
	} {
		method, path, _ := strings.Cut(rq, " ")
		f.says(f.want(403, "domainadmin", method, path, body), "You are not authorized to perform the requested action: identity:")
	}
}

func endpointURLs(f *face) {
	f.make("s", "/v3/services", `{"service":{"type":"x"}}`)
	for url, status := range map[string]int{
		"http://h/$(project_id)s": 201, "http://h/%(tenant_id)s": 201, "http://h/$(admin_token)s": 400, "http://h/%(password)s": 400,
		"http://h/{0.__class__}": 400, "http://h/%(project_id)": 400, "no scheme": 400, "": 400,
	} {
		u, err := json.Marshal(url)
		f.must(err)
		f.want(status, "admin", "POST", "/v3/endpoints", `{"endpoint":{"service_id":"<s>","interface":"public","url":`+string(u)+`}}`)
	}
}

func immutableResources(f *face) {
	f.make("p", "/v3/projects", `{"project":{"name":"p","options":{"immutable":true}}}`)
	f.make("d", "/v3/domains", `{"domain":{"name":"d","options":{"immutable":true}}}`)
	f.make("r", "/v3/roles", `{"role":{"name":"r","options":{"immutable": true }}}`)
	for kind, id := range map[string]string{"project": "<p>", "domain": "<d>", "role": "<r>"} {
		path := "/v3/" + kind + "s/" + id
		patch := func(in string) string { return `{"` + kind + `":` + in + `}` }
		f.says(f.want(403, "admin", "PATCH", path, patch(`{"name":"n"}`)), "Unable to update immutable "+kind)
		f.want(403, "admin", "PATCH", path, patch(`{"name":"n","options":{"immutable":false}}`))
		f.want(403, "admin", "PATCH", path, patch(`{"colour":"red","options":{"immutable":null}}`))
		f.want(403, "admin", "PATCH", path, patch(`{"options":{}}`))
		f.says(f.want(403, "admin", "DELETE", path, ""), "Unable to delete immutable "+kind)
		f.want(400, "admin", "PATCH", path, patch(`{"options":{"immutable":"false"}}`))
		f.want(400, "admin", "PATCH", path, patch(`{"options":{"other":true}}`))
		f.want(200, "admin", "PATCH", path, patch(`{"options":{"immutable":false}}`))
		f.want(200, "admin", "PATCH", path, patch(`{"name":"n"}`))
	}
	f.want(403, "admin", "DELETE", "/v3/roles/<admin>", "")
}

func impliedRoles(f *face) {
	f.make("local", "/v3/roles", `{"role":{"name":"local","domain_id":"<acme>"}}`)
	f.want(403, "admin", "PUT", "/v3/roles/<reader>/implies/<admin>", "")
	f.want(403, "admin", "PUT", "/v3/roles/<reader>/implies/<local>", "")
	f.want(201, "admin", "PUT", "/v3/roles/<local>/implies/<reader>", "")
	f.want(409, "admin", "PUT", "/v3/roles/<local>/implies/<reader>", "")
}

func massAssignment(f *face) {
	a := f.want(201, "admin", "POST", "/v3/users", `{"user":{"name":"m","id":"chosen","is_admin":true,"password_expires_at":"2001-01-01T00:00:00.000000",
		"links":{"self":"http://evil"},"extra":{"a":1},"created_at":"1999","original_password":"x","colour":"blue"}}`)
	u, _ := a.body["user"].(map[string]any)
	if u["id"] == "chosen" || u["password_expires_at"] != nil || u["created_at"] != "1999" || u["colour"] != "blue" || strings.Contains(a.text, "evil") ||
		strings.Contains(a.text, "original_password") {
		f.t.Errorf("created %s", a.text)
	}
	f.want(400, "admin", "PATCH", "/v3/users/<user:nobody>", `{"user":{"id":"other"}}`)
	f.want(400, "admin", "PATCH", "/v3/users/<user:nobody>", `{"user":{"domain_id":"default"}}`)
	for _, body := range []string{
		`{"user":{"enabled":true}}`, `{"user":{"options":{"ignore_lockout_failure_attempts":true}}}`, `{"user":{"password":"new"}}`,
		`{"user":{"default_project_id":"<web>"}}`, `{"user":{"email":"x"}}`,
	} {
		f.want(403, "nobody", "PATCH", "/v3/users/<user:nobody>", body)
		f.want(403, "member", "PATCH", "/v3/users/<user:member>", body)
	}
	f.want(400, "admin", "PATCH", "/v3/users/<user:nobody>", `{"user":{"options":{"is_admin":true}}}`)
	f.want(400, "admin", "POST", "/v3/projects", `{"project":{"name":"x","is_domain":"true"}}`)
}

// Who may not look learns nothing about what exists.
func existence(f *face) {
	for _, as := range []string{"nobody", "member", "manager"} {
		for _, rq := range []string{
			"GET /v3/users/%s", "GET /v3/projects/%s", "GET /v3/domains/%s", "GET /v3/groups/%s", "DELETE /v3/users/%s", "DELETE /v3/projects/%s",
			"DELETE /v3/domains/%s", "DELETE /v3/groups/%s", "GET /v3/services/%s", "GET /v3/endpoints/%s",
			"GET /v3/projects/%s/users/<user:nobody>/roles", "PUT /v3/projects/%s/users/<user:nobody>/roles/<reader>",
			"PUT /v3/projects/<web>/users/%s/roles/<admin>", "GET /v3/domains/%s/users/%[1]s/roles", "GET /v3/groups/%s/users/%[1]s",
		} {
			method, path, _ := strings.Cut(fmt.Sprintf(rq, "no-such-id"), " ")
			f.says(f.want(403, as, method, path, ""), "You are not authorized to perform the requested action: identity:")
		}
	}
	for _, rq := range []string{
		"GET /v3/projects/%s/users/<user:nobody>/roles", "GET /v3/projects/<web>/users/%s/roles", "GET /v3/domains/%s/groups/%[1]s/roles",
		"GET /v3/system/users/%s/roles", "GET /v3/users/%s", "GET /v3/projects/%s", "GET /v3/domains/%s", "GET /v3/groups/%s", "GET /v3/services/%s",
		"GET /v3/endpoints/%s", "GET /v3/roles/%s", "GET /v3/regions/%s", "PUT /v3/projects/%s/users/<user:nobody>/roles/<reader>",
		"PUT /v3/projects/<web>/users/%s/roles/<admin>", "PUT /v3/projects/<web>/users/<user:nobody>/roles/%s"} {
		method, path, _ := strings.Cut(fmt.Sprintf(rq, "no such name"), " ")
		f.says(f.want(404, "admin", method, strings.ReplaceAll(path, " ", "%20"), ""), "no such name")
	}
}

func badBodies(f *face) {
	post := func(contentType, body string) answer {
		r := httptest.NewRequest("POST", base+"/users", strings.NewReader(body))
		r.Header.Set("X-Auth-Token", "admin")
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		return f.send(r)
	}
	utf16le := func(s string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	const good = `{"user":{"name":"x%d"}}`
	for name, c := range map[string]struct {
		contentType, body string
		status            int
	}{
		"no content type":       {"", fmt.Sprintf(good, 1), 201},
		"charset":               {"application/json; charset=utf-8", fmt.Sprintf(good, 2), 201},
		"form":                  {"application/x-www-form-urlencoded", fmt.Sprintf(good, 3), 400},
		"empty":                 {"application/json", "", 400},
		"array":                 {"application/json", "[]", 400},
		"null":                  {"application/json", "null", 400},
		"text":                  {"application/json", `"x"`, 400},
		"cut off":               {"application/json", `{"user":{"name":"x"`, 400},
		"deep":                  {"application/json", strings.Repeat(`{"user":`, 100_000), 400},
		"deep and closed":       {"application/json", strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), 400},
		"duplicate names":       {"application/json", `{"user":{"name":"x","name":"y"}}`, 400},
		"duplicate by escape":   {"application/json", `{"user":{"name":"x","n\u0061me":"y"}}`, 400},
		"NaN":                   {"application/json", `{"user":{"name":"x","a":NaN}}`, 400},
		"byte order mark":       {"application/json", "\ufeff" + fmt.Sprintf(good, 4), 400},
		"UTF-16":                {"application/json", utf16le(fmt.Sprintf(good, 5)), 400},
		"lone surrogate":        {"application/json", `{"user":{"name":"\ud800"}}`, 400},
		"not UTF-8":             {"application/json", "{\"user\":{\"name\":\"\xff\"}}", 400},
		"zero character":        {"application/json", `{"user":{"name":"a\u0000b"}}`, 400},
		"zero in an option":     {"application/json", `{"user":{"name":"a","options":{"\u0000":true}}}`, 400},
		"no object":             {"application/json", `{"project":{"name":"x"}}`, 400},
		"object is a list":      {"application/json", `{"user":[]}`, 400},
		"object is null":        {"application/json", `{"user":null}`, 400},
		"something beside it":   {"application/json", `{"user":{"name":"x"},"more":1}`, 400},
		"name is a number":      {"application/json", `{"user":{"name":1}}`, 400},
		"name is null":          {"application/json", `{"user":{"name":null}}`, 400},
		"password is a number":  {"application/json", `{"user":{"name":"x","password":1}}`, 400},
		"over the limit":        {"application/json", `{"user":{"name":"x","a":"` + strings.Repeat("a", DefaultMaxBody) + `"}}`, 413},
		"large, within":         {"application/json", `{"user":{"name":"large","a":"` + strings.Repeat("a", 200_000) + `"}}`, 201},
		"zero in an attribute":  {"application/json", `{"user":{"name":"x6","a":"\u0000"}}`, 201},
		"emoji":                 {"application/json", `{"user":{"name":"x7 😀"}}`, 201},
		"odd default project":   {"application/json", `{"user":{"name":"x8","default_project_id":"a/b c"}}`, 201},
		"long id":               {"application/json", `{"user":{"name":"x9","domain_id":"` + strings.Repeat("d", 65) + `"}}`, 400},
		"tags of a wrong kind":  {"application/json", `{"user":{"name":"x10","options":{"multi_factor_auth_rules":[["a","a"]]}}}`, 400},
		"rules of a right kind": {"application/json", `{"user":{"name":"x11","options":{"multi_factor_auth_rules":[["password","totp"]]}}}`, 201},
	} {
		a := post(c.contentType, c.body)
		if a.StatusCode != c.status {
			f.t.Errorf("%s: %d %.300s, want %d", name, a.StatusCode, a.text, c.status)
		} else if c.status >= 400 {
			f.says(a, "")
			if len(a.text) > 2000 {
				f.t.Errorf("%s: the answer repeats %d bytes", name, len(a.text))
			}
		}
	}
}

func badPaging(f *face) {
	for q, status := range map[string]int{
		"limit=abc": 400, "limit=-1": 400, "limit=0": 400, "limit=1e9": 400, "limit=1.5": 400, "limit=1000000000": 200,
		"limit=99999999999999999999999": 200, "limit=": 200, "limit=1": 200, "limit=%00": 400, "marker=nothing": 404, "marker=": 200,
		"marker=%00": 400, "sort_dir=up": 400, "sort_dir=asc&sort_key=name": 200, "unknown=1": 200, "name__regex=x": 200, "%zz": 400,
		"enabled=maybe": 400, "enabled=false": 200, "enabled": 200, "name=%20": 400, "domain_id=a/b": 400, "name=%00": 200,
		"password_expires_at=xx:2020-01-01T00:00:00Z": 400, "password_expires_at=lt:never": 400, "password_expires_at=lt:2020-01-01T00:00:00Z": 200,
		"idp_id=x": 200,
	} {
		f.want(status, "admin", "GET", "/v3/users?"+q, "")
	}
	f.want(404, "admin", "GET", "/v3/domains?marker=<web>", "") // a project is no domain
}

func enabledText(f *face) {
	for _, v := range []string{`"false"`, `"true"`, `0`, `1`, `null`, `[]`} {
		f.want(400, "admin", "POST", "/v3/users", `{"user":{"name":"x","enabled":`+v+`}}`)
		f.want(400, "admin", "POST", "/v3/domains", `{"domain":{"name":"x","enabled":`+v+`}}`)
		f.want(400, "admin", "POST", "/v3/projects", `{"project":{"name":"x","enabled":`+v+`}}`)
		f.want(400, "admin", "PATCH", "/v3/services/x", `{"service":{"enabled":`+v+`}}`)
	}
}

func oddNames(f *face) {
	f.make("a", "/v3/users", `{"user":{"name":"  ann  "}}`)
	f.want(409, "admin", "POST", "/v3/users", `{"user":{"name":"ann"}}`)
	f.make("b", "/v3/users", `{"user":{"name":"Ann"}}`)                                           // letters of another case are another name
	f.make("c", "/v3/users", `{"user":{"name":"\u0061\u0301nn"}}`)                                // as are other code points
	f.make("d", "/v3/users", `{"user":{"name":"\ud83d\ude00"}}`)                                  // four bytes of UTF-8
	f.want(400, "admin", "POST", "/v3/users", `{"user":{"name":" \u00a0\u3000 "}}`)               // blanks of any script
	f.want(400, "admin", "POST", "/v3/users", `{"user":{"name":"`+strings.Repeat("x", 256)+`"}}`) // too long
	f.want(201, "admin", "POST", "/v3/users", `{"user":{"name":"`+strings.Repeat("é", 255)+`"}}`)
	for _, n := range []string{"Federated", "federated", "FEDERATED"} {
		f.want(400, "admin", "POST", "/v3/domains", `{"domain":{"name":"`+n+`"}}`)
	}
	f.want(400, "admin", "POST", "/v3/domains", `{"domain":{"name":"x","explicit_domain_id":"Federated"}}`)
	f.want(400, "admin", "POST", "/v3/domains", `{"domain":{"name":"x","explicit_domain_id":"ABCDEF0123456789abcdef0123456789"}}`)
	f.want(201, "admin", "POST", "/v3/domains", `{"domain":{"name":"x","explicit_domain_id":"abcdef0123456789abcdef0123456789"}}`)
}

func secretsInAnswers(f *face) {
	const secret = "hunter2-in-the-clear"
	for _, body := range []string{
		`{"user":{"name":"s","password":"` + secret + `"}}`, `{"user":{"name":"s","password":["` + secret + `"]}}`,
		`{"user":{"name":"s","original_password":"` + secret + `"}}`,
	} {
		if a := f.do("admin", "POST", "/v3/users", body); strings.Contains(a.text, secret) {
			f.t.Errorf("POST %s: %s", body, a.text)
		}
	}
	for _, body := range []string{
		`{"user":{"original_password":"` + secret + `","password":"` + secret + `"}}`, `{"user":{"original_password":["` + secret + `"],"password":"x"}}`,
		`{"user":{"password":"` + secret + `"}}`, `{"user":{"original_password":"x","password":"y","` + secret + `":1}}`,
	} {
		a := f.do("", "POST", "/v3/users/<user:nobody>/password", body)
		if a.StatusCode != http.StatusUnauthorized && a.StatusCode != http.StatusBadRequest || strings.Contains(a.text, secret) {
			f.t.Errorf("POST %s: %d %s", body, a.StatusCode, a.text)
		}
	}
	f.want(401, "", "POST", "/v3/users/no-such-user/password", `{"user":{"original_password":"a","password":"b"}}`)
	if strings.Contains(f.log.String(), secret) {
		f.t.Error("the log holds a password")
	}
}
