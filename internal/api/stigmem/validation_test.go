package stigmem_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// body is plainFact with members replaced; an empty text takes one out.
func body(pairs ...string) string {
	names := []string{"entity", "relation", "value", "source"}
	m := map[string]string{"entity": `"user:x"`, "relation": `"memory:role"`, "value": `{"type":"string","v":"CEO"}`, "source": `"agent:s"`}
	for i := 0; i+1 < len(pairs); i += 2 {
		if _, ok := m[pairs[i]]; !ok {
			names = append(names, pairs[i])
		}
		m[pairs[i]] = pairs[i+1]
	}
	var parts []string
	for _, n := range names {
		if m[n] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", n, m[n]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func fault(kind, loc, msg, input, ctx string) string {
	s := `{"type":"` + kind + `","loc":[` + loc + `],"msg":"` + msg + `","input":` + input
	if ctx != "" {
		s += `,"ctx":` + ctx
	}
	return s + "}"
}

func detail(faults ...string) string { return `{"detail":[` + strings.Join(faults, ",") + `]}` }

const (
	mustBeText = "Input should be a valid string"
	mustBeDict = "Input should be a valid dictionary or object to extract fields from"
	rule       = `{"error":{}}`
)

func TestAssertValidation(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	long := strings.Repeat("é", 2049)
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"all required are missing", `{}`, 422, detail(
			fault("missing", `"body","entity"`, "Field required", "{}", ""), fault("missing", `"body","relation"`, "Field required", "{}", ""),
			fault("missing", `"body","value"`, "Field required", "{}", ""), fault("missing", `"body","source"`, "Field required", "{}", ""))},
		{"several faults, in field order", body("entity", `""`, "relation", `5`, "value", `{"v":1}`, "confidence", `2`, "scope", `"x"`), 422, detail(
			fault("string_too_short", `"body","entity"`, "String should have at least 1 character", `""`, `{"min_length":1}`),
			fault("string_type", `"body","relation"`, mustBeText, "5", ""),
			fault("missing", `"body","value","type"`, "Field required", `{"v":1}`, ""),
			fault("less_than_equal", `"body","confidence"`, "Input should be less than or equal to 1", "2", `{"le":1.0}`),
			fault("value_error", `"body","scope"`, "Value error, scope must be one of {'company', 'local', 'public', 'team'}", `"x"`, rule))},
		{"null is no text", body("entity", `null`), 422, detail(fault("string_type", `"body","entity"`, mustBeText, "null", ""))},
		{"a long text", body("relation", `"`+long+`"`), 422, detail(fault("string_too_long", `"body","relation"`, "String should have at most 2048 characters", `"`+long+`"`, `{"max_length":2048}`))},
		{"a text with a zero", body("source", `"a\u0000"`), 422, detail(fault("value_error", `"body","source"`, "Value error, text must not contain U+0000", `"a\u0000"`, rule))},
		{"a zero in the value", body("value", `{"type":"string","v":"a\u0000b"}`), 422,
			detail(fault("value_error", `"body","value","v"`, "Value error, text must be valid Unicode without U+0000", "null", rule))},
		{"a zero in derived_from", body("derived_from", `[{"a":"\u0000"}]`), 422,
			detail(fault("value_error", `"body","derived_from"`, "Value error, text must be valid Unicode without U+0000", "null", rule))},
		{"a value that is no object", body("value", `"x"`), 422, detail(fault("model_attributes_type", `"body","value"`, mustBeDict, `"x"`, ""))},
		{"a value that is null", body("value", `null`), 422, detail(fault("model_attributes_type", `"body","value"`, mustBeDict, `null`, ""))},
		{"the echo keeps order and spells numbers as floats are", body("value", `[{"b":1.50,"a":[1e5,-0,1E400,"\u00e9\u2028"]}]`), 422,
			detail(fault("model_attributes_type", `"body","value"`, mustBeDict, "[{\"b\":1.5,\"a\":[100000.0,0,null,\"é\u2028\"]}]", ""))},
		{"an unknown type", body("value", `{"type":"blob"}`), 422, detail(fault("value_error", `"body","value","type"`,
			"Value error, type must be one of {'boolean', 'datetime', 'null', 'number', 'ref', 'string', 'text'}", `"blob"`, rule))},
		{"a confidence in words", body("confidence", `"high"`), 422,
			detail(fault("float_parsing", `"body","confidence"`, "Input should be a valid number, unable to parse string as a number", `"high"`, ""))},
		{"a confidence that is null", body("confidence", `null`), 422, detail(fault("float_type", `"body","confidence"`, "Input should be a valid number", "null", ""))},
		{"a confidence that is a list", body("confidence", `[]`), 422, detail(fault("float_type", `"body","confidence"`, "Input should be a valid number", "[]", ""))},
		{"a confidence below", body("confidence", `-0.1`), 422, detail(fault("greater_than_equal", `"body","confidence"`, "Input should be greater than or equal to 0", "-0.1", `{"ge":0.0}`))},
		{"a confidence that is not a number", body("confidence", `"nan"`), 422,
			detail(fault("greater_than_equal", `"body","confidence"`, "Input should be greater than or equal to 0", `"nan"`, `{"ge":0.0}`))},
		{"a confidence without end", body("confidence", `1e999`), 422, detail(fault("less_than_equal", `"body","confidence"`, "Input should be less than or equal to 1", "null", `{"le":1.0}`))},
		{"valid_until that is a number", body("valid_until", `5`), 422, detail(fault("string_type", `"body","valid_until"`, mustBeText, "5", ""))},
		{"an attestation without key", body("attestation", `{"signature":"s"}`), 422,
			detail(fault("missing", `"body","attestation","key_id"`, "Field required", `{"signature":"s"}`, ""))},
		{"an attestation that is a text", body("attestation", `"s"`), 422, detail(fault("model_attributes_type", `"body","attestation"`, mustBeDict, `"s"`, ""))},
		{"derived_from with a number in it", body("derived_from", `[{},7]`), 422, detail(fault("dict_type", `"body","derived_from",1`, "Input should be a valid dictionary", "7", ""))},
		{"derived_from that is an object", body("derived_from", `{}`), 422, detail(fault("list_type", `"body","derived_from"`, "Input should be a valid list", "{}", ""))},
		{"no object at all", `[]`, 422, detail(fault("model_attributes_type", `"body"`, mustBeDict, "[]", ""))},
		{"null", `null`, 422, detail(fault("missing", `"body"`, "Field required", "null", ""))},
		{"broken JSON", `{"a": `, 422, detail(fault("json_invalid", `"body",6`, "JSON decode error", "{}", `{"error":"Expecting value"}`))},
		{"broken JSON after more than ASCII", `{"é€": tru}`, 422, detail(fault("json_invalid", `"body",7`, "JSON decode error", "{}", `{"error":"Expecting value"}`))},
		{"more than one value", `{} {}`, 422, detail(fault("json_invalid", `"body",3`, "JSON decode error", "{}", `{"error":"Extra data"}`))},
		{"an unfinished text", `{"a`, 422, detail(fault("json_invalid", `"body",1`, "JSON decode error", "{}", `{"error":"Unterminated string starting at"}`))},
		{"a name twice", `{"a":1,"a":2}`, 422, detail(fault("json_invalid", `"body",7`, "JSON decode error", "{}", `{"error":"Duplicate property name"}`))},
		{"half a surrogate pair", body("entity", `"\ud800"`), 422, ""},
		{"no UTF-8", body("entity", "\"\xff\""), 422, ""},
		{"deep nesting", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), 422, ""},
		{"a deep value", body("value", `{"type":"text","v":`+strings.Repeat("[", 70)+strings.Repeat("]", 70)+"}"), 422, ""},
		{"a huge body", body("source", `"`+strings.Repeat("x", 2<<20)+`"`), 413, `{"detail":"the request body is over 1048576 bytes"}`},
		{"a number's text beyond a float", body("value", `{"type":"number","v":"1e999"}`), 422, ""},
		{"a number that is true", body("value", `{"type":"number","v":true}`), 422, ""},
		{"an entity of capitals and more bytes than fit", body("entity", `"`+strings.Repeat("é", 1500)+`"`), 400, `{"detail":"invalid_entity_uri: entity URI must not be longer than 2048 bytes"}`},
	} {
		got := n.do("POST", "/v1/facts", writerKey, tt.body)
		if got.Status != tt.status || tt.want != "" && got.Body != tt.want {
			t.Errorf("%s: %d %s\nwant %d %s", tt.name, got.Status, clip(got.Body), tt.status, clip(tt.want))
		}
		if !json.Valid([]byte(got.Body)) {
			t.Errorf("%s: the answer is no JSON: %q", tt.name, clip(got.Body))
		}
	}
	if got := n.do("GET", "/v1/facts", readerKey, "").object(t); got["total"] != 0.0 {
		t.Errorf("a refused body was stored: %v", got)
	}
}

