package federation_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/sign"
	"symbolon/internal/store"
	"symbolon/internal/store/storetest"
)

// wires answers pulls in place of a network, by node URL, and notes when each came
// and with which token.
type wires struct {
	mu     sync.Mutex
	at     map[string][]time.Duration
	tokens map[string]bool
	start  time.Time
	answer func(nodeURL string, n int) federation.Reply
}

func (w *wires) Discover(context.Context, string) (federation.Reply, error) {
	return federation.Reply{Status: 404}, nil
}

func (w *wires) Declare(context.Context, string, federation.APIKey, []byte) (federation.Reply, error) {
	return federation.Reply{Status: 404}, nil
}

func (w *wires) Pull(_ context.Context, nodeURL, token string, _ federation.PullQuery) (federation.Reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[nodeURL] = append(w.at[nodeURL], time.Since(w.start))
	w.tokens[token] = true
	return w.answer(nodeURL, len(w.at[nodeURL])), nil
}

// C3b: a peer that answers 429 is asked again after 2, 4 … 300 s, each time with a
// new token, and stalls nobody: another peer is polled at its interval throughout.
func TestBackOffInVirtualTime(t *testing.T) {
	t.Parallel()
	o := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		w := &wires{at: map[string][]time.Duration{}, tokens: map[string]bool{}, start: time.Now()}
		w.answer = func(nodeURL string, n int) federation.Reply {
			if nodeURL == "https://busy.example" && n < 12 {
				return federation.Reply{Status: 429}
			}
			return federation.Reply{Status: 200, Body: []byte(`{"facts":[],"cursor":null,"has_more":false}`)}
		}
		fed, err := federation.New(federation.Config{NodeID: "stigmem:node:n", NodeURL: "https://n.example", Enabled: true},
			federation.Parts{Store: s, Remote: w, Key: sign.GenerateKey(), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		err = s.UpdatePeers(t.Context(), func(tx federation.Tx) error {
			for _, name := range []string{"busy", "good"} {
				p := federation.Peer{
					ID: id.NewUUID(), NodeID: "stigmem:node:" + name, NodeURL: "https://" + name + ".example",
					PubKey: sign.GenerateKey().Public().String(), AllowedScopes: id.ScopesOf(id.Public), Status: federation.Active,
					CreatedAt: time.Now(), UpdatedAt: time.Now(),
				}
				if err := tx.PutPeer(t.Context(), p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- fed.Run(ctx) }()
		time.Sleep(25 * time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		var waits []time.Duration
		busy := w.at["https://busy.example"]
		for i := range busy[1:] {
			waits = append(waits, (busy[i+1] - busy[i]).Round(time.Second))
		}
		want := "[2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 5m0s 5m0s 5m0s"
		if got := fmt.Sprint(waits); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("waits %v, want %s and so on", waits, want)
		}
		if got := len(w.at["https://good.example"]); got != 50 && got != 51 {
			t.Errorf("the other peer was polled %d times in 25 minutes, want one every 30 s", got)
		}
		if got, all := len(w.tokens), len(busy)+len(w.at["https://good.example"]); got != all {
			t.Errorf("%d tokens for %d requests", got, all)
		}
	})
}
