package federation

import (
	"context"
	"net/url"
	"slices"

	"symbolon/internal/id"
)

// pulled takes one fact of a page, or refuses and audits it. An error is the
// store's.
func (s *Service) pulled(ctx context.Context, tx Tx, p Peer, others sources, e entry, refused *refusals) error {
	o, bad := decodeOffer(e.raw)
	var err error
	switch {
	case bad != nil:
	case !s.crossing(p.AllowedScopes).Has(o.fact.Scope):
		bad = refuse(factScope)
	case others.foreign(o.fact.Source, p):
		bad = refuse(factSource)
	default:
		if bad = e.open(p, s.now().Before(p.PrevUntil), &o); bad == nil {
			bad, err = s.ingest(ctx, tx, p, o)
		}
	}
	if bad != nil {
		s.record(tx, p, &o, bad)
		*refused = append(*refused, bad.reason)
	}
	return err
}

// unstorable refuses and audits a fact that passed every check and that the store
// could nevertheless not take.
func (s *Service) unstorable(tx Tx, p Peer, e entry) {
	o, _ := decodeOffer(e.raw)
	s.record(tx, p, &o, refuse(factUnstorable))
}

// sources are the names that a peer may not speak under: those of this node and of
// the other peers, each a node id or the authority of a formal URI. A peer's own
// agents have whatever names it gave them, and nobody can tell which; but that a
// fact was said by us, or by a node we know, is for us or for that node to say.
type sources map[string][]id.UUID // whose name it is; ours is ""

// sources reads who may be impersonated, in the transaction of the page.
func (s *Service) sources(ctx context.Context, tx Tx) (sources, error) {
	peers, err := tx.Peers(ctx)
	if err != nil {
		return nil, err
	}
	out := make(sources, 3*len(peers)+3)
	out.add("", s.cfg.NodeID, s.cfg.NodeURL)
	for _, p := range peers {
		// Of others only those an operator confirmed: whoever may register
		// could otherwise silence a peer.
		if p.Status == Active || p.Status == Suspended {
			out.add(p.ID, p.NodeID, p.NodeURL)
		}
	}
	return out, nil
}

func (n sources) add(owner id.UUID, nodeID, nodeURL string) {
	if normal, err := id.ParseEntity(nodeID); err == nil {
		n[string(normal)] = append(n[string(normal)], owner)
	}
	u, err := url.Parse(nodeURL)
	if err != nil {
		return
	}
	names := []string{u.Host}
	if host := u.Hostname(); host != u.Host && !LoopbackHost(host) {
		names = append(names, host) // every node of a laptop is at localhost
	}
	for _, name := range names {
		if name != "" {
			name = authorityOf + id.Lower(name)
			n[name] = append(n[name], owner)
		}
	}
}

// authorityOf keeps authorities apart from node ids; no normalised text begins
// with a blank.
const authorityOf = " "

// foreign reports whether a source names us or another peer than p. Names are
// compared as this node normalises them, since that is how they are read later.
func (n sources) foreign(source id.Entity, p Peer) bool {
	normal, err := id.ParseEntity(string(source))
	if err != nil {
		return true
	}
	owners := n[string(normal)]
	if authority, _, _, ok := normal.Formal(); ok {
		owners = n[authorityOf+authority]
	}
	return len(owners) > 0 && !slices.Contains(owners, p.ID)
}
