package fernet

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"symbolon/epoch"
	"symbolon/token"
)

// The envelope, in bytes: version, seconds, IV, blocks of ciphertext, MAC.
const (
	version   = 0x80
	ivAt      = 9
	headerLen = ivAt + aes.BlockSize
	macLen    = sha256.Size
	minRaw    = headerLen + aes.BlockSize + macLen
)

const (
	// MaxText bounds the text of a token, in bytes. A longer text is refused
	// before anything is done with it.
	MaxText = 64 << 10
	// MaxPayload is the longest payload whose token fits in MaxText.
	MaxPayload = (MaxText/4*3-headerLen-macLen)/aes.BlockSize*aes.BlockSize - 1
)

// ErrNoKeys is returned by whatever needs a key and has none.
var ErrNoKeys = errors.New("fernet: no usable key")

// A NumberedKey is a key under the number that its file has.
type NumberedKey struct {
	ID  KeyID
	Key Key
}

// A Ring is an immutable set of keys. The highest number is the primary, which
// seals; all of them open, tried newest first. It is safe for concurrent use.
type Ring struct {
	keys []ringKey // by falling number
	// retired keys open nothing. A token made with one is told from a forged
	// one, for the log.
	retired []ringKey
	ivs     io.Reader // nil: crypto/rand
	pool    *sync.Pool
}

// A ringKey is a key and what is computed from it once.
type ringKey struct {
	id    KeyID
	key   Key
	block cipher.Block
}

// NewRing makes a ring of at least one key. Numbers must differ and not be
// negative.
func NewRing(keys ...NumberedKey) (*Ring, error) {
	if len(keys) == 0 {
		return nil, ErrNoKeys
	}
	return newRing(keys, nil)
}

func newRing(keys, retired []NumberedKey) (*Ring, error) {
	r := &Ring{}
	for _, k := range keys {
		if k.ID < 0 || k.Key.IsZero() || slices.ContainsFunc(r.keys, func(o ringKey) bool { return o.id == k.ID }) {
			return nil, fmt.Errorf("fernet: ring: key %d is negative, given twice, or no key", k.ID)
		}
		r.keys = append(r.keys, prepare(k))
	}
	slices.SortFunc(r.keys, func(a, b ringKey) int { return cmp.Compare(b.id, a.id) })
	for _, k := range retired {
		r.retired = append(r.retired, prepare(k))
	}
	n := len(r.keys) + len(r.retired)
	r.pool = &sync.Pool{New: func() any { return &worker{mac: make([]hash.Hash, n), enc: nil, dec: make([]cbc, n)} }}
	return r, nil
}

func prepare(k NumberedKey) ringKey {
	block, err := aes.NewCipher(k.Key.encryption())
	if err != nil {
		panic("fernet: sixteen bytes are an AES key: " + err.Error())
	}
	return ringKey{id: k.ID, key: k.Key, block: block}
}

// WithIVs returns a ring with the same keys that reads its initialisation
// vectors from src, so that published vectors can be made again. A vector used
// twice shows that two payloads begin alike: tests alone call this.
func (r *Ring) WithIVs(src io.Reader) *Ring {
	c := *r
	c.ivs = src
	return &c
}

// Keys describes the keys, newest number first.
func (r *Ring) Keys() []KeyInfo {
	out := make([]KeyInfo, len(r.keys))
	for i, k := range r.keys {
		out[i] = KeyInfo{ID: k.id, Role: roleAt(i, k.id), Hash: k.key.Hash()}
	}
	return out
}

func roleAt(place int, id KeyID) Role {
	switch {
	case place == 0:
		return Primary
	case id == 0:
		return Staged
	}
	return Secondary
}

// Empty reports whether the ring has no key: it seals nothing and opens
// nothing. Only a watcher whose repository was emptied hands out such a ring.
func (r *Ring) Empty() bool { return len(r.keys) == 0 }

// A worker is the scratch space of one operation, with the HMAC of each key
// keyed once and its CBC modes made once.
type worker struct {
	mac  []hash.Hash
	dec  []cbc
	enc  cbc
	raw  []byte
	text []byte
	sum  [macLen]byte
	// opened is what the worker holds open; its payload lies in raw.
	opened Opened
}

// cbc is a CBC mode whose IV can be set anew, as those of crypto/aes can.
type cbc interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// at returns key i of the ring: the live ones first, then the retired.
func (r *Ring) at(i int) *ringKey {
	if i < len(r.keys) {
		return &r.keys[i]
	}
	return &r.retired[i-len(r.keys)]
}

// sumOf computes the MAC of b under key i into w.sum.
func (r *Ring) sumOf(w *worker, i int, b []byte) {
	m := w.mac[i]
	if m == nil {
		m = hmac.New(sha256.New, r.at(i).key.signing())
		w.mac[i] = m
	} else {
		m.Reset()
	}
	m.Write(b)
	m.Sum(w.sum[:0])
}

