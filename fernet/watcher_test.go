package fernet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"symbolon/token"
)

func watch(t testing.TB, p *Repository, notify func(Change)) *Watcher {
	t.Helper()
	w, err := Watch(p, WatchOptions{Notify: notify})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func remove(t testing.TB, p *Repository, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(p.Dir(), name)); err != nil {
			t.Fatal(err)
		}
	}
}

// E4: a key that leaves the directory opens nothing from the next look on, and
// caches can tell.
func TestE4_RetiredKey(t *testing.T) {
	p := newRepository(t)
	w := watch(t, p, nil)
	text := seal(t, w.Ring(), "x")
	rev := w.Revision()
	if err := w.Reload(); err != nil || w.Revision() != rev {
		t.Errorf("a look at an unchanged directory: %v, revision %d after %d", err, w.Revision(), rev)
	}
	for range 2 {
		rotate(t, p, 3)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		if w.Revision() <= rev {
			t.Errorf("revision %d after %d: it must grow with every change", w.Revision(), rev)
		}
		rev = w.Revision()
	}
	_, rej := w.Ring().Open(text)
	if rej == nil || rej.Reason != token.UnknownKey || rej.KeyID != "1" {
		t.Errorf("a token of the removed key 1: %+v, want unknown_key naming it", rej)
	}
	if _, rej := w.Ring().Open(text[:len(text)-4] + "AAAA"); rej == nil || rej.Reason != token.BadMAC {
		t.Errorf("the same token altered: %v, want bad_mac", rej)
	}
	// The key comes back (an operator undoes a removal).
	for range 10 {
		rotate(t, p, 3)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.Ring().retired); n > maxRetired {
		t.Errorf("%d retired keys are remembered, want at most %d", n, maxRetired)
	}
}

