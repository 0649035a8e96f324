package federation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
	"symbolon/internal/sign"
)

// verifiers bounds how many well-known documents are fetched at once for callers
// who wait for it.
const verifiers = 8

// Register checks a declaration and stores what came of it: a peer pending approval,
// or a rejected one. It needs the permission federate. A node that is registered
// already is an error of kind Conflict, unless its registration was rejected or
// never verified: that one is replaced. A declaration that cannot be stored, or
// whose signature is no base64url, is of kind Invalid and leaves no trace.
func (s *Service) Register(ctx context.Context, by principal.Principal, d Declaration) (Peer, error) {
	if err := needFederate(by); err != nil {
		return Peer{}, err
	}
	if err := d.check(); err != nil {
		return Peer{}, err
	}
	if d.NodeID == s.cfg.NodeID {
		return Peer{}, errs.E(errs.Invalid, "node_id is that of this node")
	}
	// Said before the fetch, so that a known node costs nobody a connection,
	// and decided again in the transaction.
	if _, err := registrable(ctx, s.store, d.NodeID, Verified); err != nil {
		return Peer{}, err
	}
	found, why, err := s.verify(ctx, d)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{
		Wire:   found.Wire,
		NodeID: d.NodeID, NodeURL: d.NodeURL, PubKey: d.PubKey, AllowedScopes: id.ScopesNamed(d.Scopes),
		DeclarationSig: d.Signature, SignedAt: d.SignedAt, RegisteredBy: by.Entity, Why: why,
	}
	if u, err := baseURL(d.NodeURL); err == nil {
		p.NodeURL = u
	}
	return s.enter(ctx, p, why == "")
}

// verify checks what a declaration says against the node itself, and returns the node
// and why it is refused, or "". An error means that nothing could be decided.
func (s *Service) verify(ctx context.Context, d Declaration) (found Candidate, why string, err error) {
	pub, err := sign.ParsePublicKey(d.PubKey)
	if err != nil {
		return found, "the declared key is no Ed25519 public key", nil
	}
	if !pub.VerifyText(d.Canonical(), d.Signature) {
		return found, "the signature does not verify", nil
	}
	found, why, err = s.discover(ctx, d.NodeURL)
	switch {
	case err != nil || why != "":
		return found, why, err
	case found.PubKey != d.PubKey:
		return found, "the node at node_url publishes another key", nil
	case found.NodeID != d.NodeID:
		return found, "the node at node_url has another node id", nil
	}
	return found, "", nil
}

// enter stores a new peer, or replaces the registration of its node that may be
// replaced. The row's id stays the same, so that its history does.
func (s *Service) enter(ctx context.Context, p Peer, verified bool) (Peer, error) {
	ev := Refused
	if verified {
		ev = Verified
	}
	fresh := id.NewUUID()
	err := s.store.UpdatePeers(ctx, func(tx Tx) error {
		old, err := registrable(ctx, tx, p.NodeID, ev)
		if err != nil {
			return err
		}
		now := s.now()
		p.ID, p.CreatedAt, p.UpdatedAt = fresh, now, now
		if old.ID != "" {
			p.ID, p.CreatedAt = old.ID, old.CreatedAt
		} else if n, err := tx.CountPeers(ctx); err != nil {
			return err
		} else if n >= s.cfg.PeersMax {
			return errs.E(errs.TooMany, "no more than %d peers can be registered; remove some", s.cfg.PeersMax)
		}
		if p.Status, err = old.Status.next(ev); err != nil {
			return err
		}
		if err := tx.PutPeer(ctx, p); err != nil {
			return err
		}
		d := detail{"node_id": p.NodeID, "node_url": p.NodeURL, "fingerprint": p.Fingerprint(), "status": string(p.Status)}
		if p.Why != "" {
			d["why"] = p.Why
		}
		tx.Audit(s.event(audited[ev], p.RegisteredBy, p.ID.String(), d))
		return nil
	})
	if err != nil {
		return Peer{}, err
	}
	return p, nil
}

// registrable returns the registration that one of the node would replace, the zero
// Peer when there is none, or the error that the node is registered.
func registrable(ctx context.Context, r Reader, nodeID string, ev Event) (Peer, error) {
	old, err := r.PeerByNode(ctx, nodeID)
	if errs.Is(err, errs.NotFound) {
		return Peer{}, nil
	}
	if err != nil {
		return Peer{}, err
	}
	_, err = old.Status.next(ev)
	return old, err
}

// A Candidate is a node as it presents itself, before anything is believed.
type Candidate struct {
	NodeID      string
	NodeURL     string // the URL that was asked
	PubKey      string
	Fingerprint string
	Federation  bool // whether the node says that it federates
	Wire        Wire
}

// Discover asks the node at a URL who it is. It needs the permission
// admin:federation, since the node then connects where the caller says.
func (s *Service) Discover(ctx context.Context, by principal.Principal, nodeURL string) (Candidate, error) {
	if err := needAdmin(by); err != nil {
		return Candidate{}, err
	}
	if _, err := baseURL(nodeURL); err != nil {
		return Candidate{}, err
	}
	c, why, err := s.discover(ctx, nodeURL)
	if err == nil && why != "" {
		err = errs.E(errs.Unavailable, "%s", why)
	}
	return c, err
}

