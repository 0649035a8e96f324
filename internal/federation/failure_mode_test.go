package federation_test

import "testing"

// TestFailureMode holds the black-box cases of the Stigmem failure modes that concern
// federation, each under its id: A1 to A18 (the unit of a peer token's clock claims,
// GHSA-xh5j-xjfq-qvvx), B1 to B16 and B20 to B22, C1 to C4, D2 to D5, D10, G1 to G3
// and G15. Every node is a real one on a loopback socket.
func TestFailureMode(t *testing.T) {
	t.Parallel()
	exposureCases(t)
	tokenCases(t)
	peerCases(t)
	serveCases(t)
	pushCases(t)
	pullCases(t)
	ingestCases(t)
	networkCases(t)
	auditCases(t)
}
