// Package inspect explains a token: what it is, what it says, whether it would be
// accepted and why not.
//
// It never accepts anything on anybody's behalf. What it shows of a token whose MAC
// or signature was not checked is marked as unverified, and it decides by the very
// functions that the server decides by.
package inspect

import (
	"fmt"
	"time"

	"symbolon/epoch"
	"symbolon/internal/sign"
	"symbolon/keytoken"
	"symbolon/token"
)

// Keys are what a token can be verified with. All are optional.
type Keys struct {
	Tokens   *keytoken.Tokens
	Receipts *keytoken.Receipts
	Peer     sign.PublicKey // zero: none
}

// A Report is what there is to say about one token. Its JSON form is stable.
type Report struct {
	Kind     token.Kind    `json:"kind"`
	Version  *int          `json:"version"`
	Verified bool          `json:"verified"`
	Accepted bool          `json:"accepted"`
	Reason   *token.Reason `json:"reason"`
	Claims   any           `json:"claims"`

	// Lines are for a person, in order. Notes follow them.
	Lines []Line   `json:"-"`
	Notes []string `json:"-"`
}

// A Line is a name and what stands under it.
type Line struct{ Name, Value string }

func (r *Report) line(name, format string, args ...any) {
	r.Lines = append(r.Lines, Line{name, fmt.Sprintf(format, args...)})
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *Report) refuse(rej *token.Rejection) {
	reason := rej.Reason
	r.Reason, r.Accepted = &reason, false
	if rej.Detail != "" {
		r.note("%s", rej.Detail)
	}
	if rej.LooksLike != epoch.UnitUnknown {
		r.note("%s looks like %s", claimName(rej.Claim), rej.LooksLike)
	}
}

func claimName(s string) string {
	if s == "" {
		return "the number"
	}
	return s
}

// maxText bounds what is looked at.
const maxText = 256 << 10

// Token explains text as of the instant at.
func Token(text string, at time.Time, k Keys) Report {
	if len(text) > maxText {
		r := Report{Kind: token.Unknown}
		r.refuse(&token.Rejection{Reason: token.Malformed, Detail: fmt.Sprintf("longer than %d bytes", maxText)})
		return r
	}
	if j, ok := parseJWT(text); ok {
		return jwtReport(text, j, at, k)
	}
	return fernetReport(text, at, k)
}

// distance says how far t lies from at, for a person.
func distance(t, at time.Time) string {
	d := t.Sub(at)
	switch {
	case d == 0:
		return "now"
	case d < 0:
		return roundly(-d) + " ago"
	}
	return "in " + roundly(d)
}

func roundly(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return fmt.Sprintf("%dd%s", d/day, (d % day).Round(time.Minute))
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
