package obs

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"symbolon/token"
)

// Metrics are the node's metrics. Labels have few values: peers are bounded by
// maxPeerLabels, and what a caller writes is never a label.
type Metrics struct {
	reg        *prometheus.Registry
	rejections *prometheus.CounterVec
	logins     *prometheus.CounterVec
	facts      *prometheus.CounterVec
	skew       *prometheus.HistogramVec
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec

	mu    sync.Mutex // guards peers
	peers map[string]struct{}
}

// maxPeerLabels bounds how many peers have a label of their own; those after it
// share the label "other", so that claimed issuers cannot fill the memory.
const maxPeerLabels = 200

// NewMetrics returns the node's metrics with every rejection reason at zero, so
// that an alert on a rate needs no first event.
func NewMetrics(version string) *Metrics {
	m := &Metrics{reg: prometheus.NewRegistry(), peers: map[string]struct{}{}}
	m.rejections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "symbolon_token_rejections_total", Help: "Tokens refused, by kind of token and reason.",
	}, []string{"kind", "reason"})
	m.logins = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "symbolon_login_failures_total", Help: "Logins that failed, by reason.",
	}, []string{"reason"})
	m.facts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "symbolon_federation_facts_refused_total", Help: "Facts of peers that were not taken, by peer and reason.",
	}, []string{"peer", "reason"})
	m.skew = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "symbolon_peer_clock_skew_seconds", Help: "How far the clock of a peer is ahead of ours (negative: behind), seen in its tokens.",
		Buckets: []float64{-300, -60, -30, -10, -5, -1, 0, 1, 5, 10, 30, 60, 300},
	}, []string{"peer"})
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "symbolon_http_requests_total", Help: "Requests answered, by face, method and status.",
	}, []string{"face", "method", "code"})
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "symbolon_http_request_duration_seconds", Help: "Time to answer a request, by face.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"face"})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "symbolon_build_info", Help: "Always 1; the version is a label."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.reg.MustRegister(m.rejections, m.logins, m.facts, m.skew, m.requests, m.duration, info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, k := range []token.Kind{token.Identity, token.Peer, token.APIKey, token.Receipt} {
		for _, r := range token.Reasons() {
			m.rejections.WithLabelValues(string(k), string(r))
		}
	}
	return m
}

// Register adds a collector of another package.
func (m *Metrics) Register(c prometheus.Collector) error { return m.reg.Register(c) }

// Handler serves the metrics in the Prometheus text format.
func (m *Metrics) Handler() http.Handler { return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{}) }

// Rejected counts a refused token.
func (m *Metrics) Rejected(r *token.Rejection) {
	m.rejections.WithLabelValues(string(r.Kind), string(r.Reason)).Inc()
}

// LoginFailed counts a failed login. The reasons are from a closed list.
func (m *Metrics) LoginFailed(reason string) { m.logins.WithLabelValues(reason).Inc() }

// FactsRefused counts facts of a peer that were not taken. The reasons are from a
// closed list.
func (m *Metrics) FactsRefused(peer, reason string, n int) {
	m.facts.WithLabelValues(m.peerLabel(peer), reason).Add(float64(n))
}

// peerLabel returns the label of a peer.
func (m *Metrics) peerLabel(peer string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.peers[peer]; !ok {
		if len(m.peers) >= maxPeerLabels {
			return "other"
		}
		m.peers[peer] = struct{}{}
	}
	return peer
}

// PeerSkew records how far a peer's clock was seen to be ahead of ours.
func (m *Metrics) PeerSkew(peer string, ahead time.Duration) {
	m.skew.WithLabelValues(m.peerLabel(peer)).Observe(ahead.Seconds())
}

// Observe wraps a face so that its requests are counted and timed.
func (m *Metrics) Observe(face string, next http.Handler) http.Handler {
	duration := m.duration.WithLabelValues(face)
	var counters sync.Map // method and code to counter, bounded by methodLabel
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &statusRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(rec, r)
		duration.Observe(time.Since(start).Seconds())
		key := counterKey{methodLabel(r.Method), rec.code}
		c, ok := counters.Load(key)
		if !ok {
			c, _ = counters.LoadOrStore(key, m.requests.WithLabelValues(face, key.method, strconv.Itoa(key.code)))
		}
		c.(prometheus.Counter).Inc()
	})
}

type counterKey struct {
	method string
	code   int
}

func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

type statusRecorder struct {
	http.ResponseWriter
	code int
}

func (w *statusRecorder) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
