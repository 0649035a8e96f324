package peertoken

// MintWithNonce is Mint with a nonce that a test chooses.
var MintWithNonce = mint

// Object reads a strict JSON object and returns its members' names and values.
func Object(text []byte) (names []string, raws [][]byte, ok bool) {
	ok = object(text, func(name []byte, v value) {
		names, raws = append(names, string(name)), append(raws, v.raw)
	})
	return names, raws, ok
}

// Unquote decodes a string value.
func Unquote(raw []byte) string { return value{kind: raw[0], raw: raw}.text() }
