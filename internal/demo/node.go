package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/id"
	"symbolon/internal/inspect"
	"symbolon/internal/obs"
	"symbolon/internal/server"
	"symbolon/internal/sign"
	"symbolon/keytoken"
)

// pullInterval is short, so that nobody waits for a demo.
const pullInterval = 150 * time.Millisecond

// A node is one of the two, with what its operator has: its data directory, its log
// and its administrator's password.
type node struct {
	*server.Node
	name     string
	settings config.Config
	url      string
	id       string // its node id, as it says itself
	password string
	book     *logbook
	client   *http.Client
}

// start opens a node on a free port of loopback and runs it in g.
func (p *play) start(g *errgroup.Group, name, dir string) (*node, error) {
	c := config.Default()
	c.Data, c.Listen = dir, "127.0.0.1:0"
	c.Auth.BcryptRounds = 4 // hashing is not what is shown
	c.Bootstrap.Password = p.keep(id.Secret())
	c.Federation.Enabled, c.Federation.Insecure, c.Federation.PullInterval = true, true, pullInterval
	ln, err := server.Listen(p.ctx, &c)
	if err != nil {
		return nil, err
	}
	book := &logbook{}
	n := &node{name: name, settings: c, url: c.URL(), password: c.Bootstrap.Password, book: book, client: &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	n.Node, err = server.Open(p.ctx, &c, server.Options{
		Log: obs.NewLog(book, "json", slog.LevelDebug), Now: p.Now, Version: p.Version, FirstStart: true,
	})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	up := make(chan struct{})
	g.Go(func() error {
		defer n.client.CloseIdleConnections()
		return n.Run(p.ctx, ln, func(net.Addr) { close(up) })
	})
	select {
	case <-up:
		return n, nil
	case <-p.ctx.Done():
		return n, context.Cause(p.ctx)
	}
}

// key returns the node's signing key, as whoever has its data directory has it.
func (n *node) key() (sign.PrivateKey, error) {
	b, err := os.ReadFile(server.NodeKeyFile(&n.settings))
	if err != nil {
		return sign.PrivateKey{}, err
	}
	return sign.UnmarshalSeed(b)
}

// ring returns the node's token keys, likewise.
func (n *node) ring() (*fernet.Ring, error) {
	dir, err := server.KeyDir(&n.settings, "token")
	if err != nil {
		return nil, err
	}
	ring, _, err := fernet.NewRepository(dir).Load()
	return ring, err
}

// layout says which payload layout a token has.
func (n *node) layout(text string, now time.Time) (string, error) {
	ring, err := n.ring()
	if err != nil {
		return "", err
	}
	tokens, err := keytoken.NewFernet(keytoken.Fixed(ring), server.TokenFormat(&n.settings), server.TokenLimits())
	if err != nil {
		return "", err
	}
	r := inspect.Token(text, now, inspect.Keys{Tokens: tokens})
	if r.Version == nil {
		return "", errors.New("demo: the token has no layout")
	}
	return fmt.Sprintf("layout %d", *r.Version), nil
}

// A request is one to a node.
type request struct {
	method, path string
	token        string // X-Auth-Token
	subject      string // X-Subject-Token
	peer         string // Authorization: Bearer
	body         any
}

// An answer is what a node answered.
type answer struct {
	status    int
	header    http.Header
	body      []byte
	requestID string
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

func (n *node) do(ctx context.Context, r request) (answer, error) {
	var body io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, n.url+r.path, body)
	if err != nil {
		return answer{}, err
	}
	for k, v := range map[string]string{"X-Auth-Token": r.token, "X-Subject-Token": r.subject} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	if r.peer != "" {
		req.Header.Set("Authorization", "Bearer "+r.peer)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := n.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	return answer{res.StatusCode, res.Header, b, res.Header.Get("X-Openstack-Request-Id")}, err
}

// json reads the answer's body into v.
func (a answer) json(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("demo: an answer %d that cannot be read: %w", a.status, err)
	}
	return nil
}

// message returns what an error says of itself, on either face.
func (a answer) message() string {
	var e struct {
		Error  struct{ Message string }
		Detail any
	}
	if json.Unmarshal(a.body, &e) != nil {
		return ""
	}
	if s, ok := e.Detail.(string); ok {
		return s
	}
	return e.Error.Message
}

// A logbook keeps the lines that a node logs.
type logbook struct {
	mu    sync.Mutex // guards text
	lines [][]byte
}

// Write implements io.Writer; the logger writes a line at a time.
func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, bytes.Clone(b))
	return len(b), nil
}

// rejection returns the line that says why the request of that id was refused, without
// what every line has, or nil.
func (l *logbook) rejection(requestID string) map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.lines {
		var line map[string]any
		if json.Unmarshal(b, &line) != nil || line["msg"] != obs.EventRejected || line["request_id"] != requestID {
			continue
		}
		for _, k := range []string{"time", "level", "msg", "request_id", "now"} {
			delete(line, k)
		}
		return line
	}
	return nil
}
