package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// A Setting is one row of the table of settings.
type Setting struct {
	// Key is the name in the configuration file, with a dot between table and
	// name; the flag and the variable follow from it.
	Key string
	Doc string
	// Also lists variables of other systems that set the same thing: of
	// Keystone's bootstrap and of the Stigmem node. SYMBOLON_* wins over them.
	Also []string
	// Secret settings have no flag and their value is never printed. They can
	// be read from a file by the variable with _FILE added.
	Secret bool
	// Form says in a word what a value looks like.
	Form string
	set  func(c *Config, v string) error
	get  func(c *Config) string
}

// Flag returns the name of the setting's flag, without dashes.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, ".", "-") }

// Env returns the name of the setting's variable.
func (s Setting) Env() string {
	return "SYMBOLON_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

// Value returns the setting's value in c as text.
func (s Setting) Value(c *Config) string { return s.get(c) }

// IsBool reports whether the setting is a switch, so that its flag may stand alone.
func (s Setting) IsBool() bool { return s.Form == switchForm }

const switchForm = "on|off"

// Settings returns the table, in the order of the documentation.
func Settings() []Setting {
	return []Setting{
		of("DIR", text("data", "directory that holds the store and the keys", func(c *Config) *string { return &c.Data })),
		of("HOST:PORT", text("listen", "address to listen on, host:port", func(c *Config) *string { return &c.Listen })),
		of("URL", text("public-url", "URL at which clients reach the node, when it is not the listen address", func(c *Config) *string { return &c.PublicURL })),
		of("URL", text("database", "postgres:// URL of a PostgreSQL store; empty keeps an embedded store in the data directory",
			func(c *Config) *string { return &c.Database }, "STIGMEM_PG_DSN", "STIGMEM_DATABASE_URL")),
		of("DIR", text("key-repository", "directory of the Fernet token keys, laid out as Keystone does; empty is keys/fernet in the data directory",
			func(c *Config) *string { return &c.KeyRepository })),
		onOff("identity", "serve the OpenStack Identity API", func(c *Config) *bool { return &c.Identity }),
		onOff("memory", "serve the Stigmem API", func(c *Config) *bool { return &c.Memory }),
		text("log-format", "json, text, or auto: text on a terminal, json elsewhere", func(c *Config) *string { return &c.LogFormat }),
		text("log-level", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }, "STIGMEM_LOG_LEVEL"),
		number("max-body", "largest request body in bytes", func(c *Config) *int64 { return &c.MaxBody }),
		duration("drain-timeout", "how long a stop waits for requests under way", 0, func(c *Config) *time.Duration { return &c.DrainTimeout }),

		text("token.provider", "fernet or jws", func(c *Config) *string { return &c.Token.Provider }),
		duration("token.expiration", "life of an identity token", 0, func(c *Config) *time.Duration { return &c.Token.Expiration }),
		duration("token.allow-expired-window", "how long after expiry a service may still fetch a token", 0,
			func(c *Config) *time.Duration { return &c.Token.AllowExpiredWindow }),
		onOff("token.allow-rescope", "allow a scoped token to be exchanged for one of another scope", func(c *Config) *bool { return &c.Token.AllowRescope }),
		integer("token.max-active-keys", "keys that a rotation leaves in the repository", func(c *Config) *int { return &c.Token.MaxActiveKeys }),
		list("token.methods", "authentication methods in the order that gives them their bits; the same on every server that shares keys",
			func(c *Config) *[]string { return &c.Token.Methods }),
		text("token.default-domain-id", "id of the default domain; the same on every server that shares keys",
			func(c *Config) *string { return &c.Token.DefaultDomainID }),
		text("token.jws-algorithm", "ES256, ES384, ES512 or EdDSA", func(c *Config) *string { return &c.Token.JWSAlgorithm }),
		of("DIR", text("token.jws-private-keys", "directory of private.pem; empty is keys/jws/private in the data directory",
			func(c *Config) *string { return &c.Token.JWSPrivateKeys })),
		of("DIR", text("token.jws-public-keys", "directory of public keys; empty is keys/jws/public in the data directory",
			func(c *Config) *string { return &c.Token.JWSPublicKeys })),

		secret(text("bootstrap.password", "password of the first administrator; made up and printed once when empty",
			func(c *Config) *string { return &c.Bootstrap.Password }, "OS_BOOTSTRAP_PASSWORD")),
		text("bootstrap.username", "name of the first administrator", func(c *Config) *string { return &c.Bootstrap.Username }, "OS_BOOTSTRAP_USERNAME"),
		text("bootstrap.project-name", "name of the first project", func(c *Config) *string { return &c.Bootstrap.ProjectName }, "OS_BOOTSTRAP_PROJECT_NAME"),
		text("bootstrap.role-name", "name of the administrator's role", func(c *Config) *string { return &c.Bootstrap.RoleName }, "OS_BOOTSTRAP_ROLE_NAME"),
		text("bootstrap.service-name", "name of the identity service in the catalogue",
			func(c *Config) *string { return &c.Bootstrap.ServiceName }, "OS_BOOTSTRAP_SERVICE_NAME"),
		text("bootstrap.region-id", "first region", func(c *Config) *string { return &c.Bootstrap.RegionID }, "OS_BOOTSTRAP_REGION_ID"),
		of("URL", text("bootstrap.public-url", "public endpoint of the identity service; empty is the node's URL",
			func(c *Config) *string { return &c.Bootstrap.PublicURL }, "OS_BOOTSTRAP_PUBLIC_URL")),
		of("URL", text("bootstrap.internal-url", "internal endpoint of the identity service; empty is the public one",
			func(c *Config) *string { return &c.Bootstrap.InternalURL }, "OS_BOOTSTRAP_INTERNAL_URL")),
		of("URL", text("bootstrap.admin-url", "admin endpoint of the identity service; empty is the public one",
			func(c *Config) *string { return &c.Bootstrap.AdminURL }, "OS_BOOTSTRAP_ADMIN_URL")),

		onOff("auth.required", "require a credential on the memory face; off gives every caller read, write and federate",
			func(c *Config) *bool { return &c.Auth.Required }, "STIGMEM_AUTH_REQUIRED"),
		onOff("auth.allow-non-loopback", "allow auth.required=off, and plain federation, off the loopback interface: for tests only",
			func(c *Config) *bool { return &c.Auth.AllowNonLoopback }, "STIGMEM_LOCAL_DEV_ALLOW_INSECURE_NON_LOOPBACK"),
		integer("auth.api-key-max-age-days", "longest life of an API key in days; 0 sets no limit",
			func(c *Config) *int { return &c.Auth.APIKeyMaxAgeDays }, "STIGMEM_API_KEY_MAX_AGE_DAYS"),
		integer("auth.expiring-soon-days", "what the expiring-soon route takes for soon, in days",
			func(c *Config) *int { return &c.Auth.ExpiringSoonDays }, "STIGMEM_API_KEY_EXPIRING_SOON_DAYS"),
		instant("auth.legacy-sha256-until", "instant (RFC 3339) after which API keys kept as SHA-256 are refused; empty never",
			func(c *Config) *time.Time { return &c.Auth.LegacySHA256Until }, "STIGMEM_LEGACY_SHA256_ACCEPT_UNTIL"),
		integer("auth.bcrypt-rounds", "cost of a password hash, as a power of two", func(c *Config) *int { return &c.Auth.BcryptRounds }),
		integer("auth.hash-workers", "password hashes computed at a time; 0 is one for each processor", func(c *Config) *int { return &c.Auth.HashWorkers }),
		onOff("auth.allow-redelegation", "allow a trust to be made from a trust", func(c *Config) *bool { return &c.Auth.AllowRedelegation }),
		integer("auth.max-redelegation", "longest chain of trusts", func(c *Config) *int { return &c.Auth.MaxRedelegation }),

		text("node-id", "id of this node, used only while none is stored", func(c *Config) *string { return &c.NodeID }, "STIGMEM_NODE_ID"),
		of("URL", text("node-url", "URL that the memory face publishes; empty is the node's URL", func(c *Config) *string { return &c.NodeURL }, "STIGMEM_NODE_URL")),
		onOff("federation.enabled", "advertise federation and pull from peers",
			func(c *Config) *bool { return &c.Federation.Enabled }, "STIGMEM_FEDERATION_ENABLED"),
		onOff("federation.push", "accept facts that peers push", func(c *Config) *bool { return &c.Federation.Push }, "STIGMEM_FEDERATION_PUSH_ENABLED"),
		onOff("federation.insecure", "allow federation without TLS, on the loopback interface only",
			func(c *Config) *bool { return &c.Federation.Insecure }, "STIGMEM_FEDERATION_INSECURE"),
		onOff("federation.allow-team", "let facts of scope team cross between nodes",
			func(c *Config) *bool { return &c.Federation.AllowTeam }, "STIGMEM_FEDERATION_ALLOW_TEAM"),
		onOff("federation.allow-private", "allow peers at private addresses; loopback addresses are allowed to a node that listens on one",
			func(c *Config) *bool { return &c.Federation.AllowPrivate }),
		duration("federation.pull-interval", "how often a peer is asked for facts", time.Second,
			func(c *Config) *time.Duration { return &c.Federation.PullInterval }, "STIGMEM_FEDERATION_PULL_INTERVAL_S"),
		duration("federation.nonce-window", "how long the nonce of a peer token is kept at least", time.Second,
			func(c *Config) *time.Duration { return &c.Federation.NonceWindow }, "STIGMEM_FEDERATION_NONCE_WINDOW_S"),
		duration("federation.leeway", "clock skew tolerated in peer tokens", time.Second,
			func(c *Config) *time.Duration { return &c.Federation.Leeway }, "STIGMEM_PEER_TOKEN_LEEWAY_S"),
		duration("federation.max-future-skew", "how far ahead of the clock a peer's fact may be; 0 sets no bound", time.Second,
			func(c *Config) *time.Duration { return &c.Federation.MaxFutureSkew }, "STIGMEM_FEDERATION_HLC_MAX_FUTURE_SKEW_S"),
		duration("federation.max-past-skew", "how far behind the clock a peer's fact may be; 0 sets no bound", time.Second,
			func(c *Config) *time.Duration { return &c.Federation.MaxPastSkew }, "STIGMEM_FEDERATION_HLC_MAX_PAST_SKEW_S"),
		of("FILE", text("federation.private-key-file", "file of the node's Ed25519 seed, base64url; empty is keys/node in the data directory",
			func(c *Config) *string { return &c.Federation.PrivateKeyFile })),
		secret(text("federation.private-key", "the node's Ed25519 seed, base64url; used only while none is stored",
			func(c *Config) *string { return &c.Federation.PrivateKey }, "STIGMEM_FEDERATION_PRIVKEY")),
	}
}

