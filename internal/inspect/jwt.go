package inspect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"symbolon/epoch"
	"symbolon/peertoken"
	"symbolon/token"
)

// A jwt is a compact JWS whose parts could be read, and nothing more.
type jwt struct {
	header map[string]any
	claims map[string]any
}

func parseJWT(text string) (jwt, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return jwt{}, false
	}
	var j jwt
	for i, to := range []*map[string]any{&j.header, &j.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return jwt{}, false
		}
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if dec.Decode(to) != nil || *to == nil {
			return jwt{}, false
		}
	}
	return j, true
}

func jwtReport(text string, j jwt, at time.Time, k Keys) Report {
	if _, ok := j.claims["openstack_methods"]; ok {
		return identityJWS(text, j, at, k)
	}
	r := Report{Kind: token.Peer, Claims: j.claims}
	alg, _ := j.header["alg"].(string)
	if k.Peer.IsZero() {
		r.line("what", "a JSON web token signed with %s; nothing below is verified without the issuer's public key", printable(alg))
		claimLines(&r, j, at, epoch.UnitMillis)
		return r
	}
	r.Verified = signedBy(text, k)
	if r.Verified {
		r.line("what", "a peer token, signed by the key %s", k.Peer.Fingerprint())
	} else {
		r.line("what", "a JSON web token signed with %s; not by the given key, so nothing below is verified", printable(alg))
	}
	claimLines(&r, j, at, epoch.UnitMillis)
	var rej *token.Rejection
	switch err := verifyPeer(text, j, at, k); {
	case errors.As(err, &rej):
		r.refuse(rej)
		return r
	case err != nil:
		r.refuse(&token.Rejection{Reason: token.Malformed, Detail: err.Error()})
		return r
	}
	r.Accepted = true
	r.note("whether its issuer is approved, it is meant for that node and its nonce is new, only the node it is presented to knows")
	return r
}

// signedBy reports whether the signature is good, whatever the claims say.
func signedBy(text string, k Keys) bool {
	i := strings.LastIndexByte(text, '.')
	return k.Peer.VerifyText([]byte(text[:i]), text[i+1:])
}

// The bounds of the reference's verifier (Stigmem wire, section 25.5).
const (
	peerLeeway = 30 * time.Second
	peerMaxAge = 24 * time.Hour
)

// verifyPeer checks the token as the node would that it names, with its issuer
// approved under the given key and a nonce that was never seen.
func verifyPeer(text string, j jwt, at time.Time, k Keys) error {
	audience, _ := j.claims["sub"].(string)
	if audience == "" {
		audience = "(the token names none)"
	}
	v, err := peertoken.NewVerifier(peertoken.Config{
		Audience: audience, Nonces: peertoken.Forgetful, Now: func() time.Time { return at }, Leeway: peerLeeway, MaxAge: peerMaxAge,
		Lookup: func(_ context.Context, iss string) (peertoken.Peer, error) {
			return peertoken.Peer{Standing: peertoken.Active, Status: "active", NodeID: iss, Key: k.Peer.Ed25519()}, nil
		},
	})
	if err != nil {
		return err
	}
	_, err = v.Verify(context.Background(), text)
	return err
}

func identityJWS(text string, j jwt, at time.Time, k Keys) Report {
	r := Report{Kind: token.Identity}
	if k.Tokens == nil {
		r.Claims = j.claims
		r.line("what", "an identity token as a JSON web token; nothing below is verified without the public key")
		claimLines(&r, j, at, epoch.UnitSeconds)
		return r
	}
	d, rej := k.Tokens.Decode(text)
	if rej == nil {
		identityReport(&r, &d, at)
		return r
	}
	r.line("what", "an identity token as a JSON web token; not verified")
	claimLines(&r, j, at, epoch.UnitSeconds)
	r.refuse(rej)
	return r
}

// clockClaims are the claims that hold an instant.
var clockClaims = map[string]bool{"iat": true, "exp": true, "nbf": true}

func claimLines(r *Report, j jwt, at time.Time, unit epoch.Unit) {
	names := make([]string, 0, len(j.claims))
	for n := range j.claims {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		v := j.claims[n]
		if num, ok := v.(json.Number); ok && clockClaims[n] {
			clockLine(r, n, num, at, unit)
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			continue
		}
		r.line(printable(n), "%s", b)
	}
}

func clockLine(r *Report, name string, num json.Number, at time.Time, unit epoch.Unit) {
	f, err := strconv.ParseFloat(num.String(), 64)
	if err != nil {
		r.line(name, "%s, no instant", num)
		return
	}
	t, ok := epoch.At(f, unit)
	if !ok {
		r.line(name, "%s, no instant when read as %s", num, unit)
	} else {
		r.line(name, "%s read as %s = %s (%s)", num, unit, t.Format(time.RFC3339Nano), distance(t, at))
	}
	if looks, wrong := epoch.Mistaken(f, unit); wrong {
		meant, _ := epoch.At(f, looks)
		r.note("%s looks like %s: %s (%s)", name, looks, meant.Format(time.RFC3339Nano), distance(meant, at))
	}
}

// printable keeps what a stranger wrote from commanding the terminal.
func printable(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
