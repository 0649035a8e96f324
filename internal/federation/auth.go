package federation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/sign"
	"symbolon/peertoken"
	"symbolon/token"
)

// A Caller is a peer that proved itself on a request.
type Caller struct {
	Peer Peer
	// Scopes are those that the token names. What the caller may have is also
	// bounded by what was agreed with the peer.
	Scopes id.ScopeSet
}

// Authenticate checks the Authorization header of a peer's request and uses up the
// token. Errors are of kind Unauthenticated with the wire's detail, or TooMany when
// the peer asks too often. Every refusal goes to the observer and to the federation
// log.
func (s *Service) Authenticate(ctx context.Context, authorization string) (Caller, error) {
	c, r, err := s.authenticate(ctx, authorization)
	if r != nil {
		if aerr := s.auditRejection(ctx, r); aerr != nil {
			return Caller{}, aerr
		}
	}
	return c, err
}

// AuthenticateQuietly is Authenticate for a route that takes other credentials too:
// refusals go to the observer and are not audited (Stigmem wire §25.8).
func (s *Service) AuthenticateQuietly(ctx context.Context, authorization string) (Caller, error) {
	c, _, err := s.authenticate(ctx, authorization)
	return c, err
}

// authenticate returns the caller, or the rejection with its error, or another
// error alone.
func (s *Service) authenticate(ctx context.Context, authorization string) (Caller, *token.Rejection, error) {
	text, ok := bearer(authorization)
	if !ok {
		return Caller{}, nil, errs.E(errs.Unauthenticated, "peer token required")
	}
	v, err := s.current.Verify(ctx, text)
	var r *token.Rejection
	if errors.As(err, &r) && r.Reason == token.BadSignature {
		// Within its window the key before a re-key is as good.
		var before *token.Rejection
		if w, err2 := s.previous.Verify(ctx, text); err2 == nil {
			v, err, r = w, nil, nil
		} else if !errors.As(err2, &before) {
			err, r = err2, nil
		} else if before.Reason != token.IssuerNotApproved {
			err, r = err2, before
		}
	}
	switch {
	case r != nil:
		s.onReject(ctx, r)
		if !r.IssuedAt.IsZero() { // only a verified token has one
			s.clocks.put(r.KeyID, Clock{Ahead: r.Skew(), Resolution: time.Second, At: r.Now})
		}
		return Caller{}, r, errs.With(errs.Unauthenticated, r, "%s", peertoken.Detail(r))
	case err != nil:
		return Caller{}, nil, err
	}
	p, err := s.store.PeerByNode(ctx, v.Issuer())
	if errs.Is(err, errs.NotFound) || err == nil && p.Status != Active {
		return Caller{}, nil, errs.E(errs.Unauthenticated, "peer_not_approved") // changed this moment
	}
	if err != nil {
		return Caller{}, nil, err
	}
	now := s.now()
	s.clocks.put(p.NodeID, Clock{Ahead: v.IssuedAt().Time().Sub(now), Resolution: time.Second, At: now})
	return Caller{Peer: p, Scopes: id.ScopesNamed(v.Scopes())}, nil, nil
}

