// Package httpx is what both faces need of HTTP and neither owns: a router that
// never cleans a path, bounded bodies, strict JSON, request ids.
//
// It knows no protocol: it writes no error body and chooses no status. Each face
// does that in its own one adapter.
package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"

	"symbolon/internal/errs"
	"symbolon/internal/id"
)

// announced bounds the memory that a body gets for its declared length alone, in
// bytes. A longer one is given more as it arrives, so that many who declare much and
// send nothing hold little.
const announced = 16 << 10

// ReadBody reads a request's body of at most limit bytes. It returns an error of
// kind TooLarge for a longer one and Invalid when the client breaks off.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.ContentLength == 0 {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, errs.E(errs.TooLarge, "the request body is over %d bytes", limit)
	}
	var b []byte
	var err error
	if n := r.ContentLength; n > 0 && n <= announced {
		b = make([]byte, n)
		_, err = io.ReadFull(r.Body, b)
	} else {
		b, err = io.ReadAll(io.LimitReader(r.Body, limit+1))
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || int64(len(b)) > limit:
		return nil, errs.E(errs.TooLarge, "the request body is over %d bytes", limit)
	case err != nil:
		return nil, errs.With(errs.Invalid, err, "the request body could not be read")
	}
	return b, nil
}

type requestIDKey struct{}

// maxInboundID bounds a caller's own request id; what does not look like one is
// ignored rather than logged.
const maxInboundID = 64

// WithRequestID gives every request an id, which [RequestID] returns and which the
// answer carries in X-Openstack-Request-Id. An id sent by the caller in that header
// is kept as the global id.
func WithRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := requestIDs{local: "req-" + id.NewUUID().String()}
		if in := r.Header["X-Openstack-Request-Id"]; len(in) == 1 && validInbound(in[0]) {
			ids.global = in[0]
		}
		w.Header()["X-Openstack-Request-Id"] = []string{ids.local}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, &ids)))
	})
}

type requestIDs struct{ local, global string }

func validInbound(s string) bool {
	if len(s) < 5 || len(s) > maxInboundID || s[:4] != "req-" {
		return false
	}
	for _, c := range []byte(s[4:]) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if ids, ok := ctx.Value(requestIDKey{}).(*requestIDs); ok {
		return ids.local
	}
	return ""
}

// GlobalRequestID returns the id that the caller gave the request, or "".
func GlobalRequestID(ctx context.Context) string {
	if ids, ok := ctx.Value(requestIDKey{}).(*requestIDs); ok {
		return ids.global
	}
	return ""
}
