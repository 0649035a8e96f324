package peertoken

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"symbolon/epoch"
	"symbolon/token"
)

// A Config is what a Verifier needs. Audience, Lookup, Nonces and Now must be set;
// a zero duration is taken as it stands.
type Config struct {
	// Audience is our own node id.
	Audience string
	// Lookup returns the registered peer whose node id is iss, the bearer's
	// word until the signature is checked; the zero Peer when there is none. An
	// error means that it cannot be said.
	Lookup func(ctx context.Context, iss string) (Peer, error)
	Nonces NonceStore
	Now    func() time.Time
	// Leeway is the clock skew tolerated either way.
	Leeway time.Duration
	// MaxAge bounds how long ago a token may have been issued; no leeway is
	// added to it, and zero sets no bound.
	MaxAge time.Duration
	// NonceWindow is the least time for which a nonce is remembered.
	NonceWindow time.Duration
	// Observer, if set, is told of every rejection.
	Observer token.Observer
}

// A Verifier checks the tokens that peers present to us. It is safe for concurrent
// use if its parts are.
type Verifier struct {
	c      Config
	window epoch.Window
}

// NewVerifier returns a Verifier. An error says which part of c is missing or
// negative.
func NewVerifier(c Config) (*Verifier, error) {
	switch {
	case c.Audience == "":
		return nil, errors.New("peertoken: a verifier needs an audience")
	case c.Lookup == nil || c.Nonces == nil || c.Now == nil:
		return nil, errors.New("peertoken: a verifier needs a lookup, a nonce store and a clock")
	case c.Leeway < 0 || c.MaxAge < 0 || c.NonceWindow < 0:
		return nil, errors.New("peertoken: leeway, age and window must not be negative")
	}
	return &Verifier{c: c, window: epoch.Window{Leeway: c.Leeway, MaxAge: c.MaxAge, MaxLifetime: Lifetime}}, nil
}

// Verify checks a token's text (what follows "Bearer ") and uses up its nonce.
// The error is a [*token.Rejection] when the token is refused. Any other error is
// that of Lookup or of the nonce store: the token was not judged, and whoever
// presents it is not let in.
//
// The checks are made in the order of the reference, so that of a token with
// several faults both name the same.
func (v *Verifier) Verify(ctx context.Context, text string) (Verified, error) {
	a := attempt{Verifier: v, now: epoch.MillisOf(v.c.Now()).Time()}
	got, f, err := a.verify(ctx, text)
	switch {
	case err != nil:
		return Verified{}, err
	case f == nil:
		return got, nil
	}
	r := a.rejection(f)
	if v.c.Observer != nil {
		v.c.Observer(ctx, r)
	}
	return Verified{}, r
}

// An attempt is one token being checked, and what is known of it so far.
type attempt struct {
	*Verifier
	now           time.Time
	iss           string
	keyID         string
	looksLike     epoch.Unit
	iat, exp, nbf time.Time
}

// The names of the clock claims, as the payload has them.
const (
	claimIssued    = "iat"
	claimExpires   = "exp"
	claimNotBefore = "nbf"
)

func (a *attempt) verify(ctx context.Context, text string) (Verified, *fault, error) {
	e, f := split(text)
	if f != nil {
		return Verified{}, f, nil
	}
	var ok bool
	if a.iss, ok = e.issuer(); !ok {
		return Verified{}, malformed("the payload is not a strict JSON object"), nil
	}
	if a.iss == "" {
		return Verified{}, &fault{token.BadLayout, "iss", "no text"}, nil
	}
	peer, err := a.c.Lookup(ctx, a.iss)
	if err != nil {
		return Verified{}, nil, fmt.Errorf("peertoken: look up the issuer: %w", err)
	}
	switch peer.Standing {
	case Active:
	case NotApproved:
		return Verified{}, &fault{reason: token.IssuerNotApproved, detail: peer.Status}, nil
	default:
		return Verified{}, &fault{reason: token.UnknownKey, detail: "no such peer"}, nil
	}
	a.keyID = peer.NodeID
	edDSA, jwt := e.algorithm()
	if !edDSA {
		return Verified{}, &fault{reason: token.WrongAlgorithm}, nil
	}
	s, ok := e.open(peer.Key)
	if !ok {
		return Verified{}, &fault{reason: token.BadSignature}, nil
	}
	if !jwt {
		return Verified{}, &fault{reason: token.WrongKind, detail: "the header's typ is not JWT"}, nil
	}
	got, f := a.claims(s.claims(), peer)
	if f != nil {
		return Verified{}, f, nil
	}
	until := max(got.expires, epoch.MillisOf(a.now).Add(a.c.NonceWindow)).Add(a.c.Leeway)
	fresh, err := a.c.Nonces.Consume(ctx, peer.NodeID, got.nonce, until)
	if err != nil {
		return Verified{}, nil, fmt.Errorf("peertoken: use up the nonce: %w", err)
	}
	if !fresh {
		return Verified{}, &fault{reason: token.Replayed}, nil
	}
	return got, nil, nil
}

