package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"symbolon/fernet"
	"symbolon/internal/config"
	"symbolon/internal/errs"
	"symbolon/internal/federation"
	"symbolon/internal/id"
	"symbolon/internal/server"
	"symbolon/internal/sign"
	"symbolon/internal/store"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func settings(dir string) *config.Config {
	c := config.Default()
	c.Data, c.Listen = dir, "127.0.0.1:5000"
	return &c
}

// newNode makes the data directory of a node that was started once, at start.
func newNode(t *testing.T) (dir string, key sign.PrivateKey) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	c := settings(dir)
	c.Auth.BcryptRounds = 4
	n, err := server.Open(t.Context(), c, server.Options{Now: func() time.Time { return start }, FirstStart: true})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	err = filepath.WalkDir(filepath.Join(dir, "keys"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, start, start)
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "keys/node/ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	if key, err = sign.UnmarshalSeed(b); err != nil {
		t.Fatal(err)
	}
	return dir, key
}

// everything describes a directory: names, modes, times and content.
func everything(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %v %v", path, fi.Mode(), fi.ModTime())
		if fi.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", b)
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out.String()
}

func text(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s | %s | %s | %s\n", f.Severity, f.Area, f.What, f.Do)
	}
	return b.String()
}

// tamper runs SQL on a store whose triggers are taken away first.
func tamper(t *testing.T, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "symbolon.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range append([]string{"DROP TRIGGER audit_log_no_update", "DROP TRIGGER audit_log_no_delete"}, statements...) {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(q, err)
		}
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestASoundNodeHasNothingWrong(t *testing.T) {
	t.Parallel()
	dir, _ := newNode(t)
	before := everything(t, dir)
	found := Examine(t.Context(), Options{Config: settings(dir), Now: func() time.Time { return start }, Full: true})
	if Worst(found) != Fine {
		t.Errorf("of a sound node:\n%s", text(found))
	}
	areas := map[string]bool{}
	for _, f := range found {
		areas[f.Area] = true
	}
	for _, area := range []string{areaConfig, areaData, areaStore, areaKeys, areaNodeKey, areaClock, areaAudit} {
		if !areas[area] {
			t.Errorf("nothing is said of the %s", area)
		}
	}
	if after := everything(t, dir); after != before {
		t.Error("the examination changed something")
	}
}

