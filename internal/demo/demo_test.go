package demo

import (
	"bytes"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// varies is what no two demos share.
var varies = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "00000000-0000-0000-0000-000000000000"},
	{regexp.MustCompile(`sha256:[0-9a-f]{12}`), "sha256:000000000000"},
	{regexp.MustCompile(`skew_seconds=(60|59\.\d+)`), "skew_seconds=60"},
	{regexp.MustCompile(`it holds: \d+ entries`), "it holds: 30 entries"},
}

func normalised(s string) string {
	for _, v := range varies {
		s = v.is.ReplaceAllString(s, v.as)
	}
	return s
}

func TestTheDemoShowsWhatItShould(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out strings.Builder
	shown, addr := 0, ""
	r, err := Run(t.Context(), Options{Screen: func(s Screen) {
		shown++
		s.Write(&out, shown)
	}, atEnd: func(p *play) error {
		addr = p.athens.settings.Listen
		noSecretIsWritten(t, p)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Screens {
		for _, st := range s.Steps {
			if st.Wrong != "" {
				t.Errorf("%s: %s: %d %s, log %v: %s", s.Title, st.What, st.Status, st.Answer, st.Log, st.Wrong)
			}
		}
	}
	if !r.AsExpected || shown != len(r.Screens) {
		t.Errorf("as expected: %v; %d of %d screens were shown", r.AsExpected, shown, len(r.Screens))
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Errorf("a node still listens on %s", addr)
	}

	got := normalised(out.String())
	const golden = "testdata/demo.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the demo differs from %s (-want +got); -update rewrites it:\n%s", golden, diff)
	}
	for _, line := range strings.Split(got, "\n") {
		if n := len([]rune(line)); n > width {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

// noSecretIsWritten looks for every password, key and token of the whole demo in what
// the nodes wrote: logs at level debug, metrics, audit logs, and the screens (law L10).
func noSecretIsWritten(t *testing.T, p *play) {
	t.Helper()
	var places []struct{ name, text string }
	add := func(name, text string) {
		if text == "" {
			t.Errorf("%s: nothing was written", name)
		}
		places = append(places, struct{ name, text string }{name, text})
	}
	for _, n := range []*node{p.athens, p.corinth} {
		add("the log of "+n.name, string(bytes.Join(n.book.lines, nil)))
		a, err := n.do(t.Context(), request{method: http.MethodGet, path: "/metrics"})
		if err != nil {
			t.Fatal(err)
		}
		add("the metrics of "+n.name, string(a.body))
		entries, err := n.Store.AuditEntries(t.Context(), 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(entries)
		if err != nil {
			t.Fatal(err)
		}
		add("the audit log of "+n.name, string(b))
	}
	b, err := json.Marshal(p.report)
	if err != nil {
		t.Fatal(err)
	}
	add("the report", string(b))
	if len(p.secrets) < 20 {
		t.Errorf("only %d secrets are known", len(p.secrets))
	}
	for _, secret := range p.secrets {
		// A part of a token is as bad as the whole: the end has its MAC or signature.
		for _, part := range []string{secret[:min(30, len(secret))], secret[max(0, len(secret)-30):]} {
			if strings.HasPrefix(part, "eyJ") || strings.HasPrefix(part, "gAAAA") {
				part = secret[:min(120, len(secret))] // what all tokens begin with tells nothing
			}
			for _, place := range places {
				if strings.Contains(place.text, part) {
					t.Errorf("%s holds a secret: %s…", place.name, part[:10])
				}
			}
		}
	}
}

func TestAnAnswerThatIsNotWhatItMustBeIsShownAsWrong(t *testing.T) {
	n := &node{book: &logbook{}}
	if _, err := n.book.Write([]byte(`{"msg":"auth.rejected","request_id":"req-1","reason":"bad_mac"}`)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		a     answer
		want  expect
		wrong string
	}{
		{"as it must be", answer{status: 404, requestID: "req-1"}, expect{404, "bad_mac", "why"}, ""},
		{"accepted", answer{status: 200, requestID: "req-2"}, expect{404, "bad_mac", "why"}, "the answer must be 404"},
		{"for another reason", answer{status: 404, requestID: "req-1"}, expect{404, "expired", "why"}, `the reason must be "expired"`},
		{"without a word in the log", answer{status: 404, requestID: "req-3"}, expect{404, "bad_mac", "why"}, `the reason must be "bad_mac"`},
		{"refused though it was answered", answer{status: 200, requestID: "req-1"}, expect{200, "", "why"}, `the reason must be ""`},
	} {
		p := &play{}
		p.begin("", "")
		p.show("x", n, tt.a, "", tt.want)
		s := p.screen.Steps[0]
		if s.Wrong != tt.wrong || (s.Why == "") != (tt.wrong != "") {
			t.Errorf("%s: wrong %q, why %q", tt.name, s.Wrong, s.Why)
		}
		var out strings.Builder
		p.screen.Write(&out, 1)
		if strings.Contains(out.String(), "WRONG") != (tt.wrong != "") {
			t.Errorf("%s: shown as\n%s", tt.name, out.String())
		}
	}
}
