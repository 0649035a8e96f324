package authn

import "context"

// Hold takes every slot of the pool, so that comparisons wait until free is called,
// and returns how many do.
func (h *Hasher) Hold(ctx context.Context) (free func(), waiting func() int64) {
	n := 0
	for range cap(h.slots) {
		if h.acquire(ctx) == nil {
			n++
		}
	}
	return func() {
		for range n {
			h.release()
		}
	}, h.waiting.Load
}