func (r *Ring) decrypt(w *worker, i int, iv, b []byte) {
	if w.dec[i] == nil {
		mode := cipher.NewCBCDecrypter(r.keys[i].block, iv)
		w.dec[i], _ = mode.(cbc)
		mode.CryptBlocks(b, b)
		return
	}
	w.dec[i].SetIV(iv)
	w.dec[i].CryptBlocks(b, b)
}

func (r *Ring) encrypt(w *worker, iv, b []byte) {
	if w.enc == nil {
		mode := cipher.NewCBCEncrypter(r.keys[0].block, iv)
		w.enc, _ = mode.(cbc)
		mode.CryptBlocks(b, b)
		return
	}
	w.enc.SetIV(iv)
	w.enc.CryptBlocks(b, b)
}

// Seal makes a token of payload, issued at now, with the primary key. Its text
// is base64url without padding, as Keystone writes it. It fails without a key,
// on a payload longer than [MaxPayload] and on an instant before 1970.
func (r *Ring) Seal(now epoch.Seconds, payload []byte) (string, error) {
	return r.seal(now, payload, base64.RawURLEncoding)
}

// SealPadded is Seal with the padding kept, as the Fernet specification writes a
// token and as Keystone stores an encrypted credential.
func (r *Ring) SealPadded(now epoch.Seconds, payload []byte) (string, error) {
	return r.seal(now, payload, base64.URLEncoding)
}

