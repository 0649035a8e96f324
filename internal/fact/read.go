package fact

import (
	"context"
	"encoding/json"
	"strings"

	"symbolon/internal/canon"
	"symbolon/internal/errs"
	"symbolon/internal/id"
	"symbolon/internal/principal"
)

// scanBudget bounds how many rows one query looks at to fill its page. A page
// that is shorter for it has a cursor, so that nothing is lost.
const scanBudget = 5000

// Query returns a page of what p's tenant holds.
//
// With q.IncludeContradicted it is everything that matches, and Contradicted marks
// a fact when a live one of its key, or any one on the page, has another value.
//
// Without it the page holds what stands: of each voice the newest fact, unless a
// conflict was settled against it; and of those that are live and disagree, the
// ones that no live fact with another value outranks, by confidence and then by
// being newer. So one winner stands of every key, and Contradicted says whether it
// is disputed. A retraction shows only while nobody else's fact stands. A query for
// one source returns what that source says, outranked or not.
func (s *Service) Query(ctx context.Context, p principal.Principal, q Query) (Page, error) {
	if err := may(p, principal.Read); err != nil {
		return Page{}, err
	}
	q.Tenant = id.Tenant(p.Tenant)
	q.Entity, q.Source = asStored(q.Entity), asStored(q.Source)
	now := Timestamp(s.now())
	var page Page
	var err error
	if q.IncludeContradicted {
		page, err = s.history(ctx, q, now)
	} else {
		page, err = s.current(ctx, q, now)
	}
	if err != nil {
		return Page{}, errs.Wrap(err, "fact: query")
	}
	for i := range page.Facts {
		if err := page.Facts[i].check(); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

// asStored normalises an entity that is asked for; one that cannot be is looked for
// as it is.
func asStored(e id.Entity) id.Entity {
	if n, err := id.ParseEntity(string(e)); err == nil {
		return n
	}
	return e
}

func (f *Fact) position() Cursor { return Cursor{At: f.HLC} }

func (s *Service) history(ctx context.Context, q Query, now string) (Page, error) {
	limit := q.Limit
	q.Limit++
	facts, err := s.store.History(ctx, q, now)
	if err != nil {
		return Page{}, err
	}
	page := Page{Facts: facts}
	if len(facts) > limit {
		page.Facts = facts[:limit]
		page.Next = facts[limit-1].position()
	}
	values := make(map[Key]Digest, len(page.Facts)) // the value of the key's first fact on the page
	differ := make(map[Key]bool)
	for i := range page.Facts {
		k, d := page.Facts[i].Key(), page.Facts[i].Value.Digest()
		if first, ok := values[k]; !ok {
			values[k] = d
		} else if first != d {
			differ[k] = true
		}
	}
	r := s.ranking(now)
	for i := range page.Facts {
		f := &page.Facts[i]
		k := f.Key()
		if k.System() {
			continue
		}
		if f.Contradicted = differ[k]; f.Contradicted {
			continue
		}
		if f.Contradicted, err = r.contradicts(ctx, f); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

func (s *Service) current(ctx context.Context, q Query, now string) (Page, error) {
	limit, kept := q.Limit, make([]Fact, 0, min(q.Limit, DefaultLimit)+1)
	r := s.ranking(now)
	for looked := 0; ; {
		q.Limit = limit + 1
		facts, heads, err := s.store.Current(ctx, q, now)
		if err != nil {
			return Page{}, err
		}
		for i := range facts {
			f := facts[i]
			stands, err := r.stands(ctx, &f, &heads[i])
			if err != nil {
				return Page{}, err
			}
			if !stands && q.Source == "" {
				continue
			}
			if kept = append(kept, f); len(kept) > limit {
				kept = kept[:limit]
				return Page{Facts: kept, Next: kept[limit-1].position()}, nil
			}
		}
		if len(facts) < q.Limit {
			return Page{Facts: kept}, nil
		}
		q.Cursor = facts[len(facts)-1].position()
		if looked += len(facts); looked >= scanBudget {
			return Page{Facts: kept, Next: q.Cursor}, nil
		}
	}
}

// A ranking answers, within one request, which facts of a key stand against which.
type ranking struct {
	store Reader
	now   string
	keys  map[Key][]Head // the live heads of keys that were asked for
}

func (s *Service) ranking(now string) *ranking { return &ranking{store: s.store, now: now} }

// live returns the live heads of a key.
func (r *ranking) live(ctx context.Context, k Key) ([]Head, error) {
	if heads, ok := r.keys[k]; ok {
		return heads, nil
	}
	heads, err := r.store.Heads(ctx, k)
	if err != nil {
		return nil, err
	}
	live := heads[:0]
	for _, h := range heads {
		if h.Live(r.now) {
			live = append(live, h)
		}
	}
	if r.keys == nil {
		r.keys = make(map[Key][]Head)
	}
	r.keys[k] = live
	return live, nil
}

// contradicts reports whether a live fact of f's key has another value.
func (r *ranking) contradicts(ctx context.Context, f *Fact) (bool, error) {
	if f.Key().System() {
		return false, nil
	}
	live, err := r.live(ctx, f.Key())
	if err != nil {
		return false, err
	}
	d := f.Value.Digest()
	for i := range live {
		if live[i].Value != d && live[i].FactID != f.ID {
			return true, nil
		}
	}
	return false, nil
}

// stands reports whether f, whose head is h, belongs into a default query, and
// sets its mark.
func (r *ranking) stands(ctx context.Context, f *Fact, h *Head) (bool, error) {
	retracted := h.Confidence == 0
	if f.Key().System() || !h.Disputed && !retracted {
		return true, nil
	}
	live, err := r.live(ctx, f.Key())
	if err != nil {
		return false, err
	}
	alive := h.Live(r.now)
	stands := true
	for i := range live {
		o := &live[i]
		if o.FactID == h.FactID {
			continue
		}
		if o.Value != h.Value {
			f.Contradicted = true
			stands = stands && !(alive && o.Outranks(h))
		}
		stands = stands && !retracted
	}
	return stands, nil
}

// Get returns the fact that ref names, by id or content id, in whatever state but
// pending quarantine.
func (s *Service) Get(ctx context.Context, p principal.Principal, ref string) (Fact, error) {
	if err := may(p, principal.Read); err != nil {
		return Fact{}, err
	}
	f, err := s.lookup(ctx, id.Tenant(p.Tenant), ref)
	if err != nil {
		return Fact{}, errs.Wrap(err, "fact: get")
	}
	if err := f.check(); err != nil {
		return Fact{}, err
	}
	f.Contradicted, err = s.ranking(Timestamp(s.now())).contradicts(ctx, &f)
	return f, errs.Wrap(err, "fact: get")
}

func (s *Service) lookup(ctx context.Context, tenant id.Tenant, ref string) (f Fact, err error) {
	if id.LooksLikeCID(ref) {
		cid, cerr := id.ParseCID(ref)
		if cerr != nil {
			return f, coded(errs.Invalid, "cid_malformed", "CID must be 'sha256:' followed by 64 hex chars")
		}
		f, err = s.store.FactByCID(ctx, tenant, cid)
	} else {
		f, err = s.store.Fact(ctx, tenant, id.UUID(ref))
	}
	if err == nil && f.QuarantineStatus == Pending {
		return Fact{}, errUnknown
	}
	return f, err
}

var errUnknown = errs.E(errs.NotFound, "fact not found")

// A Verdict is the outcome of computing a fact's content id anew.
type Verdict struct {
	Valid    bool
	Computed id.CID
	Stored   id.CID // empty for none
	Reason   string // empty when it holds
}

// verify computes the content id of f anew, in the version that the stored one
// holds in, or in ours.
func (f *Fact) verify() (Verdict, error) {
	v := Verdict{Stored: f.CID}
	for _, version := range [...]canon.CIDVersion{canon.CIDv2, canon.CIDv1} {
		got, err := f.cid(version)
		if err != nil {
			return v, err
		}
		v.Computed = got
		if got == f.CID {
			v.Valid = true
			return v, nil
		}
	}
	v.Reason = "stored_cid does not match computed_cid"
	if f.CID == "" {
		v.Reason = "stored_cid is null (pre-Phase-13 record pending backfill)"
	}
	return v, nil
}

// A CIDMismatch is the body of the refusal to serve a row that was tampered with.
type CIDMismatch struct {
	Coded
	FactID      id.UUID `json:"fact_id"`
	ComputedCID id.CID  `json:"computed_cid"`
	StoredCID   id.CID  `json:"stored_cid"`
}

// check refuses a fact whose row no longer has the content that its content id
// says.
func (f *Fact) check() error {
	if f.CID == "" {
		return nil
	}
	got, err := f.cid(canon.CIDv1)
	if err != nil || got == f.CID {
		return err
	}
	v, err := f.verify()
	if err != nil || v.Valid {
		return err
	}
	const msg = "stored CID does not match the fact canonical body"
	return errs.Detail(errs.Conflict, msg, CIDMismatch{Coded{"cid_mismatch", msg}, f.ID, v.Computed, v.Stored})
}

// VerifyCID computes the content id of the fact with that id anew.
func (s *Service) VerifyCID(ctx context.Context, p principal.Principal, of string) (Verdict, error) {
	if err := may(p, principal.Read); err != nil {
		return Verdict{}, err
	}
	f, err := s.byID(ctx, p, of)
	if err != nil {
		return Verdict{}, errs.Wrap(err, "fact: verify cid")
	}
	return f.verify()
}

// byID returns the fact with that id; a content id is none.
func (s *Service) byID(ctx context.Context, p principal.Principal, of string) (Fact, error) {
	if id.LooksLikeCID(of) {
		return Fact{}, errUnknown
	}
	return s.lookup(ctx, id.Tenant(p.Tenant), of)
}

// A Source is one of the things that a fact was derived from.
type Source struct {
	Hash   string
	FactID string // empty unless it exists
	Entity id.Entity
	Exists bool
}

// MaxDerivedFrom bounds how many sources one fact names.
const MaxDerivedFrom = 1000

// Provenance returns the fact of that id and what it was derived from.
func (s *Service) Provenance(ctx context.Context, p principal.Principal, of string) (Fact, []Source, error) {
	if err := may(p, principal.Read); err != nil {
		return Fact{}, nil, err
	}
	f, err := s.byID(ctx, p, of)
	if err != nil {
		return Fact{}, nil, errs.Wrap(err, "fact: provenance")
	}
	if f.DerivedFrom == nil {
		return f, nil, nil
	}
	var entries []map[string]json.RawMessage
	if err := json.Unmarshal(f.DerivedFrom, &entries); err != nil {
		return Fact{}, nil, errs.With(errs.Internal, err, "fact: provenance of %s", f.ID)
	}
	var sources []Source
	for _, e := range entries {
		src := Source{Hash: stringMember(e, "hash")}
		ref := stringMember(e, "fact_id")
		if ref == "" || id.LooksLikeCID(ref) {
			ref = ""
			if strings.HasPrefix(src.Hash, "sha256:") {
				ref = src.Hash
			}
		}
		if ref != "" {
			known, err := s.lookup(ctx, f.Tenant, ref)
			switch {
			case err == nil:
				src.FactID, src.Entity, src.Exists = string(known.ID), known.Entity, true
			case !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Invalid):
				return Fact{}, nil, errs.Wrap(err, "fact: provenance")
			}
		}
		sources = append(sources, src)
	}
	return f, sources, nil
}

func stringMember(m map[string]json.RawMessage, name string) (s string) {
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}
