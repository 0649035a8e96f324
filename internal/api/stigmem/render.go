package stigmem

import (
	"strconv"
	"sync"

	"symbolon/internal/canon"
	"symbolon/internal/fact"
)

func appendText(dst []byte, s string) []byte { return canon.AppendString(dst, s, canon.UTF8) }

// appendOptional appends a text, or null for the empty one.
func appendOptional(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendText(dst, s)
}

func appendPointer(dst []byte, s *string) []byte {
	if s == nil {
		return append(dst, "null"...)
	}
	return appendText(dst, *s)
}

// appendTexts appends a list of texts; nil is an empty one.
func appendTexts[T ~string](dst []byte, list []T) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, string(s))
	}
	return append(dst, ']')
}

// appendValueV appends what a value says, converted from its stored text (Stigmem
// wire §4).
func appendValueV(dst []byte, v fact.Value) []byte {
	switch v.Type {
	case canon.Number:
		f, err := strconv.ParseFloat(v.V, 64)
		if err != nil {
			return append(dst, "null"...)
		}
		return canon.AppendJSONFloat(dst, f)
	case canon.Boolean:
		return strconv.AppendBool(dst, v.V == "true")
	case canon.Null:
		return append(dst, "null"...)
	case canon.String, canon.Text, canon.Datetime, canon.Ref:
	}
	return appendText(dst, v.V)
}

// AppendFact appends a fact as the wire's FactRecord. Trust and the sanitizer have
// not looked at it: their fields are null, empty and false.
func AppendFact(dst []byte, f *fact.Fact, warnings []string) []byte {
	dst = appendText(append(dst, `{"id":`...), string(f.ID))
	dst = appendText(append(dst, `,"entity":`...), string(f.Entity))
	dst = appendText(append(dst, `,"relation":`...), f.Relation)
	dst = appendText(append(dst, `,"value":{"type":`...), string(f.Value.Type))
	dst = appendValueV(append(dst, `,"v":`...), f.Value)
	dst = appendText(append(dst, `,"interpret_as":`...), f.Value.InterpretAs)
	dst = appendText(append(dst, `},"source":`...), string(f.Source))
	dst = appendText(append(dst, `,"timestamp":`...), f.Timestamp)
	dst = appendOptional(append(dst, `,"hlc":`...), f.HLC)
	dst = appendOptional(append(dst, `,"received_from":`...), f.ReceivedFrom)
	dst = appendPointer(append(dst, `,"valid_until":`...), f.EffectiveValidUntil())
	dst = canon.AppendJSONFloat(append(dst, `,"confidence":`...), f.EffectiveConfidence())
	dst = appendText(append(dst, `,"scope":`...), f.Scope.String())
	dst = appendOptional(append(dst, `,"attested_key_id":`...), f.AttestedKeyID)
	dst = appendOptional(append(dst, `,"origin_node_id":`...), f.OriginNodeID)
	dst = append(dst, `,"origin_allowed_scopes":`...)
	if f.OriginAllowedScopes == nil {
		dst = append(dst, "null"...)
	} else {
		dst = appendTexts(dst, f.OriginAllowedScopes.Names())
	}
	dst = appendOptional(append(dst, `,"garden_id":`...), f.GardenID)
	dst = append(dst, `,"attested":null,"contradicted":`...)
	dst = strconv.AppendBool(dst, f.Contradicted)
	dst = appendTexts(append(dst, `,"warnings":`...), warnings)
	dst = append(dst, `,"source_trust":`...)
	if f.SourceTrust == nil {
		dst = append(dst, "null"...)
	} else {
		dst = canon.AppendJSONFloat(dst, *f.SourceTrust)
	}
	dst = appendOptional(append(dst, `,"quarantine_status":`...), f.QuarantineStatus)
	dst = appendOptional(append(dst, `,"quarantine_garden_id":`...), f.QuarantineGarden)
	dst = append(dst, `,"effective_confidence":null,"sanitizer_warnings":[],"sanitizer_redacted":false,"cid":`...)
	dst = appendOptional(dst, string(f.CID))
	dst = append(dst, `,"derived_from":`...)
	if f.DerivedFrom == nil {
		dst = append(dst, "[]"...)
	} else {
		dst = append(dst, f.DerivedFrom...)
	}
	return append(dst, '}')
}

// buffers lends the space in which long bodies are put together.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// maxKept bounds the buffers that are kept for later.
const maxKept = 1 << 20

// built returns a copy of what fill appends to a lent buffer.
func built(fill func(dst []byte) []byte) []byte {
	p := buffers.Get().(*[]byte)
	b := fill((*p)[:0])
	out := append(make([]byte, 0, len(b)), b...)
	if cap(b) <= maxKept {
		*p = b
		buffers.Put(p)
	}
	return out
}
