package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"symbolon/internal/errs"
)

// A Head is where a chain ends: the number of its last entry and that entry's
// hash. The zero Head is that of an empty chain.
type Head struct {
	Seq  int64
	Hash Hash
}

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is what precedes the first entry.
func (h Hash) IsZero() bool { return h == Hash{} }

// domain separates these hashes from every other use of SHA-256. It names the
// version of the encoding.
const domain = "symbolon audit entry 1\x00"

// MaxDetail bounds the detail of an event, in bytes.
const MaxDetail = 64 << 10

// Check returns an error of kind Internal for an event that cannot be recorded:
// without type or instant, with text that is not UTF-8 or holds a zero byte, or
// with a detail that is no JSON object of at most MaxDetail bytes.
func (e Event) Check() error {
	if e.Type == "" || e.At == 0 {
		return errs.E(errs.Internal, "audit: an event needs a type and an instant")
	}
	for _, s := range e.texts() {
		if !utf8.ValidString(s) {
			return errs.E(errs.Internal, "audit: %s: text that is not UTF-8", e.Type)
		}
		for i := range len(s) {
			if s[i] == 0 {
				return errs.E(errs.Internal, "audit: %s: text with a zero byte", e.Type)
			}
		}
	}
	if e.Detail == nil {
		return nil
	}
	if len(e.Detail) > MaxDetail || !utf8.Valid(e.Detail) || !json.Valid(e.Detail) || !isObject(e.Detail) {
		return errs.E(errs.Internal, "audit: %s: detail of %d bytes is no JSON object of at most %d", e.Type, len(e.Detail), MaxDetail)
	}
	return nil
}

func isObject(b []byte) bool {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// texts are the fields of text in the order in which they are hashed. A new
// field is appended under a new domain.
func (e *Event) texts() [8]string {
	return [...]string{e.Type, e.Actor, e.Tenant, e.Subject, e.Source, e.AttestedKeyID, e.OIDCSubject, e.PeerID}
}

// Append returns the entry that records e after head, and the head that follows.
func Append(head Head, e Event) (Entry, Head) {
	n := Entry{Seq: head.Seq + 1, Prev: head.Hash, Event: e}
	n.Hash = n.sum()
	n.ID = n.id()
	return n, Head{Seq: n.Seq, Hash: n.Hash}
}

// sum hashes the entry's place and content. Every part has a fixed width or its
// length before it, so that no two entries share an encoding.
func (n *Entry) sum() Hash {
	b := make([]byte, 0, 512)
	b = append(b, domain...)
	b = append(b, n.Prev[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(n.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(n.At))
	for _, s := range n.texts() {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	if n.Detail == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = binary.BigEndian.AppendUint64(b, uint64(len(n.Detail)))
		b = append(b, n.Detail...)
	}
	return sha256.Sum256(b)
}

// id derives the entry's identifier from its hash, as a UUID of version 8: the
// chain fixes it, so it needs neither a part in the hash nor randomness.
func (n *Entry) id() string {
	var u [16]byte
	copy(u[:], n.Hash[:])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], u[0:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:36], u[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// A Fault is what is wrong with a chain.
type Fault string

// The faults.
const (
	Altered   Fault = "altered"   // the entry is not what was hashed
	Missing   Fault = "missing"   // entries before this one are gone
	Inserted  Fault = "inserted"  // the entry does not belong to this chain
	Truncated Fault = "truncated" // the chain ends before its recorded head
)

// A Break is the first place at which a chain does not hold.
type Break struct {
	// Seq is the number of the first entry that is wrong or absent.
	Seq   int64
	Fault Fault
	// Detail is a sentence for an operator.
	Detail string
}

// Error returns the place, the fault and the detail.
func (b *Break) Error() string {
	return fmt.Sprintf("audit: entry %d: %s: %s", b.Seq, b.Fault, b.Detail)
}

// A Verifier checks a chain entry by entry, in the order of their numbers, in
// constant memory. Its zero value expects the first entry of a chain.
type Verifier struct{ head Head }

// Resume returns a Verifier that expects the entry after head, taking the chain up to
// there on trust.
func Resume(head Head) Verifier { return Verifier{head} }

// Head is the head of what was verified so far.
func (v *Verifier) Head() Head { return v.head }

// Next checks the entry that follows. After a Break the verifier is of no
// further use.
func (v *Verifier) Next(n Entry) *Break {
	want := v.head.Seq + 1
	sound := n.sum() == n.Hash
	switch {
	case n.Seq > want:
		return &Break{want, Missing, fmt.Sprintf("the log goes on with entry %d", n.Seq)}
	case n.Seq < want:
		return &Break{n.Seq, Inserted, "a second entry has this number"}
	case n.Prev != v.head.Hash && sound:
		return &Break{n.Seq, Inserted, fmt.Sprintf("it is sound in itself and does not follow entry %d: one of the two was put in place of another", n.Seq-1)}
	case !sound:
		return &Break{n.Seq, Altered, "its content does not have the recorded hash"}
	case n.ID != n.id():
		return &Break{n.Seq, Altered, "its identifier was changed"}
	}
	v.head = Head{Seq: n.Seq, Hash: n.Hash}
	return nil
}

// End checks that the chain ends where the node recorded that it does.
func (v *Verifier) End(recorded Head) *Break {
	switch {
	case v.head.Seq < recorded.Seq:
		return &Break{v.head.Seq + 1, Truncated, fmt.Sprintf("the node recorded %d entries", recorded.Seq)}
	case v.head.Seq > recorded.Seq:
		return &Break{recorded.Seq + 1, Inserted, fmt.Sprintf("the node recorded %d entries only", recorded.Seq)}
	case v.head.Hash != recorded.Hash:
		return &Break{v.head.Seq, Inserted, "the last entry is not the one that the node recorded as last"}
	}
	return nil
}