// bearer returns what follows the scheme, which any case may spell.
func bearer(h string) (string, bool) {
	const scheme = "bearer "
	if len(h) < len(scheme) {
		return "", false
	}
	for i := range len(scheme) {
		c := h[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != scheme[i] {
			return "", false
		}
	}
	return h[len(scheme):], true
}

// verifiers builds the two verifiers of peer tokens: under the keys in force, and
// under those before a re-key.
func (s *Service) buildVerifiers() error {
	build := func(key func(Peer) string) (*peertoken.Verifier, error) {
		return peertoken.NewVerifier(peertoken.Config{
			Audience: s.cfg.NodeID,
			Lookup: func(ctx context.Context, iss string) (peertoken.Peer, error) {
				return s.lookup(ctx, iss, key)
			},
			Nonces: nonces{s}, Now: s.now, Leeway: s.cfg.Leeway, MaxAge: peertoken.DefaultMaxAge, NonceWindow: s.cfg.NonceWindow,
		})
	}
	var err error
	if s.current, err = build(func(p Peer) string { return p.PubKey }); err != nil {
		return err
	}
	s.previous, err = build(func(p Peer) string {
		if s.now().Before(p.PrevUntil) {
			return p.PrevPubKey
		}
		return ""
	})
	return err
}

// lookup answers a verifier about the claimed issuer. A peer without the key that
// is asked for is as good as not approved.
func (s *Service) lookup(ctx context.Context, iss string, key func(Peer) string) (peertoken.Peer, error) {
	if len(iss) > maxNodeID || !storable(iss) {
		return peertoken.Peer{}, nil
	}
	p, err := s.store.PeerByNode(ctx, iss)
	if errs.Is(err, errs.NotFound) {
		return peertoken.Peer{}, nil
	}
	if err != nil {
		return peertoken.Peer{}, err
	}
	out := peertoken.Peer{Standing: peertoken.NotApproved, Status: string(p.Status), NodeID: p.NodeID}
	if p.Status != Active {
		return out, nil
	}
	if pub, err := sign.ParsePublicKey(key(p)); err == nil {
		out.Standing, out.Key = peertoken.Active, pub.Ed25519()
	}
	return out, nil
}

// nonces is the verifiers' nonce store. It is asked once a token's signature and
// claims hold, so that it is also where a peer's rate is bounded: a stranger cannot
// use up a peer's share.
type nonces struct{ s *Service }

// Consume implements peertoken.NonceStore.
func (n nonces) Consume(ctx context.Context, node, nonce string, until epoch.Millis) (bool, error) {
	now := n.s.now()
	if wait, ok := n.s.rate.take(node, now); !ok {
		return false, &errs.Error{Kind: errs.TooMany, Msg: "too many requests of this peer", RetryAfter: max(wait, time.Second)}
	}
	return n.s.store.ConsumePeerNonce(ctx, node, nonce, epoch.MillisOf(now), until)
}

// The entries of refused requests that are written at once, and per second over
// time, for all strangers together and for each peer: whoever can reach a node can
// make it refuse, and the log only grows. What is not written is counted in the
// next entry that is.
const (
	noiseRate  = 0.5
	noiseBurst = 500
)

// auditRejection writes the entry of a refused token: the reason that the wire
// knows, and beside it the true one.
func (s *Service) auditRejection(ctx context.Context, r *token.Rejection) error {
	kind, why := peertoken.Audit(r)
	if kind == "" {
		return nil
	}
	who := "" // strangers
	if !r.IssuedAt.IsZero() {
		who = r.KeyID
	}
	d := detail{"reason": why, "rejection": string(r.Reason)}
	if r.Reason == token.UnitMismatch {
		d["claim"], d["looks_like"] = r.Claim, r.LooksLike.String()
	}
	peer := cut(r.Peer)
	if r.Reason == token.UnknownKey || r.Reason == token.IssuerNotApproved {
		d["iss"] = peer
	}
	if r.Reason == token.IssuerNotApproved {
		d["status"] = r.Detail
	}
	if len(r.Peer) <= maxNodeID {
		p, err := s.store.PeerByNode(ctx, r.Peer)
		if err == nil {
			peer = p.ID.String()
		} else if !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return s.auditBounded(ctx, kind, peer, who, d)
}

// auditBounded writes one entry of the federation log on its own, unless who has
// filled its share.
func (s *Service) auditBounded(ctx context.Context, kind, peer, who string, d detail) error {
	if _, ok := s.noise.take(who, s.now()); !ok {
		s.unwritten.Add(1)
		return nil
	}
	if n := s.unwritten.Swap(0); n > 0 {
		d["unwritten"] = n
	}
	return s.store.UpdatePeers(ctx, func(tx Tx) error {
		tx.Audit(s.event(kind, system, peer, d))
		return nil
	})
}

// mint makes the token of one request to a peer.
func (s *Service) mint(ctx context.Context, p Peer, correction time.Duration) (string, error) {
	text, err := peertoken.Mint(s.key, peertoken.Params{
		Issuer: s.cfg.NodeID, Audience: p.NodeID, Scopes: p.AllowedScopes.Names(),
	}, epoch.MillisOf(s.now()).Add(correction))
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "federation.mint_failed", slog.String("error", err.Error()))
		return "", errs.With(errs.Internal, err, "federation: mint")
	}
	return text, nil
}
