package federation

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"symbolon/epoch"
	"symbolon/internal/audit"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/sign"
	"symbolon/peertoken"
	"symbolon/token"
)

// Config is what an operator chooses. Zero values stand for the defaults named at
// each field.
type Config struct {
	NodeID string
	// NodeURL is the public base URL, which names the authority of this
	// node's own entities.
	NodeURL string
	// Enabled starts the pull client and advertises federation; the routes
	// are served either way. PushEnabled accepts pushed facts.
	Enabled     bool
	PushEnabled bool
	// AllowTeam lets facts of scope team cross; local never does.
	AllowTeam bool
	// Leeway is the clock skew tolerated in peer tokens. It is used as it is:
	// zero tolerates none.
	Leeway time.Duration
	// NonceWindow is how long a nonce is kept at least: 300 s.
	NonceWindow time.Duration
	// MaxFutureSkew and MaxPastSkew bound the clock values that are taken from
	// peers. They are used as they are: zero bounds nothing on that side.
	MaxFutureSkew time.Duration
	MaxPastSkew   time.Duration
	// PullInterval is the time between two polls of a peer that has nothing
	// more: 30 s.
	PullInterval time.Duration
	// PageLimit is how many facts are asked for at once, 1 to 500: 100.
	PageLimit int
	// PeersMax bounds the registered peers of any status: 1000.
	PeersMax int
	// RequestsPerSecond and RequestBurst bound what one peer may ask of this
	// node: 20 and 100. A negative rate sets no bound.
	RequestsPerSecond float64
	RequestBurst      int
}

func (c Config) withDefaults() Config {
	c.NodeURL = strings.TrimSuffix(c.NodeURL, "/")
	c.NonceWindow = cmp.Or(c.NonceWindow, 300*time.Second)
	c.PullInterval = cmp.Or(c.PullInterval, 30*time.Second)
	c.PageLimit = min(max(cmp.Or(c.PageLimit, 100), 1), maxPage)
	c.PeersMax = cmp.Or(c.PeersMax, 1000)
	c.RequestsPerSecond = cmp.Or(c.RequestsPerSecond, 20)
	c.RequestBurst = cmp.Or(c.RequestBurst, 100)
	return c
}

// maxPage is the greatest number of facts in a page (Stigmem wire §25.6).
const maxPage = 500

// Operator is the principal of somebody who commands this node's own files: the
// command line beside the store.
func Operator() principal.Principal {
	return principal.Principal{
		Entity: "system:operator", Tenant: id.DefaultTenant.String(),
		Permissions: []principal.Permission{principal.AdminFederation, principal.Federate},
	}
}

// Parts are what a Service is made of. Store, Remote, Key and Now are required.
type Parts struct {
	Store  Store
	Remote Remote
	// Key signs this node's declaration and peer tokens.
	Key sign.PrivateKey
	Now func() time.Time
	// Log gets what an operator should know; nil discards it.
	Log *slog.Logger
	// OnReject is told of every peer token that is refused; nil is nobody.
	OnReject token.Observer
	// OnClock is told of every measurement of a peer's clock, by node id; nil
	// is nobody. It must not block.
	OnClock func(node string, c Clock)
	// OnRefusedFact is told how many facts from a node were refused for one of
	// [RefusalReasons]; nil is nobody. It must not block.
	OnRefusedFact func(node, reason string, facts int)
	// Jitter returns numbers from 0 up to 1; nil is the middle.
	Jitter func() float64
}

// A Service is this node's side of federation. It is safe for concurrent use.
type Service struct {
	cfg      Config
	store    Store
	remote   Remote
	key      sign.PrivateKey
	now      func() time.Time
	log      *slog.Logger
	onReject token.Observer
	jitter   func() float64
	// onRefused is told of refused facts.
	onRefused func(node, reason string, facts int)

	current   *peertoken.Verifier
	previous  *peertoken.Verifier
	unwritten atomic.Int64 // refusals not audited since the last that was
	clocks    skewMap
	pulls     pullStates
	rate      *buckets // requests, by peer row
	noise     *buckets // audit entries of refused strangers
	verifying chan struct{}
	wake      chan struct{}
}

