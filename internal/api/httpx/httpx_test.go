package httpx

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/errs"
)

func TestRouterMatches(t *testing.T) {
	rt := NewRouter([]Route[string]{
		{"GET /", "root"},
		{"GET /v3", "v3"},
		{"GET /v3/", "v3/"},
		{"GET /v3/users/{id}", "user"},
		{"PATCH /v3/users/{id}", "patch"},
		{"GET /v3/users/me", "me"},
		{"GET /v3/{kind}/{id}/roles", "roles"},
		{"GET /v1/cards/{uri...}", "card"},
		{"DELETE /v1/gardens/{g}/members/{uri...}", "member"},
	})
	for _, tt := range []struct {
		method, path, want string
		vals               map[string]string
		allowed            string
	}{
		{"GET", "/", "root", nil, ""},
		{"GET", "/v3", "v3", nil, ""},
		{"GET", "/v3/", "v3/", nil, ""},
		{"GET", "/v3/users/abc", "user", map[string]string{"id": "abc"}, ""},
		{"GET", "/v3/users/me", "me", nil, ""},
		{"PATCH", "/v3/users/me", "patch", map[string]string{"id": "me"}, ""},
		{"GET", "/v3/users/x/roles", "roles", map[string]string{"kind": "users", "id": "x"}, ""},
		{"GET", "/v1/cards/stigmem://h/user/a", "card", map[string]string{"uri": "stigmem://h/user/a"}, ""},
		{"GET", "/v1/cards//x/", "card", map[string]string{"uri": "/x/"}, ""},
		{"DELETE", "/v1/gardens/g/members/stigmem://h/u/../a", "member", map[string]string{"g": "g", "uri": "stigmem://h/u/../a"}, ""},
		{"GET", "/v1/cards/", "", nil, ""},
		{"GET", "/v3/users/", "", nil, ""},
		{"GET", "/v3//abc", "", nil, ""},
		{"GET", "/v3/users/abc/", "", nil, ""},
		{"DELETE", "/v3/users/abc", "", nil, "GET PATCH"},
		{"POST", "/v3/users/me", "", nil, "GET PATCH"},
		{"GET", "/v3/../v3", "", nil, ""},
	} {
		r := &http.Request{Method: tt.method, URL: &url.URL{Path: tt.path}}
		got, allowed, ok := rt.Match(r)
		if got != tt.want || ok != (tt.want != "") || strings.Join(allowed, " ") != tt.allowed {
			t.Errorf("Match(%s %s) = %q, %v, %v; want %q, %q", tt.method, tt.path, got, allowed, ok, tt.want, tt.allowed)
		}
		for k, v := range tt.vals {
			if r.PathValue(k) != v {
				t.Errorf("Match(%s %s): %s is %q, want %q", tt.method, tt.path, k, r.PathValue(k), v)
			}
		}
	}
}

func TestRouterRefusesBadPatterns(t *testing.T) {
	for _, patterns := range [][]string{{"GET"}, {"GET x"}, {"GET /{a...}/b"}, {"GET /a/{b}", "GET /a/{c}"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewRouter(%q) did not panic", patterns)
				}
			}()
			var rs []Route[int]
			for _, p := range patterns {
				rs = append(rs, Route[int]{p, 0})
			}
			NewRouter(rs)
		}()
	}
}

func TestReadBodyIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		body    string
		chunked bool
		want    errs.Kind
		ok      bool
	}{
		{"within the limit", "12345678", false, 0, true},
		{"one byte over, declared", "123456789", false, errs.TooLarge, false},
		{"one byte over, chunked", "123456789", true, errs.TooLarge, false},
		{"within, chunked", "1234", true, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			if tt.chunked {
				r.ContentLength = -1
			}
			b, err := ReadBody(r, 8)
			if (err == nil) != tt.ok || err != nil && errs.KindOf(err) != tt.want || err == nil && string(b) != tt.body {
				t.Errorf("ReadBody = %q, %v", b, err)
			}
		})
	}
}

// stalled is a body of which one byte arrives.
type stalled struct{ sent bool }

func (s *stalled) Read(p []byte) (int, error) {
	if s.sent {
		return 0, io.ErrUnexpectedEOF
	}
	s.sent = true
	p[0] = '{'
	return 1, nil
}

