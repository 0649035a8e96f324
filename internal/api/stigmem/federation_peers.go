package stigmem

import (
	"net/http"
	"strconv"
	"time"

	"symbolon/internal/canon"
	"symbolon/internal/fact"
	"symbolon/internal/federation"
)

// Bounds of what a declaration holds, in characters. What is declared is bounded
// again in bytes where it is stored.
const (
	maxNodeURL    = 2048
	maxNodeID     = 256
	maxKeyText    = 256
	maxSignedAt   = 128
	maxScopeNames = 16
	maxReason     = 1024
)

// register answers POST /v1/federation/peers.
func (f federationFace) register(c *Call) (Reply, error) {
	o := c.In.Body()
	d := federation.Declaration{
		NodeURL: o.Text("node_url", Length{1, maxNodeURL}),
		NodeID:  o.Text("node_id", Length{1, maxNodeID}),
		PubKey:  o.Text("federation_pubkey", Length{1, maxKeyText}),
	}
	var given bool
	if d.Scopes, given = o.Texts("allowed_scopes", true, maxScopeNames); given {
		if bad := federation.UnknownScopes(d.Scopes); bad != "" {
			o.Invalid("allowed_scopes", "invalid scopes: "+bad)
		}
	}
	d.Signature = o.Text("declaration_sig", Length{1, maxKeyText})
	d.SignedAt = o.Text("signed_at", Length{1, maxSignedAt})
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	p, err := f.fed.Register(c.Context(), c.Caller, d)
	if err != nil {
		return Reply{}, err
	}
	b := appendText([]byte(`{"peer_id":`), string(p.ID))
	b = appendText(append(b, `,"status":`...), string(p.Status))
	return Reply{Status: http.StatusCreated, Body: append(b, `,"verified_at":null}`...)}, nil
}

// approve answers POST /v1/federation/peers/{peer_id}/approve.
func (f federationFace) approve(c *Call) (Reply, error) {
	fingerprint := c.In.Body().Text("pubkey_fingerprint", Length{1, maxKeyText})
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	p, err := f.fed.Approve(c.Context(), c.Caller, c.PathValue("peer_id"), fingerprint)
	if err != nil {
		return Reply{}, err
	}
	b := append(appendState(nil, p), `,"approved_at":`...)
	return Reply{Body: append(appendText(b, fact.Timestamp(p.ApprovedAt)), '}')}, nil
}

// appendState appends who a peer is and where it stands, without the closing brace.
func appendState(dst []byte, p federation.Peer) []byte {
	dst = appendText(append(dst, `{"peer_id":`...), string(p.ID))
	dst = appendText(append(dst, `,"node_id":`...), p.NodeID)
	return appendText(append(dst, `,"status":`...), string(p.Status))
}

func stateReply(p federation.Peer, err error) (Reply, error) {
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: append(appendState(nil, p), '}')}, nil
}

// reason reads the optional reason of a change; no body at all is none.
func reason(c *Call) (string, error) {
	if !c.In.has {
		return "", nil
	}
	why := c.In.Body().TextOr("reason", "", Length{0, maxReason})
	return why, c.In.Err()
}

// suspend answers POST /v1/federation/peers/{peer_id}/suspend.
func (f federationFace) suspend(c *Call) (Reply, error) {
	why, err := reason(c)
	if err != nil {
		return Reply{}, err
	}
	return stateReply(f.fed.Suspend(c.Context(), c.Caller, c.PathValue("peer_id"), why))
}

// resume answers POST /v1/federation/peers/{peer_id}/resume.
func (f federationFace) resume(c *Call) (Reply, error) {
	return stateReply(f.fed.Resume(c.Context(), c.Caller, c.PathValue("peer_id")))
}

// revoke answers POST /v1/federation/peers/{peer_id}/revoke.
func (f federationFace) revoke(c *Call) (Reply, error) {
	why, err := reason(c)
	if err != nil {
		return Reply{}, err
	}
	return stateReply(f.fed.Revoke(c.Context(), c.Caller, c.PathValue("peer_id"), why))
}

// remove answers DELETE /v1/federation/peers/{peer_id}.
func (f federationFace) remove(c *Call) (Reply, error) {
	if err := f.fed.Remove(c.Context(), c.Caller, c.PathValue("peer_id")); err != nil {
		return Reply{}, err
	}
	return Reply{Status: http.StatusNoContent}, nil
}

