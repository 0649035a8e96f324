// Package fernet seals and opens tokens of the Fernet specification and keeps
// the key repository that Keystone and Symbolon can share.
//
// Three properties hold. Nothing in a token is looked at before its MAC is
// found good: an [Opened] has no exported field and only a [Ring] makes one,
// so that a decoder which takes an Opened cannot be handed bytes that anybody
// could have written. A text is one token: the only two spellings that open are
// the canonical base64url text without padding and the same text with its exact
// padding, and both have one [Identity]. And opening is total: any text gives an
// Opened or a rejection, in time and memory bounded by [MaxText].
//
// A [Ring] is an immutable set of keys with its ciphers prepared. A
// [Repository] is the directory they live in; a [Watcher] follows a directory
// and always has the ring of now.
package fernet
