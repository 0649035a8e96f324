package sign

import (
	"strings"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
)

// A Declaration is what a node says of itself when it registers as a peer
// (Stigmem wire §25.2). AllowedScopes keeps its order: the signature covers it.
type Declaration struct {
	AllowedScopes []string
	PublicKey     string // the text as declared
	NodeID        string
	NodeURL       string
	SignedAt      string
}

// Canonical returns the bytes that the declaration's signature covers. The texts
// must be valid UTF-8.
func (d *Declaration) Canonical() []byte {
	b := append(make([]byte, 0, 512), `{"allowed_scopes":[`...)
	for i, s := range d.AllowedScopes {
		if i > 0 {
			b = append(b, ',')
		}
		b = canon.AppendString(b, s, canon.ASCII)
	}
	b = append(b, ']')
	for _, m := range [...]struct{ name, value string }{
		{"federation_pubkey", d.PublicKey}, {"node_id", d.NodeID}, {"node_url", d.NodeURL}, {"signed_at", d.SignedAt},
	} {
		b = append(b, `,"`...)
		b = append(b, m.name...)
		b = append(b, `":`...)
		b = canon.AppendString(b, m.value, canon.ASCII)
	}
	return append(b, '}')
}

// Sign returns the text of the declaration's signature under k, whose public
// half d must declare.
func (d *Declaration) Sign(k PrivateKey) (string, error) {
	if d.PublicKey != k.Public().String() {
		return "", errs.E(errs.Internal, "sign: the declaration names another key than the one that signs it")
	}
	return k.SignText(d.Canonical()), nil
}

// Verify checks sig under the key that d declares and returns that key. The
// error is of kind Invalid when the key or the signature is no such text, and
// Forbidden when the signature is of something else.
func (d *Declaration) Verify(sig string) (PublicKey, error) {
	k, err := ParsePublicKey(d.PublicKey)
	if err != nil {
		return PublicKey{}, err
	}
	if err := CheckSignatureText(sig); err != nil {
		return PublicKey{}, errs.E(errs.Invalid, "declaration_sig must be base64url of 64 bytes")
	}
	if !k.VerifyText(d.Canonical(), sig) {
		return PublicKey{}, errs.E(errs.Forbidden, "declaration_sig does not verify")
	}
	return k, nil
}

// Attestation returns the bytes that an agent signs to attest a fact (Stigmem
// wire §3.4). Entity and source are as sent, before normalisation; value is the
// text of canon.ReferenceValue.
func Attestation(entity, relation, valueType, value, source string) []byte {
	return []byte(strings.Join([]string{entity, relation, valueType, value, source}, "\n"))
}