// rekey answers POST /v1/federation/peers/{peer_id}/rekey.
func (f federationFace) rekey(c *Call) (Reply, error) {
	o := c.In.Body()
	k := federation.NewKey{
		Fingerprint: o.Text("pubkey_fingerprint", Length{1, maxKeyText}),
		PubKey:      o.TextOr("federation_pubkey", "", Length{0, maxKeyText}),
		NodeURL:     o.TextOr("node_url", "", Length{0, maxNodeURL}),
	}
	seconds := o.Float("dual_trust_seconds", 0, Range{0, federation.MaxDualTrust.Seconds()})
	if err := c.In.Err(); err != nil {
		return Reply{}, err
	}
	k.DualTrust = time.Duration(seconds * float64(time.Second))
	p, err := f.fed.Rekey(c.Context(), c.Caller, c.PathValue("peer_id"), k)
	if err != nil {
		return Reply{}, err
	}
	b := appendText(append(appendState(nil, p), `,"pubkey_fingerprint":`...), p.Fingerprint())
	b = appendInstant(append(b, `,"previous_key_until":`...), p.PrevUntil)
	return Reply{Body: append(b, '}')}, nil
}

// appendInstant appends the wire's text of an instant, or null for none.
func appendInstant(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	return appendText(dst, fact.Timestamp(t))
}

// list answers GET /v1/federation/peers.
func (f federationFace) list(c *Call) (Reply, error) {
	peers, err := f.fed.Peers(c.Context(), c.Caller)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: built(func(b []byte) []byte {
		b = append(b, `{"peers":[`...)
		for i := range peers {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendPeer(b, &peers[i]), '}')
		}
		return append(b, `]}`...)
	})}, nil
}

// appendPeer appends a peer as the listing shows it, without the closing brace. The
// Python SDK reads a closed list of statuses, which suspended is not in: such a peer
// is listed as one that is not trusted, and says so itself.
func appendPeer(dst []byte, p *federation.Peer) []byte {
	status := p.Status
	if status == federation.Suspended {
		status = federation.Revoked
	}
	dst = appendText(append(dst, `{"peer_id":`...), string(p.ID))
	dst = appendText(append(dst, `,"node_id":`...), p.NodeID)
	dst = appendText(append(dst, `,"node_url":`...), p.NodeURL)
	dst = appendText(append(dst, `,"status":`...), string(status))
	dst = appendTexts(append(dst, `,"allowed_scopes":`...), p.AllowedScopes.Names())
	dst = appendInstant(append(dst, `,"established_at":`...), p.ApprovedAt)
	if status != p.Status {
		dst = append(dst, `,"suspended":true`...)
	}
	return dst
}

// show answers GET /v1/federation/peers/{peer_id}: what the listing says and what an
// operator wants to know beyond it.
func (f federationFace) show(c *Call) (Reply, error) {
	d, err := f.fed.Describe(c.Context(), c.Caller, c.PathValue("peer_id"))
	if err != nil {
		return Reply{}, err
	}
	p := &d.Peer
	b := appendPeer(nil, p)
	b = appendText(append(b, `,"state":`...), string(p.Status))
	b = appendText(append(b, `,"federation_pubkey":`...), p.PubKey)
	b = appendText(append(b, `,"pubkey_fingerprint":`...), p.Fingerprint())
	b = appendInstant(append(b, `,"previous_key_until":`...), p.PrevUntil)
	b = appendOptional(append(b, `,"federation_version":`...), string(p.Wire))
	b = appendOptional(append(b, `,"reason":`...), p.Why)
	b = appendOptional(append(b, `,"registered_by":`...), p.RegisteredBy)
	b = appendOptional(append(b, `,"approved_by":`...), p.ApprovedBy)
	b = appendInstant(append(b, `,"registered_at":`...), p.CreatedAt)
	b = appendOptional(append(b, `,"cursor":`...), d.Position.Cursor)
	b = appendInstant(append(b, `,"cursor_saved_at":`...), d.Position.SavedAt)
	b = appendInstant(append(b, `,"last_pull_at":`...), d.Pull.LastTry)
	b = appendInstant(append(b, `,"last_good_pull_at":`...), d.Pull.LastGood)
	b = appendOptional(append(b, `,"pull_failure":`...), d.Pull.Failure)
	b = strconv.AppendInt(append(b, `,"pull_failures":`...), int64(d.Pull.Failures), 10)
	b = append(b, `,"clock_ahead_seconds":`...)
	if d.Clock.At.IsZero() {
		b = append(b, "null"...)
	} else {
		b = canon.AppendJSONFloat(b, d.Clock.Ahead.Seconds())
	}
	return Reply{Body: append(b, '}')}, nil
}
