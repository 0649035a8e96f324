package stigmem

import (
	"errors"
	"net/http"
	"strconv"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
)

// maxName bounds an entity, a relation and a source, in characters.
const maxName = 2048

// assertFact answers POST /v1/facts.
func (a *API) assertFact(c *Call) (Reply, error) {
	in, err := readAssertion(c)
	if err != nil {
		return Reply{}, err
	}
	got, err := a.Facts.Assert(c.Context(), c.Caller, in)
	if err != nil {
		return Reply{}, asValue(err)
	}
	if got.Known {
		got.Fact.Contradicted = false
	}
	return Reply{Status: http.StatusCreated, Body: AppendFact(make([]byte, 0, 1024), &got.Fact, got.Warnings)}, nil
}

// readAssertion reads the body and the headers of an assertion.
func readAssertion(c *Call) (fact.Assertion, error) {
	o := c.In.Body()
	a := fact.Assertion{
		Entity:   o.Text("entity", Length{1, maxName}),
		Relation: o.Text("relation", Length{1, maxName}),
	}
	a.Type, a.RawValue, a.InterpretAs = readValue(o.Object("value", true))
	a.Source = o.Text("source", Length{1, maxName})
	a.Confidence = o.Float("confidence", 1, Range{0, 1})
	a.Scope = o.Scope("scope", id.Local)
	a.ValidUntil = o.OptionalText("valid_until", Length{})
	if at := o.Object("attestation", false); at.Present() {
		a.Attestation = &fact.Attestation{KeyID: at.Text("key_id", Length{}), Signature: at.Text("signature", Length{})}
	}
	a.Garden = o.OptionalText("garden_id", Length{})
	a.WriteMode = o.OneOf("write_mode", fact.WriteAssert, "write_mode must be one of ['assert', 'summarize_with_provenance']",
		fact.WriteAssert, fact.WriteSummarize)
	derived := o.objects("derived_from", fact.MaxDerivedFrom)
	if err := c.In.Err(); err != nil {
		return fact.Assertion{}, err
	}
	if derived != nil {
		text, err := canon.JSON(derived.raw, canon.UTF8)
		if err != nil {
			return fact.Assertion{}, unreadable(err, "derived_from")
		}
		a.DerivedFrom = text
	}
	a.Session = id.Strip(c.Header.Get("Stigmem-Session"))
	return a, nil
}

// readValue reads a FactValue.
func readValue(o Object) (t fact.Type, raw []byte, interpretAs string) {
	name := o.Text("type", Length{})
	t, err := canon.ParseValueType(name)
	if err != nil && o.sound("type", isText) {
		o.Invalid("type", "type must be one of {'boolean', 'datetime', 'null', 'number', 'ref', 'string', 'text'}")
	}
	raw = o.RawJSON("v")
	return t, raw, o.OneOf("interpret_as", fact.Content, "interpret_as must be one of ['content', 'instruction']", fact.Content, fact.Instruction)
}

// unreadable answers for JSON that is well formed and cannot be stored.
func unreadable(err error, field string) error {
	return invalid(problems{{
		kind: "value_error", loc: []any{"body", field}, msg: "Value error, " + errs.MessageOf(err), input: "null", ctx: []byte(`{"error":{}}`),
	}})
}

// asValue gives the refusal of a value the form of the other faults of a body.
func asValue(err error) error {
	var e *errs.Error
	if errors.As(err, &e) && e.Kind == errs.Unprocessable && e.Detail == nil {
		return invalid(problems{{
			kind: "value_error", loc: []any{"body", "value", "v"}, msg: "Value error, " + e.Msg, input: "null", ctx: []byte(`{"error":{}}`),
		}})
	}
	return err
}

