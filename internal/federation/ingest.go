package federation

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"symbolon/internal/audit"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/fact"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

// A reason is why a fact that a peer offered is not taken. The texts are stable:
// they stand in audit entries and in the answers to a push.
type reason string

const (
	factMalformed   reason = "malformed"
	factScope       reason = "scope_not_permitted"
	factSource      reason = "source_not_owned"
	factReserved    reason = "reserved_name"
	factCID         reason = "cid_mismatch"
	factInstruction reason = "quarantine_garden_required"
	factIDTaken     reason = "id_taken"
	factValidity    reason = "valid_until_extension"
	factHLC         reason = "hlc_skew"
	factRelayed     reason = "origin_not_sender"
	factSignature   reason = "origin_signature"
	factUnstorable  reason = "unstorable"
)

// onPush returns what a push's answer says; most reasons are one there (Stigmem
// wire §25.8).
func (r reason) onPush() string {
	switch r {
	case factScope, factSource, factCID, factHLC:
		return string(r)
	}
	return "ingest_error"
}

// A refusal is a fact not taken, with what its audit entry adds.
type refusal struct {
	reason reason
	detail detail
	// also is an entry of the fact audit, besides that of the federation log.
	also *audit.Event
}

// RefusalReasons returns every reason for which a fact from a peer is refused, as
// audit entries and [Parts.OnRefusedFact] name them.
func RefusalReasons() []string {
	var list []string
	for _, r := range [...]reason{
		factMalformed, factScope, factSource, factReserved, factCID, factInstruction, factIDTaken, factValidity, factHLC, factRelayed,
		factSignature, factUnstorable,
	} {
		list = append(list, string(r))
	}
	return list
}

// refusals are the reasons for which facts of one page or push were not taken.
type refusals []reason

// tell logs and counts what was refused of one page or push, once it is audited.
func (s *Service) tell(ctx context.Context, p Peer, list refusals) {
	slices.Sort(list)
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n] == list[0] {
			n++
		}
		s.onRefused(p.NodeID, string(list[0]), n)
		s.log.LogAttrs(ctx, slog.LevelWarn, "federation.facts_refused",
			slog.String("peer", p.NodeID), slog.String("reason", string(list[0])), slog.Int("facts", n))
		list = list[n:]
	}
}

func refuse(r reason) *refusal { return &refusal{reason: r} }

// Bounds of a received fact's texts, in bytes. They are those of facts asserted
// here where there are such.
const (
	maxFactID     = fact.MaxForeignID
	maxTimestamp  = fact.MaxForeignTimestamp
	maxValidUntil = 128
	maxRelation   = 2048
	maxValue      = 1 << 20
)

// An offer is a fact as a peer sent it, checked as far as it can be by itself. Its
// CID and HLC are not checked yet.
type offer struct {
	fact    fact.Fact
	value   json.RawMessage // value.v
	claimed id.CID          // empty: none
	hlc     string          // empty: none
}

// decodeOffer reads one fact of a page or of a push. It always returns what it
// could read, so that a refusal can name the fact.
func decodeOffer(raw []byte) (offer, *refusal) {
	var in struct {
		ID         *string         `json:"id"`
		Entity     *string         `json:"entity"`
		Relation   *string         `json:"relation"`
		Value      json.RawMessage `json:"value"`
		Source     *string         `json:"source"`
		Timestamp  *string         `json:"timestamp"`
		Confidence *float64        `json:"confidence"`
		Scope      *string         `json:"scope"`
		HLC        *string         `json:"hlc"`
		ValidUntil *string         `json:"valid_until"`
		CID        *string         `json:"cid"`
	}
	var o offer
	err := json.Unmarshal(raw, &in)
	if in.ID != nil && len(*in.ID) <= maxFactID && storable(*in.ID) {
		o.fact.ID = id.UUID(*in.ID)
	}
	if in.Source != nil && len(*in.Source) <= id.MaxEntityLen && storable(*in.Source) {
		o.fact.Source = id.Entity(*in.Source)
	}
	if err != nil || canon.HasLoneSurrogate(raw) {
		return o, refuse(factMalformed)
	}
	text := func(p *string, most int) bool { return p != nil && *p != "" && len(*p) <= most && storable(*p) }
	if o.fact.ID == "" || id.LooksLikeCID(string(o.fact.ID)) || o.fact.Source == "" || !text(in.Entity, id.MaxEntityLen) ||
		!text(in.Relation, maxRelation) || !text(in.Timestamp, maxTimestamp) || in.Scope == nil ||
		in.ValidUntil != nil && (len(*in.ValidUntil) > maxValidUntil || !storable(*in.ValidUntil)) {
		return o, refuse(factMalformed)
	}
	scope, err := id.ParseScope(*in.Scope)
	if err != nil {
		return o, &refusal{reason: factScope, detail: detail{"scope": cut(*in.Scope)}}
	}
	confidence := 1.0
	if in.Confidence != nil {
		confidence = *in.Confidence
	}
	if confidence < 0 || confidence > 1 {
		return o, refuse(factMalformed)
	}
	value, v, bad := decodeValue(in.Value)
	if bad != nil {
		return o, bad
	}
	o.value = v
	if in.HLC != nil {
		o.hlc = *in.HLC
	}
	if in.CID != nil && *in.CID != "" {
		// A text that is no content id matches nothing and is refused as such.
		o.claimed = id.CID(cut(*in.CID))
	}
	f := &o.fact
	f.Tenant, f.Entity, f.Relation, f.Value = id.DefaultTenant, id.Entity(*in.Entity), *in.Relation, value
	f.Timestamp, f.Confidence, f.Scope, f.ValidUntil = *in.Timestamp, confidence, scope, in.ValidUntil
	return o, nil
}