func clip(s string) string { return s[:min(len(s), 600)] }

func TestAssertLeniency(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       map[string]any // members of the answer
	}{
		{"members that nobody knows are ignored", body("colour", `"red"`), map[string]any{"relation": "memory:role"}},
		{"a confidence in figures of text", body("confidence", `" 0.5 "`), map[string]any{"confidence": 0.5}},
		{"a confidence of true", body("confidence", `true`), map[string]any{"confidence": 1.0}},
		{"a confidence of false", body("confidence", `false`), map[string]any{"confidence": 0.0}},
		{"nulls where they may be", body("valid_until", `null`, "attestation", `null`, "garden_id", `null`), map[string]any{"valid_until": nil}},
		{"a summary with its sources", body("write_mode", `"summarize_with_provenance"`, "derived_from", `[{"z":1,"a":2.50}]`),
			map[string]any{"derived_from": []any{map[string]any{"a": 2.5, "z": 1.0}}}},
		{"an empty list of sources", body("derived_from", `[]`), map[string]any{"derived_from": []any{}}},
		{"an end that has passed", body("valid_until", `""`), map[string]any{"valid_until": ""}},
	} {
		n := newNode(t, true)
		got := n.do("POST", "/v1/facts", "", tt.body)
		if got.Status != 201 || !contains(got.object(t), tt.want) {
			t.Errorf("%s: %d %s, want %v", tt.name, got.Status, got.Body, tt.want)
		}
	}
}

