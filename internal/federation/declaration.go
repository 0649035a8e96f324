package federation

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// Bounds of what a peer may say of itself, in bytes.
const (
	maxNodeID   = 256
	maxNodeURL  = 2048
	maxKeyText  = 256
	maxSig      = 256
	maxSignedAt = 128
	// maxScopes bounds the list as it was signed; there are four scopes.
	maxScopes = 16
)

// A Declaration is how a node introduces itself (Stigmem wire §25.2). Its texts are
// as they were sent: the signature is over them.
type Declaration struct {
	NodeURL   string
	NodeID    string
	PubKey    string
	Scopes    []string
	Signature string
	SignedAt  string
}

// Canonical returns the bytes that the signature is over: JSON with sorted names,
// no spaces and everything outside ASCII escaped.
func (d Declaration) Canonical() []byte {
	b := make([]byte, 0, 256)
	b = append(b, `{"allowed_scopes":[`...)
	for i, s := range d.Scopes {
		if i > 0 {
			b = append(b, ',')
		}
		b = canon.AppendString(b, s, canon.ASCII)
	}
	b = append(b, `],"federation_pubkey":`...)
	b = canon.AppendString(b, d.PubKey, canon.ASCII)
	b = append(b, `,"node_id":`...)
	b = canon.AppendString(b, d.NodeID, canon.ASCII)
	b = append(b, `,"node_url":`...)
	b = canon.AppendString(b, d.NodeURL, canon.ASCII)
	b = append(b, `,"signed_at":`...)
	b = canon.AppendString(b, d.SignedAt, canon.ASCII)
	return append(b, '}')
}

// JSON returns the declaration as it is posted to a peer.
func (d Declaration) JSON() []byte {
	b := d.Canonical()
	b = append(b[:len(b)-1], `,"declaration_sig":`...)
	b = canon.AppendString(b, d.Signature, canon.ASCII)
	return append(b, '}')
}

// check bounds the texts, so that whatever follows handles text that can be stored
// and shown. Errors are of kind Invalid; a signature that is no base64url is one,
// so that it leaves no trace.
func (d Declaration) check() error {
	for _, f := range [...]struct {
		name, text string
		most       int
	}{
		{"node_url", d.NodeURL, maxNodeURL},
		{"node_id", d.NodeID, maxNodeID},
		{"federation_pubkey", d.PubKey, maxKeyText},
		{"declaration_sig", d.Signature, maxSig},
		{"signed_at", d.SignedAt, maxSignedAt},
	} {
		if f.text == "" || len(f.text) > f.most || !storable(f.text) {
			return errs.E(errs.Invalid, "%s must be text of 1 to %d bytes", f.name, f.most)
		}
	}
	if len(d.Scopes) > maxScopes {
		return errs.E(errs.Invalid, "allowed_scopes must not have more than %d members", maxScopes)
	}
	if bad := UnknownScopes(d.Scopes); bad != "" {
		return errs.E(errs.Invalid, "invalid scopes: %s", bad)
	}
	// Whether it is a signature is found out later; this is about text that
	// is none at all. Newlines are skipped by the decoder and not by us.
	if _, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(d.Signature, "=")); err != nil || strings.ContainsAny(d.Signature, "\r\n") {
		return errs.E(errs.Invalid, "declaration_sig must be base64url")
	}
	return nil
}

// UnknownScopes returns those of the names that name no scope, as the wire's errors
// list them: {'x', 'y'}. It is empty when there are none.
func UnknownScopes(names []string) string {
	var bad []string
	for _, s := range names {
		if q := id.Quote(s); id.ScopesNamed([]string{s}).Empty() && !slices.Contains(bad, q) {
			bad = append(bad, q)
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return "{" + strings.Join(bad, ", ") + "}"
}

// storable reports whether every engine can keep s: valid UTF-8 without NUL.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// baseURL returns the URL of a node without its trailing slash, when it is one that
// can be asked: absolute, http or https, with a host, and without user, query or
// fragment.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > maxNodeURL || !storable(s):
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "", u.Opaque != "":
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
	default:
		return strings.TrimSuffix(s, "/"), nil
	}
	return "", errs.E(errs.Invalid, "node_url must be an http or https URL of a node")
}
