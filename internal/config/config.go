// Package config is every setting of a node, where it may come from and what it may
// be.
//
// A setting is one row of a table: from the row come its flag, its SYMBOLON_*
// variable, its key in the configuration file, its place in --help and in the
// documentation. A flag wins over a variable, a variable over the file, the file
// over the default. This is the only package that reads the environment.
package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
)

// Config is a node's settings. The zero Config is not usable; see [Default].
type Config struct {
	Data          string
	Listen        string
	PublicURL     string
	Database      string
	KeyRepository string
	Identity      bool
	Memory        bool
	LogFormat     string
	LogLevel      string
	MaxBody       int64
	DrainTimeout  time.Duration

	Token      Token
	Bootstrap  Bootstrap
	Auth       Auth
	NodeID     string
	NodeURL    string
	Federation Federation
}

// Token is how identity tokens are made and checked.
type Token struct {
	Provider           string
	Expiration         time.Duration
	AllowExpiredWindow time.Duration
	AllowRescope       bool
	MaxActiveKeys      int
	Methods            []string
	DefaultDomainID    string
	JWSAlgorithm       string
	JWSPrivateKeys     string
	JWSPublicKeys      string
}

// Bootstrap is what the first start creates.
type Bootstrap struct {
	Password    string // secret
	Username    string
	ProjectName string
	RoleName    string
	ServiceName string
	RegionID    string
	PublicURL   string
	InternalURL string
	AdminURL    string
}

// Auth is how the memory face knows its callers.
type Auth struct {
	Required          bool
	APIKeyMaxAgeDays  int
	ExpiringSoonDays  int
	LegacySHA256Until time.Time // zero: accepted without end
	BcryptRounds      int
	HashWorkers       int
	AllowNonLoopback  bool
	AllowRedelegation bool
	MaxRedelegation   int
}

// Federation is how a node deals with its peers.
type Federation struct {
	Enabled        bool
	Push           bool
	Insecure       bool
	AllowTeam      bool
	AllowPrivate   bool
	PullInterval   time.Duration
	NonceWindow    time.Duration
	Leeway         time.Duration
	MaxFutureSkew  time.Duration
	MaxPastSkew    time.Duration
	PrivateKeyFile string
	PrivateKey     string // secret: base64url seed
}

// Default returns the settings of a node that was told nothing.
func Default() Config {
	return Config{
		Data: "./symbolon-data", Listen: "127.0.0.1:8765", Identity: true, Memory: true, LogFormat: "auto", LogLevel: "info",
		MaxBody: 1 << 20, DrainTimeout: 10 * time.Second,
		Token: Token{
			Provider: "fernet", Expiration: time.Hour, AllowExpiredWindow: 48 * time.Hour, AllowRescope: true, MaxActiveKeys: 3,
			Methods:         []string{"external", "password", "token", "oauth1", "mapped", "application_credential"},
			DefaultDomainID: "default", JWSAlgorithm: "ES256",
		},
		Bootstrap: Bootstrap{Username: "admin", ProjectName: "admin", RoleName: "admin", ServiceName: "keystone", RegionID: "RegionOne"},
		Auth:      Auth{Required: true, APIKeyMaxAgeDays: 90, ExpiringSoonDays: 30, BcryptRounds: 12, MaxRedelegation: 3},
		Federation: Federation{
			PullInterval: 30 * time.Second, NonceWindow: 5 * time.Minute, Leeway: 30 * time.Second,
			MaxFutureSkew: 5 * time.Minute, MaxPastSkew: 30 * 24 * time.Hour,
		},
	}
}

// A Problem is one setting that cannot be as it is.
type Problem struct {
	Key string
	Msg string
}

// Problems are all that is wrong with a configuration.
type Problems []Problem

// Error lists the problems, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Key + " " + p.Msg
	}
	return strings.Join(lines, "\n")
}

// MaxTokenExpiration bounds the life of an identity token, so that a number meant
// in another unit does not quietly make tokens that live for years.
const MaxTokenExpiration = 30 * 24 * time.Hour

