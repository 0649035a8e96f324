package interop

import (
	"testing"
)

// memoryDiffers lists the steps of the memory walk that are answered differently on
// purpose, and why.
var memoryDiffers = map[string]string{
	"01-discovery/manifest":                 "the manifest is served; this release of the node never does",
	"01-discovery/doctor":                   "gardens are not filtered there by default",
	"02-keys/create-short":                  "a key that is refused is not shown",
	"02-keys/expiring":                      "a key made by our command line has no end unless it is given one",
	"03-assert/number-word":                 "a number that is none is a 422; the node fails with 500",
	"04-query/card-raw-uri":                 "cards are not served",
	"05-conflicts/query-hidden":             "what stands of a contradicted key is shown; the node shows nothing of it",
	"06-federation-refusals/register-again": "a rejected registration may be tried again; on the node it sticks",
	"06-federation-refusals/audit":          "rejected registrations are audited",
	"06-federation-refusals/tombstones":     "tombstones are not served",
	"07-sessions/session-loop":              "a session's reads are not remembered, so that a write after them is not held back",
}

// memoryLoosely lists the steps that have the same status and another body.
var memoryLoosely = map[string]string{
	"04-query/relation":    "cursors are opaque",
	"04-query/scope-empty": "cursors are opaque",
	"04-query/page-1":      "cursors are opaque",
}

// The walk of the Stigmem API gives, step by step, the same statuses and bodies from a
// real stigmem-node and from us, but for the differences that are listed. The node is of
// the last release whose content ids are those that its own client verifies.
func TestMemoryDifferential(t *testing.T) {
	s := startStigmem(t, releases[0], "STIGMEM_TRUST_MODE=off")
	order, theirs := walk(t, "memory_walk.py", s.key+"\n", s.url)
	n := startSymbolon(t, "--federation-enabled", "--federation-insecure")
	key := n.apiKey(t, "agent:admin", "admin,write,read,federate,admin:federation,audit.read")
	_, ours := walk(t, "memory_walk.py", key+"\n", n.url)
	compare(t, order, theirs, ours, memoryDiffers, memoryLoosely)
}