// claims checks everything that the payload says.
func (a *attempt) claims(c claims, peer Peer) (Verified, *fault) {
	// Times for the rejection; the checks below say which of them is at fault.
	exp, expOK := a.instant(c.exp, &a.exp)
	iat, iatOK := a.instant(c.iat, &a.iat)
	nbf, nbfOK := a.instant(c.nbf, &a.nbf)

	if c.sub.kind != 0 && c.sub.kind != '"' {
		return Verified{}, &fault{token.BadLayout, "sub", "no text"}
	}
	if c.jti.kind != 0 && c.jti.kind != '"' {
		return Verified{}, &fault{token.BadLayout, "jti", "no text"}
	}
	if f := a.unit(claimExpires, exp, expOK); f != nil {
		return Verified{}, f
	}
	if t := a.window.Expiry(a.now, exp.at.Time()); t != epoch.Fine {
		return Verified{}, &fault{reason: token.ReasonOf(t)}
	}
	if c.sub.text() != a.c.Audience {
		return Verified{}, &fault{reason: token.WrongAudience}
	}
	if a.iss != peer.NodeID {
		return Verified{}, &fault{reason: token.WrongIssuer}
	}
	if f := a.unit(claimIssued, iat, iatOK); f != nil {
		return Verified{}, f
	}
	if t := a.window.IssuedFuture(a.now, iat.at.Time()); t != epoch.Fine {
		return Verified{}, &fault{reason: token.ReasonOf(t)}
	}
	if t := a.window.IssuedAge(a.now, iat.at.Time()); t != epoch.Fine {
		return Verified{}, &fault{reason: token.ReasonOf(t)}
	}
	if c.nbf.kind != 0 && c.nbf.kind != 'n' {
		if f := a.unit(claimNotBefore, nbf, nbfOK); f != nil {
			return Verified{}, f
		}
		if t := a.window.NotBefore(a.now, nbf.at.Time()); t != epoch.Fine {
			return Verified{}, &fault{reason: token.ReasonOf(t)}
		}
	}
	nonce := c.nonce.text()
	if nonce == "" {
		return Verified{}, &fault{reason: token.MissingNonce}
	}
	if len(nonce) > MaxNonceLen {
		return Verified{}, &fault{token.BadLayout, "nonce", "too long"}
	}
	if t := a.window.Lifetime(iat.at.Time(), exp.at.Time()); t != epoch.Fine {
		return Verified{}, &fault{reason: token.ReasonOf(t)}
	}
	return Verified{
		issuer: a.iss, audience: a.c.Audience, nonce: nonce, issuedAt: iat.at, expires: exp.at, scopes: c.scopes.list(),
	}, nil
}

// instant reads a clock claim, and notes its time for a rejection unless the
// number is in another unit or beyond the years that can be written.
func (a *attempt) instant(v value, note *time.Time) (clock, bool) {
	c, ok := v.clock()
	if !ok {
		return clock{}, false
	}
	if _, mistaken := epoch.Mistaken(c.n, epoch.UnitMillis); !mistaken {
		if _, writable := epoch.At(c.n, epoch.UnitMillis); writable {
			*note = c.at.Time()
		}
	}
	return c, true
}

// unit checks that a clock claim is there, is a number, and counts milliseconds.
func (a *attempt) unit(name string, c clock, ok bool) *fault {
	if !ok {
		return &fault{token.BadLayout, name, "no number of milliseconds"}
	}
	if u, mistaken := epoch.Mistaken(c.n, epoch.UnitMillis); mistaken {
		a.looksLike = u
		return &fault{token.UnitMismatch, name, "looks like " + u.String() + ", must be milliseconds"}
	}
	return nil
}

func (a *attempt) rejection(f *fault) *token.Rejection {
	return &token.Rejection{
		Reason: f.reason, Kind: token.Peer, KeyID: a.keyID, Peer: shown(a.iss), Now: a.now,
		IssuedAt: a.iat, NotBefore: a.nbf, Expires: a.exp, Leeway: a.c.Leeway,
		LooksLike: a.looksLike, Claim: f.claim, Detail: f.detail,
	}
}

// maxShown bounds how much of a claimed issuer goes into a log line.
const maxShown = 256

func shown(iss string) string {
	if len(iss) <= maxShown {
		return iss
	}
	return strings.ToValidUTF8(iss[:maxShown], "") + "…"
}