// The encoded values of every type, as they are served.
func TestValuesOnTheWire(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	for i, tt := range []struct{ value, want string }{
		{`{"type":"number","v":42}`, `{"type":"number","v":42.0,"interpret_as":"content"}`},
		{`{"type":"number","v":100000000000000000000}`, `{"type":"number","v":1e+20,"interpret_as":"content"}`},
		{`{"type":"number","v":1e-7}`, `{"type":"number","v":1e-07,"interpret_as":"content"}`},
		{`{"type":"number","v":-0.0}`, `{"type":"number","v":-0.0,"interpret_as":"content"}`},
		{`{"type":"number","v":" 1_000 "}`, `{"type":"number","v":1000.0,"interpret_as":"content"}`},
		{`{"type":"boolean","v":"false"}`, `{"type":"boolean","v":true,"interpret_as":"content"}`},
		{`{"type":"boolean"}`, `{"type":"boolean","v":false,"interpret_as":"content"}`},
		{`{"type":"null","v":"x"}`, `{"type":"null","v":null,"interpret_as":"content"}`},
		{`{"type":"string","v":null}`, `{"type":"string","v":"None","interpret_as":"content"}`},
		{`{"type":"string","v":[1,"a",null,true,{"k":1.50}]}`, `{"type":"string","v":"[1, 'a', None, True, {'k': 1.5}]","interpret_as":"content"}`},
		{`{"type":"text","v":"\u2028<&>\"\\\u0001é\u007f"}`, "{\"type\":\"text\",\"v\":\"\u2028<&>\\\"\\\\\\u0001é\u007f\",\"interpret_as\":\"content\"}"},
		{`{"type":"datetime","v":"soon","interpret_as":"content"}`, `{"type":"datetime","v":"soon","interpret_as":"content"}`},
		{`{"type":"ref","v":"user:bob"}`, `{"type":"ref","v":"user:bob","interpret_as":"content"}`},
	} {
		entity := fmt.Sprintf(`"user:%d"`, i)
		for _, got := range []answer{
			n.do("POST", "/v1/facts", "", body("entity", entity, "value", tt.value)),
			n.do("GET", fmt.Sprint("/v1/facts?entity=user:", i), "", ""),
		} {
			if !strings.Contains(got.Body, `"value":`+tt.want) {
				t.Errorf("%s is served as %s, want %s", tt.value, got.Body, tt.want)
			}
		}
	}
}

