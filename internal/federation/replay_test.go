package federation_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"symbolon/internal/federation"
	"symbolon/internal/testkit/fedtest"
)

// The walk of a real node's federation routes, answered byte for byte but for what is
// listed.
func TestRoutesAnswerAsARealNode(t *testing.T) {
	t.Parallel()
	departures := map[string]string{
		"register-again": "a rejected node may register again",
		"audit":          "refused registrations are audited",
	}
	b, err := os.ReadFile("testdata/walk-a10.json")
	if err != nil {
		t.Fatal(err)
	}
	var walk struct {
		Steps []struct {
			Name, Method, Path, Who string
			Body, Answer            json.RawMessage
			Status                  int
		}
	}
	if err := json.Unmarshal(b, &walk); err != nil {
		t.Fatal(err)
	}
	n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PushEnabled = false }})
	theirs, ours := "", ""
	for _, s := range walk.Steps {
		authorization := ""
		if s.Who != "" {
			authorization = "Bearer " + s.Who
		}
		var body any
		if string(s.Body) != "null" {
			body = []byte(s.Body)
		}
		res := n.Do(t, s.Method, strings.ReplaceAll(s.Path, theirs+"/approve", ours+"/approve"), authorization, body)
		if s.Name == "register-unreachable" {
			var a, b struct {
				PeerID string `json:"peer_id"`
			}
			if err := json.Unmarshal(s.Answer, &a); err != nil {
				t.Fatal(err)
			}
			res.JSON(t, &b)
			theirs, ours = a.PeerID, b.PeerID
		}
		if departures[s.Name] != "" {
			continue
		}
		var want bytes.Buffer
		if err := json.Compact(&want, s.Answer); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(res.Body), ours, theirs); res.Status != s.Status || got != want.String() {
			t.Errorf("%s %s %s:\n%d %s, want\n%d %s", s.Name, s.Method, s.Path, res.Status, got, s.Status, &want)
		}
	}
}

// The protocol's own vectors about federation.
func TestConformanceVectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/conformance-19.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			ID, Method, Path string
			Body             json.RawMessage
			Status           int              `json:"expected_status"`
			StatusIn         []int            `json:"expected_status_in"`
			Contains         map[string]any   `json:"expected_body_contains"`
			Keys             []string         `json:"expected_body_has_keys"`
			In               map[string][]any `json:"expected_body_value_in"`
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.Enabled, c.PushEnabled = false, false }})
	for _, v := range file.Vectors {
		var body any
		if string(v.Body) != "null" {
			body = []byte(v.Body)
		}
		res := n.Do(t, v.Method, v.Path, "", body)
		if res.Status != v.Status && !slices.Contains(v.StatusIn, res.Status) {
			t.Errorf("%s: %d %s, want %d or one of %v", v.ID, res.Status, res.Body, v.Status, v.StatusIn)
		}
		var got map[string]any
		res.JSON(t, &got)
		for k, want := range v.Contains {
			if got[k] != want {
				t.Errorf("%s: %s is %v, want %v", v.ID, k, got[k], want)
			}
		}
		for _, k := range v.Keys {
			if _, ok := got[k]; !ok {
				t.Errorf("%s: no %s", v.ID, k)
			}
		}
		for k, list := range v.In {
			if !slices.Contains(list, got[k]) {
				t.Errorf("%s: %s is %v, want one of %v", v.ID, k, got[k], list)
			}
		}
	}
}
