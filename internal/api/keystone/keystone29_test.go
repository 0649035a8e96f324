package keystone

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"symbolon/internal/identity"
	"symbolon/internal/issuer"
)

// A recorded step is a request to a real Keystone 29 and what it answered.
type recorded struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	As     string          `json:"as"`
	Body   json.RawMessage `json:"body"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer"`
}

// departures are the steps in which we answer another status on purpose.
var departures = map[string]struct {
	status int
	why    string
}{
	"domains create-enabled-text": {400, "a truth value of the wrong type is the client's mistake and no failure of ours"},
}

// The same requests get the same answers as from a real Keystone 29, but for the
// ids that each chooses and the wording of what is wrong with a body.
func TestAnswersOfKeystone29(t *testing.T) {
	raw, err := os.ReadFile("testdata/v29.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		Bootstrap map[string]string
		Steps     []recorded
	}
	if err := json.Unmarshal(raw, &rec); err != nil {
		t.Fatal(err)
	}
	f := newBootstrapped(t)
	ids := f.bootstrapped(rec.Bootstrap)
	for _, s := range rec.Steps {
		translate := replacer(ids)
		as := "admin"
		switch s.As {
		case "none":
			as = ""
		case "nobody":
			as = "unscoped"
		}
		a := f.do(as, s.Method, "/v3"+translate.Replace(s.Path), translate.Replace(string(s.Body)))
		want := s.Status
		if d, ok := departures[s.Name]; ok {
			want = d.status
		}
		if a.StatusCode != want {
			t.Errorf("%s: %s %s: %d %s, want %d", s.Name, s.Method, s.Path, a.StatusCode, a.text, want)
			continue
		}
		if s.Status == 201 {
			ids[idOf(t, s.Answer)] = idOf(t, []byte(a.text))
		}
		if s.Method == "HEAD" { // the recorder shows the body that a server leaves out
			continue
		}
		if strings.HasSuffix(s.Name, " list-limit") { // which is first depends on the ids
			if a.StatusCode == 200 && (!strings.Contains(a.text, `"truncated":true`) || !strings.Contains(a.text, "?limit=1&marker=")) {
				t.Errorf("%s: %s", s.Name, a.text)
			}
			continue
		}
		if want == 400 || s.Answer == nil {
			if (len(a.text) > 0) != (s.Answer != nil || want != s.Status) {
				t.Errorf("%s: %s %s: body %q", s.Name, s.Method, s.Path, a.text)
			}
			continue
		}
		got, expected := canonical(t, []byte(a.text)), canonical(t, []byte(replacer(ids).Replace(string(s.Answer))))
		if got != expected && s.Status != 409 { // names the id that was refused
			t.Errorf("%s: %s %s:\n got %s\nwant %s", s.Name, s.Method, s.Path, got, expected)
		}
	}
	for name := range departures {
		if !slices.ContainsFunc(rec.Steps, func(s recorded) bool { return s.Name == name }) {
			t.Errorf("no step is called %q", name)
		}
	}
}

func replacer(ids map[string]string) *strings.Replacer {
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(ids)) {
		pairs = append(pairs, k, ids[k])
	}
	return strings.NewReplacer(pairs...)
}

func idOf(t *testing.T, answer []byte) string {
	t.Helper()
	var m map[string]struct{ ID string }
	if err := json.Unmarshal(answer, &m); err != nil {
		return "" // an answer of another shape, such as that of an implication
	}
	for _, v := range m {
		return v.ID
	}
	return ""
}

// canonical writes JSON with sorted names and sorted lists, whose order the API
// leaves open.
func canonical(t *testing.T, b []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	var norm func(v any) string
	norm = func(v any) string {
		switch v := v.(type) {
		case map[string]any:
			var out []string
			for _, k := range slices.Sorted(maps.Keys(v)) {
				out = append(out, fmt.Sprintf("%q: %s", k, norm(v[k])))
			}
			return "{" + strings.Join(out, ", ") + "}"
		case []any:
			var out []string
			for _, x := range v {
				out = append(out, norm(x))
			}
			slices.Sort(out)
			return "[" + strings.Join(out, ", ") + "]"
		}
		x, _ := json.Marshal(v)
		return string(x)
	}
	return norm(v)
}

// newBootstrapped is a face as bootstrap leaves it, with the administrator's token
// for the system and one without scope.
func newBootstrapped(t *testing.T) *face {
	t.Helper()
	f := newEmptyFace(t)
	f.must(second(f.dir.Bootstrap(t.Context(), identity.BootstrapParams{
		Password: "pw", RegionID: "RegionOne", PublicURL: base, InternalURL: base, AdminURL: base,
	})))
	admin, err := f.dir.UserByName(t.Context(), "default", "admin")
	f.must(err)
	u := issuer.User{ID: admin.ID, Name: "admin", Domain: issuer.Ref{ID: "default", Name: "Default"}}
	roles, err := f.dir.Roles(t.Context())
	f.must(err)
	f.tokens["admin"] = &issuer.Token{User: u, BearerID: u.ID, System: true,
		Roles: slices.DeleteFunc(roles, func(r identity.Role) bool { return r.Name == "service" })}
	f.tokens["unscoped"] = &issuer.Token{User: u, BearerID: u.ID}
	f.now = f.now.Add(time.Second)
	return f
}

func second[T any](_ T, err error) error { return err }

// bootstrapped maps the ids of what bootstrap made there to those of what it made
// here.
func (f *face) bootstrapped(there map[string]string) map[string]string {
	f.t.Helper()
	ctx := f.t.Context()
	here := map[string]string{}
	roles, err := f.dir.Roles(ctx)
	f.must(err)
	for _, r := range roles {
		here["role "+r.Name] = r.ID
	}
	u, err := f.dir.UserByName(ctx, "default", "admin")
	f.must(err)
	here["user admin"] = u.ID
	p, err := f.dir.ProjectByName(ctx, "default", "admin")
	f.must(err)
	here["project admin"] = p.ID
	services, err := f.dir.Services(ctx)
	f.must(err)
	here["service identity"] = services[0].ID
	endpoints, err := f.dir.Endpoints(ctx)
	f.must(err)
	for _, e := range endpoints {
		here["endpoint "+e.Interface] = e.ID
	}
	ids := map[string]string{}
	for k, v := range there {
		if here[k] == "" {
			f.t.Fatalf("bootstrap made no %s", k)
		}
		ids[v] = here[k]
	}
	return ids
}