func TestQueryValidation(t *testing.T) {
	t.Parallel()
	n := newNode(t, false)
	if got := n.do("POST", "/v1/facts", writerKey, plainFact); got.Status != 201 {
		t.Fatal(got)
	}
	queryFault := func(name, kind, msg, input, ctx string) string {
		return detail(fault(kind, `"query","`+name+`"`, msg, `"`+input+`"`, ctx))
	}
	const notInt, notBool = "Input should be a valid integer, unable to parse string as an integer", "Input should be a valid boolean, unable to interpret input"
	for _, tt := range []struct {
		query  string
		status int
		want   string // whole when it is JSON, contained otherwise
	}{
		{"limit=0", 422, queryFault("limit", "greater_than_equal", "Input should be greater than or equal to 1", "0", `{"ge":1}`)},
		{"limit=501", 422, queryFault("limit", "less_than_equal", "Input should be less than or equal to 500", "501", `{"le":500}`)},
		{"limit=" + strings.Repeat("9", 400), 422, ""},
		{"limit=-" + strings.Repeat("9", 400), 422, ""},
		{"limit=many", 422, queryFault("limit", "int_parsing", notInt, "many", "")},
		{"limit=", 422, queryFault("limit", "int_parsing", notInt, "", "")},
		{"limit=1.5", 422, queryFault("limit", "int_parsing", notInt, "1.5", "")},
		{"limit=5.0", 200, `"total":1`},
		{"limit=%205%20", 200, `"total":1`},
		{"limit=1_0", 200, `"total":1`},
		{"limit=9&limit=x&limit=7", 200, `"total":1`}, // the last one counts
		{"limit=7&limit=x", 422, queryFault("limit", "int_parsing", notInt, "x", "")},
		{"min_confidence=2", 422, queryFault("min_confidence", "less_than_equal", "Input should be less than or equal to 1", "2", `{"le":1.0}`)},
		{"min_confidence=-1", 422, queryFault("min_confidence", "greater_than_equal", "Input should be greater than or equal to 0", "-1", `{"ge":0.0}`)},
		{"min_confidence=nan", 422, ""},
		{"min_confidence=0x1p-2", 422, ""},
		{"min_confidence=x", 422, queryFault("min_confidence", "float_parsing", "Input should be a valid number, unable to parse string as a number", "x", "")},
		{"include_expired=maybe", 422, queryFault("include_expired", "bool_parsing", notBool, "maybe", "")},
		{"include_expired=", 422, queryFault("include_expired", "bool_parsing", notBool, "", "")},
		{"attested=2", 422, queryFault("attested", "bool_parsing", notBool, "2", "")},
		{"include_low_trust=x", 422, queryFault("include_low_trust", "bool_parsing", notBool, "x", "")},
		{"limit=0&include_expired=x", 422, detail(
			fault("bool_parsing", `"query","include_expired"`, notBool, `"x"`, ""),
			fault("greater_than_equal", `"query","limit"`, "Input should be greater than or equal to 1", `"0"`, `{"ge":1}`))},
		{"scope=galaxy", 400, `{"detail":"scope must be one of {'company', 'local', 'public', 'team'}"}`},
		{"scope=", 200, `"total":1`},
		{"scope=local&entity=&relation=&source=&after=&cursor=&garden_id=&as_of=", 200, `"total":1`},
		{"cursor=zz", 400, `{"detail":{"code":"invalid_cursor","message":"unreadable pagination cursor"}}`},
		{"cursor=%00", 400, ""},
		{"garden_id=x", 404, `{"detail":"garden not found"}`},
		{"as_of=2026-01-01T00:00:00Z", 501, `{"detail":{"code":"time_travel_plugin_not_loaded","message":"time-travel queries require stigmem-plugin-time-travel"}}`},
		{"attested=TRUE", 200, `"total":0`},
		{"attested=off&include_contradicted=Yes&include_expired=T", 200, `"total":1`},
		{"entity=USER%3AX", 200, `"total":1`},
		{"entity=user:x&nonsense=1", 200, `"total":1`},
		{"entity=%ff", 200, `"total":0`},
		{"entity=%00", 200, `"total":0`},
		{"relation=memory%3Arole%", 200, `"total":0`},
		{"source=agent%3As", 200, `"total":1`},
		{"source=agent+s", 200, `"total":0`},
		{"after=2030", 200, `"total":0`},
		{"%zz=1&=&&a", 200, `"total":1`},
	} {
		got := n.do("GET", "/v1/facts?"+tt.query, readerKey, "")
		ok := got.Status == tt.status
		if strings.HasPrefix(tt.want, "{") {
			ok = ok && got.Body == tt.want
		} else {
			ok = ok && strings.Contains(got.Body, tt.want)
		}
		if !ok {
			t.Errorf("%s: %d %s\nwant %d %s", clip(tt.query), got.Status, clip(got.Body), tt.status, tt.want)
		}
		if got.Status == 200 && got.Header.Get("X-Total-Count") == "" {
			t.Errorf("%s: no X-Total-Count", tt.query)
		}
	}
}

// A client that pages over HTTP meets every fact once.
func TestPagesOverTheWire(t *testing.T) {
	t.Parallel()
	n := newNode(t, true)
	const facts = 23
	for i := range facts {
		if got := n.do("POST", "/v1/facts", "", body("entity", fmt.Sprintf(`"user:%d"`, i))); got.Status != 201 {
			t.Fatal(got)
		}
	}
	seen, cursor := map[string]bool{}, ""
	for range facts {
		got := n.do("GET", "/v1/facts?limit=5&cursor="+url.QueryEscape(cursor), "", "").object(t)
		list, _ := got["facts"].([]any)
		for _, f := range list {
			f, _ := f.(map[string]any)
			id, _ := f["id"].(string)
			if seen[id] {
				t.Fatalf("%s comes twice", id)
			}
			seen[id] = true
		}
		next, ok := got["cursor"].(string)
		if !ok {
			break
		}
		cursor = next
	}
	if len(seen) != facts {
		t.Errorf("%d facts, want %d", len(seen), facts)
	}
}
