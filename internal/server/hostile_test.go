package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"symbolon/internal/api/keystone"
	"symbolon/internal/api/stigmem"
	"symbolon/internal/apikey"
	"symbolon/internal/config"
	"symbolon/internal/obs"
	"symbolon/internal/testkit"
)

// What the battery sends as secrets. No answer and no log line may hold one.
const (
	hostilePassword = "Pa55-marker-zzqx-never-shown"
	hostileKey      = "key-marker-zzqx-never-shown-0123456789"
	hostileToken    = "gAAAAABmarker-zzqx-never-shown"
)

// A victim is a running node with what it takes to be let in, and its log.
type victim struct {
	t      *testing.T
	node   *Node
	addr   string
	client *http.Client
	log    *logBuffer
	token  string // of the administrator, for the system
	key    string // an API key that may do all

	mu     sync.Mutex // guards what follows
	sent   int
	slow   []string
	faults map[string]int
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startVictim runs a whole node on a free port of this machine.
func startVictim(t *testing.T) *victim {
	t.Helper()
	c := config.Default()
	c.Data, c.Listen, c.Auth.BcryptRounds, c.Bootstrap.Password = t.TempDir()+"/data", "127.0.0.1:0", 4, hostilePassword
	c.DrainTimeout, c.Federation.Push = time.Second, true
	v := &victim{t: t, log: &logBuffer{}, faults: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := Listen(ctx, &c)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(ctx, &c, Options{Log: obs.NewLog(v.log, "json", -4), Now: time.Now, Version: "test", FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	v.node = n
	ready, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- n.Run(ctx, ln, func(net.Addr) { close(ready) }) }()
	t.Cleanup(func() {
		v.client.CloseIdleConnections()
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		n.Close()
	})
	<-ready
	v.addr = ln.Addr().String()
	v.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	if _, err := n.Keys.Create(ctx, apikey.Request{Raw: hostileKey, Entity: "agent:hostile",
		Permissions: []string{"read", "write", "federate", "admin", "admin:federation", "audit.read", "instruction:write"}}); err != nil {
		t.Fatal(err)
	}
	v.key = hostileKey
	res, err := v.client.Post("http://"+v.addr+"/v3/auth/tokens", "application/json", strings.NewReader(loginBody))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if v.token = res.Header.Get("X-Subject-Token"); v.token == "" {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("login: %s %s", res.Status, b)
	}
	return v
}

const loginBody = `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","domain":{"id":"default"},"password":"` + hostilePassword +
	`"}}},"scope":{"system":{"all":true}}}}`

// A shot is one request of the battery. A nil header value is none.
type shot struct {
	method, path, name string
	header             http.Header
	body               string
	chunked            bool
}

// face says which protocol a path's answers are of.
func (s *shot) memory() bool {
	return strings.HasPrefix(s.path, "/v1") || strings.HasPrefix(s.path, "/healthz") || strings.HasPrefix(s.path, "/.well-known")
}

// fire sends a shot and looks at the answer.
func (v *victim) fire(s shot) {
	var body io.Reader
	if s.body != "" {
		body = strings.NewReader(s.body)
		if s.chunked {
			body = struct{ io.Reader }{body}
		}
	}
	req, err := http.NewRequestWithContext(v.t.Context(), s.method, "http://"+v.addr+"/", body)
	if err != nil {
		v.t.Error(err)
		return
	}
	path, query, _ := strings.Cut(s.path, "?")
	req.URL.Opaque, req.URL.RawQuery = "//"+v.addr+path, query
	if s.memory() {
		req.Header.Set("Authorization", "Bearer "+v.key)
	} else {
		req.Header.Set("X-Auth-Token", v.token)
	}
	if s.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, vals := range s.header {
		req.Header[k] = vals
	}
	begun := time.Now()
	res, err := v.client.Do(req)
	if err != nil {
		// The client refuses to send some of it, and a node may hang up on a body that it does not read.
		if !strings.Contains(err.Error(), "invalid header") && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "broken pipe") {
			v.fault(&s, "no answer: %v", err)
		}
		return
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	res.Body.Close()
	took := time.Since(begun)
	v.mu.Lock()
	v.sent++
	if took > hangs() {
		v.slow = append(v.slow, fmt.Sprintf("%s %.60q %s took %v", s.method, s.path, s.name, took))
	}
	v.mu.Unlock()
	if err != nil {
		v.fault(&s, "the answer breaks off: %v", err)
		return
	}
	v.judge(&s, res, answer)
}

func (v *victim) fault(s *shot, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := fmt.Sprintf("%s %.100q, %s: ", s.method, s.path, s.name) + fmt.Sprintf(format, args...)
	v.faults[k]++
}

// judge checks an answer: no fault of the node's, the protocol's own shape, nothing
// secret.
func (v *victim) judge(s *shot, res *http.Response, answer []byte) {
	if res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented {
		v.fault(s, "%d %.200s", res.StatusCode, answer)
		return
	}
	for _, secret := range []string{v.token, hostilePassword, hostileKey, hostileToken} {
		if bytes.Contains(answer, []byte(secret)) {
			v.fault(s, "%d: the answer holds a secret: %.300s", res.StatusCode, answer)
		}
	}
	if res.StatusCode < 400 || s.method == http.MethodHead || res.Header.Get("X-Openstack-Request-Id") == "" {
		return // net/http itself refuses what is no HTTP
	}
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		if res.StatusCode != http.StatusNotFound || s.memory() || !strings.HasPrefix(ct, "text/html") {
			v.fault(s, "%d in %q: %.200s", res.StatusCode, ct, answer)
		}
		return
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(answer, &got); err != nil {
		v.fault(s, "%d: no JSON object: %v: %.200s", res.StatusCode, err, answer)
		return
	}
	switch {
	case s.memory():
		if got["detail"] == nil || len(got) != 1 {
			v.fault(s, "%d: no detail: %.200s", res.StatusCode, answer)
		}
	case res.StatusCode == http.StatusMethodNotAllowed:
		if got["message"] == nil || res.Header.Get("Allow") == "" {
			v.fault(s, "no message or Allow: %.200s", answer)
		}
	default:
		var e struct {
			Code           int
			Message, Title string
		}
		if err := json.Unmarshal(got["error"], &e); err != nil || e.Code != res.StatusCode || e.Message == "" || e.Title == "" {
			v.fault(s, "%d: no error object: %.200s", res.StatusCode, answer)
		}
	}
}

var param = regexp.MustCompile(`\{[^}]*\}`)

// targets are the node's routes by the tables of both faces, with the methods that
// the node itself says each has.
func (v *victim) targets() (out []shot) {
	patterns := append(v.node.identity.(*keystone.API).Patterns(), "/v9/nothing", "/v1/nothing", "/readyz", "/metrics")
	for _, r := range v.node.memory.(*stigmem.API).Routes() {
		_, path, _ := strings.Cut(r.Pattern, " ")
		patterns = append(patterns, path)
	}
	slices.Sort(patterns)
	for _, p := range slices.Compact(patterns) {
		req, err := http.NewRequestWithContext(v.t.Context(), http.MethodTrace, "http://"+v.addr+param.ReplaceAllString(p, "x1"), nil)
		if err != nil {
			v.t.Fatal(err)
		}
		res, err := v.client.Do(req)
		if err != nil {
			v.t.Fatal(err)
		}
		res.Body.Close()
		methods := strings.Split(res.Header.Get("Allow"), ", ")
		if methods[0] == "" {
			methods = []string{http.MethodGet, http.MethodPost}
		}
		for _, m := range methods {
			if m != http.MethodOptions {
				out = append(out, shot{method: m, path: p})
			}
		}
	}
	return out
}

func utf16(s string) string {
	b := []byte{0xFF, 0xFE}
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return string(b)
}

// hostileBodies are no valid request of any route.
var hostileBodies = map[string]shot{
	"empty list": {body: `[]`}, "null": {body: `null`}, "number": {body: `1`}, "text": {body: `"x"`}, "blank": {body: " "}, "empty object": {body: `{}`},
	"deep list": {body: strings.Repeat("[", 100_000)}, "deep object": {body: strings.Repeat(`{"a":`, 100_000)},
	"deep, in place": {body: `{"user":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`},
	"twice the name": {body: `{"user":{"name":"a","name":"b"},"entity":"a","entity":"b"}`},
	"NaN":            {body: `{"user":{"name":NaN},"confidence":NaN}`}, "Infinity": {body: `{"confidence":-Infinity}`}, "1e400": {body: `{"user":{"enabled":1e400},"confidence":1e400}`},
	"lone surrogate": {body: `{"user":{"name":"\ud800"},"entity":"\udc00"}`}, "NUL": {body: `{"user":{"name":"\u0000"},"entity":"\u0000"}`}, "raw NUL": {body: "{\"a\":\"\x00\"}"},
	"BOM": {body: "\ufeff{}"}, "UTF-16": {body: utf16(`{"user":{}}`)}, "no UTF-8": {body: "{\"user\":\"\xff\xfe\"}"},
	"another type": {body: "a=b", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
	"no type":      {body: `{"user":1}`, header: http.Header{"Content-Type": {"/;;="}}},
	"chunked":      {body: `{"user":{}}`, chunked: true}, "too long, chunked": {body: `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, chunked: true},
	"long number": {body: `{"user":` + strings.Repeat("9", 200_000) + `}`}, "many names": {body: manyNames()},
}

// hangs returns when an answer counts as not coming. The race detector makes the
// node many times slower and gets as much more time.
func hangs() time.Duration {
	if testkit.Race {
		return 30 * time.Second
	}
	return 2 * time.Second
}

func manyNames() string {
	var b strings.Builder
	b.WriteString(`{"user":{"name":"many"`)
	for i := range 20_000 {
		fmt.Fprintf(&b, `,"n%d":%d`, i, i)
	}
	return b.String() + "}}"
}

// hostileIDs stand in the place of a path's parameter, as they are on the wire.
var hostileIDs = []string{
	strings.Repeat("a", 20_000), "%00", "%2e%2e", "..", "%2e%2e%2fusers", "%ff%fe", "%F0%9F%92%A9", "'", "';--", "%25", "a%0d%0aX-Injected:1", "%22%3E%3Cscript%3E", "null", "-1",
	"sha256:zz", "sha256:" + "0000000000000000000000000000000000000000000000000000000000000000", "stigmem:conflict:%00", "%E2%80%AE", "9999999999999999999999",
}

var hostileQueries = []string{
	"limit=abc", "limit=-1", "limit=0", "limit=1e9", "limit=1000000000", "limit=99999999999999999999999", "limit=&limit=x", "limit=%00", "marker=nothing", "marker=%00", "marker=%ff",
	"cursor=garbage", "cursor=%00", "cursor=-1", "cursor=AAAA", "cursor=eyJ2IjoxfQ", "cursor=" + strings.Repeat("A", 5000), "enabled=maybe&is_domain=maybe&effective=maybe&include_names=2",
	"include_contradicted=maybe&attested=maybe&include_expired=2", "name=%00&entity=%00&domain_id=%00&status=%00&scope=%00&event_type=%00&entity_uri=%00&peer_id=%00&fact_id=%00",
	"name=%ff&entity=%ff&source=%ff&relation=%ff&user.id=%ff&scope.project.id=%ff", "name__contains=%25&name__nothing=1&name__icontains=%5C%5F", "min_confidence=NaN", "min_confidence=1e400",
	"min_confidence=0x1p3", "after=never&as_of=never&since=never&until=never", "since=0001-01-01T00:00:00-23:59&until=9999-12-31T23:59:59-23:59", "since=99999-01-01", "%zz=1", "a;b=c&;", "&&&=&=",
	"password_expires_at=lt:never", "password_expires_at=zz:2020-01-01T00:00:00Z", "password_expires_at=lt:0000-01-01T00:00:00Z", "sort_key=%00&sort_dir=up", "within_days=0", "within_days=NaN",
	"within_days=1e2", "tags=%00&tags-any=,,,&not-tags=%ff", "name='%20OR%201=1--&entity='%20OR%201=1--", "allow_expired=2&nocatalog=%00", strings.Repeat("a=b&", 10_000), "subtree_as_list&subtree_as_ids",
	"parents_as_list&parents_as_ids",
}

var hostileHeaders = map[string]http.Header{
	"two tokens":              {"X-Auth-Token": {hostileToken, hostileToken}},
	"a huge token":            {"X-Auth-Token": {strings.Repeat("g", 50_000)}, "X-Subject-Token": {strings.Repeat("g", 9_000)}},
	"tokens not ASCII":        {"X-Auth-Token": {"\xff\xfe\u00e9"}, "X-Subject-Token": {"\xff\xfe\ufeff"}, "Authorization": {"Bearer \xff\xfe"}},
	"empty":                   {"X-Auth-Token": {""}, "X-Subject-Token": {""}, "Authorization": {""}},
	"blank":                   {"X-Auth-Token": {"  "}, "X-Subject-Token": {" "}, "Authorization": {"Bearer "}},
	"bearer with blanks":      {"X-Auth-Token": {"a b c"}, "Authorization": {"Bearer  a  b "}},
	"another scheme":          {"Authorization": {"Basic YTpi"}, "X-Auth-Token": nil},
	"a forged token":          {"X-Auth-Token": {hostileToken}, "X-Subject-Token": {hostileToken}, "Authorization": {"Bearer " + hostileToken}},
	"subject":                 {"X-Subject-Token": {hostileToken}},
	"a forged JWT":            {"Authorization": {"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOm51bGwsImlhdCI6MWU0MDAsInNjb3BlcyI6bnVsbH0."}},
	"a JWT of no node":        {"Authorization": {"Bearer eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ4IiwiYXVkIjpbXSwiZXhwIjotMX0.AAAA"}},
	"foreign capability":      {"X-Stigmem-Capability": {"\xfe." + hostileToken}, "Authorization": {"Bearer x"}},
	"who, where":              {"X-Forwarded-For": {"'"}, "X-Forwarded-Host": {"evil"}, "Forwarded": {"host=evil"}, "X-Openstack-Request-Id": {"req-" + strings.Repeat("\t", 9)}},
	"what to accept":          {"Accept": {"text/xml"}, "Accept-Encoding": {"\xff"}, "Content-Encoding": {"gzip"}, "Range": {"bytes=9-1"}, "If-Modified-Since": {"x"}, "Expect": {"200-fine"}},
	"a session of any length": {"Stigmem-Session": {strings.Repeat("s", 20_000)}},
	"an override":             {"X-Http-Method-Override": {"DELETE"}, "X-Service-Token": {hostileToken}},
}

// sound are bodies that their routes take. The battery puts every hostile value in the
// place of each of their members.
var sound = []shot{
	{method: "POST", path: "/v3/auth/tokens", body: loginBody},
	{method: "POST", path: "/v3/auth/tokens", body: `{"auth":{"identity":{"methods":["token"],"token":{"id":"` + hostileToken + `"}},"scope":{"project":{"name":"x","domain":{"name":"Default"}}}}}`},
	{method: "POST", path: "/v3/auth/tokens", body: `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"x","password":"` + hostilePassword + `"}}},"scope":{"OS-TRUST:trust":{"id":"x"}}}}`},
	{method: "POST", path: "/v3/domains", body: `{"domain":{"name":"d","description":"x","enabled":true,"options":{},"tags":["a"]}}`},
	{method: "POST", path: "/v3/projects", body: `{"project":{"name":"p","domain_id":"default","parent_id":"default","description":"x","enabled":true,"is_domain":false,"options":{"immutable":false},"tags":["a"]}}`},
	{method: "POST", path: "/v3/users", body: `{"user":{"name":"u","password":"` + hostilePassword + `","domain_id":"default","default_project_id":"x","email":"e","enabled":true,"options":{"ignore_password_expiry":true},"federated":[]}}`},
	{method: "POST", path: "/v3/users/x1/password", body: `{"user":{"original_password":"` + hostilePassword + `","password":"` + hostilePassword + `2"}}`},
	{method: "POST", path: "/v3/groups", body: `{"group":{"name":"g","domain_id":"default","description":"x"}}`},
	{method: "POST", path: "/v3/roles", body: `{"role":{"name":"r","domain_id":"default","description":"x","options":{}}}`},
	{method: "POST", path: "/v3/regions", body: `{"region":{"id":"rr","description":"x","parent_region_id":"RegionOne"}}`},
	{method: "POST", path: "/v3/services", body: `{"service":{"name":"s","type":"t","description":"x","enabled":true}}`},
	{method: "POST", path: "/v3/endpoints", body: `{"endpoint":{"interface":"public","url":"http://x/$(tenant_id)s","region":"RegionOne","region_id":"RegionOne","service_id":"x","enabled":true,"name":"n"}}`},
	{method: "POST", path: "/v3/OS-TRUST/trusts", body: `{"trust":{"trustor_user_id":"a","trustee_user_id":"b","project_id":"p","impersonation":false,"allow_redelegation":true,"redelegation_count":1,` +
		`"remaining_uses":1,"expires_at":"2030-01-01T00:00:00Z","roles":[{"name":"reader"}]}}`},
	{method: "PUT", path: "/v3/projects/x1/tags", body: `{"tags":["a","b"]}`},
	{method: "POST", path: "/v1/facts", body: `{"entity":"user:a","relation":"r","value":{"type":"number","v":1,"interpret_as":"content"},"source":"agent:x","confidence":0.5,"scope":"company",` +
		`"valid_until":"2030-01-01T00:00:00Z","attestation":{"key_id":"k","signature":"s"},"garden_id":null,"write_mode":"assert","derived_from":[{"hash":"sha256:x"}]}`},
	{method: "POST", path: "/v1/facts", body: `{"entity":"user:a","relation":"r","value":{"type":"datetime","v":"2030-01-01T00:00:00Z"},"source":"agent:x"}`},
	{method: "POST", path: "/v1/auth/keys", body: `{"raw_key":"` + hostileKey + `-other","entity_uri":"agent:y","permissions":["read"],"description":"d","expires_at":"2026-12-01T00:00:00Z","tenant_id":"t"}`},
	{method: "POST", path: "/v1/auth/keys", body: `{"raw_key":["` + hostileKey + `"]}`},
	{method: "POST", path: "/v3/users", body: `{"user":{"name":"u","password":{"x":["` + hostilePassword + `"]}}}`},
	{method: "POST", path: "/v1/conflicts/x1/resolve", body: `{"winning_fact_id":"x","resolution_note":"n","new_value":{"type":"string","v":"x"}}`},
	{method: "POST", path: "/v1/federation/peers", body: `{"node_url":"http://127.0.0.1:1","node_id":"n","federation_pubkey":"AAAA","allowed_scopes":["public"],"declaration_sig":"AAAA","signed_at":"2026-01-01T00:00:00Z"}`},
	{method: "POST", path: "/v1/federation/peers/x1/approve", body: `{"pubkey_fingerprint":"x"}`},
	{method: "POST", path: "/v1/federation/peers/x1/rekey", body: `{"pubkey_fingerprint":"x","federation_pubkey":"x","node_url":"http://127.0.0.1:1","dual_trust_seconds":1}`},
	{method: "POST", path: "/v1/federation/peers/x1/suspend", body: `{"reason":"r"}`},
	{method: "POST", path: "/v1/federation/facts/push", body: `{"facts":[{"id":"x"}]}`},
}

var hostileValues = []string{
	`null`, `true`, `-1`, `0`, `1e400`, `1e308`, `0.1e-400`, `99999999999999999999999999999999999999`, `""`, `" "`, `"\u0000"`, `"a\u0000b"`, `"\ud83d"`, `"\uffff\u202e\ufeff"`, `"💩'\";--"`,
	`[]`, `[null]`, `[[]]`, `["\u0000"]`, `{}`, `{"":{}}`, `{"id":{}}`, `{"id":"\u0000"}`, `"` + strings.Repeat("x", 5000) + `"`, `"9999-12-31T23:59:59-23:59"`, `"0000-00-00T00:00:00Z"`,
}

// mutants returns body with each of its values, in turn, replaced by hostile ones, by
// every one in CI, and with each of its members missing.
func mutants(t *testing.T, body string) (out []string) {
	step, turn := testkit.Rounds(4, 1, 1), 0
	var tree any
	if err := json.Unmarshal([]byte(body), &tree); err != nil {
		t.Fatal(err)
	}
	emit := func() {
		b, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, old := range v {
				turn++
				for n := turn % step; n < len(hostileValues); n += step {
					v[k] = json.RawMessage(hostileValues[n])
					emit()
				}
				delete(v, k)
				emit()
				v[k] = old
				walk(old)
			}
		case []any:
			for i, old := range v {
				turn++
				for n := turn % step; n < len(hostileValues); n += step {
					v[i] = json.RawMessage(hostileValues[n])
					emit()
				}
				v[i] = old
				walk(old)
			}
		}
	}
	walk(tree)
	return out
}

// battery is every shot at every route in CI; in a plain run each route gets every
// fourth one, so that all of them are fired at some route.
func (v *victim) battery() (out []shot) {
	step, turn := testkit.Rounds(4, 1, 1), 0
	mine := func() bool { turn++; return turn%step == 0 }
	for _, target := range v.targets() {
		at := func(id string) shot {
			s := target
			s.path = param.ReplaceAllLiteralString(target.path, id)
			return s
		}
		if target.path != param.ReplaceAllString(target.path, "") {
			for _, id := range hostileIDs {
				if !mine() {
					continue
				}
				s := at(id)
				s.name = fmt.Sprintf("id %.30q", id)
				out = append(out, s)
			}
		}
		if target.method == http.MethodGet || target.method == http.MethodDelete {
			for _, q := range hostileQueries {
				if !mine() {
					continue
				}
				s := at("x1")
				s.path, s.name = s.path+"?"+q, fmt.Sprintf("query %.60q", q)
				out = append(out, s)
			}
		}
		for name, h := range hostileHeaders {
			if !mine() {
				continue
			}
			s := at("x1")
			s.header, s.name = h, name
			out = append(out, s)
		}
		for name, b := range hostileBodies {
			if target.method == http.MethodGet && len(b.body) > 1000 || target.method == http.MethodHead || !mine() {
				continue
			}
			s := at("x1")
			s.header, s.body, s.chunked, s.name = b.header, b.body, b.chunked, name
			out = append(out, s)
		}
	}
	for _, s := range sound {
		for i, b := range mutants(v.t, s.body) {
			one := s
			one.body, one.name = b, fmt.Sprintf("mutant %d: %.200s", i, b)
			out = append(out, one)
		}
	}
	return out
}

// Whatever a client sends to whatever route, the node answers with the protocol's own
// refusal in the protocol's own shape, soon, and tells nobody a secret: attack cases
// A11, A12 and K14 to K18, failure mode G13, law L10.
func TestNoInputHurtsTheNode(t *testing.T) {
	v := startVictim(t)
	shots := v.battery()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var g errgroup.Group
	g.SetLimit(8)
	for _, s := range shots {
		g.Go(func() error { v.fire(s); return nil })
	}
	_ = g.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d of %d requests answered; heap %d KiB before, %d KiB after", v.sent, len(shots), before.HeapAlloc>>10, after.HeapAlloc>>10)
	if v.sent < len(shots)*9/10 {
		t.Errorf("only %d of %d requests were answered", v.sent, len(shots))
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	shown := 0
	for k := range v.faults {
		if shown++; shown > 40 {
			t.Errorf("and %d more", len(v.faults)-40)
			break
		}
		t.Error(k)
	}
	for _, s := range v.slow {
		t.Error(s)
	}
	text := v.log.String()
	for _, secret := range []string{v.token, hostilePassword, hostileKey, hostileToken} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("the log holds a secret: %s", text[max(0, i-300):min(len(text), i+300)])
		}
	}
	for _, bad := range []string{"http.panic", "http.failed"} {
		if i := strings.Index(text, bad); i >= 0 {
			t.Errorf("the log says %q: %s", bad, text[max(0, i-200):min(len(text), i+1200)])
		}
	}
	res, err := v.client.Get("http://" + v.addr + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("after it all the node is not ready: %s", res.Status)
	}
}

// What is no HTTP, or two requests in one, is refused by hanging up or with a 400, and
// the connection serves nobody else.
func TestWhatIsNoRequestIsRefused(t *testing.T) {
	v := startVictim(t)
	for name, raw := range map[string]string{
		"two lengths":         "POST /v1/facts HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"length and chunks":   "POST /v3/auth/tokens HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"a negative length":   "POST /v1/facts HTTP/1.1\r\nHost: n\r\nContent-Length: -1\r\n\r\n",
		"two hosts":           "GET /v3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"no host":             "GET /v3 HTTP/1.1\r\n\r\n",
		"NUL in a header":     "GET /v3 HTTP/1.1\r\nHost: n\r\nX-Auth-Token: a\x00b\r\n\r\n",
		"a folded header":     "GET /v3/users HTTP/1.1\r\nHost: n\r\nX-Auth-Token: a\r\n b\r\n\r\n",
		"a bare line feed":    "GET /v3/users HTTP/1.1\nHost: n\nX-Auth-Token : a\n\n",
		"NUL in the path":     "GET /v3/users/\x00 HTTP/1.1\r\nHost: n\r\n\r\n",
		"a broken chunk":      "POST /v1/facts HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"no path":             "GET http:// HTTP/1.1\r\nHost: n\r\n\r\n",
		"nothing of HTTP":     "\x16\x03\x01\x02\x00\x01\x00",
		"a body cut short":    "POST /v3/auth/tokens HTTP/1.1\r\nHost: n\r\nContent-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
		"an unknown encoding": "POST /v1/facts HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: gzip\r\n\r\n{}",
		"headers beyond all":  "GET /v3/users HTTP/1.1\r\nHost: n\r\nX-Auth-Token: " + strings.Repeat("g", 200_000) + "\r\n\r\n",
		"headers in number":   "GET /v3/users HTTP/1.1\r\nHost: n\r\n" + strings.Repeat("A: b\r\n", 50_000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", v.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			_, _ = io.WriteString(c, raw) // the node may hang up before the end of it
			_ = c.(*net.TCPConn).CloseWrite()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // hung up
			}
			defer res.Body.Close()
			if res.StatusCode < 400 || res.StatusCode > 499 && res.StatusCode != http.StatusNotImplemented {
				b, _ := io.ReadAll(res.Body)
				t.Errorf("%s %.200s", res.Status, b)
			}
		})
	}
	if text := v.log.String(); strings.Contains(text, "panic") {
		t.Error(text)
	}
}

// A request that names two callers is nobody's on both faces, even when both of them
// would be let in: a proxy may have checked the one that we would not take.
func TestTwoCallersAreNobody(t *testing.T) {
	v := startVictim(t)
	for _, tt := range []struct {
		path   string
		header http.Header
		want   int
	}{
		{"/v1/me", http.Header{"X-Auth-Token": {v.token}}, 200},
		{"/v1/me", http.Header{"X-Auth-Token": {v.token, v.token}}, 401},
		{"/v1/me", http.Header{"Authorization": {"Bearer " + v.key}}, 200},
		{"/v1/me", http.Header{"Authorization": {"Bearer " + v.key, "Bearer " + v.key}}, 401},
		{"/v3/users", http.Header{"X-Auth-Token": {v.token}}, 200},
		{"/v3/users", http.Header{"X-Auth-Token": {v.token, v.token}}, 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+v.addr+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tt.header
		res, err := v.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tt.want {
			t.Errorf("%s with %d X-Auth-Token and %d Authorization: %d, want %d", tt.path, len(tt.header["X-Auth-Token"]), len(tt.header["Authorization"]),
				res.StatusCode, tt.want)
		}
	}
}
