package peertoken

import (
	"math"
	"strconv"

	"symbolon/epoch"
)

// claims are the members of a verified payload that mean something to us, each
// in whatever shape it has.
type claims struct {
	iss, sub, jti, iat, exp, nbf, nonce, scopes value
}

// claims reads the payload, which envelope.issuer found to be an object.
func (s signed) claims() (c claims) {
	object(s.payload, func(name []byte, v value) {
		switch string(name) {
		case "iss":
			c.iss = v
		case "sub":
			c.sub = v
		case "jti":
			c.jti = v
		case "iat":
			c.iat = v
		case "exp":
			c.exp = v
		case "nbf":
			c.nbf = v
		case "nonce":
			c.nonce = v
		case "scopes":
			c.scopes = v
		}
	})
	return c
}

// text returns a claim that is text, and "" for one of another shape.
func (v value) text() string {
	if v.kind != '"' {
		return ""
	}
	return string(unquote(v.raw))
}

// A clock is a clock number of a token, in the one unit of the wire.
type clock struct {
	at epoch.Millis
	n  float64 // as written, for its unit
}

// clock reads a number of milliseconds. A fraction is cut off, and a number
// beyond every clock stands for the last instant on its side. ok is false for any
// other shape, decimal text included: no peer sends it.
func (v value) clock() (c clock, ok bool) {
	if v.kind != '0' {
		return clock{}, false
	}
	if n, err := strconv.ParseInt(string(v.raw), 10, 64); err == nil {
		return clock{at: epoch.Millis(n), n: float64(n)}, true
	}
	// What ParseFloat cannot hold it returns as an infinity.
	f, _ := strconv.ParseFloat(string(v.raw), 64)
	switch {
	case f >= math.MaxInt64:
		return clock{at: math.MaxInt64, n: f}, true
	case f <= math.MinInt64:
		return clock{at: math.MinInt64, n: f}, true
	}
	return clock{at: epoch.Millis(f), n: f}, true
}

func appendMillis(dst []byte, m epoch.Millis) []byte { return strconv.AppendInt(dst, int64(m), 10) }

// list returns the members of an array that are text, and nil for any other
// shape.
func (v value) list() (texts []string) {
	if v.kind != '[' {
		return nil
	}
	s := scanner{b: v.raw}
	s.elements(func(e value) {
		if e.kind == '"' {
			texts = append(texts, e.text())
		}
	})
	return texts
}
