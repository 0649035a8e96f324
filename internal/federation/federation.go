// Package federation lets nodes that share no centre exchange facts, pair by pair.
//
// A peer is another node: a name, an address and a key. It declares itself, or an
// operator adds it; either way nothing is believed before an operator confirmed
// the fingerprint of its key. Afterwards it proves itself on every request with a
// signed token of one hour at most, used once, and may be suspended, given a new
// key, revoked or removed.
//
// What arrives from a peer is never trusted for more than the peer may say: the
// scope, the source, the content id, the clock and the validity of every fact are
// checked on arrival, by push and by pull alike. A fact that fails is refused and
// audited alone; the page it came in, the peer and the other peers go on.
//
// The package knows neither HTTP nor SQL nor the wall clock. The rules are those of
// Stigmem wire §25; where we are stricter, docs/compatibility.md says so.
package federation
