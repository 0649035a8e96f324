package doctor

import (
	"net"
	"net/url"
	"os"
	"strings"

	"symbolon/internal/federation"
	"symbolon/internal/server"
)

// fewRounds is the cost of a password hash below which somebody who gets the hashes
// gets the passwords.
const fewRounds = 10

// configuration looks at settings that are valid and not wise.
func (e *exam) configuration() {
	before := len(e.found)
	c := e.Config
	if warnings, err := server.CheckExposure(c); err != nil {
		for _, line := range strings.Split(err.Error(), "; ") {
			what, do := advice(errText(line))
			e.problem(areaConfig, do, "a node would not start: %s", what)
		}
	} else {
		for _, w := range warnings {
			e.warn(areaConfig, "nothing, if it is meant so", "%s", strings.TrimPrefix(w, "SECURITY: "))
		}
	}
	e.transport()
	if c.Identity && c.Auth.BcryptRounds < fewRounds {
		e.warn(areaConfig, "set auth.bcrypt-rounds to 12, and have passwords changed", "a password hash costs 2^%d only", c.Auth.BcryptRounds)
	}
	if c.Memory && c.Auth.APIKeyMaxAgeDays == 0 {
		e.warn(areaConfig, "set auth.api-key-max-age-days", "API keys may be made to live for ever")
	}
	if c.Memory && c.Federation.Enabled && c.Federation.Leeway == 0 {
		e.warn(areaConfig, "set federation.leeway to 30s", "no clock skew is tolerated in peer tokens: a peer that is a second ahead is refused")
	}
	if e.ConfigFile != "" {
		if st, err := os.Stat(e.ConfigFile); err == nil && st.Mode().Perm()&0o077 != 0 {
			e.warn(areaConfig, "chmod 600 "+e.ConfigFile+", if it holds a password", "other users of this machine can read %s (mode %04o)", e.ConfigFile, st.Mode().Perm())
		}
	}
	for _, name := range e.Ignored {
		e.warn(areaConfig, "unset it, or set what is meant by a setting of this server", "%s is set and means nothing here", name)
	}
	if len(e.found) == before {
		e.ok(areaConfig, "the settings are valid and protect what they should")
	}
}

type errText string

func (s errText) Error() string { return string(s) }

// transport looks at whether passwords and tokens cross a network in the clear.
func (e *exam) transport() {
	c := e.Config
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || federation.LoopbackHost(host) {
		return
	}
	if u, err := url.Parse(c.URL()); err == nil && u.Scheme == "https" {
		return
	}
	e.warn(areaConfig, "put a server that ends TLS before it, listen on loopback, and set public-url to its https address",
		"the node listens on %s without TLS: passwords and tokens can be read on the way", c.Listen)
}
