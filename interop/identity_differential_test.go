package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
)

// A step is one exchange that a walk recorded.
type step struct {
	Name    string
	Request struct {
		Method, Path string
	}
	Response struct {
		Status  int
		Headers [][2]string
		Body    any
		Text    *string
	}
}

// walk runs one of the walks against a server and reads what it recorded, by group and
// name. input goes to the walk's standard input.
func walk(t *testing.T, script, input, url string, args ...string) (order []string, steps map[string]step) {
	t.Helper()
	out := filepath.Join(workDir(t), "walk")
	mustRun(t, cleanEnv(t.TempDir()), input, append(append([]string{debianPython, driver(t, script), url}, args...), out)...)
	files, err := filepath.Glob(filepath.Join(out, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the walk recorded nothing: %v", err)
	}
	sort.Strings(files)
	steps = map[string]step{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var list []step
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			name := strings.TrimSuffix(filepath.Base(f), ".json") + "/" + s.Name
			for i := 2; steps[name].Name != ""; i++ {
				name = fmt.Sprintf("%s-%d", strings.TrimSuffix(name, fmt.Sprintf("-%d", i-1)), i)
			}
			order, steps[name] = append(order, name), s
		}
	}
	return order, steps
}

var volatile = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`gAAAA[A-Za-z0-9_-]+`), "<token>"},
	{regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{32}`), "<id>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`), "<time>"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`stigmem:node:walk-[0-9a-f]{8}`), "<node>"},
	{regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), "<key>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00`), "<time>"},
	{regexp.MustCompile(`\d{13}\.\d{1,6}`), "<hlc>"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "<base>"},
}

// setText is a Python set in a message, whose order changes between processes.
var setText = regexp.MustCompile(`\{'[a-z]+'(, '[a-z]+')*\}`)

var auditID = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// shape reduces a body to what two servers must have in common: its keys, its types and
// its texts, with what is made up at random named, and lists as the set of what they hold.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		var parts []string
		for _, k := range keys {
			parts = append(parts, volatile[1].re.ReplaceAllString(k, volatile[1].to)+":"+shape(v[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, shape(x))
		}
		slices.Sort(parts)
		return "[" + strings.Join(slices.Compact(parts), ",") + "]"
	case string:
		if auditID.MatchString(v) && strings.ToLower(v) != v {
			return `"<audit>"`
		}
		for _, x := range volatile {
			v = x.re.ReplaceAllString(v, x.to)
		}
		v = setText.ReplaceAllStringFunc(v, func(set string) string {
			words := strings.Split(strings.Trim(set, "{}"), ", ")
			slices.Sort(words)
			return "{" + strings.Join(words, ", ") + "}"
		})
		return fmt.Sprintf("%q", v)
	default:
		return fmt.Sprint(v)
	}
}

// comparable headers, by presence alone.
var compared = []string{"X-Subject-Token", "Www-Authenticate", "Vary", "Location"}

func headerSet(s step) string {
	var have []string
	for _, h := range s.Response.Headers {
		if slices.ContainsFunc(compared, func(c string) bool { return strings.EqualFold(c, h[0]) }) {
			have = append(have, strings.ToLower(h[0]))
		}
	}
	slices.Sort(have)
	return strings.Join(slices.Compact(have), ",")
}

// different lists the steps whose answers differ on purpose, and why. Each is also in
// docs/compatibility.md.
var different = map[string]string{
	"02-tokens/validate-garbage":         "every refused token has one message",
	"03-token-errors/token-garbage":      "every refused token has one message",
	"22-trusts/trust-token-after-delete": "every refused token has one message",
	"30-undo/alice-token-after-revoke":   "every refused token has one message; Keystone's shows the token's text",
	"03-token-errors/method-unknown":     "only the methods that are served are listed",
	"03-token-errors/system-not-all":     "a system scope must say all: true; Keystone does not look",
	"10-domains/create-enabled-text":     "a bad body is a 400; Keystone fails with 500",
	"22-trusts/create":                   "roles_links names the trust's own path; Keystone's leads nowhere",
	"22-trusts/create-by-role-name":      "roles_links names the trust's own path; Keystone's leads nowhere",
	"22-trusts/show":                     "roles_links names the trust's own path; Keystone's leads nowhere",
	"22-trusts/trust-roles":              "links.self is the path that was asked; Keystone's leads nowhere",
}

// shapeDiffers lists the steps whose status is the same and whose body differs for a
// reason that no client minds.
var shapeDiffers = map[string]string{
	"10-domains/list-limit":   "the first page is the least id, which is random",
	"11-projects/list-limit":  "the first page is the least id, which is random",
	"12-users/list-limit":     "the first page is the least id, which is random",
	"13-roles/list-limit":     "the first page is the least id, which is random",
	"14-services/list-limit":  "the first page is the least id, which is random",
	"16-endpoints/list-limit": "the first page is the least id, which is random",
}

// The walk of the Identity API gives, step by step, the same statuses and bodies from the
// newest Keystone and from us, but for the differences that are listed.
func TestIdentityDifferential(t *testing.T) {
	k := startKeystoneOf(t, env(keystoneNewest, "bin/python"), env(keystoneNewest, "bin/keystone-manage"), filepath.Join(workDir(t), "keys"))
	order, theirs := walk(t, "identity_walk.py", "", k.url, adminPassword)
	_, ours := walk(t, "identity_walk.py", "", startSymbolon(t).url+"/v3", adminPassword)
	compare(t, order, theirs, ours, different, shapeDiffers)
}

// compare checks two recordings of one walk. Steps in differ must differ; those in
// loosely have the same status and a body that need not be alike.
func compare(t *testing.T, order []string, theirs, ours map[string]step, differ, loosely map[string]string) {
	t.Helper()
	same := 0
	for _, name := range order {
		a, b := theirs[name], ours[name]
		if reason, ok := differ[name]; ok {
			if a.Response.Status == b.Response.Status && sameShape(a, b) {
				t.Errorf("%s: no longer differs, though it is listed: %s", name, reason)
			}
			continue
		}
		if a.Response.Status != b.Response.Status {
			t.Errorf("%s (%s %s): status %d, the real one's %d: %s", name, b.Request.Method, b.Request.Path, b.Response.Status, a.Response.Status, brief(b))
			continue
		}
		if ha, hb := headerSet(a), headerSet(b); ha != hb {
			t.Errorf("%s: headers %s, the real one's %s", name, hb, ha)
		}
		if _, ok := loosely[name]; !ok && !sameShape(a, b) {
			t.Errorf("%s (%s %s): body\n  ours     %s\n  theirs   %s", name, b.Request.Method, b.Request.Path, shape(b.Response.Body), shape(a.Response.Body))
			continue
		}
		same++
	}
	t.Logf("%d of %d steps are answered alike; %d differ on purpose", same, len(order), len(differ))
}

// sameShape compares bodies. The message of a 400 is prose that changes between
// Keystone's own releases, so that its presence is enough.
func sameShape(a, b step) bool {
	if a.Response.Text != nil || b.Response.Text != nil {
		return (a.Response.Text != nil) == (b.Response.Text != nil)
	}
	if title := text(dig(a.Response.Body, "error", "title")); a.Response.Status == 400 && title != "" {
		return text(dig(b.Response.Body, "error", "title")) == title && text(dig(b.Response.Body, "error", "message")) != ""
	}
	return shape(a.Response.Body) == shape(b.Response.Body)
}

func brief(s step) string {
	b, _ := json.Marshal(s.Response.Body)
	if len(b) > 200 {
		b = b[:200]
	}
	return string(b)
}
