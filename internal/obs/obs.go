// Package obs is how an operator sees what a node does: logs and metrics under
// names that stay.
//
// Each log message is the name of an event and what varies stands in attributes, so
// that events can be counted and rules matched. No secret and no token text reaches
// a log line or a label. The tables of events and metrics stand in
// docs/operations.md and a test compares them.
package obs

import (
	"context"
	"io"
	"log/slog"
	"os"

	"symbolon/internal/api/httpx"
	"symbolon/token"
)

// The events that detection rules match.
const (
	EventRejected    = "auth.rejected"
	EventLoginFailed = "auth.login_failed"
)

// NewLog returns a logger that writes to w in the format "json", "text" or "auto":
// text when w is a terminal and JSON elsewhere. Every line carries the id of the
// request that it belongs to.
func NewLog(w io.Writer, format string, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String()) // a number would hide its unit
		}
		return a
	}}
	if format == "auto" {
		format = "json"
		if f, ok := w.(*os.File); ok {
			if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
				format = "text"
			}
		}
	}
	var h slog.Handler = slog.NewJSONHandler(w, o)
	if format == "text" {
		h = slog.NewTextHandler(w, o)
	}
	return slog.New(requestHandler{h})
}

type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := httpx.RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	if id := httpx.GlobalRequestID(ctx); id != "" {
		r.AddAttrs(slog.String("global_request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(as)}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}

// Rejections returns the observer that logs and counts each refused token.
func Rejections(log *slog.Logger, m *Metrics) token.Observer {
	return func(ctx context.Context, r *token.Rejection) {
		m.Rejected(r)
		level := slog.LevelWarn
		if r.Reason == token.Expired && r.Kind == token.Identity {
			level = slog.LevelInfo // every token ends so; peers never should
		}
		log.LogAttrs(ctx, level, EventRejected, r.LogValue().Group()...)
	}
}
