package stigmem

import (
	"encoding/json"
	"net/http"
	"strconv"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/federation"
)

const (
	defaultPull = 100
	maxPull     = 500
)

// pull answers GET /v1/federation/facts.
func (f federationFace) pull(c *Call) (Reply, error) {
	caller, err := f.fed.Authenticate(c.Context(), c.Header.Get("Authorization"))
	if err != nil {
		return refusedPeer(err)
	}
	q := federation.ServeQuery{Scope: c.In.QueryText("scope"), Cursor: c.In.QueryText("cursor"), Limit: c.In.QueryInt("limit", defaultPull, 1, maxPull)}
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	page, err := f.fed.Serve(c.Context(), caller, q)
	if err != nil {
		return refusedPeer(err)
	}
	markContradicted(page.Facts)
	appendOne := plainFact
	head := `{"facts":[`
	if caller.Peer.Wire.Envelopes() {
		appendOne, head = f.sealedFact, `{"v":2,"facts":[`
	}
	var sealErr error
	body := built(func(b []byte) []byte {
		b = append(b, head...)
		for i := range page.Facts {
			before := len(b)
			if b[before-1] != '[' {
				b = append(b, ',')
			}
			var sent bool
			if b, sent, err = appendOne(b, &page.Facts[i]); err != nil {
				sealErr = err
			}
			if !sent {
				b = b[:before]
			}
		}
		b = appendOptional(append(b, `],"cursor":`...), page.Cursor)
		return append(strconv.AppendBool(append(b, `,"has_more":`...), page.HasMore), '}')
	})
	return Reply{Body: body}, sealErr
}

// noPost answers POST /v1/federation/facts. Facts are pushed elsewhere; but who calls
// here without a peer's token is refused for that, as the protocol's conformance
// vectors want it.
func (f federationFace) noPost(c *Call) (Reply, error) {
	if _, err := f.fed.Authenticate(c.Context(), c.Header.Get("Authorization")); err != nil {
		return refusedPeer(err)
	}
	return asPeers(&errs.Error{Kind: errs.MethodNotAllowed, Msg: "Method Not Allowed", Err: allow{http.MethodGet}}), nil
}

// markContradicted marks facts of one key that are on the page together, as the
// reference does.
func markContradicted(facts []fact.Fact) {
	seen := make(map[fact.Key]int, len(facts))
	for i := range facts {
		seen[facts[i].Key()]++
	}
	for i := range facts {
		facts[i].Contradicted = seen[facts[i].Key()] > 1
	}
}

// plainFact appends a fact as the older wire has it.
func plainFact(dst []byte, f *fact.Fact) ([]byte, bool, error) {
	return AppendFact(dst, f, nil), true, nil
}

// sealedFact appends a fact in its envelope. On that wire a fact without a content
// id cannot be sent.
func (f federationFace) sealedFact(dst []byte, one *fact.Fact) ([]byte, bool, error) {
	if one.CID == "" {
		return dst, false, nil
	}
	envelope, cid, sig, err := f.fed.Seal(one)
	if err != nil {
		return dst, false, err
	}
	sent := *one
	sent.CID = cid
	origin, err := marshal(envelope)
	if err != nil {
		return dst, false, err
	}
	dst = AppendFact(append(dst, `{"fact":`...), &sent, nil)
	dst = append(append(dst, `,"origin":`...), origin...)
	dst = appendText(append(dst, `,"origin_sig":`...), sig)
	return append(dst, `,"origin_manifest":null,"origin_key_proof":null}`...), true, nil
}

// push answers POST /v1/federation/facts/push.
func (f federationFace) push(c *Call) (Reply, error) {
	if err := f.fed.PushEnabled(); err != nil {
		return asPeers(err), nil
	}
	if err := c.In.readBody(c.Request, DefaultMaxBody); err != nil {
		return Reply{}, err
	}
	facts := readPushed(c.In)
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	caller, err := f.fed.AuthenticateQuietly(c.Context(), c.Header.Get("Authorization"))
	if err != nil {
		return f.withoutToken(c, err)
	}
	out, err := f.fed.Push(c.Context(), caller, facts)
	if err != nil {
		return refusedPeer(err)
	}
	b := strconv.AppendInt([]byte(`{"accepted":`), int64(out.Accepted), 10)
	b = strconv.AppendInt(append(b, `,"rejected":`...), int64(out.Rejected), 10)
	b = append(b, `,"errors":[`...)
	for i, e := range out.Errors {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPointer(append(b, `{"fact_id":`...), e.FactID)
		b = append(appendText(append(b, `,"error":`...), e.Error), '}')
	}
	return Reply{Status: http.StatusAccepted, Body: append(b, `]}`...)}, nil
}

// withoutToken answers a push whose peer token was refused, without saying why: it
// may have brought a capability token instead (Stigmem wire §25.8).
func (f federationFace) withoutToken(c *Call, err error) (Reply, error) {
	if !errs.Is(err, errs.Unauthenticated) {
		return refusedPeer(err)
	}
	if text := c.Header.Get("X-Stigmem-Capability"); text != "" {
		return refusedPeer(f.fed.RejectCapability(c.Context(), text))
	}
	return refusedPeer(errs.E(errs.Unauthenticated, "peer token or X-Stigmem-Capability header required"))
}

// readPushed reads the list of facts of a push. No list is an empty one; what is in
// it is looked at one by one.
func readPushed(in *Input) []json.RawMessage {
	loc := []any{"body"}
	switch {
	case !in.has:
		in.add(problem{kind: "missing", loc: loc, msg: "Field required", input: "null"})
		return nil
	case in.foreign != nil || in.body.kind != isObject:
		in.add(problem{kind: "dict_type", loc: loc, msg: "Input should be a valid dictionary", input: string(in.body.append(nil))})
		return nil
	}
	_, list := Object{in: in, loc: loc, v: &in.body}.list("facts", federation.MaxPushed, false)
	if list == nil {
		return nil
	}
	facts := make([]json.RawMessage, len(list))
	for i := range list {
		facts[i] = json.RawMessage(list[i].raw)
	}
	return facts
}

// audit answers GET /v1/federation/audit.
func (f federationFace) audit(c *Call) (Reply, error) {
	q := federation.AuditQuery{PeerID: c.In.QueryText("peer_id"), Type: c.In.QueryText("event_type"), Limit: c.In.QueryInt("limit", 50, 1, maxPull)}
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	if text := c.In.QueryText("cursor"); text != "" {
		var err error
		if q.Before, err = federation.ParseAuditCursor(text); err != nil {
			return Reply{}, err
		}
	}
	page, err := f.fed.AuditLog(c.Context(), c.Caller, q)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: built(func(b []byte) []byte {
		b = append(b, `{"entries":[`...)
		for i, e := range page.Entries {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(append(b, `{"id":`...), e.ID)
			b = appendText(append(b, `,"peer_id":`...), e.PeerID)
			b = appendText(append(b, `,"event_type":`...), e.Type)
			b = append(b, `,"detail":`...)
			if e.Detail == nil {
				b = append(b, "null"...)
			} else {
				b = append(b, e.Detail...)
			}
			b = append(appendText(append(b, `,"ts":`...), fact.Timestamp(e.At.Time())), '}')
		}
		b = appendOptional(append(b, `],"cursor":`...), page.Cursor())
		return append(strconv.AppendBool(append(b, `,"has_more":`...), page.Next != 0), '}')
	})}, nil
}