// discover fetches a well-known document and returns what it says, or why it says
// nothing that can be used.
func (s *Service) discover(ctx context.Context, nodeURL string) (Candidate, string, error) {
	base, err := baseURL(nodeURL)
	if err != nil {
		return Candidate{}, "node_url is not an http or https URL of a node", nil
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-ctx.Done():
		return Candidate{}, "", ctx.Err()
	}
	r, err := s.remote.Discover(ctx, base)
	switch {
	case ctx.Err() != nil:
		return Candidate{}, "", ctx.Err()
	case err != nil:
		var e *errs.Error
		if errors.As(err, &e) {
			return Candidate{}, e.Msg, nil
		}
		return Candidate{}, "the node could not be reached", nil
	case r.Status != http200:
		return Candidate{}, "the node at node_url has no well-known document", nil
	}
	c, err := decodeWellKnown(r.Body)
	if err != nil {
		return Candidate{}, "the well-known document of the node at node_url is not readable", nil
	}
	c.NodeURL, c.Fingerprint = base, Fingerprint(c.PubKey)
	return c, "", nil
}

// decodeWellKnown reads of a well-known document what federation needs.
func decodeWellKnown(b []byte) (Candidate, error) {
	var doc struct {
		NodeID     string `json:"node_id"`
		PubKey     string `json:"federation_pubkey"`
		Federation string `json:"federation"`
		Version    string `json:"federation_version"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(b), &doc); err != nil {
		return Candidate{}, errs.With(errs.Invalid, err, "the well-known document is not readable")
	}
	if len(doc.NodeID) > maxNodeID || len(doc.PubKey) > maxKeyText || !storable(doc.NodeID) || !storable(doc.PubKey) {
		return Candidate{}, errs.E(errs.Invalid, "the well-known document is out of bounds")
	}
	return Candidate{NodeID: doc.NodeID, PubKey: doc.PubKey, Federation: doc.Federation == "enabled", Wire: wireOf(doc.Version)}, nil
}

// Add registers the node at a URL on an operator's word, without a declaration of
// its own: pending approval under the key that the node publishes. It needs the
// permission admin:federation. The caller shows the fingerprint and approves the
// peer once it was confirmed out of band.
func (s *Service) Add(ctx context.Context, by principal.Principal, nodeURL string, scopes id.ScopeSet) (Peer, error) {
	c, err := s.Discover(ctx, by, nodeURL)
	if err != nil {
		return Peer{}, err
	}
	if _, err := sign.ParsePublicKey(c.PubKey); err != nil || c.NodeID == "" {
		return Peer{}, errs.E(errs.Unavailable, "the node publishes no federation key; federation may be switched off there")
	}
	if c.NodeID == s.cfg.NodeID {
		return Peer{}, errs.E(errs.Invalid, "the node at that URL is this node")
	}
	return s.enter(ctx, Peer{
		NodeID: c.NodeID, NodeURL: c.NodeURL, PubKey: c.PubKey, AllowedScopes: scopes, RegisteredBy: by.Entity, Wire: c.Wire,
	}, true)
}

// Declaration returns this node's own declaration, signed now.
func (s *Service) Declaration(scopes id.ScopeSet) Declaration {
	d := Declaration{
		NodeURL: s.cfg.NodeURL, NodeID: s.cfg.NodeID, PubKey: s.key.Public().String(), Scopes: scopes.Names(),
		SignedAt: s.now().UTC().Format(time.RFC3339),
	}
	d.Signature = s.key.SignText(d.Canonical())
	return d
}

// A Declared is what another node answered to our declaration.
type Declared struct {
	PeerID string
	Status string
}

// Declare sends this node's declaration to the node at a URL, with an API key of
// that node's that may federate. It needs the permission admin:federation.
func (s *Service) Declare(ctx context.Context, by principal.Principal, nodeURL string, key APIKey, scopes id.ScopeSet) (Declared, error) {
	if err := needAdmin(by); err != nil {
		return Declared{}, err
	}
	base, err := baseURL(nodeURL)
	if err != nil {
		return Declared{}, err
	}
	r, err := s.remote.Declare(ctx, base, key, s.Declaration(scopes).JSON())
	if err != nil {
		return Declared{}, err
	}
	var out struct {
		PeerID string          `json:"peer_id"`
		Status string          `json:"status"`
		Detail json.RawMessage `json:"detail"`
	}
	err = json.Unmarshal(r.Body, &out)
	if r.Status != http201 {
		return Declared{}, errs.E(errs.Unavailable, "the node answered %d: %s", r.Status, printable(bytes.ReplaceAll(out.Detail, []byte(key), []byte(key.String()))))
	}
	if err != nil {
		return Declared{}, errs.With(errs.Unavailable, err, "the node's answer is not readable")
	}
	return Declared{PeerID: printable([]byte(out.PeerID)), Status: printable([]byte(out.Status))}, nil
}

// The statuses that matter of another node's answers. The domain knows the
// numbers of the wire, not the package that carries them.
const (
	http200 = 200
	http201 = 201
	http401 = 401
	http429 = 429
)

// printable cuts another node's words to what an operator's terminal may show.
func printable(b []byte) string {
	const most = 200
	out := make([]rune, 0, most)
	for _, r := range string(b) {
		if len(out) == most {
			break
		}
		if r < 0x20 || r == 0x7F || r >= 0x80 && r < 0xA0 || r == 0xFFFD {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}
