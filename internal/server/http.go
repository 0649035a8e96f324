package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"symbolon/internal/api/httpx"
)

// Bounds of a connection. A client that sends its headers or its body more slowly
// than this is not one of ours.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 60 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 64 << 10
	maxConnections = 8192
)

// Handler returns the whole node as one handler: paths of the Identity API and of the
// Stigmem API to their faces, health and metrics here.
func (n *Node) Handler() http.Handler {
	identity, memory := n.identity, n.memory
	if identity != nil {
		identity = n.metrics.Observe("identity", identity)
	}
	if memory != nil {
		memory = n.metrics.Observe("memory", memory)
	}
	own := http.NewServeMux()
	own.HandleFunc("GET /readyz", n.ready)
	own.Handle("GET /metrics", n.metrics.Handler())
	if memory == nil {
		own.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	}
	if identity == nil {
		own.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			plain(w, http.StatusOK, "Symbolon, memory only: see /.well-known/stigmem\n")
		})
	}
	route := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p := r.URL.Path; {
		case p == "/readyz" || p == "/metrics" || p == "/healthz" && memory == nil:
			own.ServeHTTP(w, r)
		case memory != nil && memoryPath(p):
			memory.ServeHTTP(w, r)
		case identity != nil:
			identity.ServeHTTP(w, r)
		case memory != nil && p != "/":
			memory.ServeHTTP(w, r)
		default:
			own.ServeHTTP(w, r)
		}
	})
	return httpx.WithRequestID(n.recovering(route))
}

// memoryPath reports whether a path belongs to the memory face.
func memoryPath(p string) bool {
	return p == "/v1" || strings.HasPrefix(p, "/v1/") || p == "/healthz" || strings.HasPrefix(p, "/.well-known/stigmem")
}

// recovering turns a panic, which is always a defect, into a logged 500.
func (n *Node) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); {
			case v == nil:
			case v == http.ErrAbortHandler: //nolint:errorlint // net/http compares it so
				panic(v)
			default:
				n.log.LogAttrs(r.Context(), slog.LevelError, "http.panic", slog.String("method", r.Method), slog.Any("panic", v), slog.String("stack", stack()))
				plain(w, http.StatusInternalServerError, "Internal Server Error")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (n *Node) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := n.Ready(ctx); err != nil {
		n.log.LogAttrs(ctx, slog.LevelWarn, "node.not_ready", slog.String("error", err.Error()))
		plain(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that is gone is no error of ours
}

// serve answers requests on ln until ctx ends, then lets those under way finish.
func (n *Node) serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler: n.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		n.log.LogAttrs(ctx, slog.LevelInfo, "node.draining", slog.Duration("at_most", n.cfg.DrainTimeout))
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.DrainTimeout)
		defer cancel()
		err := srv.Shutdown(drain)
		if errors.Is(err, context.DeadlineExceeded) {
			n.log.LogAttrs(ctx, slog.LevelWarn, "node.drain_cut_short")
			err = srv.Close()
		}
		stopped <- err
	}()
	if err := srv.Serve(netutil.LimitListener(ln, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