// E4 and DESIGN L9: without anybody asking for a look, within a second.
func TestE4_WithinASecond(t *testing.T) {
	p := newRepository(t)
	w := watch(t, p, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	text := seal(t, w.Ring(), "x")
	start := time.Now()
	remove(t, p, "1")
	for {
		if _, rej := w.Ring().Open(text); rej != nil {
			break
		}
		if time.Since(start) > time.Second {
			t.Fatal("a second after its key was removed the token still opens")
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want why it was ended", err)
	}
}

// E5: two nodes with the same directory seal and open for each other while keys
// are rotated under them, and never once fail.
func TestE5_RotationUnderLoad(t *testing.T) {
	p := newRepository(t)
	tick := make(chan time.Time)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var nodes [2]*Watcher
	for i := range nodes {
		w, err := Watch(p, WatchOptions{Tick: tick})
		if err != nil {
			t.Fatal(err)
		}
		nodes[i] = w
		go func() { _ = w.Run(ctx) }()
	}
	var made atomic.Int64
	stop := make(chan struct{})
	var workers [2]chan struct{}
	for i := range workers {
		workers[i] = make(chan struct{})
		go func() {
			defer close(workers[i])
			for {
				select {
				case <-stop:
					return
				default:
				}
				text, err := nodes[i].Ring().Seal(issued, []byte("x"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, rej := nodes[1-i].Ring().Open(text); rej != nil {
					t.Errorf("node %d opens what node %d sealed: %v", 1-i, i, rej)
					return
				}
				made.Add(1)
			}
		}()
	}
	for range 8 {
		rotate(t, p, 12)
		// Each node looks in its own time, but looks before the next rotation.
		for range 4 {
			tick <- time.Time{}
		}
		for primaryOf(nodes[0].Ring()) != primaryOf(nodes[1].Ring()) {
			tick <- time.Time{}
		}
	}
	for made.Load() < 1000 {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	for _, w := range workers {
		<-w
	}
	if got := primaryOf(nodes[0].Ring()); got != 9 {
		t.Errorf("the primary is %d, want 9: the rotations were not seen", got)
	}
}

// E12: a repository emptied while in use fails safe, says so once, and comes
// back by itself.
func TestE12_EmptiedWhileRunning(t *testing.T) {
	for _, tt := range []struct {
		name  string
		empty func(t *testing.T, p *Repository)
		want  error
	}{
		{"the keys are removed", func(t *testing.T, p *Repository) { remove(t, p, "0", "1") }, ErrNoKeys},
		{"the directory is removed", func(t *testing.T, p *Repository) {
			if err := os.RemoveAll(p.Dir()); err != nil {
				t.Fatal(err)
			}
		}, ErrNoRepository},
		{"the keys are emptied", func(t *testing.T, p *Repository) { put(t, p, "0", ""); put(t, p, "1", "") }, ErrNoKeys},
		{"the keys are made zero", func(t *testing.T, p *Repository) {
			put(t, p, "0", strings.Repeat("A", 43)+"=")
			put(t, p, "1", strings.Repeat("A", 43)+"=")
		}, ErrNoKeys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newRepository(t)
			var told []Change
			w := watch(t, p, func(c Change) { told = append(told, c) })
			old := w.Ring()
			text := seal(t, old, "x")
			told = nil
			tt.empty(t, p)
			for range 3 {
				if err := w.Reload(); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), p.Dir()) {
					t.Errorf("Reload = %v, want %v and the directory named", err, tt.want)
				}
			}
			if len(told) != 1 || !errors.Is(told[0].Err, tt.want) {
				t.Errorf("told %d times (%+v), want once", len(told), told)
			}
			r := w.Ring()
			if !r.Empty() || len(r.Keys()) != 0 {
				t.Errorf("the ring has keys %+v, want none", r.Keys())
			}
			if text, err := r.Seal(issued, nil); !errors.Is(err, ErrNoKeys) {
				t.Errorf("Seal = %q, %v, want ErrNoKeys", text, err)
			}
			if _, rej := r.Open(text); rej == nil || rej.Reason != token.UnknownKey {
				t.Errorf("Open: %v, want unknown_key", rej)
			}
			if _, rej := r.Open(seal(t, newTestRing(t, 0), "of no key we ever had")); rej == nil || rej.Reason != token.UnknownKey {
				t.Errorf("Open of a stranger's token: %v, want unknown_key: without a key nobody can tell", rej)
			}
			null, err := ParseKey(strings.Repeat("A", 43) + "=")
			if err != nil {
				t.Fatal(err)
			}
			zero, err := NewRing(NumberedKey{0, null})
			if err != nil {
				t.Fatal(err)
			}
			opens(t, r, seal(t, zero, "sealed with the key of zeros"), false)

			// Setup makes keys where there are none, and writes over nothing.
			if err := p.Setup(); err != nil && !errors.Is(err, ErrNoKeys) {
				t.Fatal(err)
			} else if err != nil {
				put(t, p, "2", NewKey().reveal())
			}
			if err := w.Reload(); err != nil || w.Ring().Empty() {
				t.Errorf("with keys again: %v", err)
			}
			if last := told[len(told)-1]; last.Err != nil || last.Revision != w.Revision() {
				t.Errorf("told last: %+v, want that all is well", last)
			}
		})
	}
}

// Trouble that says nothing about the keys keeps the last ring.
func TestUnreadableDirectory(t *testing.T) {
	p := newRepository(t)
	var told []Change
	w := watch(t, p, func(c Change) { told = append(told, c) })
	text := seal(t, w.Ring(), "x")
	rev := w.Revision()
	trouble := errors.New("too many open files")
	p.fault = func(op, _ string) error {
		if op == "read" {
			return trouble
		}
		return nil
	}
	for range 3 {
		if err := w.Reload(); !errors.Is(err, trouble) {
			t.Errorf("Reload = %v", err)
		}
	}
	if len(told) != 2 || !errors.Is(told[1].Err, trouble) || w.Revision() != rev {
		t.Errorf("told %+v at revision %d, want one word of the trouble at revision %d", told, w.Revision(), rev)
	}
	opens(t, w.Ring(), text, true)
}

// A problem is told when it appears and when it goes.
func TestNotify(t *testing.T) {
	p := newRepository(t)
	var told []string
	w := watch(t, p, func(c Change) { told = append(told, c.Report.String()) })
	put(t, p, "5", "corrupt")
	_ = w.Reload()
	_ = w.Reload()
	remove(t, p, "5")
	_ = w.Reload()
	if len(told) != 3 || told[0] != "" || !strings.Contains(told[1], `"5"`) || told[2] != "" {
		t.Errorf("told %q, want nothing amiss, key 5, nothing amiss", told)
	}
}
