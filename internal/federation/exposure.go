package federation

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"symbolon/internal/errs"
)

// An Exposure is what decides whether a node may start with unprotected
// transport or without authentication.
type Exposure struct {
	// NodeURL is the public base URL. Listen holds every address listened on,
	// as host:port; an empty host is every interface. A path or an address
	// beginning "unix:" is a local socket.
	NodeURL string
	Listen  []string
	// FederationEnabled and PushEnabled open the federation routes.
	FederationEnabled bool
	PushEnabled       bool
	// TLSCert and TLSKey switch mutual TLS on, which needs TLSCABundle.
	TLSCert, TLSKey, TLSCABundle string
	// Insecure allows federation without mutual TLS on loopback.
	Insecure bool
	// AuthRequired is false when anonymous callers get an identity.
	AuthRequired bool
	// AllowNonLoopback lifts the loopback restriction, for development.
	AllowNonLoopback bool
}

// CheckExposure returns an error when a node so configured must not start, and
// otherwise what its operator has to be warned of. Unlike the reference it looks
// at the addresses listened on too: a loopback name in the URL protects nobody
// when the socket is open to the network (Stigmem wire §26).
func CheckExposure(e Exposure) (warnings []string, err error) {
	var refusals []string
	refuse := func(format string, args ...any) { refusals = append(refusals, fmt.Sprintf(format, args...)) }
	warn := func(format string, args ...any) {
		warnings = append(warnings, "SECURITY: "+fmt.Sprintf(format, args...))
	}

	mutualTLS := e.TLSCert != "" && e.TLSKey != ""
	switch {
	case (e.TLSCert == "") != (e.TLSKey == ""):
		refuse("tls: STIGMEM_TLS_CERT_PATH and STIGMEM_TLS_KEY_PATH must be set together")
		mutualTLS = false
	case mutualTLS && e.TLSCABundle == "":
		refuse("tls: STIGMEM_TLS_CA_BUNDLE must be set when a certificate and a key are, or no peer could be verified")
	}

	where, exposed := e.exposedAt()
	if open := e.opened(); open != "" && !mutualTLS {
		switch {
		case !e.Insecure:
			refuse("%s needs mutual TLS, which this node does not serve itself yet (STIGMEM_TLS_CERT_PATH, STIGMEM_TLS_KEY_PATH and "+
				"STIGMEM_TLS_CA_BUNDLE are not read): set STIGMEM_FEDERATION_INSECURE=1 for a node on loopback, behind a proxy that does TLS", open)
		case exposed && !e.AllowNonLoopback:
			refuse("%s without mutual TLS is allowed on loopback only, and %s: this node does not serve TLS itself yet "+
				"(STIGMEM_TLS_CERT_PATH, STIGMEM_TLS_KEY_PATH, STIGMEM_TLS_CA_BUNDLE are not read), so put a proxy that does in front and set "+
				"STIGMEM_LOCAL_DEV_ALLOW_INSECURE_NON_LOOPBACK=1, which is also for development", open, where)
		case exposed:
			warn("%s runs without mutual TLS and %s; peer tokens and facts cross the network in the clear", open, where)
		default:
			warn("%s runs without mutual TLS, on loopback only", open)
		}
	}
	if !e.AuthRequired {
		switch {
		case exposed && !e.AllowNonLoopback:
			refuse("authentication may be off on loopback only, and %s: set STIGMEM_AUTH_REQUIRED=1, or for development "+
				"STIGMEM_LOCAL_DEV_ALLOW_INSECURE_NON_LOOPBACK=1", where)
		case exposed:
			warn("authentication is off and %s; anybody may read, write and federate", where)
		default:
			warn("authentication is off; every local process may read, write and federate")
		}
	}
	if len(refusals) > 0 {
		return nil, errs.E(errs.Invalid, "%s", strings.Join(refusals, "; "))
	}
	return warnings, nil
}

func (e Exposure) opened() string {
	switch {
	case e.FederationEnabled:
		return "federation"
	case e.PushEnabled:
		return "federation push"
	}
	return ""
}

// exposedAt reports whether the node can be reached from elsewhere, and says by
// what.
func (e Exposure) exposedAt() (string, bool) {
	u, err := url.Parse(e.NodeURL)
	if err != nil || u.Hostname() == "" {
		return fmt.Sprintf("the node URL %q names no host", e.NodeURL), true
	}
	if !LoopbackHost(u.Hostname()) {
		return fmt.Sprintf("the node URL names %s", u.Hostname()), true
	}
	for _, addr := range e.Listen {
		if strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "/") {
			continue
		}
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		if host == "" {
			return fmt.Sprintf("the node listens on %q, which is every interface", addr), true
		}
		if !LoopbackHost(host) {
			return fmt.Sprintf("the node listens on %s", addr), true
		}
	}
	return "", false
}

// LoopbackHost reports whether host is localhost or a loopback address. Other
// names are not: what they resolve to can change.
func LoopbackHost(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