// queryFacts answers GET /v1/facts.
func (a *API) queryFacts(c *Call) (Reply, error) {
	in := c.In
	q := fact.Query{
		Entity: id.Entity(in.QueryText("entity")), Relation: in.QueryText("relation"), Source: id.Entity(in.QueryText("source")),
	}
	scope := in.QueryText("scope")
	q.MinConfidence = in.QueryFloat("min_confidence", 0, Range{0, 1})
	q.IncludeContradicted, _ = in.QueryBool("include_contradicted")
	q.IncludeExpired, _ = in.QueryBool("include_expired")
	q.After = in.QueryText("after")
	cursor := in.QueryText("cursor")
	q.Limit = in.QueryInt("limit", fact.DefaultLimit, 1, fact.MaxLimit)
	garden, inGarden := in.Query("garden_id")
	if attested, ok := in.QueryBool("attested"); ok {
		q.Attested = &attested
	}
	in.QueryBool("include_low_trust") // nothing is left out for low trust yet
	asOf := in.QueryText("as_of")
	if err := in.Err(); err != nil {
		return Reply{}, err
	}
	if !c.Caller.Can("read") {
		return Reply{}, errs.E(errs.Forbidden, "read permission required")
	}
	if asOf != "" {
		return Reply{}, errs.Detail(errs.NotImplemented, "", fact.Coded{
			Code: "time_travel_plugin_not_loaded", Message: "time-travel queries require stigmem-plugin-time-travel"})
	}
	var err error
	if scope != "" {
		if q.Scope, err = id.ParseScope(scope); err != nil {
			return Reply{}, errs.E(errs.Invalid, scopeMsg)
		}
	}
	if inGarden && garden != "" {
		return Reply{}, errs.E(errs.NotFound, "garden not found")
	}
	if q.Cursor, err = fact.ParseCursor(cursor); err != nil {
		return Reply{}, err
	}
	page, err := a.Facts.Query(c.Context(), c.Caller, q)
	if err != nil {
		return Reply{}, err
	}
	body := built(func(dst []byte) []byte {
		dst = append(dst, `{"facts":[`...)
		for i := range page.Facts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendFact(dst, &page.Facts[i], nil)
		}
		dst = strconv.AppendInt(append(dst, `],"total":`...), int64(len(page.Facts)), 10)
		dst = appendOptional(append(dst, `,"cursor":`...), page.Next.String())
		return append(dst, `,"tombstone_notices":[]}`...)
	})
	return Reply{Header: http.Header{"X-Total-Count": {strconv.Itoa(len(page.Facts))}}, Body: body}, nil
}

// getFact answers GET /v1/facts/{fact_id}.
func (a *API) getFact(c *Call) (Reply, error) {
	f, err := a.Facts.Get(c.Context(), c.Caller, c.PathValue("fact_id"))
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: AppendFact(make([]byte, 0, 1024), &f, nil)}, nil
}

// verifyCID answers POST /v1/facts/{fact_id}/verify-cid, which reads no body.
func (a *API) verifyCID(c *Call) (Reply, error) {
	v, err := a.Facts.VerifyCID(c.Context(), c.Caller, c.PathValue("fact_id"))
	if err != nil {
		return Reply{}, err
	}
	b := strconv.AppendBool([]byte(`{"cid_valid":`), v.Valid)
	b = appendText(append(b, `,"computed_cid":`...), string(v.Computed))
	b = appendOptional(append(b, `,"stored_cid":`...), string(v.Stored))
	b = appendOptional(append(b, `,"mismatch_reason":`...), v.Reason)
	return Reply{Body: append(b, '}')}, nil
}

// provenance answers GET /v1/facts/{fact_id}/provenance.
func (a *API) provenance(c *Call) (Reply, error) {
	f, sources, err := a.Facts.Provenance(c.Context(), c.Caller, c.PathValue("fact_id"))
	if err != nil {
		return Reply{}, err
	}
	b := appendText([]byte(`{"fact_id":`), string(f.ID))
	b = appendOptional(append(b, `,"cid":`...), string(f.CID))
	b = append(b, `,"derived_from":[`...)
	for i, s := range sources {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"hash":`...), s.Hash)
		b = appendOptional(append(b, `,"fact_id":`...), s.FactID)
		b = appendOptional(append(b, `,"entity":`...), string(s.Entity))
		b = append(strconv.AppendBool(append(b, `,"exists":`...), s.Exists), '}')
	}
	return Reply{Body: append(b, "]}"...)}, nil
}
