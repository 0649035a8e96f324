package stigmem

import (
	"net/http"

	"symbolon/internal/federation"
)

// FederationRoutes are the routes of federation, for [Deps.More].
func FederationRoutes(fed *federation.Service) []Route {
	f := federationFace{fed}
	return []Route{
		{Pattern: "GET /.well-known/stigmem-manifest.json", Open: true, Handle: f.manifest},

		{Pattern: "POST /v1/federation/peers", Body: true, Handle: f.register},
		{Pattern: "GET /v1/federation/peers", Handle: f.list},
		{Pattern: "GET /v1/federation/peers/{peer_id}", Handle: f.show},
		{Pattern: "DELETE /v1/federation/peers/{peer_id}", Handle: f.remove},
		{Pattern: "POST /v1/federation/peers/{peer_id}/approve", Body: true, Handle: f.approve},
		{Pattern: "POST /v1/federation/peers/{peer_id}/suspend", Body: true, Handle: f.suspend},
		{Pattern: "POST /v1/federation/peers/{peer_id}/resume", Handle: f.resume},
		{Pattern: "POST /v1/federation/peers/{peer_id}/revoke", Body: true, Handle: f.revoke},
		{Pattern: "POST /v1/federation/peers/{peer_id}/rekey", Body: true, Handle: f.rekey},

		// Peers prove themselves with a token of their own.
		{Pattern: "GET /v1/federation/facts", Open: true, Handle: f.pull},
		{Pattern: "POST /v1/federation/facts", Open: true, Handle: f.noPost},
		{Pattern: "POST /v1/federation/facts/push", Open: true, Handle: f.push},

		{Pattern: "GET /v1/federation/audit", Handle: f.audit},
	}
}

// federationFace holds what the handlers of federation call.
type federationFace struct{ fed *federation.Service }

// manifest answers GET /.well-known/stigmem-manifest.json.
func (f federationFace) manifest(*Call) (Reply, error) {
	b, err := f.fed.Manifest()
	return Reply{Body: b}, err
}

// asPeers answers an error of a route that peers call. A refused peer token is not
// told to bring an API key (Stigmem wire §25.5).
func asPeers(err error) Reply {
	reply := errorReply(err)
	reply.Header.Del("Www-Authenticate")
	return reply
}

// refusedPeer returns the answer to a peer's request that ended in an error; faults
// of ours stay errors, for the log.
func refusedPeer(err error) (Reply, error) {
	if reply := asPeers(err); reply.Status < http.StatusInternalServerError {
		return reply, nil
	}
	return Reply{}, err
}
