package stigmem

import (
	"strconv"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/principal"
)

const (
	defaultAudit      = 50
	maxAudit          = 500
	defaultAdminAudit = 200
	maxAdminAudit     = 1000
	// maxOfFact bounds the entries about one fact that are answered at once.
	maxOfFact = 1000
)

var errAuditCursor = errs.Detail(errs.Invalid, "unreadable pagination cursor",
	fact.Coded{Code: "invalid_cursor", Message: "unreadable pagination cursor"})

// position reads a cursor, which is the decimal number of an entry.
func position(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != text {
		return 0, errAuditCursor
	}
	return n, nil
}

// auditLog answers GET /v1/audit: the tenant's log, the newest first.
func (a *API) auditLog(c *Call) (Reply, error) {
	in := c.In
	q := audit.Query{
		Actor: in.QueryText("entity_uri"), OIDCSubject: in.QueryText("oidc_sub"), Source: in.QueryText("source"), Subject: in.QueryText("fact_id"),
	}
	if attested, ok := in.QueryBool("attested"); ok {
		q.Attested = &attested
	}
	cursor := in.QueryText("cursor")
	limit := in.QueryInt("limit", defaultAudit, 1, maxAudit)
	if err := in.Err(); err != nil {
		return Reply{}, err
	}
	if !c.Caller.Can(principal.Read) {
		return Reply{}, errs.E(errs.Forbidden, "read permission required")
	}
	var err error
	if q.Past, err = position(cursor); err != nil {
		return Reply{}, err
	}
	list, next, err := a.auditPage(c, q, limit)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: built(func(b []byte) []byte {
		b = appendRecords(append(b, `{"entries":`...), list)
		b = strconv.AppendInt(append(b, `,"total":`...), int64(len(list)), 10)
		return append(appendOptional(append(b, `,"cursor":`...), next), '}')
	})}, nil
}

// auditPage reads a page of the caller's tenant and where the next one begins.
func (a *API) auditPage(c *Call, q audit.Query, limit int) (list []audit.Record, next string, err error) {
	q.Tenant, q.Limit = c.Caller.Tenant, limit+1
	list, err = a.Audit.AuditPage(c.Context(), q)
	if err != nil {
		return nil, "", errs.Wrap(err, "stigmem: audit")
	}
	if len(list) > limit {
		list = list[:limit]
		next = strconv.FormatInt(list[limit-1].Seq, 10)
	}
	return list, next, nil
}

func appendRecords(b []byte, list []audit.Record) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		r := &list[i]
		var ref audit.FactRef
		if r.Fact != nil {
			ref = *r.Fact
		}
		for _, m := range [...]struct{ name, text string }{
			{`{"id":`, r.ID}, {`,"fact_id":`, r.Subject}, {`,"event_type":`, r.Type}, {`,"entity_uri":`, r.Actor}, {`,"oidc_sub":`, r.OIDCSubject},
			{`,"source":`, r.Source}, {`,"attested_key_id":`, r.AttestedKeyID}, {`,"ts":`, fact.Timestamp(r.At.Time())},
			{`,"attested_key_entity_uri":`, ""}, {`,"attested_key_description":`, ""}, {`,"fact_entity":`, ref.Entity},
			{`,"fact_relation":`, ref.Relation}, {`,"fact_value_type":`, ref.ValueType},
		} {
			b = appendOptional(append(b, m.name...), m.text)
		}
		b = append(b, `,"fact_value_v":`...)
		if r.Fact == nil {
			b = append(b, "null"...)
		} else {
			b = appendText(b, ref.Value)
		}
		b = append(appendOptional(append(b, `,"fact_scope":`...), ref.Scope), '}')
	}
	return append(b, ']')
}

// auditOfFact answers GET /v1/audit/facts/{fact_id}.
func (a *API) auditOfFact(c *Call) (Reply, error) {
	f, err := a.Facts.Get(c.Context(), c.Caller, c.PathValue("fact_id"))
	if err != nil {
		return Reply{}, err
	}
	list, _, err := a.auditPage(c, audit.Query{Subject: string(f.ID)}, maxOfFact)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: appendRecords(nil, list)}, nil
}

// adminAudit answers GET /v1/admin/audit: the tenant's log, the oldest first.
func (a *API) adminAudit(c *Call) (Reply, error) {
	in := c.In
	q := audit.Query{Actor: in.QueryText("principal"), Type: in.QueryText("event_type"), Ascending: true}
	q.Since, q.Until = in.queryInstant("since"), in.queryInstant("until")
	if cursor, ok := in.Query("cursor"); ok {
		n, err := position(cursor)
		if err != nil {
			in.queryFault("cursor", "int_parsing", "Input should be a valid integer, unable to parse string as an integer", cursor, "")
		}
		q.Past = n
	}
	limit := in.QueryInt("limit", defaultAdminAudit, 1, maxAdminAudit)
	if err := in.Err(); err != nil {
		return Reply{}, err
	}
	if !c.Caller.Can(principal.AuditRead) {
		return Reply{}, errs.E(errs.Forbidden, "audit.read capability required")
	}
	list, next, err := a.auditPage(c, q, limit)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: built(func(b []byte) []byte {
		b = append(b, `{"entries":[`...)
		for i := range list {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAdminEntry(b, &list[i].Entry)
		}
		b = strconv.AppendInt(append(b, `],"total":`...), int64(len(list)), 10)
		b = append(b, `,"next_cursor":`...)
		if next == "" {
			next = "null"
		}
		return append(append(b, next...), '}')
	})}, nil
}

func appendAdminEntry(b []byte, e *audit.Entry) []byte {
	b = strconv.AppendInt(append(b, `{"seq":`...), e.Seq, 10)
	for _, m := range [...]struct{ name, text string }{
		{`,"id":`, e.ID}, {`,"event_type":`, e.Type}, {`,"entity_uri":`, e.Actor}, {`,"oidc_sub":`, e.OIDCSubject}, {`,"fact_id":`, e.Subject},
		{`,"source":`, e.Source}, {`,"attested_key_id":`, e.AttestedKeyID}, {`,"ts":`, fact.Timestamp(e.At.Time())},
		{`,"tenant_id":`, e.Tenant}, {`,"detail":`, string(e.Detail)},
	} {
		b = appendOptional(append(b, m.name...), m.text)
	}
	return append(b, '}')
}

// queryInstant reads an instant in ISO 8601, or nil for none. One without an offset
// is in UTC.
func (in *Input) queryInstant(name string) *epoch.Micros {
	text := in.QueryText(name)
	if text == "" {
		return nil
	}
	for _, form := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		// A plus sign that was not escaped reads as a blank.
		for _, s := range [...]string{text, plusForBlank(text)} {
			if t, err := time.Parse(form, s); err == nil {
				m := epoch.MicrosOf(t)
				return &m
			}
		}
	}
	in.queryFault(name, "value_error", "Value error, want an ISO 8601 timestamp", text, `{"error":{}}`)
	return nil
}

// plusForBlank puts back the plus sign of an offset.
func plusForBlank(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == ' ' && i > len("2006-01-02") {
			b[i] = '+'
		}
	}
	return string(b)
}