func (r *Ring) seal(now epoch.Seconds, payload []byte, enc *base64.Encoding) (string, error) {
	switch {
	case len(r.keys) == 0:
		return "", fmt.Errorf("fernet: seal: %w", ErrNoKeys)
	case len(payload) > MaxPayload:
		return "", fmt.Errorf("fernet: seal: payload of %d bytes, want at most %d", len(payload), MaxPayload)
	case now < 0:
		return "", errors.New("fernet: seal: issued before 1970")
	}
	w := r.pool.Get().(*worker)
	defer r.pool.Put(w)

	pad := aes.BlockSize - len(payload)%aes.BlockSize
	signed := headerLen + len(payload) + pad
	raw := grow(w.raw, signed+macLen)
	w.raw = raw
	raw[0] = version
	binary.BigEndian.PutUint64(raw[1:ivAt], uint64(now)) // #nosec G115 -- not negative, checked above
	iv, body := raw[ivAt:headerLen], raw[headerLen:signed]
	if r.ivs == nil {
		_, _ = rand.Read(iv) // never fails: it ends the program instead
	} else if _, err := io.ReadFull(r.ivs, iv); err != nil {
		return "", fmt.Errorf("fernet: seal: reading an initialisation vector: %w", err)
	}
	for i := copy(body, payload); i < len(body); i++ {
		body[i] = byte(pad)
	}
	r.encrypt(w, iv, body)
	r.sumOf(w, 0, raw[:signed])
	copy(raw[signed:], w.sum[:])
	w.text = grow(w.text, enc.EncodedLen(len(raw)))
	enc.Encode(w.text, raw)
	return string(w.text), nil
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// An Identity tells one token from another whatever the spelling of its text:
// it is the token's MAC, so a cache may be keyed by it. It is not to be shown.
type Identity [macLen]byte

// An Opened is the content of a token whose MAC was good. Only a ring makes one;
// the zero Opened holds an empty payload.
type Opened struct {
	payload []byte
	issued  epoch.Seconds
	key     KeyID
	id      Identity
}

// Payload returns the decrypted payload, which belongs to the caller.
func (o Opened) Payload() []byte { return o.payload }

// IssuedAt returns the instant at which the token says it was made. Nothing has
// compared it with a clock.
func (o Opened) IssuedAt() epoch.Seconds { return o.issued }

// KeyID returns the number of the key that made the token.
func (o Opened) KeyID() KeyID { return o.key }

// Identity returns what is equal for two texts of one token and differs for any
// two tokens.
func (o Opened) Identity() Identity { return o.id }

// Open checks a token and decrypts it. The rejection is nil exactly when the
// token is good; its reason is [token.NotCanonical], [token.Malformed],
// [token.BadMAC], [token.UnknownKey] for a key that was retired or when there is
// no key at all, or, behind a good MAC, [token.UnknownVersion]. Its Kind is left
// for the caller, who knows what the token was presented as.
//
// Age and expiry are not looked at: see [Ring.OpenWithin].
func (r *Ring) Open(text string) (Opened, *token.Rejection) {
	w := r.pool.Get().(*worker)
	defer r.pool.Put(w)
	if rej := r.open(w, text); rej != nil {
		return Opened{}, rej
	}
	o := w.opened
	o.payload = make([]byte, len(o.payload))
	copy(o.payload, w.opened.payload)
	return o, nil
}

// Borrow is Open for those who have done with the token when use returns: the
// Opened and its payload are not to be kept. It returns what Open would have
// refused, or what use returns.
func (r *Ring) Borrow(text string, use func(*Opened) *token.Rejection) *token.Rejection {
	w := r.pool.Get().(*worker)
	defer r.pool.Put(w)
	if rej := r.open(w, text); rej != nil {
		return rej
	}
	return use(&w.opened)
}

// open checks a token and leaves what it holds in w.opened.
func (r *Ring) open(w *worker, text string) *token.Rejection {
	if len(r.keys) == 0 {
		return refuse(token.UnknownKey, "no key is loaded")
	}
	raw, rej := w.decode(text)
	if rej != nil {
		return rej
	}
	signed, mac := raw[:len(raw)-macLen], raw[len(raw)-macLen:]
	for i := range r.keys {
		r.sumOf(w, i, signed)
		if subtle.ConstantTimeCompare(w.sum[:], mac) == 1 {
			return r.decipher(w, i, signed)
		}
	}
	for i := range r.retired {
		r.sumOf(w, len(r.keys)+i, signed)
		if subtle.ConstantTimeCompare(w.sum[:], mac) == 1 {
			rej := refuse(token.UnknownKey, "made with a key that was retired")
			rej.KeyID = r.retired[i].id.String()
			return rej
		}
	}
	return refuse(token.BadMAC, "")
}

// decode turns the text into the bytes of an envelope of possible length. The
// result is valid until the worker is used again.
func (w *worker) decode(text string) ([]byte, *token.Rejection) {
	if len(text) > MaxText {
		return nil, refuse(token.Malformed, "longer than a token can be")
	}
	// Exact padding makes the length a multiple of four; no other is taken.
	if n := len(text); n%4 == 0 && n > 0 && text[n-1] == '=' {
		text = text[:n-1]
		if text[n-2] == '=' {
			text = text[:n-2]
		}
	}
	n := decodedLen(len(text))
	w.raw = grow(w.raw, n)
	if !decodeText(w.raw, text) {
		return nil, refuse(token.NotCanonical, "not canonical base64url")
	}
	if n < minRaw || (n-minRaw)%aes.BlockSize != 0 {
		return nil, refuse(token.Malformed, "no token has this length")
	}
	return w.raw, nil
}

// decipher interprets what key i has signed, in place, into w.opened. Nothing
// before this point has read a field of the token.
func (r *Ring) decipher(w *worker, i int, signed []byte) *token.Rejection {
	w.opened = Opened{key: r.keys[i].id, id: w.sum}
	reject := func(reason token.Reason, detail string) *token.Rejection {
		rej := refuse(reason, detail)
		rej.KeyID = r.keys[i].id.String()
		return rej
	}
	if signed[0] != version {
		return reject(token.UnknownVersion, "the envelope's version is not 0x80")
	}
	sec := binary.BigEndian.Uint64(signed[1:ivAt])
	if sec > math.MaxInt64 {
		return reject(token.Malformed, "issue time out of range")
	}
	w.opened.issued = epoch.Seconds(sec)
	plain := signed[headerLen:]
	r.decrypt(w, i, signed[ivAt:headerLen], plain)
	n, ok := unpadded(plain)
	if !ok {
		return reject(token.Malformed, "the payload's padding is wrong")
	}
	w.opened.payload = plain[:n:n]
	return nil
}

// unpadded returns the length of b without its PKCS #7 padding. The bytes are
// authentic, so what time this takes tells an attacker nothing.
func unpadded(b []byte) (int, bool) {
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize {
		return 0, false
	}
	for _, c := range b[len(b)-pad:] {
		if int(c) != pad {
			return 0, false
		}
	}
	return len(b) - pad, true
}

// OpenWithin is Open with the checks of the specification's optional lifetime:
// a token issued later than now by more than the window's leeway, or longer ago
// than its MaxAge, is refused. The window's other fields are not used.
func (r *Ring) OpenWithin(text string, now time.Time, w epoch.Window) (Opened, *token.Rejection) {
	o, rej := r.Open(text)
	if rej != nil {
		return Opened{}, rej
	}
	// Beyond the year 9999 the arithmetic of time.Time may wrap around.
	fault, issued := epoch.IssuedInFuture, time.Time{}
	if t, ok := epoch.At(float64(o.issued), epoch.UnitSeconds); ok {
		issued = t
		if fault = w.IssuedFuture(now, issued); fault == epoch.Fine {
			fault = w.IssuedAge(now, issued)
		}
	}
	if fault == epoch.Fine {
		return o, nil
	}
	rej = refuse(token.ReasonOf(fault), "")
	rej.KeyID, rej.Now, rej.IssuedAt, rej.Leeway = o.key.String(), now, issued, w.Leeway
	return Opened{}, rej
}

func refuse(reason token.Reason, detail string) *token.Rejection {
	return &token.Rejection{Reason: reason, Kind: token.Unknown, Detail: detail}
}
