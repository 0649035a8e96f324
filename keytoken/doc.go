// Package keytoken mints and verifies Keystone's identity tokens and
// authentication receipts.
//
// There is one [Tokens.Mint] and one [Tokens.Verify], whatever the token is made
// of: a Fernet envelope around a msgpack payload in one of eleven layouts, or a
// signed JWT. A layout is chosen by the version inside the authenticated bytes
// and by nothing else. Long ago a prefix outside the MAC chose it, and whoever
// held a token could have its bytes read as those of another kind (LP 1427485);
// here the payload decoder takes a [fernet.Opened], which only a good MAC makes.
//
// Decoding is strict where the reference is loose (every element's type and
// count is checked, a repeated or surplus one is refused) and total: any text
// gives claims or a rejection.
package keytoken
