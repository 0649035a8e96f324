package stigmem

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"symbolon/internal/apikey"
	"symbolon/internal/canon"
	"symbolon/internal/errs"
)

// statusOf is the status of each kind of error.
var statusOf = [errs.NumKinds]int{
	errs.Internal: http.StatusInternalServerError, errs.Invalid: http.StatusBadRequest, errs.Unprocessable: http.StatusUnprocessableEntity,
	errs.Unauthenticated: http.StatusUnauthorized, errs.Forbidden: http.StatusForbidden, errs.NotFound: http.StatusNotFound,
	errs.Conflict: http.StatusConflict, errs.Gone: http.StatusGone, errs.TooLarge: http.StatusRequestEntityTooLarge,
	errs.TooMany: http.StatusTooManyRequests, errs.MethodNotAllowed: http.StatusMethodNotAllowed,
	errs.NotImplemented: http.StatusNotImplemented, errs.Unavailable: http.StatusServiceUnavailable,
}

// internalError is all that callers learn of a fault of ours.
func internalError() Reply {
	return Reply{Status: http.StatusInternalServerError, Type: "text/plain; charset=utf-8", Body: []byte("Internal Server Error")}
}

// errorReply maps an error to its answer (Stigmem wire §1.1): {"detail": X}, where
// X is the message, or the error's own object or list.
func errorReply(err error) Reply {
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind == errs.Internal || e.Kind >= errs.NumKinds {
		return internalError()
	}
	reply := Reply{Status: statusOf[e.Kind], Header: http.Header{}}
	switch d := e.Detail.(type) {
	case nil:
		reply.Body = append(canon.AppendString([]byte(`{"detail":`), strings.ToValidUTF8(e.Msg, "\uFFFD"), canon.UTF8), '}')
	case problems:
		reply.Body = append(d.append([]byte(`{"detail":`)), '}')
	default:
		b, merr := marshal(d)
		if merr != nil {
			return internalError()
		}
		reply.Body = append(append([]byte(`{"detail":`), b...), '}')
	}
	switch e.Kind {
	case errs.Unauthenticated:
		if !errors.Is(err, apikey.ErrLegacy) {
			reply.Header["Www-Authenticate"] = []string{"Bearer"}
		}
	case errs.MethodNotAllowed:
		var methods allow
		if errors.As(e.Err, &methods) {
			reply.Header["Allow"] = []string{methods.Error()}
		}
	}
	if e.RetryAfter > 0 {
		reply.Header["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))}
	}
	return reply
}

// marshal encodes v as the wire writes JSON: without escaping what HTML would, and
// without a newline at the end.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// JSON is the reply with status and the JSON of v.
func JSON(status int, v any) (Reply, error) {
	b, err := marshal(v)
	return Reply{Status: status, Body: b}, err
}
