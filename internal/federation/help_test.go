package federation_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/testkit/fedtest"
)

// claimsOf reads the claims of a token in an Authorization header.
func claimsOf(t *testing.T, authorization string) map[string]any {
	t.Helper()
	text, ok := strings.CutPrefix(authorization, "Bearer ")
	parts := strings.Split(text, ".")
	if !ok || len(parts) != 3 {
		t.Fatalf("no token in %q", authorization)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// cidOver is the content id of an offered fact with the given text as its value.
func cidOver(f map[string]any, value string) string {
	c := canon.Fact{
		Entity: f["entity"].(string), Relation: f["relation"].(string), ValueType: canon.ValueType(f["value"].(map[string]any)["type"].(string)),
		Value: value, Source: f["source"].(string), Scope: f["scope"].(string), Confidence: f["confidence"].(float64),
	}
	cid, err := c.CID()
	if err != nil {
		panic(err)
	}
	return string(cid)
}

// run has the node poll its peers until the test ends or stop is called.
func run(t *testing.T, n *fedtest.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Federation.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// eventually waits for a condition that background work brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("in ten seconds it did not come to pass that %s", what)
}
