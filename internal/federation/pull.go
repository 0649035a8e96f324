package federation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"symbolon/epoch"
	"symbolon/internal/errs"
	"symbolon/internal/hlc"
	"symbolon/internal/id"
)

// The times of the pull client.
const (
	// rescan is how often the peers are looked at for changes made by other
	// processes: the command line beside this one.
	rescan = time.Second
	// firstBackoff and maxBackoff bound the wait after a peer said 429
	// (Stigmem wire §25.7): 2, 4 … 300 s, each 20 % more or less.
	firstBackoff = 2 * time.Second
	maxBackoff   = 300 * time.Second
	jitterShare  = 0.2
	// maxRetryAfter bounds how long a peer can ask us to stay away.
	maxRetryAfter = 15 * time.Minute
	// maxCorrection bounds how far a token is minted off our own clock for a
	// peer whose clock differs.
	maxCorrection = 15 * time.Minute
)

// Run polls every active peer until ctx ends: one goroutine each, which waits for
// nobody else, so that a peer that is slow, down or hostile costs only itself. It
// returns nil at once when federation is not enabled.
func (s *Service) Run(ctx context.Context) error {
	if !s.cfg.Enabled {
		return nil
	}
	running := make(map[id.UUID]context.CancelFunc)
	var all sync.WaitGroup
	defer all.Wait()
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		peers, err := s.store.Peers(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.log.LogAttrs(ctx, slog.LevelError, "federation.peers_unreadable", slog.String("error", err.Error()))
		default:
			active := make(map[id.UUID]bool, len(peers))
			for _, p := range peers {
				if p.Status != Active {
					continue
				}
				active[p.ID] = true
				if running[p.ID] == nil {
					peerCtx, stop := context.WithCancel(ctx)
					running[p.ID] = stop
					all.Go(func() { s.follow(peerCtx, p.ID, p.NodeID) })
				}
			}
			for row, stop := range running {
				if !active[row] {
					stop()
					delete(running, row)
					s.pulls.forget(row)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// follow polls one peer until ctx ends.
func (s *Service) follow(ctx context.Context, peer id.UUID, node string) {
	var st pacing
	for {
		err := s.drain(ctx, peer, &st)
		if ctx.Err() != nil {
			return
		}
		wait := st.next(err, s.cfg.PullInterval, s.jitter)
		s.report(ctx, peer, node, err, wait, &st)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// pacing is what one peer's goroutine remembers between polls.
type pacing struct {
	failures int // in a row
	limit    int // facts asked for at once; 0: the configured number
	// ask is the cursor to ask from next within one drain; empty: the saved one.
	ask string
	// correction is added to our clock in tokens for this peer.
	correction time.Duration
	logged     string // the last failure logged, so that each is logged once
}

// next returns how long to wait after a poll that ended with err.
func (p *pacing) next(err error, interval time.Duration, jitter func() float64) time.Duration {
	if err == nil {
		p.failures = 0
		return interval
	}
	p.failures++
	backoff := maxBackoff
	if p.failures <= 8 { // 2 s doubled seven times is 256 s
		backoff = min(firstBackoff<<(p.failures-1), maxBackoff)
	}
	backoff = time.Duration(float64(backoff) * (1 + jitterShare*(2*jitter()-1)))
	var pe *pullError
	if errors.As(err, &pe) && (pe.status == http429 || pe.retryAfter > 0) {
		return max(backoff, min(pe.retryAfter, maxRetryAfter))
	}
	// A peer that is down is tried no less often than one that is up.
	return min(backoff, max(interval, firstBackoff))
}

// A pullError is a poll that failed for a reason of the peer's.
type pullError struct {
	reason     string // one of a closed set, for logs and metrics
	status     int
	retryAfter time.Duration
	err        error
}

// The reasons for which a poll fails.
const (
	pullUnreachable = "unreachable"
	pullForbidden   = "address_not_allowed"
	pullTooLarge    = "page_too_large"
	pullUnreadable  = "page_unreadable"
	pullStuck       = "cursor_stuck"
	pullRefused     = "token_refused"
	pullBusy        = "too_many_requests"
	pullStatus      = "unexpected_status"
	pullIdentity    = "san_mismatch"
	pullStore       = "store"
)

func (e *pullError) Error() string {
	if e.err != nil {
		return "federation: pull: " + e.reason + ": " + e.err.Error()
	}
	return "federation: pull: " + e.reason
}

func (e *pullError) Unwrap() error { return e.err }

// PullNow reads everything new from one peer, as the pull client does each time,
// and returns how many facts were offered. It needs an active peer.
func (s *Service) PullNow(ctx context.Context, peer id.UUID) error {
	var st pacing
	return s.drain(ctx, peer, &st)
}

// drain reads pages until the peer has no more. Each page is stored with its
// cursor before the next is asked for, with a new token.
func (s *Service) drain(ctx context.Context, peer id.UUID, st *pacing) error {
	st.ask = ""
	for {
		before := st.limit
		more, err := s.pullPage(ctx, peer, st)
		if failureOf(err) == pullTooLarge && st.limit != before {
			continue // for half as much, seven times at most
		}
		if err != nil || !more {
			return err
		}
	}
}

// pullPage reads one page and reports whether the peer has more.
func (s *Service) pullPage(ctx context.Context, peer id.UUID, st *pacing) (more bool, err error) {
	p, err := s.store.Peer(ctx, peer)
	if err != nil {
		return false, &pullError{reason: pullStore, err: err}
	}
	if p.Status != Active {
		return false, nil
	}
	pos, err := s.store.PeerPosition(ctx, peer)
	if err != nil {
		return false, &pullError{reason: pullStore, err: err}
	}
	if st.ask == "" {
		st.ask = rewound(pos.Cursor, s.now())
	}
	q := PullQuery{Cursor: st.ask, Limit: s.cfg.PageLimit}
	if st.limit > 0 {
		q.Limit = min(st.limit, q.Limit)
	}
	pg, err := s.fetch(ctx, p, q, st)
	if err != nil {
		return false, err
	}
	if err := s.ingestPage(ctx, p, pos, pg, max(pos.Cursor, pg.cursor)); err != nil {
		return false, err
	}
	if st.limit > 0 {
		st.limit *= 2
		if st.limit >= s.cfg.PageLimit {
			st.limit = 0
		}
	}
	// A cursor that does not go on would have one page read for ever.
	if pg.hasMore && pg.cursor <= st.ask {
		return false, &pullError{reason: pullStuck}
	}
	st.ask = pg.cursor
	return pg.hasMore, nil
}

// fetch asks the peer for one page, with a new token.
func (s *Service) fetch(ctx context.Context, p Peer, q PullQuery, st *pacing) (page, error) {
	text, err := s.mint(ctx, p, st.correction)
	if err != nil {
		return page{}, err
	}
	asked := s.now()
	r, err := s.remote.Pull(ctx, p.NodeURL, text, q)
	if err != nil {
		return page{}, st.unreached(err, q.Limit)
	}
	s.measure(p.NodeID, r, asked, st)
	if r.Proven && !slices.Contains(r.Identities, p.NodeID) {
		err := s.store.UpdatePeers(ctx, func(tx Tx) error {
			tx.Audit(s.event("san_mismatch", system, p.NodeID, detail{"node_id": p.NodeID}))
			return nil
		})
		return page{}, &pullError{reason: pullIdentity, err: err}
	}
	if err := replyError(r); err != nil {
		return page{}, err
	}
	pg, err := decodePage(r.Body, q.Limit)
	if err != nil {
		return page{}, &pullError{reason: pullUnreadable, err: err}
	}
	return pg, nil
}

// rewound returns the cursor to ask from. Peers that write the counter of their clock
// without leading zeros compare cursors as text all the same, so that what they write
// after a counter went from 9 to 10 lies before the cursor. That happens while their
// clock is pinned ahead of the time: then what they wrote in that very millisecond is
// asked for again, and what is stored already changes nothing.
func rewound(cursor string, now time.Time) string {
	wall, counter, ok := strings.Cut(cursor, ".")
	h, err := hlc.Parse(cursor)
	if !ok || err != nil || len(counter) > 1 && counter[0] == '0' || len(counter) > 5 || !epoch.MillisOf(now).Before(h.Wall) {
		return cursor
	}
	return wall + "."
}

// unreached turns a transport's error into a poll's, and asks for less at once
// after a page that was too large.
func (p *pacing) unreached(err error, limit int) error {
	switch errs.KindOf(err) {
	case errs.TooLarge:
		p.limit = max(limit/2, 1)
		return &pullError{reason: pullTooLarge, err: err}
	case errs.Forbidden:
		return &pullError{reason: pullForbidden, err: err}
	}
	return &pullError{reason: pullUnreachable, err: err}
}

func replyError(r Reply) error {
	e := &pullError{reason: pullStatus, status: r.Status, retryAfter: r.RetryAfter}
	switch r.Status {
	case http200:
		return nil
	case http429:
		e.reason = pullBusy
	case http401:
		e.reason = pullRefused
	}
	e.err = fmt.Errorf("the node answered %d %s", r.Status, words(r.Body))
	return e
}

// words returns the detail of another node's error when it is one of the wire's
// words. Anything else it says is not repeated: it was given a token of ours and
// could say that.
func words(body []byte) string {
	var e struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &e) != nil || len(e.Detail) > 64 || strings.Trim(e.Detail, "abcdefghijklmnopqrstuvwxyz_ ") != "" {
		return ""
	}
	return e.Detail
}

// measure notes how far the peer's clock is from ours, and after a refused token
// mints the next one for the peer's clock. The peer can only spoil what it gets
// itself: the token names it as audience.
func (s *Service) measure(node string, r Reply, asked time.Time, st *pacing) {
	if r.Date.IsZero() {
		return
	}
	const resolution = time.Second
	middle := asked.Add(s.now().Sub(asked) / 2)
	ahead := r.Date.Add(resolution / 2).Sub(middle)
	s.clocks.put(node, Clock{Ahead: ahead, Resolution: resolution, At: s.now()})
	switch {
	case r.Status != http401:
	case ahead.Abs() > maxCorrection || ahead.Abs() <= 2*resolution:
		st.correction = 0 // nothing to correct, or nothing to believe
	default:
		st.correction = ahead
	}
}

// ingestPage stores what is good of a page, audits what is not, and saves the
// cursor, all in one transaction. When that fails for another reason than the
// store being unavailable, each fact gets a transaction of its own, so that one
// that the store cannot take is refused alone.
func (s *Service) ingestPage(ctx context.Context, p Peer, from Position, pg page, next string) error {
	err := s.ingestTogether(ctx, p, from, pg, next)
	switch {
	case err == nil || ctx.Err() != nil || errs.Is(err, errs.Unavailable):
	case len(pg.entries) > 0:
		err = s.ingestApart(ctx, p, from, pg, next)
	}
	if err != nil {
		return &pullError{reason: pullStore, err: err}
	}
	return nil
}

// errMoved ends a transaction whose page another process has read already, or
// whose peer is no longer active.
var errMoved = errors.New("federation: the peer was read or changed meanwhile")

func (s *Service) ingestTogether(ctx context.Context, p Peer, from Position, pg page, next string) error {
	var refused refusals
	err := s.store.UpdatePeers(ctx, func(tx Tx) error {
		refused = refused[:0]
		p, err := stillAt(ctx, tx, p, from)
		if err != nil {
			return err
		}
		others, err := s.sources(ctx, tx)
		if err != nil {
			return err
		}
		for _, e := range pg.entries {
			if err := s.pulled(ctx, tx, p, others, e, &refused); err != nil {
				return err
			}
		}
		if err := s.speaks(ctx, tx, p, pg.enveloped, len(pg.entries) > 0); err != nil {
			return err
		}
		return s.advance(ctx, tx, p, from, next)
	})
	if err == errMoved {
		return nil
	}
	if err == nil {
		s.tell(ctx, p, refused)
	}
	return err
}

func (s *Service) ingestApart(ctx context.Context, p Peer, from Position, pg page, next string) error {
	for _, e := range pg.entries {
		if err := s.ingestTogether(ctx, p, from, page{entries: []entry{e}, enveloped: pg.enveloped}, from.Cursor); err == nil {
			continue
		} else if ctx.Err() != nil || errs.Is(err, errs.Unavailable) {
			return err
		}
		err := s.store.UpdatePeers(ctx, func(tx Tx) error {
			s.unstorable(tx, p, e)
			return nil
		})
		if err != nil {
			return err
		}
		s.tell(ctx, p, refusals{factUnstorable})
	}
	return s.ingestTogether(ctx, p, from, page{enveloped: pg.enveloped}, next)
}

// stillAt checks inside the transaction that the page may still be stored, and
// returns the peer as it is now.
func stillAt(ctx context.Context, tx Tx, p Peer, from Position) (Peer, error) {
	now, err := tx.Peer(ctx, p.ID)
	switch {
	case errs.Is(err, errs.NotFound):
		return p, errMoved
	case err != nil:
		return p, err
	case now.Status != Active || now.NodeID != p.NodeID:
		return p, errMoved
	}
	pos, err := tx.PeerPosition(ctx, p.ID)
	if err == nil && pos.Cursor != from.Cursor {
		return p, errMoved
	}
	return now, err
}

// speaks notes which wire a peer's page was of, so that it is served pages that it
// can read also after it was upgraded.
func (s *Service) speaks(ctx context.Context, tx Tx, p Peer, enveloped, shown bool) error {
	if p.Wire.Envelopes() == enveloped || !shown && !enveloped {
		return nil
	}
	p.Wire = WirePlain
	if enveloped {
		p.Wire = WireEnvelopes
	}
	return tx.PutPeer(ctx, p)
}

func (s *Service) advance(ctx context.Context, tx Tx, p Peer, from Position, next string) error {
	if next == from.Cursor {
		return nil
	}
	return tx.SavePosition(ctx, Position{PeerID: p.ID, Cursor: next, SavedAt: s.now()})
}
