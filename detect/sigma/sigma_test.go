package sigma

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const head = "title: t\nid: i\nlevel: low\nlogsource: {product: p}\ndetection:\n"

func one(t *testing.T, detection string) *Rule {
	t.Helper()
	rs, err := Parse([]byte(head + detection))
	if err != nil {
		t.Fatalf("%v in\n%s", err, detection)
	}
	return rs[0]
}

// The semantics of the Sigma specification 2.0, sections detection and modifiers.
func TestDetectionsMeanWhatTheSpecificationSays(t *testing.T) {
	e := Event{"Image": `C:\Windows\cmd.exe`, "user": "Alice", "n": 5.0, "empty": "", "nothing": nil, "flag": true, "star": "a*b"}
	for _, tt := range []struct {
		name, detection string
		want            bool
	}{
		{"values are compared without case", "  s: {user: aLICE}\n  condition: s", true},
		{"fields of one map are and-ed", "  s: {user: alice, n: 6}\n  condition: s", false},
		{"values of a list are or-ed", "  s: {user: [bob, alice]}\n  condition: s", true},
		{"maps of a list are or-ed", "  s: [{user: bob}, {n: 5}]\n  condition: s", true},
		{"a star stands for any text", "  s: {user: al*}\n  condition: s", true},
		{"a question mark stands for one character", "  s: {user: 'ali?e'}\n  condition: s", true},
		{"and not for none", "  s: {user: 'alice?'}\n  condition: s", false},
		{"a backslash makes a star plain", "  s: {star: 'a\\*b'}\n  condition: s", true},
		{"and then it matches no other text", "  s: {star: 'a\\*c'}\n  condition: s", false},
		{"a value has to match whole", "  s: {user: ali}\n  condition: s", false},
		{"contains", "  s: {user|contains: LIC}\n  condition: s", true},
		{"startswith", "  s: {user|startswith: al}\n  condition: s", true},
		{"endswith", "  s: {Image|endswith: '\\cmd.exe'}\n  condition: s", true},
		{"contains with all", "  s: {user|contains|all: [al, ce]}\n  condition: s", true},
		{"all needs every value", "  s: {user|contains|all: [al, zz]}\n  condition: s", false},
		{"re is sensitive to case", "  s: {user|re: '^alice$'}\n  condition: s", false},
		{"re searches", "  s: {user|re: 'l.c'}\n  condition: s", true},
		{"numbers", "  s: {n: 5}\n  condition: s", true},
		{"gte", "  s: {n|gte: 5}\n  condition: s", true},
		{"gt", "  s: {n|gt: 5}\n  condition: s", false},
		{"lt of a text", "  s: {user|lt: 5}\n  condition: s", false},
		{"booleans", "  s: {flag: true}\n  condition: s", true},
		{"null means no value", "  s: {nothing: null}\n  condition: s", true},
		{"null means an absent field too", "  s: {absent: null}\n  condition: s", true},
		{"null is not an empty text", "  s: {empty: null}\n  condition: s", false},
		{"an empty text is one", "  s: {empty: ''}\n  condition: s", true},
		{"an absent field matches no value", "  s: {absent: '*'}\n  condition: s", false},
		{"exists", "  s: {user|exists: true}\n  condition: s", true},
		{"exists false", "  s: {user|exists: false}\n  condition: s", false},
		{"not binds tightest", "  a: {user: alice}\n  b: {n: 6}\n  condition: a and not b", true},
		{"and binds tighter than or", "  a: {user: alice}\n  b: {n: 6}\n  c: {n: 7}\n  condition: a or b and c", true},
		{"parentheses", "  a: {user: alice}\n  b: {n: 6}\n  c: {n: 7}\n  condition: (a or b) and c", false},
		{"1 of", "  sel_a: {user: bob}\n  sel_b: {n: 5}\n  condition: 1 of sel_*", true},
		{"all of them", "  sel_a: {user: bob}\n  sel_b: {n: 5}\n  condition: all of them", false},
	} {
		if got := one(t, tt.detection).condition(e); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	for _, doc := range []string{
		head + "  s: {a|base64: x}\n  condition: s", head + "  s: {a|contains|startswith: x}\n  condition: s", head + "  s: [word]\n  condition: s",
		head + "  s: {a: b}\n  condition: s | count() > 5", head + "  s: {a: b}\n  condition: t", head + "  s: {a: b}\n  condition: (s", head + "  s: {a: b}",
		head + "  s: {a|re: '('}\n  condition: s", "title: t\nid: i\nlevel: low\n", "title: t\nunknown: 1\n",
		"title: t\nid: i\nlevel: low\ncorrelation: {type: value_count, rules: [a], timespan: 1m, condition: {gte: 1}}",
		"title: t\nid: i\nlevel: low\ncorrelation: {type: event_count, rules: [a], timespan: soon, condition: {gte: 1}}",
	} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("accepted:\n%s", doc)
		}
	}
}

func TestACorrelationCountsWithinItsTimespanAndGroup(t *testing.T) {
	rs, err := Parse([]byte("title: t\nid: base\nlevel: low\nlogsource: {product: p}\ndetection:\n  s: {bad: true}\n  condition: s\n---\n" +
		"title: burst\nid: burst\nlevel: high\ncorrelation: {type: event_count, rules: [base], group-by: [who], timespan: 1m, condition: {gte: 3}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1.7e9, 0)
	fires := func(who []string, gap time.Duration) (n int) {
		var es []Event
		for i, w := range who {
			es = append(es, Event{"bad": true, "who": w, "i": float64(i)})
		}
		ms, err := Evaluate(rs, es, func(e Event) time.Time { return start.Add(time.Duration(e["i"].(float64)) * gap) })
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			if m.Rule.ID == "burst" {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		name string
		who  []string
		gap  time.Duration
		want int
	}{
		{"three in a minute", []string{"a", "a", "a"}, 10 * time.Second, 1},
		{"two", []string{"a", "a"}, 10 * time.Second, 0},
		{"three over three minutes", []string{"a", "a", "a"}, 50 * time.Second, 0},
		{"three by different groups", []string{"a", "b", "a"}, time.Second, 0},
		{"six are two bursts", []string{"a", "a", "a", "a", "a", "a"}, time.Second, 2},
	} {
		if got := fires(tt.who, tt.gap); got != tt.want {
			t.Errorf("%s: fires %d times, want %d", tt.name, got, tt.want)
		}
	}
}

func TestTheShippedRulesAreSound(t *testing.T) {
	files, err := filepath.Glob("*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	ids := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := Parse(b)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		for _, r := range rs {
			if ids[r.ID] {
				t.Errorf("%s: the id %s is used twice", f, r.ID)
			}
			ids[r.ID] = true
			if !strings.HasPrefix(strings.Join(r.Tags, " "), "attack.t") {
				t.Errorf("%s: %q names no technique", f, r.Title)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "  s: {a|contains: x}\n  condition: not (s or 1 of them)"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rs, err := Parse(b)
		if err != nil {
			return
		}
		for _, r := range rs {
			if r.condition != nil {
				r.condition(Event{"a": "x"})
			}
		}
	})
}
