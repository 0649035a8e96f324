package federation_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/testkit/fedtest"
)

const pushPath = "/v1/federation/facts/push"

type pushed struct {
	Accepted int `json:"accepted"`
	Rejected int `json:"rejected"`
	Errors   []struct {
		FactID *string `json:"fact_id"`
		Error  string  `json:"error"`
	} `json:"errors"`
}

func push(t *testing.T, n *fedtest.Node, p *fedtest.Peer, facts ...any) pushed {
	t.Helper()
	if facts == nil {
		facts = []any{}
	}
	res := n.Do(t, "POST", pushPath, "Bearer "+p.Token(n), map[string]any{"facts": facts})
	res.Want(t, 202, "")
	var out pushed
	res.JSON(t, &out)
	if out.Errors == nil || len(out.Errors) != out.Rejected || out.Accepted+out.Rejected != len(facts) {
		t.Errorf("of %d facts: %s", len(facts), res.Body)
	}
	return out
}

// pushCases holds C2a to C2d and the push half of D4 and D6.
func pushCases(t *testing.T) {
	t.Helper()
	t.Run("C2a_a pushed fact of a scope that was not agreed is refused", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		for _, scope := range []id.Scope{id.Team, id.Local} {
			f := p.Fact(n, "user:"+scope.String(), "v", scope)
			out := push(t, n, p, f)
			if out.Rejected != 1 || *out.Errors[0].FactID != factID(f) || out.Errors[0].Error != "scope_not_permitted" {
				t.Errorf("%v: %+v", scope, out)
			}
			if d := refusedOnce(t, n, p, f, "scope_violation", ""); d["scope"] != scope.String() {
				t.Errorf("audited %v", d)
			}
		}
	})

	t.Run("C2b_a peer pushes only what it says itself", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		f := p.Fact(n, "user:x", "v", id.Public)
		f["source"] = "agent:somebody"
		fedtest.Recompute(f)
		if out := push(t, n, p, f); out.Rejected != 1 || out.Errors[0].Error != "source_not_owned" {
			t.Errorf("%+v", out)
		}
		d := refusedOnce(t, n, p, f, "rejected_fact", "source_not_owned")
		if d["source"] != "agent:somebody" || d["peer_node_id"] != p.ID {
			t.Errorf("audited %v", d)
		}
		n.Do(t, "GET", "/v1/facts/"+factID(f), admin, nil).Want(t, 404, "fact not found")
	})

	t.Run("C2c_a token is used for one push", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		text := "Bearer " + p.Token(n)
		n.Do(t, "POST", pushPath, text, map[string]any{"facts": []any{}}).Want(t, 202, "")
		n.Do(t, "POST", pushPath, text, map[string]any{"facts": []any{}}).Want(t, 401, "peer token or X-Stigmem-Capability header required")
		n.Do(t, "GET", pullPath, text, nil).Want(t, 401, "nonce_already_seen")
		if d := n.AuditDetails(t, p.RowID, "replay_attempt"); len(d) != 1 || d[0]["reason"] != "nonce_already_seen" {
			t.Errorf("audited %v", d)
		}
	})

	t.Run("C2d_the good ones of a mixed batch are stored", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		good, more := p.Fact(n, "user:good", "v", id.Public), p.Fact(n, "user:more", "v", id.Company)
		bad := p.Fact(n, "user:bad", "v", id.Public)
		bad["cid"] = good["cid"]
		skewed := p.Fact(n, "user:skewed", "v", id.Public)
		skewed["hlc"] = "9999999999999.0"
		order := p.Fact(n, "instruction:x", "v", id.Public)
		out := push(t, n, p, good, bad, "x", nil, map[string]any{}, skewed, order, more, good)
		var errs []string
		for _, e := range out.Errors {
			errs = append(errs, e.Error)
		}
		if got := strings.Join(errs, " "); out.Accepted != 3 || got != "cid_mismatch ingest_error ingest_error ingest_error hlc_skew ingest_error" {
			t.Errorf("%d accepted, errors %s", out.Accepted, got)
		}
		if out.Errors[1].FactID != nil || out.Errors[3].FactID != nil || *out.Errors[0].FactID != factID(bad) {
			t.Errorf("ids of %+v", out.Errors)
		}
		taken(t, n, true, good, more)
		taken(t, n, false, bad, skewed, order)
		if meta := received(t, n, factID(good)); len(meta) != 1 {
			t.Errorf("%d facts say who sent it, want 1", len(meta))
		}
	})

	t.Run("D6_push is refused before anything else when it is off", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{Config: func(c *federation.Config) { c.PushEnabled = false }})
		p := fedtest.Join(t, n, id.Public)
		for _, authorization := range []string{"", "Bearer x", "Bearer " + p.Token(n)} {
			n.Do(t, "POST", pushPath, authorization, map[string]any{"facts": []any{}}).Want(t, 405, "push replication not enabled on this node")
		}
		n.Do(t, "POST", pushPath, "", "{").Want(t, 405, "push replication not enabled on this node")
	})

	t.Run("D6_a capability that cannot be verified is refused", func(t *testing.T) {
		t.Parallel()
		n := fedtest.Start(t, fedtest.Options{})
		for capability, detail := range map[string]string{
			"":                       "peer token or X-Stigmem-Capability header required",
			"{":                      "capability token invalid: invalid token JSON: not a JSON object",
			"[]":                     "capability token invalid: invalid token JSON: not a JSON object",
			`{"issuer":"https://x"}`: "capability token invalid: issuer manifest not found or expired",
		} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", n.URL+pushPath, strings.NewReader(`{"facts":[]}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Stigmem-Capability", capability)
			n.Send(t, req).Want(t, 401, detail)
		}
		if d := n.FactAudit(t, "capability_rejected"); len(d) != 3 || d[0]["fact_id"] != "capability:rejected" {
			t.Errorf("audited %v", d)
		}
	})

	t.Run("G13_a push of any shape is answered", func(t *testing.T) {
		t.Parallel()
		n, p := joined(t, fedtest.Options{})
		for _, tt := range []struct {
			body   string
			status int
		}{
			{`{}`, 202}, {`{"facts":[]}`, 202}, {`{"facts":["x"]}`, 202}, {`{"facts":[null,1,true,[],{}]}`, 202},
			{`{"facts":null}`, 422}, {`{"facts":"x"}`, 422}, {`[]`, 422}, {`"x"`, 422}, {`null`, 422}, {``, 422}, {`{`, 422},
			{`{"facts":["\ud800"]}`, 422}, {`{"facts":[{"id":"a","confidence":1e400}]}`, 202},
			{`{"facts":[` + strings.Repeat("0,", 1000) + `0]}`, 422},
			{`{"facts":["` + strings.Repeat("x", 1<<20) + `"]}`, 413},
		} {
			if res := n.Do(t, "POST", pushPath, "Bearer "+p.Token(n), tt.body); res.Status != tt.status {
				t.Errorf("%.60s: %d %.200s, want %d", tt.body, res.Status, res.Body, tt.status)
			}
		}
	})
}

// Whatever is pushed, the answer counts every fact.
func TestPushCountsEveryFact(t *testing.T) {
	t.Parallel()
	n, p := joined(t, fedtest.Options{})
	var batch []any
	for i := range 50 {
		f := p.Fact(n, "user:many", strings.Repeat("v", i+1), id.Public)
		if i%5 == 0 {
			f["confidence"] = json.Number("2")
		}
		batch = append(batch, f)
	}
	if out := push(t, n, p, batch...); out.Accepted != 40 {
		t.Errorf("%d accepted, want 40", out.Accepted)
	}
}