// New returns the federation of a node. An error says what of c or p is missing or
// out of range.
func New(c Config, p Parts) (*Service, error) {
	c = c.withDefaults()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.OnReject == nil {
		p.OnReject = func(context.Context, *token.Rejection) {}
	}
	if p.OnRefusedFact == nil {
		p.OnRefusedFact = func(string, string, int) {}
	}
	if p.Jitter == nil {
		p.Jitter = func() float64 { return 0.5 }
	}
	if p.Store == nil || p.Remote == nil || p.Key.IsZero() || p.Now == nil {
		return nil, errs.E(errs.Invalid, "federation: a store, a remote, a key and a clock are needed")
	}
	if c.NodeID == "" || len(c.NodeID) > maxNodeID || !storable(c.NodeID) {
		return nil, errs.E(errs.Invalid, "federation: the node id must be text of 1 to %d bytes", maxNodeID)
	}
	s := &Service{
		cfg: c, store: p.Store, remote: p.Remote, key: p.Key, now: p.Now, log: p.Log, onReject: p.OnReject, jitter: p.Jitter,
		onRefused: p.OnRefusedFact,
		rate:      newBuckets(c.RequestsPerSecond, c.RequestBurst, c.PeersMax),
		noise:     newBuckets(noiseRate, noiseBurst, c.PeersMax),
		verifying: make(chan struct{}, verifiers),
		wake:      make(chan struct{}, 1),
	}
	s.clocks.onClock = p.OnClock
	if err := s.buildVerifiers(); err != nil {
		return nil, errs.With(errs.Invalid, err, "federation")
	}
	return s, nil
}

// poke makes the pull client look at the peers again.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// system is the actor of what the node does by itself.
const system = "system:symbolon"

// The permission errors have the wire's texts.
func needFederate(by principal.Principal) error {
	if !by.Can(principal.Federate) {
		return errs.E(errs.Forbidden, "federate permission required")
	}
	return nil
}

func needAdmin(by principal.Principal) error {
	if !by.Can(principal.AdminFederation) {
		return errs.E(errs.Forbidden, "admin:federation required")
	}
	return nil
}

// Peers returns every peer, the oldest first. It needs the permission federate.
func (s *Service) Peers(ctx context.Context, by principal.Principal) ([]Peer, error) {
	if err := needFederate(by); err != nil {
		return nil, err
	}
	return s.store.Peers(ctx)
}

// Peer returns the peer whose row id or node id is ref. It needs the permission
// federate.
func (s *Service) Peer(ctx context.Context, by principal.Principal, ref string) (Peer, error) {
	if err := needFederate(by); err != nil {
		return Peer{}, err
	}
	return find(ctx, s.store, ref)
}

// A Description is a peer and how reading it goes.
type Description struct {
	Peer     Peer
	Position Position
	// Pull is zero in a process that does not poll the peer.
	Pull  PullState
	Clock Clock
}

// Describe returns the peer whose row id or node id is ref, with its position and the
// state of polling it. It needs the permission federate.
func (s *Service) Describe(ctx context.Context, by principal.Principal, ref string) (Description, error) {
	p, err := s.Peer(ctx, by, ref)
	if err != nil {
		return Description{}, err
	}
	pos, err := s.store.PeerPosition(ctx, p.ID)
	return Description{Peer: p, Position: pos, Pull: s.pulls.get(p.ID), Clock: s.clocks.get(p.NodeID)}, err
}

// find looks a peer up by row id, then by node id.
func find(ctx context.Context, r Reader, ref string) (Peer, error) {
	if row, err := id.ParseUUID(ref); err == nil {
		if p, err := r.Peer(ctx, row); !errs.Is(err, errs.NotFound) {
			return p, err
		}
	}
	if len(ref) > maxNodeID {
		return Peer{}, errs.E(errs.NotFound, "peer not found")
	}
	return r.PeerByNode(ctx, ref)
}

// Approve makes a pending peer active when fingerprint is that of its key. It needs
// the permission admin:federation. A wrong fingerprint is an error of kind Invalid,
// audited, and changes nothing.
func (s *Service) Approve(ctx context.Context, by principal.Principal, ref, fingerprint string) (Peer, error) {
	return s.change(ctx, by, ref, Approve, func(p *Peer, now time.Time) (detail, error) {
		if fingerprint != p.Fingerprint() {
			return nil, errFingerprint
		}
		p.ApprovedBy, p.ApprovedAt, p.Why = by.Entity, now, ""
		return detail{"approved_by": by.Entity}, nil
	})
}