func TestADeclaredBodyHoldsNoMemoryBeforeItArrives(t *testing.T) {
	const requests = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		r := httptest.NewRequest("POST", "/", &stalled{})
		r.ContentLength = 1 << 20
		if _, err := ReadBody(r, 1<<20); errs.KindOf(err) != errs.Invalid {
			t.Fatalf("a body that breaks off: %v", err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / requests; each > 64<<10 {
		t.Errorf("%d bytes for a body of one byte that declares a million", each)
	}
}

func TestCheckJSON(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want JSONFault
	}{
		{`{}`, 0}, {` [1, -0.5e+3, true, false, null, "a\u00e9\ud83d\ude00"] `, 0}, {`"x"`, 0}, {`0`, 0},
		{``, JSONSyntax}, {`{`, JSONSyntax}, {`{}{}`, JSONSyntax}, {`01`, JSONSyntax}, {`1.`, JSONSyntax}, {`NaN`, JSONSyntax},
		{`[1,]`, JSONSyntax}, {`{"a":1,}`, JSONSyntax}, {`{a:1}`, JSONSyntax}, {`"`, JSONSyntax}, {"\"\n\"", JSONSyntax}, {`"\x"`, JSONSyntax},
		{"\ufeff{}", JSONSyntax},
		{`{"a":1,"a":2}`, JSONDuplicate}, {`{"a":1,"\u0061":2}`, JSONDuplicate}, {`{"a":{"b":1,"b":1}}`, JSONDuplicate},
		{`"\ud800"`, JSONText}, {`"\udc00\ud800"`, JSONText}, {"\"\xff\"", JSONText},
		{strings.Repeat("[", 5) + strings.Repeat("]", 5), 0},
		{strings.Repeat("[", 6) + strings.Repeat("]", 6), JSONTooDeep},
		{strings.Repeat(`{"a":`, 100000), JSONTooDeep},
	} {
		err := CheckJSON([]byte(tt.in), 5)
		var je *JSONError
		if errors.As(err, &je); (tt.want == 0) != (err == nil) || err != nil && je.Fault != tt.want {
			t.Errorf("CheckJSON(%.40q) = %v, want fault %d", tt.in, err, tt.want)
		}
	}
	var many strings.Builder
	many.WriteString(`{"x":0`)
	for i := range 100 {
		many.WriteString(`,"n` + strings.Repeat("i", i) + `":0`)
	}
	if err := CheckJSON([]byte(many.String()+`}`), 5); err != nil {
		t.Errorf("CheckJSON of 101 names: %v", err)
	}
	if err := CheckJSON([]byte(many.String()+`,"x":1}`), 5); err == nil {
		t.Error("CheckJSON accepts a name repeated after 100 others")
	}
}

// Whatever CheckJSON accepts, encoding/json accepts, and the other way round but
// for what CheckJSON refuses on purpose.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2,{"b":"\u00e9"}]}`, `[]`, `"\ud83d\ude00"`, `-1e5`, `{"a":1,"a":2}`, ` null `, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		err := CheckJSON(in, 50)
		var je *JSONError
		if err != nil && !errors.As(err, &je) {
			t.Fatalf("CheckJSON(%q): %T", in, err)
		}
		if valid := json.Valid(in); err == nil && !valid || valid && je != nil && je.Fault == JSONSyntax {
			t.Errorf("CheckJSON(%q) = %v, json.Valid = %v", in, err, valid)
		}
	})
}

func TestRequestIDs(t *testing.T) {
	var local, global string
	h := WithRequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		local, global = RequestID(r.Context()), GlobalRequestID(r.Context())
	}))
	for _, tt := range []struct{ in, wantGlobal string }{
		{"req-0e1f-a", "req-0e1f-a"}, {"", ""}, {"evil\n", ""}, {"req-" + strings.Repeat("a", 100), ""}, {"req-a b", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if tt.in != "" {
			r.Header["X-Openstack-Request-Id"] = []string{tt.in}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if global != tt.wantGlobal || !strings.HasPrefix(local, "req-") || !slices.Equal(w.Header()["X-Openstack-Request-Id"], []string{local}) {
			t.Errorf("inbound %q: local %q, global %q, header %v", tt.in, local, global, w.Header())
		}
	}
}
