package federation

import (
	"context"
	"encoding/json"

	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/token"
)

// MaxPushed bounds the facts of one push. The body's bound is the face's.
const MaxPushed = 1000

// PushEnabled reports an error of kind MethodNotAllowed when pushed facts are not
// accepted; it comes before any other check.
func (s *Service) PushEnabled() error {
	if !s.cfg.PushEnabled {
		return errs.E(errs.MethodNotAllowed, "push replication not enabled on this node")
	}
	return nil
}

// A PushResult says what became of pushed facts.
type PushResult struct {
	Accepted int
	Rejected int
	Errors   []PushError
}

// A PushError is one fact that was not taken. FactID is nil when it had none.
type PushError struct {
	FactID *string
	Error  string
}

// Push takes facts from a peer: those of a permitted scope whose source is the peer
// itself. Each that is refused is audited and refused alone. A fact that is stored
// already counts as taken.
func (s *Service) Push(ctx context.Context, c Caller, facts []json.RawMessage) (PushResult, error) {
	if err := s.PushEnabled(); err != nil {
		return PushResult{}, err
	}
	if len(facts) > MaxPushed {
		return PushResult{}, errs.E(errs.TooLarge, "a push must not have more than %d facts", MaxPushed)
	}
	var out PushResult
	var refused refusals
	err := s.store.UpdatePeers(ctx, func(tx Tx) error {
		out, refused = PushResult{}, refused[:0]
		for _, raw := range facts {
			o, bad, err := s.pushed(ctx, tx, c, raw)
			if err != nil {
				return err
			}
			if bad == nil {
				out.Accepted++
				continue
			}
			s.record(tx, c.Peer, &o, bad)
			refused = append(refused, bad.reason)
			out.Rejected++
			e := PushError{Error: bad.reason.onPush()}
			if o.fact.ID != "" {
				text := string(o.fact.ID)
				e.FactID = &text
			}
			out.Errors = append(out.Errors, e)
		}
		return nil
	})
	if err == nil {
		s.tell(ctx, c.Peer, refused)
	}
	return out, err
}

func (s *Service) pushed(ctx context.Context, tx Tx, c Caller, raw []byte) (offer, *refusal, error) {
	o, bad := decodeOffer(raw)
	switch {
	case bad != nil:
		return o, bad, nil
	case !s.permitted(c).Has(o.fact.Scope):
		return o, refuse(factScope), nil
	case o.fact.Source != id.Entity(c.Peer.NodeID):
		return o, refuse(factSource), nil
	}
	bad, err := s.ingest(ctx, tx, c.Peer, o)
	return o, bad, err
}

// RejectCapability refuses a capability token on a push, audited, and returns the
// error of kind Unauthenticated that says why. This node knows no issuer of such
// tokens.
func (s *Service) RejectCapability(ctx context.Context, text string) error {
	why := "issuer manifest not found or expired"
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc == nil {
		why = "invalid token JSON: not a JSON object"
	}
	if _, ok := s.noise.take("", s.now()); ok {
		err := s.store.UpdatePeers(ctx, func(tx Tx) error {
			e := s.event("capability_rejected", system, "capability:rejected", detail{"reason": why})
			e.PeerID, e.Tenant = "", id.DefaultTenant.String()
			tx.Audit(e)
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.onReject(ctx, &token.Rejection{Reason: token.UnknownKey, Kind: token.Capability, Now: s.now(), Detail: why})
	return errs.E(errs.Unauthenticated, "capability token invalid: %s", why)
}
