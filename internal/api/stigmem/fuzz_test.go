package stigmem

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"symbolon/internal/errs"
)

// Whatever body comes, it is read or refused with an answer of the protocol's; and
// what is echoed of it is JSON that means the same.
func FuzzAssertion(f *testing.F) {
	for _, s := range []string{
		`{"entity":"user:x","relation":"memory:role","value":{"type":"string","v":"CEO"},"source":"agent:s","confidence":1.0,"scope":"local"}`,
		`{"value":{"type":"number","v":1e400},"derived_from":[{"a":[{}]},1],"attestation":{"key_id":5},"valid_until":null}`,
		`[]`, `null`, `{"a":1,"a":2}`, `{"\ud83d\ude00":"\u0000\ud800"}`, `{"entity":` + strings.Repeat("[", 70), "\xff", `{"confidence":"1_0"}`, `{"confidence":-0}`,
	} {
		f.Add([]byte(s), "application/json")
	}
	f.Add([]byte("{}"), "text/plain")
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/facts", strings.NewReader(string(body)))
		r.Header = http.Header{"Content-Type": {contentType}}
		c := &Call{Request: r, In: newInput(r)}
		err := c.In.readBody(r, 1<<20)
		if err == nil {
			if raw := c.In.Raw(); raw != nil {
				var sent, echoed any
				if err := json.Unmarshal(raw, &sent); err == nil { // numbers out of range are no error of ours
					echo := c.In.body.append(nil)
					if err := json.Unmarshal(echo, &echoed); err != nil || !reflect.DeepEqual(sent, echoed) {
						t.Fatalf("%q is echoed as %q (%v)", raw, echo, err)
					}
				}
			}
			_, err = readAssertion(c)
		}
		if err == nil {
			return
		}
		reply := errorReply(err)
		if reply.Status < 400 || reply.Status >= 500 || !json.Valid(reply.Body) {
			t.Fatalf("%q as %q: %d %q (%v)", body, contentType, reply.Status, reply.Body, errs.KindOf(err))
		}
	})
}

// A query that the standard library understands too is read as it does, but for
// bytes that are no UTF-8; any other is read without harm.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"entity=a&entity=b", "limit=%35&x", "a=%zz&entity=%ff", "entity=+%2B&=&&", "entity=%00%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		in := &Input{query: raw}
		got, found := in.Query("entity")
		want, err := url.ParseQuery(raw)
		if err != nil || strings.Contains(raw, ";") {
			return
		}
		list := want["entity"]
		if found != (len(list) > 0) || found && got != strings.ToValidUTF8(list[len(list)-1], "\uFFFD") {
			t.Fatalf("%q: entity is %q (%v), want the last of %q", raw, got, found, list)
		}
		in.QueryInt("limit", 1, 1, 500)
		in.QueryFloat("min_confidence", 0, Range{0, 1})
		in.QueryBool("attested")
		if err := in.Err(); err != nil && !json.Valid(errorReply(err).Body) {
			t.Fatalf("%q: %s", raw, errorReply(err).Body)
		}
	})
}
