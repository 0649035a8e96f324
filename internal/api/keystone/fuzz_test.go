package keystone

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// fuzzed are the requests with a body, one of each kind of resource.
var fuzzed = []struct{ method, path string }{
	{"POST", "/v3/users"}, {"PATCH", "/v3/users/<user:nobody>"}, {"POST", "/v3/users/<user:nobody>/password"}, {"POST", "/v3/projects"},
	{"PATCH", "/v3/projects/<web>"}, {"POST", "/v3/domains"}, {"PATCH", "/v3/domains/<acme>"}, {"POST", "/v3/groups"}, {"POST", "/v3/roles"},
	{"PATCH", "/v3/roles/<reader>"}, {"POST", "/v3/regions"}, {"PUT", "/v3/regions/x"}, {"PATCH", "/v3/regions/RegionOne"}, {"POST", "/v3/services"},
	{"POST", "/v3/endpoints"}, {"PUT", "/v3/projects/<web>/tags"},
}

// Whatever the body, a request is answered, in the protocol's shape, without a
// failure of ours: send checks that no answer is a 5xx.
func FuzzBodies(f *testing.F) {
	for i := range fuzzed {
		for _, body := range []string{
			`{}`, `[]`, `{"user":{}}`, `{"user":{"name":"n","enabled":true,"options":{"multi_factor_auth_rules":[["a"]]},"x":{"y":[1,2]}}}`,
			`{"user":{"original_password":"a","password":"b"}}`, `{"project":{"name":"n","tags":["a"],"options":{"immutable":null},"parent_id":null}}`,
			`{"domain":{"name":"n","explicit_domain_id":"0123456789abcdef0123456789abcdef"}}`, `{"group":{"name":"n","description":null}}`,
			`{"role":{"name":"n","domain_id":"x"}}`, `{"region":{"id":"x","parent_region_id":"x"}}`, `{"service":{"type":"x","name":"\u0000"}}`,
			`{"endpoint":{"interface":"public","service_id":"x","url":"http://$(x)s","region":"y"}}`, `{"tags":["a","a"]}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	face := newFace(f)
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		rq := fuzzed[int(which)%len(fuzzed)]
		face.t = t
		r := httptest.NewRequest(rq.method, "http://keystone.test"+face.fill(rq.path), strings.NewReader(string(body)))
		r.Header.Set("X-Auth-Token", "admin")
		face.send(r)
	})
}

// The same for queries of lists.
func FuzzQueries(f *testing.F) {
	for _, q := range []string{
		"limit=1&marker=x", "name__contains=%25", "password_expires_at=lt:2020-01-01T00:00:00Z", "tags=a,b&not-tags-any=c", "enabled=x", "effective&include_names",
		"scope.project.id=x&include_subtree", "%zz", "a=%00", "sort_dir=asc", "domain_id=", "limit=-1", "limit=9999999999999999999999",
	} {
		for i := range uint8(8) {
			f.Add(i, q)
		}
	}
	face := newFace(f)
	paths := []string{"/v3/users", "/v3/projects", "/v3/domains", "/v3/groups", "/v3/roles", "/v3/role_assignments", "/v3/endpoints", "/v3/regions"}
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		face.t = t
		r := httptest.NewRequest("GET", "http://keystone.test"+paths[int(which)%len(paths)], nil)
		r.URL.RawQuery = query
		r.Header.Set("X-Auth-Token", "admin")
		face.send(r)
	})
}
