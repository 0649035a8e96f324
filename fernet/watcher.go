package fernet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often a watcher looks at its directory. A key is in use,
// or out of use, in every process at most that long after the directory says so.
const DefaultInterval = 250 * time.Millisecond

// maxRetired bounds how many retired keys are remembered, newest first.
const maxRetired = 4

// WatchOptions vary a watcher. The zero value is ready to use.
type WatchOptions struct {
	// Interval is how often to look; zero stands for DefaultInterval.
	Interval time.Duration
	// Tick, if not nil, says when to look instead of Interval.
	Tick <-chan time.Time
	// Notify, if not nil, is told of every look that found something new:
	// another set of keys, other problems, or another error. It is called from
	// one goroutine at a time.
	Notify func(Change)
}

// A Change is what a watcher tells.
type Change struct {
	Report Report
	// Err is why the directory gave no keys. After ErrNoKeys and
	// ErrNoRepository the ring is empty; after any other error the last ring
	// stays in use.
	Err      error
	Revision uint64
}

// A Watcher follows a repository and always has the ring of now. It is safe for
// concurrent use.
type Watcher struct {
	repo  *Repository
	opts  WatchOptions
	state atomic.Pointer[watched]
	mu    sync.Mutex // one look at a time; guards told
	told  string
}

type watched struct {
	ring     *Ring
	keys     []NumberedKey
	retired  []NumberedKey
	revision uint64
}

// Watch loads the repository and returns a watcher of it. It fails with
// [ErrNoRepository] or [ErrNoKeys] when there is nothing to start with. The
// caller runs [Watcher.Run].
func Watch(p *Repository, o WatchOptions) (*Watcher, error) {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Notify == nil {
		o.Notify = func(Change) {}
	}
	w := &Watcher{repo: p, opts: o}
	w.state.Store(&watched{})
	if err := w.Reload(); err != nil {
		return nil, err
	}
	return w, nil
}

// Ring returns the keys of now. After the repository lost its last key that is
// an empty ring, with which nothing is sealed and nothing opens.
func (w *Watcher) Ring() *Ring { return w.state.Load().ring }

// Revision returns a number that grows with every change of the set of keys, for
// caches to be keyed by: what was worked out under an older revision is not to
// be used.
func (w *Watcher) Revision() uint64 { return w.state.Load().revision }

// Run looks at the directory until ctx is done, and returns why it is done.
func (w *Watcher) Run(ctx context.Context) error {
	tick := w.opts.Tick
	if tick == nil {
		t := time.NewTicker(w.opts.Interval)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick:
			_ = w.Reload() // told to Notify
		}
	}
}

// Reload looks at the directory now. Its error is also told to Notify.
func (w *Watcher) Reload() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, rep, err := w.repo.read()
	old := w.state.Load()
	gone := errors.Is(err, ErrNoKeys) || errors.Is(err, ErrNoRepository)
	if err != nil && !gone {
		// The directory could not be read, which says nothing about its keys.
		keys = old.keys
	}
	if changed := old.ring == nil || !slices.EqualFunc(keys, old.keys, sameKey); changed {
		next := &watched{keys: keys, retired: retire(old, keys), revision: old.revision + 1}
		ring, rerr := newRing(keys, next.retired)
		if rerr != nil {
			return rerr
		}
		next.ring = ring
		w.state.Store(next)
		w.told = ""
	}
	c := Change{Report: rep, Err: err, Revision: w.Revision()}
	line := rep.String()
	if err != nil {
		line += "\n" + err.Error()
	}
	if line = "told: " + line; line != w.told {
		w.told = line
		w.opts.Notify(c)
	}
	return err
}

func sameKey(a, b NumberedKey) bool { return a.ID == b.ID && a.Key.Equal(b.Key) }

// retire returns the keys that are not in use any more, newest first.
func retire(old *watched, now []NumberedKey) []NumberedKey {
	var out []NumberedKey
	for _, k := range slices.Concat(old.keys, old.retired) {
		same := func(n NumberedKey) bool { return n.Key.Equal(k.Key) }
		if !slices.ContainsFunc(now, same) && !slices.ContainsFunc(out, same) {
			out = append(out, k)
		}
	}
	return out[:min(len(out), maxRetired)]
}