var errFingerprint = errs.E(errs.Invalid, "fingerprint mismatch")

// Suspend sets an active peer aside: it is neither believed, served nor polled
// until it is resumed. It needs the permission admin:federation, as do the other
// changes below.
func (s *Service) Suspend(ctx context.Context, by principal.Principal, ref, why string) (Peer, error) {
	return s.change(ctx, by, ref, Suspend, because(why))
}

// Resume makes a suspended peer active again.
func (s *Service) Resume(ctx context.Context, by principal.Principal, ref string) (Peer, error) {
	return s.change(ctx, by, ref, Resume, because(""))
}

// Revoke ends the trust in a peer. Its node may register again only after the peer
// was removed.
func (s *Service) Revoke(ctx context.Context, by principal.Principal, ref, why string) (Peer, error) {
	return s.change(ctx, by, ref, Revoke, func(p *Peer, now time.Time) (detail, error) {
		p.PrevPubKey, p.PrevUntil = "", time.Time{}
		return because(why)(p, now)
	})
}

// Remove deletes a peer of any status. What was received from it stays.
func (s *Service) Remove(ctx context.Context, by principal.Principal, ref string) error {
	_, err := s.change(ctx, by, ref, Remove, func(*Peer, time.Time) (detail, error) { return nil, nil })
	return err
}

func because(why string) func(*Peer, time.Time) (detail, error) {
	return func(p *Peer, _ time.Time) (detail, error) {
		if len(why) > maxWhy || !storable(why) {
			return nil, errs.E(errs.Invalid, "reason must be text of at most %d bytes", maxWhy)
		}
		p.Why = why
		if why == "" {
			return nil, nil
		}
		return detail{"why": why}, nil
	}
}

const maxWhy = 1024

// change moves one peer along the state machine in one transaction, with its audit
// entry. edit may alter the peer and adds to the entry's detail; an errFingerprint
// from it is audited on its own.
func (s *Service) change(ctx context.Context, by principal.Principal, ref string, ev Event,
	edit func(*Peer, time.Time) (detail, error),
) (Peer, error) {
	if err := needAdmin(by); err != nil {
		return Peer{}, err
	}
	var changed Peer
	var refused error
	err := s.store.UpdatePeers(ctx, func(tx Tx) error {
		refused = nil
		p, err := find(ctx, tx, ref)
		if err != nil {
			return err
		}
		to, err := p.Status.next(ev)
		if err != nil {
			return err
		}
		now := s.now()
		d, err := edit(&p, now)
		if err == errFingerprint {
			refused = err
			tx.Audit(s.event(mismatchType(ev), by.Entity, p.ID.String(), detail{
				"node_id": p.NodeID, "reason": "fingerprint_mismatch",
			}))
			return nil
		}
		if err != nil {
			return err
		}
		p.Status, p.UpdatedAt = to, now
		if to == removed {
			err = tx.DeletePeer(ctx, p.ID)
		} else {
			err = tx.PutPeer(ctx, p)
		}
		if err != nil {
			return err
		}
		changed = p
		tx.Audit(s.event(audited[ev], by.Entity, p.ID.String(), d.with("node_id", p.NodeID)))
		return nil
	})
	if err = cmp.Or(err, refused); err != nil {
		return Peer{}, err
	}
	if ev == Remove {
		s.clocks.forget(changed.NodeID)
	}
	s.poke()
	return changed, nil
}

func mismatchType(ev Event) string {
	if ev == Rekey {
		return "peer_rekey_failed"
	}
	return "peer_approval_failed"
}

// A detail becomes an audit entry's JSON object.
type detail map[string]any

func (d detail) with(k string, v any) detail {
	if d == nil {
		d = detail{}
	}
	d[k] = v
	return d
}

// event builds an entry of the federation log: peer is the row id, or the claimed
// issuer of an unknown peer.
func (s *Service) event(kind, actor, peer string, d detail) audit.Event {
	e := audit.Event{Type: kind, At: epoch.MicrosOf(s.now()), Actor: actor, Subject: peer, PeerID: peer}
	if d != nil {
		e.Detail, _ = json.Marshal(d) // maps of strings and numbers always encode
	}
	return e
}
