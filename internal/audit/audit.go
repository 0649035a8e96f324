// Package audit is the record of what was done: one hash chain per node, each
// entry written in the transaction of the act it records.
//
// An entry's hash covers the hash before it, so that nobody can change, remove or
// insert an entry without every later hash giving it away. The package computes
// and checks chains; package store keeps them. No entry holds a secret or the text
// of a token.
package audit

import (
	"encoding/json"

	"symbolon/epoch"
)

// An Event is an act worth recording. Type and At are always set.
type Event struct {
	// Type is a stable name such as "fact_write" or "token_issued".
	Type string
	At   epoch.Micros
	// Actor is the entity URI of who acted, "system:symbolon" for the node.
	Actor string
	// Tenant is empty for acts that belong to none.
	Tenant string
	// Subject is the id of what was acted upon: a fact, a user, a peer.
	Subject       string
	Source        string
	AttestedKeyID string
	OIDCSubject   string
	// PeerID is set on federation events: the peer's row id, or the claimed
	// issuer when there is no such peer.
	PeerID string
	// Detail is a JSON object, or nil.
	Detail json.RawMessage
}

// An Entry is an event in its place in the chain. Seq starts at 1.
type Entry struct {
	ID   string
	Seq  int64
	Prev Hash
	Hash Hash
	Event
}

// A Hash is the SHA-256 that closes an entry. The zero Hash precedes the first.
type Hash [32]byte
