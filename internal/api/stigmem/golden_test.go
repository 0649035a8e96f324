package stigmem_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"symbolon/internal/api/stigmem"
	"symbolon/internal/apikey"
	"symbolon/internal/canon"
	"symbolon/internal/fact"
	"symbolon/internal/id"
)

func idOf(s string) id.UUID { return id.UUID(s) }

// The record of a fact, byte for byte: the order of members is part of the wire.
func TestFactRecord(t *testing.T) {
	t.Parallel()
	trust, until, half := 0.28, "2030-01-01T00:00:00Z", 0.5
	scopes := id.ScopesOf(id.Public, id.Company)
	full := fact.Fact{
		ID: "f1", Tenant: "default", Entity: "user:é", Relation: "memory:\"x\"", Value: fact.Value{Type: canon.Number, V: "1e+22", InterpretAs: fact.Instruction},
		Source: "agent:s", Confidence: 1, Scope: id.Public, Timestamp: "2026-05-02T00:00:00Z", HLC: "1777716000000.000001", ValidUntil: &until, CID: "sha256:ab",
		DerivedFrom: []byte(`[{"a":1.0}]`), ReceivedFrom: "stigmem:node:p", OriginNodeID: "stigmem:node:o", OriginAllowedScopes: &scopes, GardenID: "g",
		AttestedKeyID: "k", SourceTrust: &trust,
		State: fact.State{Override: &fact.Override{Confidence: &half}, QuarantineStatus: "promoted", QuarantineGarden: "q", Contradicted: true},
	}
	bare := fact.Fact{ID: "f2", Entity: "e", Relation: "r", Value: fact.Value{Type: canon.Null, V: "null", InterpretAs: fact.Content}, Source: "s", Scope: id.Local, Timestamp: "t", HLC: "h"}
	for _, tt := range []struct {
		f        fact.Fact
		warnings []string
		want     string
	}{
		{full, []string{"w1", "w2"}, `{"id":"f1","entity":"user:é","relation":"memory:\"x\"","value":{"type":"number","v":1e+22,"interpret_as":"instruction"},"source":"agent:s",` +
			`"timestamp":"2026-05-02T00:00:00Z","hlc":"1777716000000.000001","received_from":"stigmem:node:p","valid_until":"2030-01-01T00:00:00Z","confidence":0.5,"scope":"public",` +
			`"attested_key_id":"k","origin_node_id":"stigmem:node:o","origin_allowed_scopes":["company","public"],"garden_id":"g","attested":null,"contradicted":true,` +
			`"warnings":["w1","w2"],"source_trust":0.28,"quarantine_status":"promoted","quarantine_garden_id":"q","effective_confidence":null,"sanitizer_warnings":[],` +
			`"sanitizer_redacted":false,"cid":"sha256:ab","derived_from":[{"a":1.0}]}`},
		{bare, nil, `{"id":"f2","entity":"e","relation":"r","value":{"type":"null","v":null,"interpret_as":"content"},"source":"s","timestamp":"t","hlc":"h","received_from":null,` +
			`"valid_until":null,"confidence":0.0,"scope":"local","attested_key_id":null,"origin_node_id":null,"origin_allowed_scopes":null,"garden_id":null,"attested":null,` +
			`"contradicted":false,"warnings":[],"source_trust":null,"quarantine_status":null,"quarantine_garden_id":null,"effective_confidence":null,"sanitizer_warnings":[],` +
			`"sanitizer_redacted":false,"cid":null,"derived_from":[]}`},
	} {
		got := string(stigmem.AppendFact(nil, &tt.f, tt.warnings))
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		if !json.Valid([]byte(got)) {
			t.Error("it is no JSON")
		}
	}
	for v, want := range map[string]string{"inf": "null", "nan": "null", "junk": "null"} {
		bare.Value = fact.Value{Type: canon.Number, V: v, InterpretAs: fact.Content}
		if got := string(stigmem.AppendFact(nil, &bare, nil)); !strings.Contains(got, `"v":`+want+`,`) {
			t.Errorf("a number stored as %q is served as %s", v, got)
		}
	}
}

