package keytoken

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/errs"
	"symbolon/token"
)

// A Receipt says that a user proved who they are by some methods, though not yet
// by all that they must. It is no token: it has a payload of its own shape and is
// read by [Receipts] alone.
type Receipt struct {
	UserID string
	// Methods come back in falling order of their bits.
	Methods []string
	// IssuedAt is set by Mint.
	IssuedAt  epoch.Seconds
	ExpiresAt epoch.Seconds
	// Identity is set by Verify, and tells one receipt from another.
	Identity Identity
}

// Receipts mints and verifies authentication receipts. It is safe for concurrent
// use.
type Receipts struct {
	keys   Keyring
	codec  *codec
	limits Limits
}

// NewReceipts returns Receipts. The keys may be those of the tokens: the
// reference shares them by default.
func NewReceipts(keys Keyring, f Format, l Limits) (*Receipts, error) {
	codec, err := newCodec(f)
	if err != nil {
		return nil, err
	}
	return &Receipts{keys: keys, codec: codec, limits: l}, nil
}

// Ready is as [Tokens.Ready].
func (rs *Receipts) Ready() error {
	if rs.keys.Ring().Empty() {
		return errs.With(errs.Unavailable, fernet.ErrNoKeys, "no receipt key is available")
	}
	return nil
}

// Mint makes a receipt, issued at now cut to the second. It fails as
// [Tokens.Mint] does; a receipt needs a method.
func (rs *Receipts) Mint(c Receipt, now time.Time) (string, error) {
	c.IssuedAt = epoch.SecondsOf(now)
	if err := rs.check(&c); err != nil {
		return "", fmt.Errorf("keytoken: mint receipt: %w", err)
	}
	text, err := rs.keys.Ring().Seal(c.IssuedAt, rs.codec.appendReceipt(nil, &c))
	if err != nil {
		return "", fmt.Errorf("keytoken: mint receipt: %w", err)
	}
	return text, nil
}

func (rs *Receipts) check(c *Receipt) error {
	switch {
	case c.UserID == "" || !utf8.ValidString(c.UserID):
		return errors.New("no user id, or one that is not UTF-8")
	case rs.codec.mask(c.Methods) == 0:
		return errors.New("no method that a receipt can carry")
	case !c.IssuedAt.Plausible() || !c.ExpiresAt.Plausible() || !c.IssuedAt.Before(c.ExpiresAt):
		return errors.New("issue and expiry are not numbers of seconds between 2015 and 2100, one before the other")
	case rs.limits.MaxLifetime > 0 && c.IssuedAt.Add(rs.limits.MaxLifetime).Before(c.ExpiresAt):
		return fmt.Errorf("expiry is more than %v after issue", rs.limits.MaxLifetime)
	}
	return checkMethods(c.Methods)
}

// appendReceipt writes the payload: user, M, EXP, and no version.
func (k *codec) appendReceipt(b []byte, c *Receipt) []byte {
	b = k.appendID(appendArray(b, 3), c.UserID)
	return appendFloat(appendUint(b, k.mask(c.Methods)), float64(c.ExpiresAt))
}

func (k *codec) decodeReceipt(o fernet.Opened) (Receipt, *token.Rejection) {
	reject := func(reason token.Reason, detail string) (Receipt, *token.Rejection) {
		return Receipt{}, &token.Rejection{Reason: reason, KeyID: o.KeyID().String(), Detail: detail}
	}
	r := newReader(&o)
	n := r.array()
	if !r.bad && n > 0 && isInt(r.peek()) {
		return reject(token.WrongKind, "a token, not a receipt")
	}
	c := Receipt{UserID: r.need(), Methods: k.names(r.int()), IssuedAt: o.IssuedAt(), Identity: Identity(o.Identity())}
	exp, ok := expiry(r.float())
	// The reference has no reading of text as bytes for receipts.
	if n != 3 || !ok || !r.end() || r.textAsBytes {
		return reject(token.BadLayout, "the payload is not that of a receipt")
	}
	c.ExpiresAt = exp
	return c, nil
}

// Verify accepts or refuses a receipt at now. The rejection is nil exactly when
// it is accepted.
func (rs *Receipts) Verify(text string, now time.Time) (Receipt, *token.Rejection) {
	var c Receipt
	o, rej := rs.keys.Ring().Open(text)
	if rej == nil {
		if c, rej = rs.codec.decodeReceipt(o); rej == nil {
			rej = checkTimes(c.IssuedAt, c.ExpiresAt, now, rs.limits, 0)
		}
		if rej == nil {
			return c, nil
		}
		rej.KeyID, rej.IssuedAt, rej.Expires = o.KeyID().String(), shown(c.IssuedAt), shown(c.ExpiresAt)
	}
	rej.Kind, rej.Now, rej.Leeway = token.Receipt, now, rs.limits.Leeway
	return Receipt{}, rej
}
