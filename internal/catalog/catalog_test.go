package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"symbolon/internal/identity"
)

func render(t *testing.T, s []identity.Service, e []identity.Endpoint, project, user string) (string, []any) {
	t.Helper()
	c, err := New(s, e)
	if err != nil {
		t.Fatal(err)
	}
	text := c.Append(nil, project, user)
	var v []any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return string(text), v
}

func service(id string) identity.Service {
	return identity.Service{ID: id, Type: "t-" + id, Name: "n-" + id, Enabled: true}
}

func endpoint(id, url string) identity.Endpoint {
	return identity.Endpoint{ID: id, ServiceID: "s", Interface: "public", URL: url, RegionID: "north", Enabled: true}
}

// The order of the members is that of the system studied; a client that compares
// texts sees no difference.
func TestTheShapeOfACatalogue(t *testing.T) {
	e2 := endpoint("e2", "http://b")
	e2.RegionID = ""
	e2.Extra = identity.Extra{"name": json.RawMessage(`"x"`), "url": json.RawMessage(`"no"`), "description": json.RawMessage(`{"a": 1}`)}
	got, _ := render(t, []identity.Service{service("z"), service("s")}, []identity.Endpoint{endpoint("e1", "http://a"), e2}, "p", "u")
	want := `[{"endpoints":[{"id":"e1","interface":"public","region_id":"north","url":"http://a","region":"north"},` +
		`{"description":{"a": 1},"name":"x","id":"e2","interface":"public","region_id":null,"url":"http://b","region":null}],` +
		`"id":"s","type":"t-s","name":"n-s"},{"endpoints":[],"id":"z","type":"t-z","name":"n-z"}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAddressesAreFilledIn(t *testing.T) {
	for _, tt := range []struct {
		url, want string // want "" leaves the endpoint out
		bare      string // without a project
	}{
		{"http://h/v1", "http://h/v1", "http://h/v1"},
		{"http://h/$(project_id)s", "http://h/P", ""},
		{"http://h/%(tenant_id)s/x", "http://h/P/x", ""},
		{"http://h/$(user_id)s/$(project_id)s", "http://h/U/P", ""},
		{"http://h/$(user_id)s", "http://h/U", "http://h/U"},
		{"http://h/100%%", "http://h/100%", "http://h/100%"},
		{"http://h/a$b", "http://h/a$b", "http://h/a$b"},
		{"http://h/$(password)s", "", ""},
		{"http://h/$(admin_token)s", "", ""},
		{"http://h/$(project_id)d", "", ""},
		{"http://h/$(project_id", "", ""},
		{"http://h/%d", "", ""},
		{"http://h/%", "", ""},
		{`http://h/"quoted"`, `http://h/"quoted"`, `http://h/"quoted"`},
	} {
		for project, want := range map[string]string{"P": tt.want, "": tt.bare} {
			_, v := render(t, []identity.Service{service("s")}, []identity.Endpoint{endpoint("e", tt.url)}, project, "U")
			eps := v[0].(map[string]any)["endpoints"].([]any)
			got := ""
			if len(eps) == 1 {
				got = eps[0].(map[string]any)["url"].(string)
			}
			if got != want {
				t.Errorf("%s in project %q = %q, want %q", tt.url, project, got, want)
			}
		}
	}
}

// An id that comes from elsewhere cannot break out of the JSON string it stands in.
func TestIDsAreEscaped(t *testing.T) {
	evil := `x", "url": "http://evil` + "\n\\"
	_, v := render(t, []identity.Service{service("s")}, []identity.Endpoint{endpoint("e", "http://h/$(project_id)s/$(user_id)s")}, evil, evil)
	ep := v[0].(map[string]any)["endpoints"].([]any)[0].(map[string]any)
	if got, want := ep["url"], "http://h/"+evil+"/"+evil; got != want {
		t.Errorf("url = %q, want %q", got, want)
	}
}

func TestWhatIsDisabledIsLeftOut(t *testing.T) {
	off := service("off")
	off.Enabled = false
	e := endpoint("e", "http://h")
	e.Enabled = false
	got, _ := render(t, []identity.Service{off, service("s")}, []identity.Endpoint{e}, "p", "u")
	if want := `[{"endpoints":[],"id":"s","type":"t-s","name":"n-s"}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, _ := render(t, nil, nil, "", ""); got != "[]" {
		t.Errorf("an empty catalogue is %s", got)
	}
}

func TestABrokenExtraIsAnError(t *testing.T) {
	e := endpoint("e", "http://h")
	e.Extra = identity.Extra{"x": json.RawMessage(`{`)}
	if _, err := New([]identity.Service{service("s")}, []identity.Endpoint{e}); err == nil {
		t.Error("New accepts an attribute that is not JSON")
	}
}

// Whatever an administrator writes as an address, the catalogue is JSON and the
// address holds nothing but itself and the ids.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"http://h/$(project_id)s", "%(user_id)s", "$(x", "%%", `"\`} {
		f.Add(s, "p")
	}
	f.Fuzz(func(t *testing.T, url, project string) {
		url, project = strings.ToValidUTF8(url, "?"), strings.ToValidUTF8(project, "?")
		render(t, []identity.Service{service("s")}, []identity.Endpoint{endpoint("e", url)}, project, "u")
	})
}

func BenchmarkAppend(b *testing.B) {
	var ss []identity.Service
	var es []identity.Endpoint
	for i := range 20 {
		s := service(string(rune('a' + i)))
		ss = append(ss, s)
		for _, face := range []string{"public", "internal", "admin"} {
			e := endpoint(strings.Repeat("0123456789abcdef", 2), "https://"+s.Name+".example.org:8774/v2.1/$(project_id)s")
			e.ServiceID, e.Interface = s.ID, face
			es = append(es, e)
		}
	}
	c, err := New(ss, es)
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = c.Append(buf[:0], "0123456789abcdef0123456789abcdef", "u")
	}
	b.SetBytes(int64(len(buf)))
}