func BenchmarkAppendFact(b *testing.B) {
	f := fact.Fact{ID: id.NewUUID(), Entity: "user:x", Relation: "memory:role", Value: fact.Value{Type: canon.String, V: "the value", InterpretAs: fact.Content}, Source: "agent:s",
		Scope: id.Local, Timestamp: "2026-05-02T00:00:00Z", HLC: "1777716000000.000001", CID: id.CIDOf([32]byte{})}
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = stigmem.AppendFact(buf[:0], &f, nil)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	const head = `{"version":"1.0","node_id":"stigmem:node:test","node_url":"http://testnode","auth":"required","federation":"`
	const middle = `","source_attestation":"off","namespaces":["stigmem:","rel:","memory:","intent:","roadmap:","preference:","garden:"],` +
		`"spec":"https://github.com/eidetic-labs/stigmem/blob/main/spec/stigmem-spec-v1.0.md","cors":{"dev_localhost":false,"configured":false}`
	if got := n.do("GET", "/.well-known/stigmem", "", "").Body; got != head+"disabled"+middle+"}" {
		t.Errorf("not federating: %s", got)
	}
	for _, push := range []bool{false, true} {
		d := n.Deps
		d.More = nil
		d.Node.Federation = &stigmem.FederationInfo{PubKey: "KEY", Version: "0.5", Push: push}
		n.API = stigmem.New(d)
		want := head + "enabled" + middle + `,"federation_pubkey":"KEY","federation_version":"0.5","federation_endpoints":{"peers":"/v1/federation/peers","facts":"/v1/federation/facts","push":`
		want += map[bool]string{false: "null", true: `"/v1/federation/facts/push"`}[push] + "}}"
		if got := n.do("GET", "/.well-known/stigmem", "", "").Body; got != want {
			t.Errorf("federating: %s\nwant %s", got, want)
		}
	}
}

func TestTheAuditLogAfterAKeyIsMade(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	if got := n.do("POST", "/v1/auth/keys", adminKey, `{"raw_key":"`+strings.Repeat("z", 32)+`","entity_uri":"agent:new"}`); got.Status != 201 {
		t.Fatal(got)
	}
	f := n.do("POST", "/v1/facts", writerKey, plainFact).object(t)
	got := n.do("GET", "/v1/audit?limit=2", readerKey, "")
	var page struct {
		Entries []map[string]any
		Total   int
		Cursor  *string
	}
	if err := json.Unmarshal([]byte(got.Body), &page); err != nil || got.Status != 200 {
		t.Fatal(got.Status, got.Body, err)
	}
	e := page.Entries[0]
	if page.Total != 2 || page.Cursor == nil || e["event_type"] != "fact_write" || e["fact_id"] != f["id"] || e["fact_value_v"] != "CEO" || e["entity_uri"] != "agent:writer" ||
		page.Entries[1]["event_type"] != "admin_action" || page.Entries[1]["fact_id"] != nil {
		t.Errorf("the log is %s", got.Body)
	}
	seen := 2
	for cursor := page.Cursor; cursor != nil; {
		got := n.do("GET", "/v1/audit?limit=2&cursor="+*cursor, readerKey, "")
		page.Cursor = nil
		if err := json.Unmarshal([]byte(got.Body), &page); err != nil {
			t.Fatal(got.Body, err)
		}
		seen += len(page.Entries)
		cursor = page.Cursor
	}
	if seen != 5 { // three keys of the test's, one made here, one fact
		t.Errorf("%d entries in all", seen)
	}
	if got := n.do("GET", "/v1/audit/facts/"+f["id"].(string), readerKey, ""); got.Status != 200 || !strings.Contains(got.Body, `"event_type":"fact_write"`) {
		t.Errorf("of one fact: %d %s", got.Status, got.Body)
	}
	if got := n.do("GET", "/v1/audit/facts/nosuch", readerKey, ""); got.Status != 404 {
		t.Errorf("of no fact: %d %s", got.Status, got.Body)
	}
	admin := n.do("GET", "/v1/admin/audit?event_type=fact_write&since=2026-11-21T00:00:00%2B00:00&until=2027-01-01", adminKey, "").object(t)
	if list, _ := admin["entries"].([]any); len(list) != 1 || admin["next_cursor"] != nil {
		t.Errorf("the admin's log: %v", admin)
	}
	for path, want := range map[string]string{
		"/v1/audit?cursor=zz":           `400 {"detail":{"code":"invalid_cursor","message":"unreadable pagination cursor"}}`,
		"/v1/admin/audit?cursor=zz":     `422 ` + detail(fault("int_parsing", `"query","cursor"`, "Input should be a valid integer, unable to parse string as an integer", `"zz"`, "")),
		"/v1/admin/audit?since=someday": `422 ` + detail(fault("value_error", `"query","since"`, "Value error, want an ISO 8601 timestamp", `"someday"`, rule)),
	} {
		got := n.do("GET", path, adminKey, "")
		if s := strings.Join([]string{itoa(got.Status), got.Body}, " "); s != want {
			t.Errorf("%s: %s, want %s", path, s, want)
		}
	}
	if got := n.do("GET", "/v1/admin/audit", readerKey, ""); got.Status != 403 || got.Body != `{"detail":"audit.read capability required"}` {
		t.Errorf("a reader: %d %s", got.Status, got.Body)
	}
	if got := n.do("GET", "/v1/audit", writerKey, ""); got.Status != 403 {
		t.Errorf("a writer: %d %s", got.Status, got.Body)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// The content id that is served is the one that the reference computes from what is
// served, for every vector of its own making.
func TestGoldenContentIDs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../canon/testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		CID []struct {
			Entity, Relation, Source, Scope, Confidence, CID string
			ValueType                                        string `json:"value_type"`
			Input                                            string `json:"value_v_input_json"`
			Stored                                           string `json:"stored_value_v"`
		}
	}
	if err := json.Unmarshal(b, &golden); err != nil || len(golden.CID) == 0 {
		t.Fatal(err, len(golden.CID))
	}
	same := 0
	for _, v := range golden.CID {
		n := newNode(t, true)
		got := n.do("POST", "/v1/facts", "", body("entity", text(v.Entity), "relation", text(v.Relation), "source", text(v.Source), "scope", text(v.Scope), "confidence", v.Confidence,
			"value", `{"type":"`+v.ValueType+`","v":`+v.Input+`}`))
		if got.Status != 201 {
			t.Errorf("%s %s: %d %s", v.ValueType, v.Input, got.Status, got.Body)
			continue
		}
		if v.ValueType == "number" && !strings.ContainsAny(v.Stored, ".e") {
			continue // hashed as an integer there and as the float that is served here
		}
		same++
		if got.object(t)["cid"] != v.CID {
			t.Errorf("%s %s: %s, want %s", v.ValueType, v.Input, got.Body, v.CID)
		}
	}
	if same < 30 {
		t.Errorf("only %d vectors were compared", same)
	}
}

