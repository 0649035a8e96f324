package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"symbolon/internal/config"
	"symbolon/internal/obs"
	"symbolon/internal/server"
	"symbolon/internal/store"
)

// version is set by the release build: -ldflags "-X symbolon/internal/cli.version=1.2.3".
var version = "devel"

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.serveCommand(), a.bootstrapCommand(), a.keysCommand(), a.tokenCommand(), a.apikeyCommand(), a.peerCommand(), a.auditCommand(), a.dbCommand(),
		a.doctorCommand(), a.demoCommand(), a.versionCommand(),
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": version, "go": "", "revision": ""}
			if bi, ok := debug.ReadBuildInfo(); ok {
				v["go"] = bi.GoVersion
				for _, s := range bi.Settings {
					if s.Key == "vcs.revision" {
						v["revision"] = s.Value
					}
				}
			}
			return a.print(v, func(w io.Writer) {
				fmt.Fprintln(w, strings.Join(strings.Fields("symbolon "+v["version"]+" "+v["revision"]+" ("+v["go"]+")"), " "))
			})
		},
	}
}

// newLog returns the logger that the settings ask for, on the error stream.
func (a *app) newLog(c *config.Config) *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		level = slog.LevelInfo
	}
	return obs.NewLog(a.Err, c.LogFormat, level)
}

// openNode builds a node without listening, for commands that work beside one.
func (a *app) openNode(ctx context.Context, l *config.Loaded, log *slog.Logger) (*server.Node, error) {
	n, err := server.Open(ctx, &l.Config, server.Options{Log: log, Now: a.Now, Version: version})
	return n, nodeError(err)
}

// openExisting is openNode for commands that have nothing to do where there is no
// node yet: a mistyped directory must not become one.
func (a *app) openExisting(ctx context.Context, l *config.Loaded, log *slog.Logger) (*server.Node, error) {
	if !store.Exists(a.storeOptions(l)) {
		return nil, nodeError(server.NoStore(l.Data))
	}
	return a.openNode(ctx, l, log)
}

func nodeError(err error) error {
	var u *server.Unusable
	if errors.As(err, &u) {
		return unusable{err}
	}
	return openError(err)
}

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a node", Args: noArgs,
		Long: `Runs a node until it is interrupted: an OpenStack Identity v3 server and a Stigmem v1 node on
one address. Without flags it listens on loopback, requires a credential for everything, and
keeps all that it has in ./symbolon-data: symbolon.db, and keys/ with the token keys
(keys/fernet, laid out as Keystone does) and the node's own key (keys/node). Keep backups of
both together.

The first start makes the data directory, the keys, the store and an administrator, prints the
password once, and shows what to try next. Set OS_BOOTSTRAP_PASSWORD to choose the password.
What cannot be used, a damaged store, keys of another node, an address in use, is told in one
line before anything is made or changed; ` + "`symbolon doctor`" + ` says more.

For others to reach it, put a server that ends TLS before it and set --public-url to the
address that clients use. For several processes on one store, give each the same --database,
--key-repository and --federation-private-key-file; a password in the URL is seen by every user
of the machine, so set SYMBOLON_DATABASE instead, or keep it in ~/.pgpass. To federate, add
--federation-enabled, and ` + "`symbolon peer add`" + ` on both sides.

Logs go to the error stream, one line an event; GET /healthz, /readyz and /metrics are for
machines. SIGTERM and SIGINT let requests under way finish, for --drain-timeout at most; a second
one ends the node at once. With --json one line of JSON says when the node answers, and where.`,
		Example: `  symbolon serve
  symbolon serve --data /var/lib/symbolon --listen 127.0.0.1:5000 --public-url https://id.example.org
  symbolon serve --memory=off --key-repository /etc/keystone/fernet-keys
  OS_BOOTSTRAP_PASSWORD_FILE=/run/secrets/admin symbolon serve --database postgres://symbolon@db/symbolon`,
	}
	load := a.withSettings(cmd, "*")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		log := a.newLog(&l.Config)
		for _, name := range l.Ignored {
			log.LogAttrs(c.Context(), slog.LevelWarn, "config.ignored", slog.String("variable", name), slog.String("why", "it means nothing to this server"))
		}
		warnings, err := server.CheckExposure(&l.Config)
		if err != nil {
			return unusable{err}
		}
		for _, w := range warnings {
			log.LogAttrs(c.Context(), slog.LevelWarn, "config.security", slog.String("warning", w))
		}
		ln, err := server.Listen(c.Context(), &l.Config)
		if err != nil {
			return nodeError(err)
		}
		n, err := server.Open(c.Context(), &l.Config, server.Options{Log: log, Now: a.Now, Version: version, FirstStart: true})
		if err != nil {
			return nodeError(errors.Join(err, ln.Close()))
		}
		defer n.Close()
		return nodeError(n.Run(c.Context(), ln, func(addr net.Addr) { a.banner(l, addr, n.First) }))
	}
	return cmd
}

