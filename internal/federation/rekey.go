package federation

import (
	"context"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/principal"
	"symbolon/internal/sign"
)

// MaxDualTrust bounds how long a peer's key before a re-key stays good.
const MaxDualTrust = 7 * 24 * time.Hour

// A NewKey is what an operator confirms of a peer that changed its key.
type NewKey struct {
	// Fingerprint is that of the new key, confirmed out of band.
	Fingerprint string
	// PubKey is the new key; empty asks the peer for the one it publishes.
	PubKey string
	// NodeURL moves the peer to another address; empty keeps the one it has.
	NodeURL string
	// DualTrust is how long the old key stays good beside the new one, 0 to
	// MaxDualTrust. Zero ends it at once, which is what a stolen key needs.
	DualTrust time.Duration
}

// Rekey gives a peer a new key once its fingerprint is confirmed. It needs the
// permission admin:federation.
func (s *Service) Rekey(ctx context.Context, by principal.Principal, ref string, k NewKey) (Peer, error) {
	if err := needAdmin(by); err != nil {
		return Peer{}, err
	}
	if k.DualTrust < 0 || k.DualTrust > MaxDualTrust {
		return Peer{}, errs.E(errs.Invalid, "the old key can stay good for 0 to %d seconds", int(MaxDualTrust.Seconds()))
	}
	p, err := find(ctx, s.store, ref)
	if err != nil {
		return Peer{}, err
	}
	if _, err := p.Status.next(Rekey); err != nil {
		return Peer{}, err
	}
	url := p.NodeURL
	if k.NodeURL != "" {
		if url, err = baseURL(k.NodeURL); err != nil {
			return Peer{}, err
		}
	}
	if k.PubKey == "" {
		c, err := s.Discover(ctx, by, url)
		if err != nil {
			return Peer{}, err
		}
		if c.NodeID != p.NodeID {
			return Peer{}, errs.E(errs.Conflict, "the node at %s is another one", url)
		}
		k.PubKey = c.PubKey
	}
	if _, err := sign.ParsePublicKey(k.PubKey); err != nil {
		return Peer{}, err
	}
	return s.change(ctx, by, p.ID.String(), Rekey, func(p *Peer, now time.Time) (detail, error) {
		if k.Fingerprint != Fingerprint(k.PubKey) {
			return nil, errFingerprint
		}
		d := detail{"fingerprint": k.Fingerprint, "previous_fingerprint": p.Fingerprint(), "approved_by": by.Entity}
		if k.PubKey != p.PubKey {
			p.PrevPubKey, p.PrevUntil = "", time.Time{}
			if k.DualTrust > 0 {
				p.PrevPubKey, p.PrevUntil = p.PubKey, now.Add(k.DualTrust)
				d["previous_until"] = p.PrevUntil.UTC().Format(time.RFC3339)
			}
		}
		p.PubKey, p.NodeURL = k.PubKey, url
		return d, nil
	})
}
