package federation_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"symbolon/internal/fact"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

// D9: four nodes that all know one another and poll on their own.
func TestFourNodes(t *testing.T) {
	t.Parallel()
	var nodes []*fedtest.Node
	for range 4 {
		nodes = append(nodes, fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PullInterval = 100 * time.Millisecond }}))
	}
	for i, a := range nodes {
		for _, b := range nodes[i+1:] {
			fedtest.Befriend(t, a, b, id.Public, id.Company)
		}
	}
	stops := make([]func(), len(nodes))
	for i, n := range nodes {
		stops[i] = run(t, n)
	}
	everywhere := func(f fact.Fact) {
		t.Helper()
		for i, n := range nodes {
			eventually(t, fmt.Sprintf("fact %s is on node %d", f.Entity, i), func() bool { _, ok := n.Get(t, string(f.ID)); return ok })
		}
	}
	local := nodes[0].Assert(t, "user:secret", "v", id.Local)
	for i, n := range nodes {
		everywhere(n.Assert(t, fmt.Sprint("user:from", i), "v", id.Company))
	}
	for i, n := range nodes[1:] {
		if _, ok := n.Get(t, string(local.ID)); ok {
			t.Errorf("a local fact is on node %d", i+1)
		}
	}

	say := func(n *fedtest.Node, value string, confidence float64, until *string) fact.Fact {
		t.Helper()
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.Facts.Assert(t.Context(), fedtest.Admin(), fact.Assertion{
			Entity: "user:x", Relation: "memory:role", Source: "agent:" + value, Type: "string", RawValue: raw, InterpretAs: fact.Content,
			Confidence: confidence, Scope: id.Public, WriteMode: fact.WriteAssert, ValidUntil: until,
		})
		if err != nil {
			t.Fatal(err)
		}
		return got.Fact
	}
	weak, strong := say(nodes[1], "weak", 0.5, nil), say(nodes[2], "strong", 1, nil)
	everywhere(weak)
	everywhere(strong)
	shown := func(n *fedtest.Node, query string) (values []string) {
		t.Helper()
		var page struct {
			Facts []struct{ Value struct{ V string } }
		}
		n.Do(t, "GET", "/v1/facts?entity=user:x&relation=memory:role"+query, admin, nil).JSON(t, &page)
		for _, f := range page.Facts {
			values = append(values, f.Value.V)
		}
		return values
	}
	for i, n := range nodes {
		if got := shown(n, ""); fmt.Sprint(got) != "[strong]" {
			t.Errorf("node %d shows %v by default, want the fact of higher confidence", i, got)
		}
		page, err := n.Facts.Conflicts(t.Context(), fedtest.Admin(), fact.ConflictQuery{Status: fact.Unresolved, Limit: 50})
		if err != nil || len(page.Conflicts) != 1 {
			t.Errorf("node %d has %d conflicts, %v; want one", i, len(page.Conflicts), err)
		}
	}

	soon := fact.Timestamp(time.Now().Add(time.Hour))
	brief := say(nodes[3], "brief", 1, &soon)
	everywhere(brief)
	for i, n := range nodes {
		n.Clock.Advance(2 * time.Hour)
		if got := shown(n, "&include_contradicted=true"); len(got) != 2 {
			t.Errorf("node %d shows %v after the third ran out", i, got)
		}
		if got := shown(n, "&include_contradicted=true&include_expired=true"); len(got) != 3 {
			t.Errorf("node %d shows %v of three, one run out", i, got)
		}
	}

	stops[0]()
	var missed []fact.Fact
	for i := range 3 {
		missed = append(missed, nodes[1].Assert(t, fmt.Sprint("user:missed", i), "v", id.Public))
	}
	nodes[0].Restart(t)
	run(t, nodes[0])
	for _, f := range missed {
		everywhere(f)
	}
}
