// Package peertoken makes and checks the tokens with which Stigmem nodes prove
// themselves to one another: Ed25519 JWTs that live for one hour (Stigmem wire
// §25.5).
//
// The clock numbers of a peer token count milliseconds, not the seconds of an
// ordinary JWT. Two pairs of code that read them differently once shut valid
// peers out as expired (GHSA-xh5j-xjfq-qvvx); here one [Mint] writes them and one
// [Verifier.Verify] reads them, and a number that is plausible in another unit is
// refused under that name.
//
// Nothing outside the signed bytes decides anything, but that the claimed issuer
// chooses which key to try. Every refusal is a [*token.Rejection]; [Detail] is what
// the wire says of it.
package peertoken

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"time"

	"symbolon/epoch"
	"symbolon/internal/canon"
	"symbolon/internal/id"
)

const (
	// Lifetime is how long a token that Mint makes is valid, and the most that
	// Verify accepts (leeway added).
	Lifetime = time.Hour

	// The reference's settings, which a Config may take.
	DefaultLeeway      = 30 * time.Second
	DefaultMaxAge      = 24 * time.Hour
	DefaultNonceWindow = 300 * time.Second

	// MaxLen bounds a token's text, in bytes. Those of real peers have about
	// 400.
	MaxLen = 8 << 10
	// MaxNonceLen bounds a nonce, in bytes. Those of real peers have 36.
	MaxNonceLen = 255
)

// A Signer signs with an Ed25519 key that it keeps to itself.
type Signer interface{ Sign(message []byte) []byte }

// Params are what a token says beside its times and its nonce.
type Params struct {
	// Issuer is the node id of the signer, Audience that of the node that is
	// to accept the token. Neither may be empty.
	Issuer, Audience string
	// Scopes are those that the audience may ask for, in the order to write.
	Scopes []string
}

// Mint returns a token signed by key, issued at now and valid for [Lifetime],
// with a fresh random nonce.
func Mint(key Signer, p Params, now epoch.Millis) (string, error) {
	return mint(key, p, now, id.NewUUID().String())
}

const header = `{"alg":"EdDSA","typ":"JWT"}`

var headerText = base64.RawURLEncoding.EncodeToString([]byte(header))

func mint(key Signer, p Params, now epoch.Millis, nonce string) (string, error) {
	if p.Issuer == "" || p.Audience == "" {
		return "", errors.New("peertoken: mint: issuer and audience must not be empty")
	}
	for _, s := range append([]string{p.Issuer, p.Audience}, p.Scopes...) {
		if !id.ValidText(s) {
			return "", errors.New("peertoken: mint: issuer, audience and scopes must be valid text")
		}
	}
	c := append(make([]byte, 0, 512), `{"iss":`...)
	c = canon.AppendString(c, p.Issuer, canon.ASCII)
	c = append(c, `,"sub":`...)
	c = canon.AppendString(c, p.Audience, canon.ASCII)
	c = append(c, `,"iat":`...)
	c = appendMillis(c, now)
	c = append(c, `,"exp":`...)
	c = appendMillis(c, now.Add(Lifetime))
	c = append(c, `,"nonce":`...)
	c = canon.AppendString(c, nonce, canon.ASCII)
	c = append(c, `,"scopes":[`...)
	for i, s := range p.Scopes {
		if i > 0 {
			c = append(c, ',')
		}
		c = canon.AppendString(c, s, canon.ASCII)
	}
	c = append(c, "]}"...)

	b64 := base64.RawURLEncoding
	t := make([]byte, 0, len(headerText)+1+b64.EncodedLen(len(c))+1+b64.EncodedLen(ed25519.SignatureSize))
	t = append(append(t, headerText...), '.')
	t = b64.AppendEncode(t, c)
	sig := key.Sign(t)
	t = b64.AppendEncode(append(t, '.'), sig)
	if len(t) > MaxLen {
		return "", errors.New("peertoken: mint: the token is longer than any node accepts")
	}
	return string(t), nil
}

// A Standing is how a node stands with us.
type Standing uint8

// The standings. Only an Active peer's tokens are looked at further.
const (
	Unregistered Standing = iota
	NotApproved
	Active
)

// A Peer is what is known of the node that a token claims to be from. The zero
// Peer is an unregistered one.
type Peer struct {
	Standing Standing
	// Status is the standing in the operator's words ("pending_approval"), for
	// the rejection's Detail.
	Status string
	NodeID string
	// Key is the registered public key, 32 bytes.
	Key ed25519.PublicKey
}

// A NonceStore remembers which nonces were used. It must be durable: a nonce used
// before a restart is used after it.
type NonceStore interface {
	// Consume atomically marks the nonce of this peer as used and reports
	// whether it was not used before. Other peers' nonces are independent. It
	// may forget the nonce when until has passed. An error means that neither
	// can be said, and the token is then not accepted.
	Consume(ctx context.Context, peerNodeID, nonce string, until epoch.Millis) (fresh bool, err error)
}

// Forgetful is a NonceStore that remembers nothing. It is for looking at a token
// without using it up, never for letting anybody in.
var Forgetful NonceStore = forgetful{}

type forgetful struct{}

func (forgetful) Consume(context.Context, string, string, epoch.Millis) (bool, error) {
	return true, nil
}

// Verified is what an accepted token says. Only [Verifier.Verify] makes one that
// is not zero.
type Verified struct {
	issuer, audience, nonce string
	issuedAt, expires       epoch.Millis
	scopes                  []string
}

// Issuer is the node id of the peer that signed the token.
func (v Verified) Issuer() string { return v.issuer }

// Audience is our own node id.
func (v Verified) Audience() string { return v.audience }

// Nonce is the nonce that the token used up.
func (v Verified) Nonce() string { return v.nonce }

// IssuedAt is when the token was issued by the peer's clock.
func (v Verified) IssuedAt() epoch.Millis { return v.issuedAt }

// Expires is when the token expires, leeway not added.
func (v Verified) Expires() epoch.Millis { return v.expires }

// Scopes are the texts in the token's list of scopes, in its order. A list that
// is missing, or is no list, is empty; members that are no text are left out. What
// a peer may have is the intersection with what was agreed.
func (v Verified) Scopes() []string { return v.scopes }
