package keytoken

import (
	"fmt"
	"time"

	"symbolon/epoch"
	"symbolon/fernet"
	"symbolon/internal/errs"
	"symbolon/token"
)

// DefaultLeeway is the clock skew between the nodes of one cloud that servers
// tolerate unless configured otherwise.
const DefaultLeeway = time.Minute

// Limits bound a token's times.
type Limits struct {
	// Leeway is how far in the future a token may have been issued. It does not
	// prolong a token: at its expiry it is expired.
	Leeway time.Duration
	// MaxLifetime bounds the time from issue to expiry, at minting and, Leeway
	// added, at verification. Zero sets no bound.
	MaxLifetime time.Duration
}

// An Identity tells one token from another whatever the spelling of its text, so
// that a cache may be keyed by it. It is not to be shown.
type Identity [32]byte

// A Keyring gives the ring of now. A [fernet.Watcher] is one; [Fixed] makes one
// of a ring that never changes.
type Keyring interface{ Ring() *fernet.Ring }

// Fixed returns a Keyring that always gives r.
func Fixed(r *fernet.Ring) Keyring { return fixed{r} }

type fixed struct{ r *fernet.Ring }

func (f fixed) Ring() *fernet.Ring { return f.r }

// Tokens mints and verifies identity tokens. It is safe for concurrent use.
type Tokens struct {
	// One of the two envelopes. They are not behind an interface, so that what
	// is decoded can stay on the caller's stack.
	fernet *fernetProvider
	jws    *jwsProvider
	limits Limits
}

// NewFernet returns Tokens whose envelope is Fernet.
func NewFernet(keys Keyring, f Format, l Limits) (*Tokens, error) {
	codec, err := newCodec(f)
	if err != nil {
		return nil, err
	}
	return &Tokens{fernet: &fernetProvider{keys: keys, codec: codec}, limits: l}, nil
}

// Ready returns nil, or an error of kind [errs.Unavailable] while there is no
// key to mint or verify with. A caller that meets [token.UnknownKey] asks it, to
// tell "your token is bad" from "we cannot tell".
func (t *Tokens) Ready() error {
	var err error
	if t.jws != nil {
		err = t.jws.ready()
	} else {
		err = t.fernet.ready()
	}
	if err != nil {
		return errs.With(errs.Unavailable, err, "no token key is available")
	}
	return nil
}

// Mint makes a token of c, issued at now cut to the second (c.IssuedAt is not
// read). It fails on claims that a token would not give back as they went in,
// and on an expiry that is not after now or further away than the limits allow.
// Two things a Fernet token does drop, as the reference's: a method outside
// [Format.Methods], and the federation of a user who acts under a trust.
func (t *Tokens) Mint(c Claims, now time.Time) (string, error) {
	c.IssuedAt = epoch.SecondsOf(now)
	if err := c.check(t.limits); err != nil {
		return "", fmt.Errorf("keytoken: mint: %w", err)
	}
	var text string
	var err error
	if t.jws != nil {
		text, err = t.jws.mint(&c)
	} else {
		text, err = t.fernet.mint(&c)
	}
	if err != nil {
		return "", fmt.Errorf("keytoken: mint: %w", err)
	}
	return text, nil
}

// A Decoded is a token whose MAC or signature was good and whose content could
// be read. Whether it is to be accepted now is for [Decoded.Check] to say.
type Decoded struct {
	claims  Claims
	limits  Limits
	version Version
	key     keyName
	id      Identity
}

// A keyName names a key: a Fernet key by its number, another by its text.
type keyName struct {
	number fernet.KeyID
	text   string
}

func (k keyName) String() string {
	if k.text != "" {
		return k.text
	}
	return k.number.String()
}

// Claims returns what the token says. Every call returns the same slices.
func (d *Decoded) Claims() Claims { return d.claims }

// Version returns the payload layout.
func (d *Decoded) Version() Version { return d.version }

// KeyID names the key that made the token.
func (d *Decoded) KeyID() string { return d.key.String() }

// Identity returns what is equal for two texts of one token and differs for any
// two tokens.
func (d *Decoded) Identity() Identity { return d.id }

// Decode checks the token's MAC or signature and reads its claims, whose times
// nothing has compared with a clock. It serves those who explain tokens; those
// who accept them call [Tokens.Verify].
func (t *Tokens) Decode(text string) (Decoded, *token.Rejection) {
	var d Decoded
	if rej := t.decode(text, &d); rej != nil {
		return Decoded{}, rej
	}
	return d, nil
}

// decode fills d, which is zero. After a rejection what it holds means nothing.
func (t *Tokens) decode(text string, d *Decoded) *token.Rejection {
	d.limits = t.limits
	var rej *token.Rejection
	if t.jws != nil {
		*d, rej = t.jws.decode(text)
		d.limits = t.limits
	} else {
		rej = t.fernet.decode(text, d)
	}
	if rej != nil {
		rej.Kind, rej.Leeway = token.Identity, t.limits.Leeway
	}
	return rej
}

// Options vary one verification.
type Options struct {
	// Grace lets a token pass for some time after its expiry, for the services
	// that may still look at one (allow_expired).
	Grace time.Duration
}

// A Verified is a token that was accepted. Only a successful check makes one.
type Verified struct{ d Decoded }

// Claims returns what the token says. Every call returns the same slices.
func (v *Verified) Claims() Claims { return v.d.claims }

// Version returns the payload layout.
func (v *Verified) Version() Version { return v.d.version }

// KeyID names the key that made the token.
func (v *Verified) KeyID() string { return v.d.key.String() }

// Identity returns what is equal for two texts of one token and differs for any
// two tokens.
func (v *Verified) Identity() Identity { return v.d.id }

// Verify accepts or refuses a token at now. The rejection is nil exactly when it
// is accepted.
func (t *Tokens) Verify(text string, now time.Time, o Options) (Verified, *token.Rejection) {
	var v Verified
	rej := t.decode(text, &v.d)
	if rej == nil {
		rej = v.d.check(now, o)
	}
	if rej != nil {
		rej.Now = now
		return Verified{}, rej
	}
	return v, nil
}