// banner says where the node is and, on its first start, what to try next. It goes to
// standard output; logs go to the error stream.
func (a *app) banner(l *config.Loaded, addr net.Addr, first *server.FirstStart) {
	url := l.URL()
	if l.PublicURL == "" {
		_, port, err := net.SplitHostPort(addr.String())
		if host, _, herr := net.SplitHostPort(l.Listen); err == nil && herr == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
			url = "http://127.0.0.1:" + port
		} else if err == nil {
			url = "http://" + addr.String()
		}
	}
	if a.json {
		a.readyJSON(l, url, first)
		return
	}
	fmt.Fprintf(a.Out, "Symbolon is ready at %s (data in %s)\n", url, l.Data)
	if first == nil {
		return
	}
	if first.Password != "" {
		fmt.Fprintf(a.Out, `
The administrator is %q in domain "Default". The password is shown this once:

    export OS_PASSWORD='%s'
`, l.Bootstrap.Username, first.Password)
	}
	self := "symbolon"
	if exe, err := os.Executable(); err == nil && filepath.Base(filepath.Dir(exe)) == "exe" { // built by go run
		self = "go run ./cmd/symbolon"
	}
	fmt.Fprintf(a.Out, "\nTry next:\n\n%s", tryNext(l, url, self))
}

// readyJSON is the banner for programs: one line, when the node answers.
func (a *app) readyJSON(l *config.Loaded, url string, first *server.FirstStart) {
	out := struct {
		URL      string  `json:"url"`
		Data     string  `json:"data"`
		First    bool    `json:"first_start"`
		Username string  `json:"admin_username"`
		Password *string `json:"admin_password"` // only when it was made up
	}{URL: url, Data: l.Data, First: first != nil, Username: l.Bootstrap.Username}
	if first != nil && first.Password != "" {
		out.Password = &first.Password
	}
	_ = json.NewEncoder(a.Out).Encode(out) // who does not read it does not want to know
}

// tryNext returns three commands that work in a shell, one after the other.
func tryNext(l *config.Loaded, url, self string) string {
	const asJSON = "-H 'Content-Type: application/json'"
	var b strings.Builder
	credential := `"X-Auth-Token: $OS_TOKEN"`
	if l.Identity {
		fmt.Fprintf(&b, `  # a token, as any OpenStack client gets one
  export OS_TOKEN=$(curl -si %s/v3/auth/tokens %s -d '{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"%s","domain":{"id":"%s"},"password":"'"$OS_PASSWORD"'"}}},"scope":{"project":{"name":"%s","domain":{"id":"%s"}}}}}' | tr -d '\r' | sed -n 's/^X-Subject-Token: //p')

`, url, asJSON, l.Bootstrap.Username, l.Token.DefaultDomainID, l.Bootstrap.ProjectName, l.Token.DefaultDomainID)
	} else {
		credential = `"Authorization: Bearer $(cat agent.key)"`
		fmt.Fprintf(&b, "  # an API key for an agent, kept in a file\n  %s apikey create --data %s --entity agent:first --permissions read,write >agent.key\n\n", self, l.Data)
	}
	if l.Memory {
		fmt.Fprintf(&b, `  # a fact, said under that identity
  curl -s %s/v1/facts -H %s %s -d '{"entity":"user:alice","relation":"memory:role","value":{"type":"string","v":"engineer"},"source":"agent:first","scope":"company"}'

`, url, credential, asJSON)
	} else {
		fmt.Fprintf(&b, "  # who that token is for, and what it may do\n  curl -s %s/v3/auth/tokens -H %s -H \"X-Subject-Token: $OS_TOKEN\"\n\n", url, credential)
	}
	fmt.Fprintf(&b, "  # two nodes that federate, and both attacks that this server was made against\n  %s demo\n\n", self)
	return b.String()
}

func (a *app) bootstrapCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Make or repair the administrator, its project and roles, and the catalogue's first entry", Args: noArgs,
		Long: `Makes what is missing of the default domain, the administrator with project and roles, and the
identity service with its endpoints. What exists is kept, but for the administrator, who is
enabled and given the password, and the addresses, which are updated. Running it again changes
nothing. The password comes from OS_BOOTSTRAP_PASSWORD, SYMBOLON_BOOTSTRAP_PASSWORD, one of
them with _FILE added, or --password-file.`,
	}
	var passwordFile string
	var mutable bool
	load := a.withSettings(cmd, append([]string{"bootstrap.", "key-repository", "federation.private-key-file", "token.", "public-url", "listen"}, storage...)...)
	cmd.Flags().StringVar(&passwordFile, "password-file", "", `file that holds the password, or "-" for standard input`)
	cmd.Flags().BoolVar(&mutable, "no-immutable-roles", false, "leave the roles open to update and deletion")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		l, err := load()
		if err != nil {
			return err
		}
		if passwordFile != "" {
			if l.Bootstrap.Password, err = a.readSecret(passwordFile); err != nil {
				return err
			}
		}
		if l.Bootstrap.Password == "" {
			return usagef("bootstrap needs a password: set OS_BOOTSTRAP_PASSWORD or --password-file")
		}
		n, err := a.openNode(c.Context(), l, a.newLog(quietly(l)))
		if err != nil {
			return err
		}
		defer n.Close()
		steps, err := n.Bootstrap(c.Context(), l.Bootstrap.Password, mutable)
		if err != nil {
			return err
		}
		type step struct {
			Resource string `json:"resource"`
			ID       string `json:"id"`
			Name     string `json:"name"`
			Done     string `json:"done"`
		}
		out := make([]step, len(steps))
		for i, s := range steps {
			out[i] = step{s.Resource, s.ID, s.Name, s.Done}
		}
		return a.print(map[string]any{"steps": out}, func(w io.Writer) {
			for _, s := range out {
				fmt.Fprintf(w, "%-10s %-12s %s\n", s.Done, s.Resource, s.Name)
			}
		})
	}
	return cmd
}
