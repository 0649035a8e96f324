package federation_test

import (
	"bytes"
	"encoding/json"
	"os"
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