func decodeValue(raw json.RawMessage) (fact.Value, json.RawMessage, *refusal) {
	var in struct {
		Type        *string         `json:"type"`
		V           json.RawMessage `json:"v"`
		InterpretAs *string         `json:"interpret_as"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &in) != nil || in.Type == nil || len(in.V) > maxValue {
		return fact.Value{}, nil, refuse(factMalformed)
	}
	t, err := canon.ParseValueType(*in.Type)
	if err != nil {
		return fact.Value{}, nil, refuse(factMalformed)
	}
	text, err := canon.EncodeValue(t, in.V)
	if err != nil || !storable(text) {
		return fact.Value{}, nil, refuse(factMalformed)
	}
	v := fact.Value{Type: t, V: text, InterpretAs: fact.Content}
	if in.InterpretAs != nil {
		v.InterpretAs = *in.InterpretAs
	}
	if v.InterpretAs != fact.Content && v.InterpretAs != fact.Instruction {
		return fact.Value{}, nil, refuse(factMalformed)
	}
	return v, in.V, nil
}

// cut bounds a peer's text for an audit entry and drops what cannot be stored.
func cut(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// reserved reports whether a peer may not state such a fact because the protocol's
// own facts are of that form and never leave a node (Stigmem wire §25.6): a peer
// could otherwise write the provenance of another's facts.
func reserved(f *fact.Fact) bool {
	return strings.HasPrefix(string(f.Entity), fact.ConflictPrefix) || strings.HasPrefix(string(f.Source), "system:") ||
		strings.HasPrefix(f.Relation, "stigmem:") && !strings.HasPrefix(f.Relation, "stigmem://")
}

// instruction reports whether a fact would instruct agents.
func instruction(f *fact.Fact) bool {
	return f.Value.InterpretAs == fact.Instruction || strings.HasPrefix(string(f.Entity), "instruction:") ||
		strings.HasPrefix(f.Relation, "instruction:")
}

// ingest takes one offered fact, or says why not, in the caller's transaction. The
// order of the checks is that of Stigmem wire §25.9. The caller has checked scope
// and source. An error is the store's.
func (s *Service) ingest(ctx context.Context, tx Tx, p Peer, o offer) (*refusal, error) {
	f := &o.fact
	if reserved(f) {
		return refuse(factReserved), nil
	}
	m, err := canon.MatchReceived(canonical(f), o.value, o.claimed)
	if err != nil {
		return refuse(factMalformed), nil
	}
	if !m.Holds {
		d := detail{"sender_node_id": p.NodeID, "reason": string(factCID), "stored_cid": string(o.claimed), "computed_cid": string(m.Computed)}
		return &refusal{reason: factCID, also: s.factEvent("federation_integrity_rejected", p, f, d)}, nil
	}
	if instruction(f) {
		return refuse(factInstruction), nil
	}
	known, err := tx.Fact(ctx, f.Tenant, f.ID)
	switch {
	case err == nil:
		return s.again(p, &known, f), nil
	case !errs.Is(err, errs.NotFound):
		return nil, err
	}
	if bad, err := s.observe(tx, p, &o); bad != nil || err != nil {
		return bad, err
	}
	if o.claimed != "" {
		// Of the spellings that may have been hashed ours is the one served,
		// so that whoever recomputes the id gets the same.
		f.CID = m.Computed
	}
	f.ReceivedFrom, f.OriginNodeID = p.NodeID, p.NodeID
	scopes := p.AllowedScopes
	f.OriginAllowedScopes = &scopes
	f.ReFederationBlocked = f.Scope == id.Company
	_, err = fact.Ingest(ctx, tx, f, s.now())
	if errs.Is(err, errs.Unprocessable) {
		return refuse(factMalformed), nil
	}
	return nil, err
}

// observe gives the fact its value of our clock. A peer's clock that is out of
// bounds, or no clock at all, does not move ours.
func (s *Service) observe(tx Tx, p Peer, o *offer) (*refusal, error) {
	if o.hlc == "" {
		o.fact.HLC = tx.Tick().String()
		return nil, nil
	}
	remote, err := hlc.Parse(o.hlc)
	if err != nil {
		return refuse(factMalformed), nil
	}
	h, err := tx.Observe(remote, s.cfg.MaxFutureSkew, s.cfg.MaxPastSkew)
	var skew *hlc.SkewError
	switch {
	case errors.As(err, &skew):
		d := detail{
			"sender_node_id": p.NodeID, "direction": skew.Direction(), "skew_ms": skew.SkewMillis(),
			"remote_wall_ms": int64(skew.Remote.Wall), "local_wall_ms": int64(skew.Local),
			"max_future_skew_ms": skew.Limits.Future.Milliseconds(), "max_past_skew_ms": skew.Limits.Past.Milliseconds(),
		}
		if skew.LooksLike != 0 {
			d["looks_like"] = skew.LooksLike.String()
		}
		return &refusal{reason: factHLC, also: s.factEvent("peer_hlc_anomaly", p, &o.fact, d)}, nil
	case err != nil:
		return nil, err
	}
	o.fact.HLC = h.String()
	return nil, nil
}

// again decides about a fact whose id is stored already. The same fact is taken
// and changes nothing, unless it would be valid for longer than it was: a fact only
// ever gets less valid. Another fact under the same id is refused, so that no peer
// can keep out what another one is going to send, unseen.
func (s *Service) again(p Peer, known, f *fact.Fact) *refusal {
	if known.Entity != f.Entity || known.Relation != f.Relation || !known.Value.Equal(f.Value) || known.Source != f.Source ||
		known.Scope != f.Scope || known.Confidence != f.Confidence {
		return refuse(factIDTaken)
	}
	if !extends(known.ValidUntil, f.ValidUntil) {
		return nil
	}
	d := detail{"sender_node_id": p.NodeID, "stored_valid_until": known.ValidUntil, "incoming_valid_until": f.ValidUntil, "reason": string(factValidity)}
	return &refusal{reason: factValidity, also: s.factEvent("federation_valid_until_extension_rejected", p, f, d)}
}

// extends reports whether incoming would make a fact valid for longer than stored.
// Texts that name instants are compared as instants, so that another offset is not
// another time; what names none is longer unless it is the same text.
func extends(stored, incoming *string) bool {
	switch {
	case stored == nil:
		return false
	case incoming == nil:
		return true
	case *stored == *incoming:
		return false
	}
	a, errA := instant(*stored)
	b, errB := instant(*incoming)
	return errA != nil || errB != nil || b.After(a)
}

func instant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, err = time.Parse("2006-01-02 15:04:05.999999999Z07:00", s)
	}
	return t, err
}

// factEvent builds an entry of the fact audit about an offered fact.
func (s *Service) factEvent(kind string, p Peer, f *fact.Fact, d detail) *audit.Event {
	e := s.event(kind, system, string(f.ID), d)
	e.PeerID, e.Tenant, e.Source = "", id.DefaultTenant.String(), string(f.Source)
	return &e
}

// record audits a refusal: in the federation log, and in the fact audit what the
// wire has a type for.
func (s *Service) record(tx Tx, p Peer, o *offer, r *refusal) {
	kind, d := "rejected_fact", detail{}
	for k, v := range r.detail {
		d[k] = v
	}
	d["fact_id"] = nilIfEmpty(string(o.fact.ID))
	if r.reason == factScope {
		kind = "scope_violation"
		if o.fact.Scope != id.NoScope {
			d["scope"] = o.fact.Scope.String()
		}
	} else {
		d["reason"], d["source"], d["peer_node_id"] = string(r.reason), nilIfEmpty(cut(string(o.fact.Source))), p.NodeID
	}
	tx.Audit(s.event(kind, system, p.ID.String(), d))
	if r.also != nil {
		tx.Audit(*r.also)
	}
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}