func text(key, doc string, p func(*Config) *string, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: "text",
		set: func(c *Config, v string) error { *p(c) = v; return nil },
		get: func(c *Config) string { return *p(c) }}
}

// of says more exactly what a text is.
func of(form string, s Setting) Setting { s.Form = form; return s }

func secret(s Setting) Setting { s.Secret = true; return s }

func list(key, doc string, p func(*Config) *[]string, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: "list",
		set: func(c *Config, v string) error {
			var out []string
			for _, x := range strings.Split(v, ",") {
				if x = strings.TrimSpace(x); x != "" {
					out = append(out, x)
				}
			}
			*p(c) = out
			return nil
		},
		get: func(c *Config) string { return strings.Join(*p(c), ",") }}
}

func onOff(key, doc string, p func(*Config) *bool, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: switchForm,
		set: func(c *Config, v string) error {
			switch strings.ToLower(v) {
			case "on", "true", "1", "yes", "t", "y":
				*p(c) = true
			case "off", "false", "0", "no", "f", "n":
				*p(c) = false
			default:
				return fmt.Errorf("is %q, want on or off", v)
			}
			return nil
		},
		get: func(c *Config) string {
			if *p(c) {
				return "on"
			}
			return "off"
		}}
}

func integer(key, doc string, p func(*Config) *int, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: "number",
		set: func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return fmt.Errorf("is %q, want a whole number", v)
			}
			*p(c) = n
			return nil
		},
		get: func(c *Config) string { return strconv.Itoa(*p(c)) }}
}

