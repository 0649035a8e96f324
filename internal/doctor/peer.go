package doctor

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/federation"
	"symbolon/internal/server"
	"symbolon/internal/store"
)

// dateResolution is how exactly a Date header tells the time.
const dateResolution = time.Second

// peer asks a node who it is and compares the answer with what is registered.
func (e *exam) peer(ctx context.Context) {
	if e.PeerURL == "" {
		return
	}
	u, err := url.Parse(e.PeerURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		e.problem(areaPeer, "give the base URL of a node, such as https://node.example.org", "%q is no URL of a node", e.PeerURL)
		return
	}
	base := strings.TrimSuffix(e.PeerURL, "/")
	if u.Scheme == "http" && !federation.LoopbackHost(u.Hostname()) {
		e.warn(areaPeer, "have it served over https", "%s is reached without TLS: tokens and facts can be read on the way", base)
	}
	sent := e.Now()
	r, err := e.Remote.Discover(ctx, base)
	received := e.Now()
	switch {
	case errs.Is(err, errs.Forbidden):
		e.problem(areaPeer, "set federation.allow-private if the peer is on this network", "the address of %s is not a public one, and this node connects to no other", base)
		return
	case err != nil:
		e.problem(areaPeer, "check the URL, the peer, and what stands between", "%s cannot be reached: %s", base, cause(err))
		return
	case r.Status >= 300 && r.Status < 400:
		e.problem(areaPeer, "use the URL that it leads to: no node follows redirects", "%s answers with a redirect (%d)", base, r.Status)
		return
	case r.Status != 200:
		e.problem(areaPeer, "check the URL: it is the base URL of a Stigmem node", "%s answers %d where its well-known document should be", base, r.Status)
		return
	}
	e.skew(base, r.Date, sent, received)
	c, err := federation.ReadWellKnown(base, r.Body)
	if err != nil {
		e.problem(areaPeer, "check the URL: it is the base URL of a Stigmem node", "the well-known document of %s is not readable", base)
		return
	}
	e.ok(areaPeer, "%s answers as %s", base, c.NodeID)
	if !c.Federation || c.PubKey == "" {
		e.problem(areaPeer, "have its operator switch federation on", "%s does not federate", base)
		return
	}
	e.registered(ctx, c)
}

func cause(err error) string {
	if c := errors.Unwrap(err); c != nil {
		err = c
	}
	return strings.TrimPrefix(err.Error(), "peerhttp: ")
}

// skew compares clocks by the Date header, which tells seconds.
func (e *exam) skew(base string, date, sent, received time.Time) {
	if date.IsZero() {
		e.warn(areaPeer, "compare the clocks by hand", "%s does not say what time it is", base)
		return
	}
	var ahead time.Duration // as far as is certain
	switch {
	case date.After(received):
		ahead = date.Sub(received)
	case date.Add(dateResolution).Before(sent):
		ahead = date.Add(dateResolution).Sub(sent)
	}
	leeway := e.Config.Federation.Leeway
	const do = "keep both clocks set, for example with chrony"
	switch abs := ahead.Abs(); {
	case abs > leeway:
		e.problem(areaPeer, do, "the clock of %s is %v %s; tokens are refused beyond %v", base, round(abs), direction(ahead), leeway)
	case abs > dateResolution:
		e.warn(areaPeer, do, "the clock of %s is %v %s", base, round(abs), direction(ahead))
	default:
		e.ok(areaPeer, "its clock agrees with ours to the second")
	}
}

func direction(d time.Duration) string {
	if d > 0 {
		return "ahead of ours"
	}
	return "behind ours"
}

// registered compares a node with its entry.
func (e *exam) registered(ctx context.Context, c federation.Candidate) {
	if e.look == nil {
		return
	}
	own, _, err := store.Setting(ctx, e.look.Reader(), server.SettingNodeID)
	if err == nil && own == c.NodeID {
		e.problem(areaPeer, "name the URL of another node", "%s is this node itself", c.NodeURL)
		return
	}
	peers, err := e.look.Peers(ctx)
	if err != nil {
		e.problem(areaPeer, "", "the peers cannot be read: %v", err)
		return
	}
	for _, p := range peers {
		if p.NodeID != c.NodeID {
			if p.NodeURL == c.NodeURL {
				e.warn(areaPeer, "ask its operator; `symbolon peer remove "+p.ID.String()+"` if the old node is gone",
					"the entry %s has this URL and another node id, %s", p.ID, p.NodeID)
			}
			continue
		}
		e.entry(p, c)
		return
	}
	e.warn(areaPeer, "`symbolon peer add "+c.NodeURL+"` adds it", "%s is not registered here; its fingerprint is %s", c.NodeID, c.Fingerprint)
}

func (e *exam) entry(p federation.Peer, c federation.Candidate) {
	switch {
	case p.PubKey != c.PubKey:
		e.problem(areaPeer, "ask its operator by another way whether it has a new key; if so: symbolon peer rekey "+p.ID.String()+" --fingerprint "+c.Fingerprint,
			"it publishes the key %s and is registered with %s: its tokens are refused", c.Fingerprint, p.Fingerprint())
	default:
		e.ok(areaPeer, "its key is the registered one, %s", c.Fingerprint)
	}
	if p.NodeURL != c.NodeURL {
		e.warn(areaPeer, "nothing if both lead to it; `symbolon peer rekey --moved-to` changes it", "it is registered under %s", p.NodeURL)
	}
	switch p.Status {
	case federation.Active:
		e.ok(areaPeer, "it is an active peer for %s", strings.Join(p.AllowedScopes.Names(), " and "))
	case federation.PendingApproval:
		e.warn(areaPeer, "compare the fingerprint with its operator by another way, then: symbolon peer approve "+p.ID.String()+" --fingerprint "+p.Fingerprint(),
			"it waits for approval")
	case federation.Suspended:
		e.warn(areaPeer, "`symbolon peer resume "+p.ID.String()+"` takes it back", "it is suspended: %s", p.Why)
	case federation.Revoked:
		e.problem(areaPeer, "`symbolon peer remove "+p.ID.String()+"`, then add it anew, if it is to be trusted again", "it is revoked: %s", p.Why)
	case federation.PendingVerification, federation.Rejected:
		e.problem(areaPeer, "`symbolon peer add "+c.NodeURL+"` tries again", "its registration is %s: %s", p.Status, p.Why)
	}
}