func TestWhatIsWrongIsNamedWithWhatToDo(t *testing.T) {
	t.Parallel()
	healthy, _ := newNode(t)
	for _, tt := range []struct {
		name     string
		breaks   func(t *testing.T, dir string, c *config.Config, now *time.Time)
		severity Severity
		area     string
		what, do string
	}{
		{"no data directory", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) { remove(t, dir) },
			Problem, areaData, "there is no data directory", "symbolon serve"},
		{"a file in its place", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) { remove(t, dir); put(t, dir, "") },
			Problem, areaData, "is no directory", "--data"},
		{"a directory open to others", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) { chmod(t, dir, 0o755) },
			Warning, areaData, "(mode 0755)", "chmod 700"},
		{"no store", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			remove(t, filepath.Join(dir, "symbolon.db"))
		},
			Warning, areaStore, "there is no store", "restore a backup"},
		{"another program's database", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, "PRAGMA application_id = 7")
		}, Problem, areaStore, "belongs to another program (application id 0x7)", "another data directory"},
		{"no database", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "symbolon.db"), strings.Repeat("diary ", 1000))
		}, Problem, areaStore, "is not a SQLite database", "restore it from a backup"},
		{"a database of a newer version", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, "INSERT INTO symbolon_migrations (version_id, is_applied, tstamp) VALUES (9000, 1, '2026-01-01')")
		}, Problem, areaStore, "schema is at version 9000", "run the newer symbolon"},
		{"a database of an older version", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, "DELETE FROM symbolon_migrations WHERE version_id = (SELECT MAX(version_id) FROM symbolon_migrations)")
		}, Warning, areaStore, "schema is older", "symbolon db migrate"},
		{"a damaged page", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			path := filepath.Join(dir, "symbolon.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := len(b) - 3*4096; i < len(b); i++ {
				b[i] = 0x5a
			}
			put(t, path, string(b))
		}, Problem, areaStore, "symbolon.db cannot be read through", "backup"},
		{"a database open to others", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			chmod(t, filepath.Join(dir, "symbolon.db"), 0o644)
		}, Warning, areaStore, "(mode 0644)", "chmod 600"},

		{"a database that does not answer", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) {
			c.Database = "postgres://nobody:hunter2@127.0.0.1:1/x"
		}, Problem, areaStore, "a node would not start: the database x at 127.0.0.1:1 cannot be reached", "correct the database address"},

		{"no token keys", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			remove(t, filepath.Join(dir, "keys/fernet"))
		},
			Problem, areaKeys, "the token keys are gone", "restore it from a backup"},
		{"a named repository that is not there", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.KeyRepository = "/nowhere/keys" },
			Problem, areaKeys, "a node would not start: the token keys cannot be used", "`symbolon keys setup`"},
		{"a corrupt primary", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "keys/fernet/1"), "x")
		}, Problem, areaKeys, "keys/fernet/1 is not used", "restore it from a backup"},
		{"a hostile name", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "keys/fernet/08"), "x")
		}, Problem, areaKeys, "keys/fernet/08 is not used: not a key's name", ""},
		{"an empty repository", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			remove(t, filepath.Join(dir, "keys/fernet/0"))
			remove(t, filepath.Join(dir, "keys/fernet/1"))
		}, Problem, areaKeys, "a node would not start: the token keys cannot be used", ""},
		{"no staged key", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			remove(t, filepath.Join(dir, "keys/fernet/0"))
		}, Warning, areaKeys, "no token key is staged", "symbolon keys rotate --repository token"},
		{"a key open to others", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			chmod(t, filepath.Join(dir, "keys/fernet/1"), 0o644)
		}, Warning, areaKeys, "every user of this machine can read key 1", "chmod 600"},
		{"a broken receipt repository", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "keys/receipt/1"), "x")
		}, Warning, areaKeys, "keys/receipt/1 is not used", ""},
		{"too many keys", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			rotate(t, dir, 10, 3, start, 100*time.Hour)
		}, Warning, areaKeys, "there are 5 token keys and at most 3", "max-active-keys"},
		{"a primary of last year", func(_ *testing.T, _ string, _ *config.Config, now *time.Time) { *now = now.AddDate(1, 0, 0) },
			Warning, areaKeys, "the primary token key is 365 days old", "symbolon keys rotate"},
		{"a rotation that ends live tokens", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.Token.MaxActiveKeys = 2 },
			Warning, areaKeys, "ends every token that is alive", "3 or more"},
		{"rotations faster than tokens expire", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			rotate(t, dir, 3, 2, start, 10*time.Minute)
		}, Problem, areaKeys, "keys were rotated 10m0s apart: a token lives 1h0m0s and its key is gone after 10m0s", "set token.max-active-keys to 296"},
		{"rotations faster than the window", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			rotate(t, dir, 3, 2, start, 24*time.Hour)
		}, Warning, areaKeys, "a service that fetches expired tokens for 48h0m0s loses them after 24h0m0s", "to 5, or rotate every 49h0m0s at most"},

		{"no node key", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			remove(t, filepath.Join(dir, "keys/node/ed25519"))
		},
			Problem, areaNodeKey, "is missing, and the store belongs to the key sha256:", "restore it from a backup, since peers know this node by it, or run `symbolon keys accept-node-key`"},
		{"another node's key", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "keys/node/ed25519"), string(sign.GenerateKey().MarshalSeed()))
		}, Problem, areaNodeKey, "the store belongs to the node key sha256:", "restore the key"},
		{"a node key that is none", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			put(t, filepath.Join(dir, "keys/node/ed25519"), "x")
		}, Problem, areaNodeKey, "cannot be used", "peers know this node by it"},
		{"a node key open to others", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			chmod(t, filepath.Join(dir, "keys/node/ed25519"), 0o640)
		}, Problem, areaNodeKey, "can be read by others (mode 0640)", "chmod 600"},
		{"other methods than tokens were made with", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) {
			c.Token.Methods = []string{"password", "token"}
		}, Problem, areaKeys, "tokens made so far were written with", "accept-format"},

		{"a clock set back an hour", func(_ *testing.T, _ string, _ *config.Config, now *time.Time) { *now = now.Add(-time.Hour) },
			Problem, areaClock, "the newest entry of the audit log lies 1h0m0s ahead", "wait until 2026-11-21T12:00:00Z"},
		{"a clock set back ten seconds", func(_ *testing.T, _ string, _ *config.Config, now *time.Time) { *now = now.Add(-10 * time.Second) },
			Warning, areaClock, "lies 10s ahead of the clock", "set the clock right"},
		{"a clock value of the future in the store", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, fmt.Sprintf("UPDATE node_state SET hlc = '%d.000000'", start.Add(time.Hour).UnixMilli()))
		}, Problem, areaClock, "the newest clock value in the store lies 1h0m0s ahead", "wait until 2026-11-21T13:00:00Z"},
		{"a machine without a clock", func(_ *testing.T, _ string, _ *config.Config, now *time.Time) { *now = time.Unix(0, 0) },
			Problem, areaClock, "the clock says 1970-01-01T00:00:00Z", "set the clock"},

		{"an altered audit entry", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, "UPDATE audit_log SET actor = 'user:nobody' WHERE seq = 3")
		}, Problem, areaAudit, "entry 3 is altered", "compare with a backup"},
		{"an audit log cut at its end", func(t *testing.T, dir string, _ *config.Config, _ *time.Time) {
			tamper(t, dir, "DELETE FROM audit_log WHERE seq = (SELECT MAX(seq) FROM audit_log)")
		}, Problem, areaAudit, "is truncated", ""},

		{"federation in the clear on a network", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) {
			c.Listen, c.Federation.Enabled = "192.0.2.1:80", true
		}, Problem, areaConfig, "a node would not start: federation needs mutual TLS", "STIGMEM_FEDERATION_INSECURE"},
		{"authentication off", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.Auth.Required = false },
			Warning, areaConfig, "authentication is off", ""},
		{"passwords in the clear on a network", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.Listen = "0.0.0.0:80" },
			Warning, areaConfig, "listens on 0.0.0.0:80 without TLS", "public-url"},
		{"no leeway", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) {
			c.Federation.Enabled, c.Federation.Insecure, c.Federation.Leeway = true, true, 0
		},
			Warning, areaConfig, "no clock skew is tolerated", "30s"},
		{"keys for ever", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.Auth.APIKeyMaxAgeDays = 0 },
			Warning, areaConfig, "live for ever", ""},
		{"cheap hashes", func(_ *testing.T, _ string, c *config.Config, _ *time.Time) { c.Auth.BcryptRounds = 5 },
			Warning, areaConfig, "2^5", "12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(healthy)); err != nil {
				t.Fatal(err)
			}
			harden(t, healthy, dir)
			c, now := settings(dir), start
			tt.breaks(t, dir, c, &now)
			before := everything(t, dir)
			found := Examine(t.Context(), Options{Config: c, Now: func() time.Time { return now }})
			if after := everything(t, dir); after != before {
				t.Error("the examination changed something")
			}
			if strings.Contains(text(found), "hunter2") {
				t.Error("a password is shown")
			}
			for _, f := range found {
				if f.Severity == tt.severity && f.Area == tt.area && strings.Contains(f.What, tt.what) && strings.Contains(f.Do, tt.do) {
					return
				}
			}
			t.Errorf("no %s of the %s saying %q and to do %q in:\n%s", tt.severity, tt.area, tt.what, tt.do, text(found))
		})
	}
}