func number(key, doc string, p func(*Config) *int64) Setting {
	return Setting{Key: key, Doc: doc, Form: "number",
		set: func(c *Config, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return fmt.Errorf("is %q, want a whole number", v)
			}
			*p(c) = n
			return nil
		},
		get: func(c *Config) string { return strconv.FormatInt(*p(c), 10) }}
}

// duration reads "30s"; a number without a unit is refused unless bare says what it
// counts, as it does where another system's variable sets the same thing.
func duration(key, doc string, bare time.Duration, p func(*Config) *time.Duration, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: "duration",
		set: func(c *Config, v string) error {
			if d, err := time.ParseDuration(v); err == nil {
				*p(c) = d
				return nil
			}
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil || bare == 0 {
				return fmt.Errorf("is %q, want a duration with its unit, such as 30s or 1h", v)
			}
			*p(c) = time.Duration(n) * bare
			return nil
		},
		get: func(c *Config) string { return p(c).String() }}
}

func instant(key, doc string, p func(*Config) *time.Time, also ...string) Setting {
	return Setting{Key: key, Doc: doc, Also: also, Form: "time",
		set: func(c *Config, v string) error {
			if v == "" {
				*p(c) = time.Time{}
				return nil
			}
			t, err := time.Parse(time.RFC3339, v)
			if err != nil {
				return fmt.Errorf("is %q, want an instant such as 2027-01-01T00:00:00Z", v)
			}
			*p(c) = t
			return nil
		},
		get: func(c *Config) string {
			if p(c).IsZero() {
				return ""
			}
			return p(c).Format(time.RFC3339)
		}}
}

// listenFromStigmem puts the two variables of a Stigmem node that say where to
// listen into one address.
func listenFromStigmem(host, port, listen string) string {
	h, p, err := net.SplitHostPort(listen)
	if err != nil {
		h, p = "127.0.0.1", "8765"
	}
	if host != "" {
		h = host
	}
	if port != "" {
		p = port
	}
	return net.JoinHostPort(h, p)
}
