package canon

import (
	"crypto/sha256"
	"math"
	"unicode/utf8"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// A CIDVersion says which fields a content id covers.
type CIDVersion uint8

const (
	// CIDv1 covers confidence, entity, relation, scope, source, value type
	// and value: stigmem-node up to 0.9.0a10, and what this server makes.
	CIDv1 CIDVersion = 1
	// CIDv2 covers interpret_as as well: stigmem-node from 0.9.0a11 on, which
	// knows no other.
	CIDv2 CIDVersion = 2
)

// A Fact is what a content id covers. Value is the encoded value
// ([EncodeValue]); an empty InterpretAs stands for "content".
type Fact struct {
	Entity      string
	Relation    string
	ValueType   ValueType
	Value       string
	Source      string
	Scope       string
	Confidence  float64
	InterpretAs string
}

// CID returns the content id of f in version 1 (Stigmem wire §5.3). The error
// is of kind Unprocessable and says that a text is no valid UTF-8 or that the
// confidence is not finite.
func (f *Fact) CID() (id.CID, error) { return f.CIDIn(CIDv1) }

// CIDIn returns the content id of f in version v; for errors see CID.
func (f *Fact) CIDIn(v CIDVersion) (id.CID, error) {
	if math.IsNaN(f.Confidence) || math.IsInf(f.Confidence, 0) {
		return "", errs.E(errs.Unprocessable, "confidence must be a finite number")
	}
	for _, s := range [...]string{f.Entity, f.Relation, string(f.ValueType), f.Value, f.Source, f.Scope, f.InterpretAs} {
		if !utf8.ValidString(s) {
			return "", errUnicode
		}
	}
	var buf [1024]byte
	return id.CIDOf(sha256.Sum256(f.append(buf[:0], v))), nil
}

// Append appends the bytes that the content id of f in version v hashes. The
// texts of f must be valid UTF-8.
func (f *Fact) Append(dst []byte, v CIDVersion) []byte { return f.append(dst, v) }

func (f *Fact) append(dst []byte, v CIDVersion) []byte {
	dst = append(dst, `{"confidence":`...)
	dst = AppendFloat(dst, f.Confidence)
	dst = append(dst, `,"entity":`...)
	dst = AppendString(dst, f.Entity, UTF8)
	if v == CIDv2 {
		as := f.InterpretAs
		if as == "" {
			as = "content"
		}
		dst = append(dst, `,"interpret_as":`...)
		dst = AppendString(dst, as, UTF8)
	}
	dst = append(dst, `,"relation":`...)
	dst = AppendString(dst, f.Relation, UTF8)
	dst = append(dst, `,"scope":`...)
	dst = AppendString(dst, f.Scope, UTF8)
	dst = append(dst, `,"source":`...)
	dst = AppendString(dst, f.Source, UTF8)
	dst = append(dst, `,"value_type":`...)
	dst = AppendString(dst, string(f.ValueType), UTF8)
	dst = append(dst, `,"value_v":`...)
	dst = AppendString(dst, f.Value, UTF8)
	return append(dst, '}')
}

// A Match says under which spelling a received content id holds.
type Match struct {
	// Value is the encoded value to store: under it, the content id holds
	// again on every later check.
	Value   string
	Version CIDVersion
	// Computed is the content id in version 1 over our own spelling, for the
	// audit of a mismatch.
	Computed id.CID
	// Holds reports whether the claimed content id holds under any spelling.
	Holds bool
}

// MatchReceived checks the content id that a peer claims for a fact it sent
// (Stigmem wire §25.9). f.Value is not read; raw is the value's JSON text. A
// reference node hashes an integer as 42 and sends it as 42.0, so that a number is
// tried in each spelling that its sender may have hashed, in both versions. An
// empty claimed holds under our own spelling, in version 1.
func MatchReceived(f Fact, raw []byte, claimed id.CID) (Match, error) {
	forms, err := receivedForms(f.ValueType, raw)
	if err != nil {
		return Match{}, err
	}
	m := Match{Value: forms[0], Version: CIDv1}
	for _, form := range forms {
		for _, v := range [...]CIDVersion{CIDv1, CIDv2} {
			f.Value = form
			got, err := f.CIDIn(v)
			if err != nil {
				return Match{}, err
			}
			if m.Computed == "" {
				m.Computed = got
			}
			if claimed == "" || got == claimed {
				m.Value, m.Version, m.Holds = form, v, true
				return m, nil
			}
		}
	}
	return m, nil
}
