package federation

import (
	"encoding/json"

	"symbolon/internal/errs"
)

// maxCursor bounds a peer's cursor, in bytes. Peers send an HLC of some twenty.
const maxCursor = 256

// A page is one answer of a peer to a pull. Each fact is decoded on its own, so
// that a bad one costs nothing but itself.
type page struct {
	entries   []entry
	enveloped bool
	cursor    string // empty: none
	hasMore   bool
}

// decodePage reads the body of a pull's answer, at most limit facts.
func decodePage(b []byte, limit int) (page, error) {
	var in struct {
		V       json.RawMessage   `json:"v"`
		Facts   []json.RawMessage `json:"facts"`
		Cursor  *string           `json:"cursor"`
		HasMore bool              `json:"has_more"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return page{}, errs.With(errs.Invalid, err, "the page is not readable")
	}
	if len(in.Facts) > limit {
		return page{}, errs.E(errs.Invalid, "the page has %d facts and at most %d were asked for", len(in.Facts), limit)
	}
	entries, enveloped, err := decodeEntries(in.V, in.Facts)
	if err != nil {
		return page{}, err
	}
	p := page{entries: entries, enveloped: enveloped, hasMore: in.HasMore}
	if in.Cursor != nil {
		p.cursor = *in.Cursor
	}
	if len(p.cursor) > maxCursor || !storable(p.cursor) {
		return page{}, errs.E(errs.Invalid, "the page's cursor is out of bounds")
	}
	return p, nil
}
