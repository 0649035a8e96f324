package peertoken

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"

	"symbolon/token"
)

// An envelope is a token taken apart, its parts decoded and none of them
// believed.
type envelope struct {
	message   string // what the signature covers: the first two segments
	header    []byte // nil when the header is the one that Mint writes
	payload   []byte
	signature []byte
}

// A fault is a rejection in the making.
type fault struct {
	reason token.Reason
	claim  string
	detail string
}

func malformed(detail string) *fault { return &fault{reason: token.Malformed, detail: detail} }

// split takes a token apart. It accepts exactly three segments of unpadded
// canonical base64url, so that a token has one spelling.
func split(text string) (envelope, *fault) {
	if len(text) > MaxLen {
		return envelope{}, malformed("the text is longer than any token")
	}
	one := strings.IndexByte(text, '.')
	two := strings.LastIndexByte(text, '.')
	if one < 0 || two == one || strings.IndexByte(text[one+1:two], '.') >= 0 {
		return envelope{}, malformed("not three segments")
	}
	e := envelope{message: text[:two]}
	var f *fault
	if text[:one] != headerText {
		if e.header, f = decodeSegment(text[:one]); f != nil {
			return envelope{}, f
		}
		if f := checkHeader(e.header); f != nil {
			return envelope{}, f
		}
	}
	if e.payload, f = decodeSegment(text[one+1 : two]); f != nil {
		return envelope{}, f
	}
	if e.signature, f = decodeSegment(text[two+1:]); f != nil {
		return envelope{}, f
	}
	return e, nil
}

func decodeSegment(s string) ([]byte, *fault) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err == nil && base64.RawURLEncoding.EncodedLen(len(b)) == len(s) { // encoding/base64 skips newlines
		return b, nil
	}
	if _, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")); err == nil && !strings.ContainsAny(s, "\r\n") {
		return nil, &fault{reason: token.NotCanonical, detail: "a segment is not canonical base64url without padding"}
	}
	return nil, malformed("a segment is not base64url")
}

// checkHeader refuses headers that no verifier may pass over (RFC 7515 §4.1.11,
// RFC 7797), whatever the key.
func checkHeader(h []byte) *fault {
	var f *fault
	ok := object(h, func(name []byte, v value) {
		switch string(name) {
		case "crit":
			f = malformed("the header asks for an extension")
		case "b64":
			if v.kind != 't' {
				f = malformed("the header asks for an unencoded payload")
			}
		case "kid":
			if v.kind != '"' {
				f = malformed("the header's kid is no text")
			}
		}
	})
	if !ok {
		return malformed("the header is not a strict JSON object")
	}
	return f
}

// algorithm says what the header claims the token to be: its alg is EdDSA, and
// its typ, if there is one, JWT.
func (e *envelope) algorithm() (edDSA, jwt bool) {
	if e.header == nil {
		return true, true
	}
	jwt = true
	object(e.header, func(name []byte, v value) {
		switch string(name) {
		case "alg":
			edDSA = v.kind == '"' && string(unquote(v.raw)) == "EdDSA"
		case "typ":
			jwt = v.kind == '"' && strings.EqualFold(string(unquote(v.raw)), "JWT")
		}
	})
	return edDSA, jwt
}

// issuer returns the claimed issuer, which may only choose the key to try. It is
// empty when the token claims none, and ok is false when the payload is not a
// strict JSON object.
func (e *envelope) issuer() (iss string, ok bool) {
	ok = object(e.payload, func(name []byte, v value) {
		if string(name) == "iss" && v.kind == '"' {
			iss = string(unquote(v.raw))
		}
	})
	return iss, ok
}

// signed is a payload whose signature was verified. Only open makes one.
type signed struct{ payload []byte }

// open verifies the signature under key.
func (e *envelope) open(key ed25519.PublicKey) (signed, bool) {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(e.message), e.signature) {
		return signed{}, false
	}
	return signed{e.payload}, true
}

// Unverified is what can be seen of a token without a key. Nothing in it is to be
// believed.
type Unverified struct {
	// Header and Payload are JSON objects as the token holds them.
	Header, Payload json.RawMessage
}

// Peek takes a token apart for an operator to look at. The error is a
// [*token.Rejection] with the reason malformed or not_canonical.
func Peek(text string) (Unverified, error) {
	e, f := split(text)
	if f == nil {
		if _, ok := e.issuer(); !ok {
			f = malformed("the payload is not a strict JSON object")
		}
	}
	if f != nil {
		return Unverified{}, &token.Rejection{Reason: f.reason, Kind: token.Peer, Detail: f.detail}
	}
	if e.header == nil {
		e.header = []byte(header)
	}
	return Unverified{Header: e.header, Payload: e.payload}, nil
}
