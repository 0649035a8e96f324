package id

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// NewAuditAt returns a new audit id that carries the instant t to a quarter of a
// microsecond: a UUID of version 7 with the fraction of the millisecond in its
// twelve free bits (RFC 9562 section 6.2, method 3). The envelope of an identity
// token has room for whole seconds only.
func NewAuditAt(t time.Time) Audit {
	var u [16]byte
	_, _ = rand.Read(u[8:]) // never fails: it ends the program instead
	ms := t.UnixMilli()
	within := t.Sub(time.UnixMilli(ms)) // less than a millisecond
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(ms)<<16) // #nosec G115 -- its low 48 bits are what is kept
	copy(u[:6], b[:6])
	binary.BigEndian.PutUint16(u[6:8], 0x7000|uint16(within*4096/time.Millisecond)) // #nosec G115 -- below 4096
	u[8] = u[8]&0x3f | 0x80
	return Audit(base64.RawURLEncoding.EncodeToString(u[:]))
}

// At returns the instant that an audit id made by NewAuditAt carries, never later
// than the one it was made with, and false for an audit id of another making.
func (a Audit) At() (time.Time, bool) {
	var u [16]byte
	if len(a) != 22 {
		return time.Time{}, false
	}
	if n, err := base64.RawURLEncoding.Decode(u[:], []byte(a)); err != nil || n != len(u) || u[6]>>4 != 7 || u[8]>>6 != 2 {
		return time.Time{}, false
	}
	ms := int64(binary.BigEndian.Uint64(u[:8]) >> 16) // #nosec G115 -- 48 bits
	frac := time.Duration(binary.BigEndian.Uint16(u[6:8]) & 0x0fff)
	return time.UnixMilli(ms).Add(frac * time.Millisecond / 4096).UTC(), true
}
