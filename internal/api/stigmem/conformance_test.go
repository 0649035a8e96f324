package stigmem_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A vector is one case of the protocol's own conformance data.
type vector struct {
	ID             string
	Method         string
	Path           string
	Body           json.RawMessage
	Status         int                 `json:"expected_status"`
	StatusIn       []int               `json:"expected_status_in"`
	Contains       map[string]any      `json:"expected_body_contains"`
	Keys           []string            `json:"expected_body_has_keys"`
	Nested         map[string]any      `json:"expected_nested"`
	ListContains   map[string]any      `json:"expected_body_list_contains"`
	ValueIn        map[string][]string `json:"expected_body_value_in"`
	StartsWith     map[string]string   `json:"expected_field_starts_with"`
	RequiresSetup  string              `json:"requires_setup"`
	RequiresAuth   bool                `json:"requires_auth"`
	RequiresPlugin string              `json:"requires_plugin"`
}

// unbuilt are vectors of parts of the protocol that this node does not have.
var unbuilt = []string{"cid-backfill-status-requires-admin"}

func TestConformance(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conformance/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	all := map[string]vector{}
	var order []vector
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Vectors []vector }
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, v := range doc.Vectors {
			all[v.ID] = v
			order = append(order, v)
		}
	}
	for _, v := range order {
		if slices.Contains(unbuilt, v.ID) {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, !v.RequiresAuth)
			if v.RequiresSetup != "" {
				if got := all[v.RequiresSetup].send(n); got.Status >= 300 {
					t.Fatalf("setup %s: %d %s", v.RequiresSetup, got.Status, got.Body)
				}
			}
			v.check(t, v.send(n))
		})
	}
}

func (v vector) send(n *node) answer {
	body := string(v.Body)
	if body == "null" {
		body = ""
	}
	return n.do(v.Method, v.Path, "", body)
}

func (v vector) check(t *testing.T, got answer) {
	t.Helper()
	if v.Status != 0 && got.Status != v.Status || v.StatusIn != nil && !slices.Contains(v.StatusIn, got.Status) {
		t.Fatalf("status %d, want %d or one of %v: %s", got.Status, v.Status, v.StatusIn, got.Body)
	}
	if got.Status >= 400 {
		return
	}
	body := got.object(t)
	for _, k := range v.Keys {
		if _, ok := body[k]; !ok {
			t.Errorf("no member %q in %s", k, got.Body)
		}
	}
	if v.Contains != nil && !contains(body, v.Contains) {
		t.Errorf("%s does not contain %v", got.Body, v.Contains)
	}
	for path, want := range v.Nested {
		var at any = body
		for name := range strings.SplitSeq(path, ".") {
			m, _ := at.(map[string]any)
			v, ok := m[name]
			if !ok {
				t.Errorf("no %s in %s", path, got.Body)
			}
			at = v
		}
		if !reflect.DeepEqual(at, want) {
			t.Errorf("%s is %v, want %v", path, at, want)
		}
	}
	for name, want := range v.ListContains {
		list, _ := body[name].([]any)
		if !slices.Contains(list, want) {
			t.Errorf("%s is %v, want %v in it", name, list, want)
		}
	}
	for name, list := range v.ValueIn {
		if s, _ := body[name].(string); !slices.Contains(list, s) {
			t.Errorf("%s is %v, want one of %v", name, body[name], list)
		}
	}
	for name, prefix := range v.StartsWith {
		if s, _ := body[name].(string); !strings.HasPrefix(s, prefix) {
			t.Errorf("%s is %v, want it to begin with %q", name, body[name], prefix)
		}
	}
}

// contains reports whether got holds all that want does, as the data's own runner
// understands it.
func contains(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range w {
			if e, ok := g[k]; !ok || !contains(e, v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(w) == 0 && len(g) != 0 {
			return false
		}
		for _, v := range w {
			if !slices.ContainsFunc(g, func(e any) bool { return contains(e, v) }) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}