// Validate reports every problem at once as Problems, or nil.
func (c *Config) Validate() error {
	var ps Problems
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			ps = append(ps, Problem{key, fmt.Sprintf(format, args...)})
		}
	}
	check(c.Data != "", "data", "must name a directory")
	_, port, err := net.SplitHostPort(c.Listen)
	check(err == nil && port != "", "listen", "is %q, want an address such as 127.0.0.1:8765", c.Listen)
	for _, u := range []struct{ key, val string }{
		{"public-url", c.PublicURL}, {"node-url", c.NodeURL}, {"bootstrap.public-url", c.Bootstrap.PublicURL},
		{"bootstrap.internal-url", c.Bootstrap.InternalURL}, {"bootstrap.admin-url", c.Bootstrap.AdminURL},
	} {
		if u.val != "" {
			p, err := url.Parse(u.val)
			check(err == nil && (p.Scheme == "http" || p.Scheme == "https") && p.Host != "", u.key, "is %q, want an http or https URL", u.val)
		}
	}
	check(c.Identity || c.Memory, "identity", "and memory are both off: a node needs at least one face")
	check(oneOf(c.LogFormat, "auto", "json", "text"), "log-format", "is %q, want auto, json or text", c.LogFormat)
	var lvl slog.Level
	check(lvl.UnmarshalText([]byte(c.LogLevel)) == nil, "log-level", "is %q, want debug, info, warn or error", c.LogLevel)
	check(c.MaxBody >= 1<<10 && c.MaxBody <= 64<<20, "max-body", "is %d bytes, want 1024 to 67108864", c.MaxBody)
	check(c.DrainTimeout > 0 && c.DrainTimeout <= 10*time.Minute, "drain-timeout", "is %v, want up to 10m", c.DrainTimeout)

	t := c.Token
	check(oneOf(t.Provider, "fernet", "jws"), "token.provider", "is %q, want fernet or jws", t.Provider)
	check(t.Expiration >= time.Minute && t.Expiration <= MaxTokenExpiration, "token.expiration",
		"is %v, want 1m to %v (is the number in another unit?)", t.Expiration, MaxTokenExpiration)
	check(t.AllowExpiredWindow >= 0 && t.AllowExpiredWindow <= MaxTokenExpiration, "token.allow-expired-window", "is %v, want 0 to %v",
		t.AllowExpiredWindow, MaxTokenExpiration)
	check(t.MaxActiveKeys >= 1 && t.MaxActiveKeys <= 1000, "token.max-active-keys", "is %d, want 1 to 1000", t.MaxActiveKeys)
	check(len(t.Methods) > 0 && len(t.Methods) <= 31, "token.methods", "has %d entries, want 1 to 31", len(t.Methods))
	check(t.DefaultDomainID != "", "token.default-domain-id", "must be set")
	check(oneOf(t.JWSAlgorithm, "ES256", "ES384", "ES512", "EdDSA"), "token.jws-algorithm", "is %q, want ES256, ES384, ES512 or EdDSA", t.JWSAlgorithm)
	check(c.Auth.BcryptRounds >= 4 && c.Auth.BcryptRounds <= 16, "auth.bcrypt-rounds", "is %d, want 4 to 16", c.Auth.BcryptRounds)
	check(c.Auth.HashWorkers >= 0 && c.Auth.HashWorkers <= 1024, "auth.hash-workers", "is %d, want 0 (one for each processor) to 1024", c.Auth.HashWorkers)
	check(c.Auth.ExpiringSoonDays >= 1 && c.Auth.ExpiringSoonDays <= 365, "auth.expiring-soon-days", "is %d, want 1 to 365", c.Auth.ExpiringSoonDays)

	f := c.Federation
	check(f.PullInterval >= 100*time.Millisecond && f.PullInterval <= 24*time.Hour, "federation.pull-interval", "is %v, want 100ms to 24h", f.PullInterval)
	check(f.Leeway >= 0 && f.Leeway <= 5*time.Minute, "federation.leeway", "is %v, want 0 to 5m", f.Leeway)
	check(f.NonceWindow >= time.Second && f.NonceWindow <= 24*time.Hour, "federation.nonce-window", "is %v, want 1s to 24h", f.NonceWindow)
	check(f.MaxFutureSkew >= 0 && f.MaxPastSkew >= 0, "federation.max-future-skew", "and max-past-skew must not be negative")
	if len(ps) == 0 {
		return nil
	}
	return ps
}

func oneOf(s string, want ...string) bool {
	for _, w := range want {
		if s == w {
			return true
		}
	}
	return false
}

// URL returns the address at which clients reach the node: the public URL, or one
// made of the listen address.
func (c *Config) URL() string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "http://" + c.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// MemoryURL returns the URL that the memory face publishes of itself.
func (c *Config) MemoryURL() string {
	if c.NodeURL != "" {
		return c.NodeURL
	}
	return c.URL()
}
