package stigmem_test

import (
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/api/stigmem"
)

// onPath fills a route's parameters.
func onPath(pattern, value string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	for {
		i := strings.Index(path, "{")
		if i < 0 {
			return method, path
		}
		path = path[:i] + value + path[i+strings.Index(path[i:], "}")+1:]
	}
}

func TestEveryRouteAsksWhoItIs(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	open := []string{"GET /.well-known/stigmem", "GET /healthz", "GET /v1/doctor", "GET /v1/mcp/connectors"}
	for _, r := range n.Routes() {
		method, path := onPath(r.Pattern, "x")
		for name, headers := range map[string][]string{
			"nothing":          nil,
			"another scheme":   {"Authorization", "Basic YTpi"},
			"no key":           {"Authorization", "Bearer "},
			"no key at all":    {"Authorization", "Bearer"},
			"an unknown key":   {"Authorization", "Bearer " + strings.Repeat("k", 40)},
			"a key of a zero":  {"Authorization", "Bearer \x00"},
			"an unknown token": {"X-Auth-Token", "gAAAAABunknown"},
		} {
			got := n.do(method, path, "", `{}`, headers...)
			if slices.Contains(open, r.Pattern) != r.Open {
				t.Fatalf("%s is open: %v", r.Pattern, r.Open)
			}
			if r.Open {
				if got.Status != 200 {
					t.Errorf("%s with %s: %d %s", r.Pattern, name, got.Status, got.Body)
				}
				continue
			}
			if got.Status != 401 || got.Header.Get("Www-Authenticate") != "Bearer" ||
				got.Body != `{"detail":"Authorization header required"}` && got.Body != `{"detail":"Invalid or expired API key"}` {
				t.Errorf("%s with %s: %d %s", r.Pattern, name, got.Status, got.Body)
			}
		}
	}
}

// Whatever is sent, the answer is the protocol's own and no fault of the server's.
func TestGarbageIsRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	texts := []string{
		"%00", "%ff", "a%0ab", strings.Repeat("x", 5000), "%F0%9F%98%80", "..", "%2e%2e%2f", "'%20OR%201=1--", "%22", "%7B%7D", "sha256:", "sha256:%00",
		"stigmem://h/t/x", "-1", "9223372036854775808", "%25", "+", "nul", "\u202e",
	}
	bodies := []string{
		"", "null", "[]", `"x"`, "1", "{", "{}", `{"a":1,"a":2}`, `{"winning_fact_id":5}`, `{"winning_fact_id":"x","new_value":[]}`, `{"new_value":{"type":"number","v":{}}}`,
		`{"raw_key":"` + strings.Repeat("k", 2000) + `"}`, `{"raw_key":"` + strings.Repeat("k", 40) + `","entity_uri":"x","permissions":"read"}`,
		`{"raw_key":"` + strings.Repeat("k", 40) + `","entity_uri":"x","permissions":[1,null]}`, `{"entity":"\udfff"}`, "\xff\xfe", strings.Repeat("[", 100_000),
		`{"x":` + strings.Repeat("9", 100_000) + `}`, `{"confidence":` + strings.Repeat("9", 5000) + `}`, "\x00", `{"a":"` + strings.Repeat(`\u0000`, 1000) + `"}`,
		body("derived_from", "["+strings.Repeat(`{},`, 1000)+"{}]"),
	}
	names := []string{"entity", "relation", "source", "scope", "after", "cursor", "garden_id", "status", "fact_id", "entity_uri", "oidc_sub", "since",
		"until", "principal", "event_type", "limit", "within_days", "min_confidence", "attested"}
	for _, r := range n.Routes() {
		var targets []string
		for _, text := range texts {
			_, path := onPath(r.Pattern, text)
			targets = append(targets, path)
			if !strings.HasPrefix(r.Pattern, "GET ") {
				continue
			}
			_, path = onPath(r.Pattern, "x")
			for _, name := range names {
				targets = append(targets, path+"?"+name+"="+text)
			}
		}
		slices.Sort(targets)
		for _, target := range slices.Compact(targets) {
			method, _ := onPath(r.Pattern, "x")
			got := n.do(method, target, adminKey, "")
			if got.Status >= 500 && got.Status != 501 || !json.Valid([]byte(got.Body)) && got.Body != "" {
				t.Errorf("%s %s: %d %q", method, clip(target), got.Status, clip(got.Body))
			}
		}
		if !r.Body {
			continue
		}
		for _, b := range bodies {
			method, path := onPath(r.Pattern, "x")
			for _, contentType := range []string{"application/json", "text/plain", "application/problem+json; charset=utf-8", ";;;"} {
				got := n.do(method, path, adminKey, b, "Content-Type", contentType)
				if got.Status < 400 || got.Status >= 500 || !json.Valid([]byte(got.Body)) {
					t.Errorf("%s %s %q as %s: %d %q", method, path, clip(b), contentType, got.Status, clip(got.Body))
				}
			}
		}
	}
}

func TestSettlingAGarbledConflictChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	for _, v := range []string{"a", "b"} {
		n.do("POST", "/v1/facts", writerKey, body("value", `{"type":"string","v":"`+v+`"}`))
	}
	list, _ := n.do("GET", "/v1/conflicts", readerKey, "").object(t)["conflicts"].([]any)
	if len(list) != 1 {
		t.Fatal(list)
	}
	conflict, _ := list[0].(map[string]any)
	id, _ := conflict["conflict_id"].(string)
	for _, b := range []string{`{}`, `{"new_value":{"type":"number","v":"x"}}`, `{"new_value":{"type":"string","v":"x","interpret_as":"instruction"}}`, `{"winning_fact_id":"\u0000"}`} {
		if got := n.do("POST", "/v1/conflicts/"+id+"/resolve", writerKey, b); got.Status < 400 || got.Status >= 500 {
			t.Errorf("%s: %d %s", b, got.Status, got.Body)
		}
	}
	if got := n.do("GET", "/v1/conflicts?status=unresolved", readerKey, "").object(t); len(got["conflicts"].([]any)) != 1 {
		t.Errorf("afterwards: %v", got)
	}
	// The id is a name with colons, and reaches the route as it is.
	if got := n.do("POST", "/v1/conflicts/"+id+"/resolve", writerKey, `{"new_value":{"type":"string","v":"c"}}`); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

func TestMethodsSlashesAndUnknownPaths(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	for _, tt := range []struct {
		method, path, key string
		status            int
		header, value     string
		body              string
	}{
		{"PUT", "/v1/facts", adminKey, 405, "Allow", "GET, POST", `{"detail":"Method Not Allowed"}`},
		{"PUT", "/v1/facts", "", 405, "Allow", "GET, POST", `{"detail":"Method Not Allowed"}`},
		{"HEAD", "/v1/facts", adminKey, 405, "Allow", "GET, POST", ""},
		{"OPTIONS", "/v1/me", "", 405, "Allow", "GET", `{"detail":"Method Not Allowed"}`},
		{"HEAD", "/healthz", "", 405, "Allow", "GET", ""},
		{"GET", "/v1/facts/", "", 307, "Location", "http://testnode/v1/facts", ""},
		{"POST", "/v1/facts/?a=%2F&b", "", 307, "Location", "http://testnode/v1/facts?a=%2F&b", ""},
		{"GET", "/v1/me///", adminKey, 307, "Location", "http://testnode/v1/me", ""},
		{"GET", "/v1//facts", adminKey, 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "/v1/nosuch", adminKey, 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "/", "", 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "//", "", 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "/V1/facts", adminKey, 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "/v1/facts/stigmem:%2F%2Fh%2Ft%2Fx", readerKey, 404, "", "", `{"detail":"Not Found"}`},
		{"GET", "/v1/facts/nosuch", readerKey, 404, "", "", `{"detail":"fact not found"}`},
		{"DELETE", "/v1/auth/keys/nosuch", readerKey, 404, "", "", `{"detail":"Key not found"}`},
		{"get", "/v1/me", adminKey, 405, "Allow", "GET", `{"detail":"Method Not Allowed"}`},
	} {
		got := n.do(tt.method, tt.path, tt.key, "")
		if got.Status != tt.status || got.Body != tt.body || tt.header != "" && got.Header.Get(tt.header) != tt.value {
			t.Errorf("%s %s: %d %s %v; want %d %s", tt.method, tt.path, got.Status, got.Body, got.Header, tt.status, tt.body)
		}
	}
}

func TestAPanicIsOneAnswer(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	api := stigmem.New(stigmem.Deps{More: []stigmem.Route{{Pattern: "GET /v1/broken", Open: true, Handle: func(*stigmem.Call) (stigmem.Reply, error) { panic("broken") }}}})
	n.API = api
	got := n.do("GET", "/v1/broken", "", "")
	if got.Status != 500 || got.Body != "Internal Server Error" || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %q %v", got.Status, got.Body, got.Header)
	}
	var _ http.Handler = api
}

// A body costs memory in proportion to its size, whatever it is made of.
func TestBodiesAreReadInBoundedMemory(t *testing.T) {
	n := newNode(t, false)
	for _, unit := range []string{`{"a":1},`, `{},`, `[],`, `1,`, `"",`, `[{}],`} {
		b := "[" + strings.Repeat(unit, (1<<20-100)/len(unit)) + "1]"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if got := n.do("POST", "/v1/facts", writerKey, b); got.Status != 422 {
			t.Fatalf("%s: %d", unit, got.Status)
		}
		runtime.ReadMemStats(&after)
		if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 150 {
			t.Errorf("a MiB of %s took %d MiB", unit, used)
		}
	}
}

// A URI in a path reaches its route as it was sent.
func TestRawURIsInPaths(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	var got string
	n.API = stigmem.New(stigmem.Deps{More: []stigmem.Route{{Pattern: "GET /v1/things/{uri...}", Open: true, Handle: func(c *stigmem.Call) (stigmem.Reply, error) {
		got = c.PathValue("uri")
		return stigmem.Reply{}, nil
	}}}})
	for path, want := range map[string]string{
		"/v1/things/stigmem://h/user/alice":           "stigmem://h/user/alice",
		"/v1/things/stigmem%3A%2F%2Fh%2Fuser%2Falice": "stigmem://h/user/alice",
		"/v1/things/a/../b":                           "a/../b",
		"/v1/things//a//b":                            "/a//b",
	} {
		if a := n.do("GET", path, "", ""); a.Status != 200 || got != want {
			t.Errorf("%s: %d, the route sees %q, want %q", path, a.Status, got, want)
		}
	}
}