func text(s string) string { b, _ := json.Marshal(s); return string(b) }

func TestKeysOverTheWire(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	raw := strings.Repeat("n", apikey.MinWire)
	made := n.do("POST", "/v1/auth/keys", adminKey, `{"raw_key":"`+raw+`","entity_uri":"agent:new","permissions":["write","read"],"description":"d","tenant_id":" ACME "}`)
	m := made.object(t)
	key, _ := m["id"].(string)
	want := `{"id":"` + key + `","entity_uri":"agent:new","permissions":["read","write"],"description":"d","created_at":"2026-11-21T22:36:17+00:00","expires_at":"2027-02-19T22:36:17+00:00","tenant_id":"acme"}`
	if made.Status != 201 || made.Body != want {
		t.Errorf("made: %d %s\nwant %s", made.Status, made.Body, want)
	}
	if got := n.do("GET", "/v1/auth/keys", raw, "").Body; got != `[{"id":"`+key+`","entity_uri":"agent:new","permissions":["write","read"],"description":"d",`+
		`"created_at":"2026-11-21T22:36:17+00:00","expires_at":"2027-02-19T22:36:17+00:00","oidc_sub":null}]` {
		t.Errorf("listed: %s", got)
	}
	if got := n.do("GET", "/v1/me", raw, "").Body; got != `{"entity_uri":"agent:new","permissions":["read","write"],"oidc_sub":null,"tenant_id":"acme"}` {
		t.Errorf("me: %s", got)
	}
	if got := n.do("DELETE", "/v1/auth/keys/"+key, adminKey, ""); got.Status != 403 {
		t.Errorf("an admin revokes another entity's key: %d %s", got.Status, got.Body)
	}
	if got := n.do("DELETE", "/v1/auth/keys/"+key, raw, ""); got.Status != 204 || got.Body != "" {
		t.Errorf("revoked: %d %q", got.Status, got.Body)
	}
	if got := n.do("GET", "/v1/me", raw, ""); got.Status != 401 {
		t.Errorf("after it was revoked: %d %s", got.Status, got.Body)
	}
}
