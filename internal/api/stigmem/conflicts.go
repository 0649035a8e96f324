package stigmem

import (
	"strconv"

	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/id"
)

// listConflicts answers GET /v1/conflicts.
func (a *API) listConflicts(c *Call) (Reply, error) {
	q := fact.ConflictQuery{Status: c.In.QueryText("status")}
	cursor := c.In.QueryText("cursor")
	q.Limit = c.In.QueryInt("limit", fact.DefaultLimit, 1, fact.MaxLimit)
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	if !c.Caller.Can("read") {
		return Reply{}, errs.E(errs.Forbidden, "read permission required")
	}
	var err error
	if q.After, err = fact.ParseCursor(cursor); err != nil {
		return Reply{}, err
	}
	page, err := a.Facts.Conflicts(c.Context(), c.Caller, q)
	if err != nil {
		return Reply{}, err
	}
	body := built(func(dst []byte) []byte {
		dst = append(dst, `{"conflicts":[`...)
		for i := range page.Conflicts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendConflict(dst, &page.Conflicts[i])
		}
		dst = appendOptional(append(dst, `],"cursor":`...), page.Next.String())
		return append(strconv.AppendBool(append(dst, `,"has_more":`...), !page.Next.IsZero()), '}')
	})
	return Reply{Body: body}, nil
}

func appendConflict(dst []byte, c *fact.Conflict) []byte {
	dst = appendText(append(dst, `{"conflict_id":`...), c.ID)
	for _, side := range [...]struct {
		name string
		f    *fact.Fact
	}{{`,"fact_a":`, c.FactA}, {`,"fact_b":`, c.FactB}} {
		dst = append(dst, side.name...)
		if side.f == nil {
			dst = append(dst, "null"...)
		} else {
			dst = AppendFact(dst, side.f, nil)
		}
	}
	dst = appendText(append(dst, `,"status":`...), c.Status)
	dst = appendOptional(append(dst, `,"resolved_by":`...), c.ResolvedBy)
	return append(appendText(append(dst, `,"detected_at":`...), c.DetectedAt), '}')
}

// resolveConflict answers POST /v1/conflicts/{conflict_id}/resolve.
func (a *API) resolveConflict(c *Call) (Reply, error) {
	o := c.In.Body()
	var r fact.Resolution
	if w := o.OptionalText("winning_fact_id", Length{}); w != nil {
		winner := id.UUID(*w)
		r.Winner = &winner
	}
	o.TextOr("resolution_note", "", Length{}) // kept by nobody, as in the reference
	if v := o.Object("new_value", false); v.Present() {
		r.NewType, r.RawNew, r.NewInterpretAs = readValue(v)
	}
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	resolution, err := a.Facts.Resolve(c.Context(), c.Caller, c.PathValue("conflict_id"), r)
	if err != nil {
		return Reply{}, err
	}
	b := appendText([]byte(`{"resolution_fact_id":`), string(resolution))
	return Reply{Body: append(b, `,"conflict_status":"resolved"}`...)}, nil
}