// harden gives a copy the modes and times of what it was copied from.
func harden(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Stat(path)
		if err != nil {
			return err
		}
		there := to + strings.TrimPrefix(path, from)
		if err := os.Chmod(there, fi.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(there, fi.ModTime(), fi.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rotate rotates the token keys some times, at a pace, the last time at end.
func rotate(t *testing.T, dir string, keep, times int, end time.Time, pace time.Duration) {
	t.Helper()
	dir = filepath.Join(dir, "keys/fernet")
	for range times {
		if _, err := fernet.NewRepository(dir).Rotate(keep); err != nil {
			t.Fatal(err)
		}
	}
	for n := times + 1; n >= 1; n-- {
		if err := os.Chtimes(filepath.Join(dir, fmt.Sprint(n)), end, end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		end = end.Add(-pace)
	}
}

func TestOnlyTheEndOfALongAuditLogIsReadUnlessAllIsAskedFor(t *testing.T) {
	t.Parallel()
	dir, _ := newNode(t)
	tamper(t, dir, "UPDATE audit_log SET actor = 'user:nobody' WHERE seq = 2")
	l, err := store.LookAt(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.WithoutCancel(t.Context()))
	v, whole, err := l.VerifyAuditTail(t.Context(), 3)
	if err != nil || whole || v.Broken != nil || v.Entries != 3 {
		t.Errorf("the last three: %+v, %v, %v", v, whole, err)
	}
	if v, whole, err := l.VerifyAuditTail(t.Context(), 1<<62); err != nil || !whole || v.Broken == nil || v.Broken.Seq != 2 {
		t.Errorf("all: %+v, %v, %v", v, whole, err)
	}
}

// A remote answers for another node.
type remote struct {
	federation.Remote
	reply federation.Reply
	err   error
}

func (r remote) Discover(context.Context, string) (federation.Reply, error) { return r.reply, r.err }

func TestAPeerIsSeenAsTheNodeWouldSeeIt(t *testing.T) {
	t.Parallel()
	const url = "https://peer.example.org"
	theirs, other := sign.GenerateKey(), sign.GenerateKey()
	wellKnown := func(key sign.PrivateKey, federation string) []byte {
		return fmt.Appendf(nil, `{"node_id":"stigmem:node:peer","federation":%q,"federation_pubkey":%q,"federation_version":"0.5"}`, federation, key.Public())
	}
	good := federation.Reply{Status: 200, Body: wellKnown(theirs, "enabled"), Date: start}
	with := func(change func(r *federation.Reply)) remote {
		r := good
		change(&r)
		return remote{reply: r}
	}
	// One node that knows the peer in every standing, each in a store of its own.
	known := func(t *testing.T, status federation.Status) string {
		dir, _ := newNode(t)
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Now: func() time.Time { return start }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.UpdatePeers(t.Context(), func(tx federation.Tx) error {
			return tx.PutPeer(t.Context(), federation.Peer{
				ID: id.NewUUID(), NodeID: "stigmem:node:peer", NodeURL: url, PubKey: theirs.Public().String(), Status: status,
				AllowedScopes: id.ScopesNamed([]string{"public"}), Why: "a reason", CreatedAt: start, UpdatedAt: start,
			})
		}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	active := known(t, federation.Active)
	for _, tt := range []struct {
		name     string
		dir, url string
		remote   remote
		severity Severity
		what, do string
	}{
		{"an active peer", active, url, remote{reply: good}, Fine, "it is an active peer for public", ""},
		{"its key", active, url, remote{reply: good}, Fine, "its key is the registered one", ""},
		{"no URL", active, "peer", remote{}, Problem, "is no URL of a node", "https://"},
		{"not there", active, url, remote{err: errs.With(errs.Unavailable, errors.New("peerhttp: connection refused"), "no")}, Problem, "cannot be reached: connection refused", "check the URL"},
		{"an address of this network", active, url, remote{err: errs.E(errs.Forbidden, "no")}, Problem, "not a public one", "federation.allow-private"},
		{"a redirect", active, url, with(func(r *federation.Reply) { r.Status = 301 }), Problem, "answers with a redirect (301)", "no node follows"},
		{"another server", active, url, with(func(r *federation.Reply) { r.Status = 404 }), Problem, "answers 404", "base URL"},
		{"no document", active, url, with(func(r *federation.Reply) { r.Body = []byte("<html>") }), Problem, "not readable", ""},
		{"no federation", active, url, with(func(r *federation.Reply) { r.Body = wellKnown(theirs, "disabled") }), Problem, "does not federate", "switch federation on"},
		{"a clock far ahead", active, url, with(func(r *federation.Reply) { r.Date = start.Add(time.Minute) }), Problem, "1m0s ahead of ours; tokens are refused beyond 30s", "chrony"},
		{"a clock far behind", active, url, with(func(r *federation.Reply) { r.Date = start.Add(-time.Minute) }), Problem, "59s behind ours", "chrony"},
		{"a clock a little ahead", active, url, with(func(r *federation.Reply) { r.Date = start.Add(5 * time.Second) }), Warning, "5s ahead of ours", "chrony"},
		{"no clock", active, url, with(func(r *federation.Reply) { r.Date = time.Time{} }), Warning, "does not say what time it is", ""},
		{"a new key", active, url, with(func(r *federation.Reply) { r.Body = wellKnown(other, "enabled") }), Problem,
			"it publishes the key " + other.Public().Fingerprint(), "symbolon peer rekey"},
		{"another address", active, "https://moved.example.org", remote{reply: good}, Warning, "registered under " + url, "--moved-to"},
		{"without TLS", active, "http://peer.example.org", remote{reply: good}, Warning, "without TLS", "https"},
		{"waiting for approval", known(t, federation.PendingApproval), url, remote{reply: good}, Warning, "waits for approval", "symbolon peer approve"},
		{"suspended", known(t, federation.Suspended), url, remote{reply: good}, Warning, "suspended: a reason", "symbolon peer resume"},
		{"revoked", known(t, federation.Revoked), url, remote{reply: good}, Problem, "revoked: a reason", "symbolon peer remove"},
		{"rejected", known(t, federation.Rejected), url, remote{reply: good}, Problem, "rejected: a reason", "symbolon peer add"},
		{"unknown", active, url, with(func(r *federation.Reply) {
			r.Body = fmt.Appendf(nil, `{"node_id":"stigmem:node:stranger","federation":"enabled","federation_pubkey":%q}`, other.Public())
		}), Warning, "is not registered here; its fingerprint is " + other.Public().Fingerprint(), "symbolon peer add"},
	} {
		found := Examine(t.Context(), Options{Config: settings(tt.dir), Now: func() time.Time { return start }, PeerURL: tt.url, Remote: tt.remote})
		ok := false
		for _, f := range found {
			ok = ok || f.Severity == tt.severity && f.Area == areaPeer && strings.Contains(f.What, tt.what) && strings.Contains(f.Do, tt.do)
		}
		if !ok {
			t.Errorf("%s: no %s saying %q and to do %q in:\n%s", tt.name, tt.severity, tt.what, tt.do, text(found))
		}
	}
}
