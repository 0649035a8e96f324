package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// releases are the releases of the Stigmem node and client that the suite runs with:
// the last of the plain federation wire, and the newest, whose pages are signed.
var releases = []string{"0.9.0a10", "0.9.0a12"}

// A stigmem is a real stigmem-node.
type stigmem struct {
	release, dir, url string
	key               string // with every permission
	proc              *process
	owner             *testing.T // whose end is the node's end
	settings          []string   // more variables
}

func (s *stigmem) bin(name string) string {
	return env("stigmem-"+s.release, filepath.Join("bin", name))
}

func (s *stigmem) db() string { return filepath.Join(s.dir, "stigmem.db") }

func (s *stigmem) environ() []string {
	return cleanEnv(s.dir, append([]string{"STIGMEM_DB_PATH=" + s.db(), "STIGMEM_HOST=127.0.0.1", "STIGMEM_PORT=" + s.url[strings.LastIndex(s.url, ":")+1:],
		"STIGMEM_NODE_URL=" + s.url, "STIGMEM_FEDERATION_ENABLED=true", "STIGMEM_FEDERATION_INSECURE=true", "STIGMEM_FEDERATION_PULL_INTERVAL_S=1",
		"STIGMEM_PLUGIN_AUTO_DISCOVERY_ENABLED=false", "STIGMEM_TL_LOCAL_PATH=" + filepath.Join(s.dir, "tl.jsonl")}, s.settings...)...)
}

// startStigmem serves a node with an empty store, and gives it a first key.
func startStigmem(t *testing.T, release string, settings ...string) *stigmem {
	t.Helper()
	s := &stigmem{release: release, dir: workDir(t), url: fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), key: "interop-bootstrap-key-0123456789abcdef", owner: t, settings: settings}
	needs(t, s.bin("stigmem-node"))
	s.serve(t)
	mustRun(t, append(s.environ(), "STIGMEM_BOOTSTRAP_KEY="+s.key), "", s.bin("stigmem"), "auth", "bootstrap-key",
		"--entity-uri", "agent:admin", "--permissions", "admin,write,read,federate,admin:federation,audit.read")
	return s
}

func (s *stigmem) serve(t *testing.T) {
	t.Helper()
	s.proc = start(s.owner, "stigmem-node "+s.release, s.dir, s.environ(), s.bin("stigmem-node"))
	s.proc.ready(t, s.url+"/healthz")
}

// operator runs one of the things that a node's own command line cannot do.
func (s *stigmem) operator(t *testing.T, input string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(mustRun(t, s.environ(), input, append([]string{s.bin("python"), driver(t, "stigmem_operator.py")}, args...)...))
}

// memory makes requests of a Stigmem node, whoever serves it.
type memory struct{ url, key string }

func (m memory) get(t *testing.T, path string) map[string]any {
	t.Helper()
	return call(t, "GET", m.url+path, nil, bearer(m.key)...).want(t, "GET "+path, 200).object(t)
}

// assert writes a fact and returns it.
func (m memory) assert(t *testing.T, entity, scope, kind string, v any) map[string]any {
	t.Helper()
	return call(t, "POST", m.url+"/v1/facts", object{"entity": entity, "relation": "memory:interop", "scope": scope, "source": "agent:interop",
		"value": object{"type": kind, "v": v}}, bearer(m.key)...).want(t, "assert", 201).object(t)
}

// facts returns what the node has about an entity.
func (m memory) facts(t *testing.T, entity string) []map[string]any {
	t.Helper()
	var out []map[string]any
	list, _ := m.get(t, "/v1/facts?limit=500&include_contradicted=true&include_expired=true&entity="+url.QueryEscape(entity))["facts"].([]any)
	for _, f := range list {
		out = append(out, f.(map[string]any))
	}
	return out
}

func (m memory) wellKnown(t *testing.T) map[string]any {
	t.Helper()
	return m.get(t, "/.well-known/stigmem")
}

// fingerprint is what an operator reads to the other of their node's key.
func (m memory) fingerprint(t *testing.T) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text(m.wellKnown(t)["federation_pubkey"])))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// The real client walks a node and parses every answer with its own models.
func TestStigmemPy(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			needs(t, env("stigmem-"+release, "bin/python"))
			var base, writer, reader string
			if *calibrate {
				s := startStigmem(t, release)
				base, writer, reader = s.url, s.key, "interop-reader-key-0123456789abcdef"
				call(t, "POST", base+"/v1/auth/keys", object{"raw_key": reader, "entity_uri": "agent:reader", "permissions": []string{"read"}},
					bearer(writer)...).want(t, "make a key", 201)
			} else {
				n := startSymbolon(t)
				base, writer, reader = n.url, n.apiKey(t, "agent:walker", "read,write"), n.apiKey(t, "agent:reader", "read")
			}
			out, err := run(t, cleanEnv(t.TempDir()), writer+"\n"+reader+"\n", env("stigmem-"+release, "bin/python"), driver(t, "stigmem_client_walk.py"), base)
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "FAIL") {
					t.Error(strings.TrimSpace(line))
				}
			}
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d checks, %s", strings.Count(out, "\n")-1, strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
		})
	}
}

// A real stigmem-node and a symbolon federate in both directions.
func TestStigmemNodeFederation(t *testing.T) {
	for _, release := range releases {
		t.Run(release, func(t *testing.T) { testFederation(t, release) })
	}
}

func testFederation(t *testing.T, release string) {
	s := startStigmem(t, release)
	n := startSymbolon(t, "--federation-enabled", "--federation-insecure", "--federation-pull-interval", "1s")
	theirs := memory{s.url, s.key}
	ours := memory{n.url, n.apiKey(t, "agent:interop", "read,write,federate,admin:federation")}
	theirID, ourID := text(theirs.wellKnown(t)["node_id"]), text(ours.wellKnown(t)["node_id"])

	t.Run("register", func(t *testing.T) {
		register := func(t *testing.T) {
			// They register on us with their own command. That it exits with 1 and says
			// that approval is pending is its good outcome.
			_, err := run(t, s.environ(), "", s.bin("stigmem"), "federation", "register-peer", "--remote-url", n.url, "--local-url", s.url,
				"--scopes", "company,public", "--api-key", ours.key)
			if err == nil || !strings.Contains(err.Error(), "status=pending_approval") {
				t.Fatalf("their register-peer on us: %v", err)
			}
		}
		if release == releases[0] {
			// Ours does both sides with one command.
			n.peer(t, s.key+"\n", "add", s.url, "--declare-key", "-")
			n.peer(t, "", "remove", theirID)
			register(t)
		} else {
			register(t)
			var declaration map[string]any
			if err := json.Unmarshal([]byte(n.peer(t, "", "declaration", "--json")), &declaration); err != nil {
				t.Fatal(err)
			}
			a := call(t, "POST", s.url+"/v1/federation/peers", declaration, bearer(s.key)...).want(t, "register us on them", 201)
			equal(t, "status there", a.object(t)["status"], "pending_approval")
		}
		if p := n.peerOf(t, theirID); text(p["fingerprint"]) != theirs.fingerprint(t) {
			t.Errorf("the fingerprint that we show is %v", p["fingerprint"])
		}
		if _, err := n.tryPeer(t, "", "approve", theirID, "--fingerprint", ours.fingerprint(t)); err == nil {
			t.Error("a wrong fingerprint is approved")
		}
		n.peer(t, "", "approve", theirID, "--fingerprint", theirs.fingerprint(t))
		equal(t, "status here", n.peerOf(t, theirID)["status"], "active")
		for _, p := range theirs.get(t, "/v1/federation/peers")["peers"].([]any) {
			if dig(p, "node_id") == ourID {
				call(t, "POST", s.url+"/v1/federation/peers/"+text(dig(p, "peer_id"))+"/approve", object{"pubkey_fingerprint": ours.fingerprint(t)},
					bearer(s.key)...).want(t, "approve us there", 200)
			}
		}
	})
	if t.Failed() {
		return
	}

	sides := []struct {
		name     string
		from, to memory
		fromID   string
	}{{"theirs to us", theirs, ours, theirID}, {"ours to them", ours, theirs, ourID}}

	for _, side := range sides {
		t.Run(side.name, func(t *testing.T) {
			base := "interop:" + strings.ReplaceAll(side.name, " ", "-")
			var all []map[string]any
			for i, v := range []struct {
				kind string
				v    any
			}{{"string", "text"}, {"text", "line one\nline two \u2028 é"}, {"number", 42.5}, {"number", 42}, {"number", 1e22}, {"boolean", true},
				{"datetime", "2026-01-02T03:04:05Z"}, {"ref", "stigmem://acme.example/user/bob"}, {"null", nil}} {
				for _, scope := range []string{"company", "public"} {
					all = append(all, side.from.assert(t, fmt.Sprintf("%s-%d-%s", base, i, scope), scope, v.kind, v.v))
				}
			}
			for _, sent := range all {
				got := arrives(t, side.to, text(sent["entity"]))
				what := text(sent["entity"]) + ": "
				for _, field := range []string{"id", "entity", "relation", "source", "scope", "confidence", "timestamp"} {
					equal(t, what+field, got[field], sent[field])
				}
				equal(t, what+"value", fmt.Sprint(dig(got, "value")), fmt.Sprint(dig(sent, "value")))
				equal(t, what+"received_from", got["received_from"], side.fromID)
			}
			// What must not leave, has not left when what was written after it is there.
			for _, scope := range []string{"local", "team"} {
				side.from.assert(t, base+"-"+scope, scope, "string", "private")
			}
			side.from.assert(t, base+"-after", "public", "string", "x")
			arrives(t, side.to, base+"-after")
			for _, scope := range []string{"local", "team"} {
				if got := side.to.facts(t, base+"-"+scope); len(got) > 0 {
					t.Errorf("a fact of scope %s crossed: %v", scope, got)
				}
			}
		})
	}

	t.Run("more than a page", func(t *testing.T) {
		for i := range 120 {
			theirs.assert(t, fmt.Sprintf("many:theirs-%d", i), "public", "number", i)
			ours.assert(t, fmt.Sprintf("many:ours-%d", i), "public", "number", i)
		}
		for i := range 120 {
			arrives(t, ours, fmt.Sprintf("many:theirs-%d", i))
			arrives(t, theirs, fmt.Sprintf("many:ours-%d", i))
		}
	})

	t.Run("a bad fact does not jam", func(t *testing.T) {
		good := theirs.assert(t, "bad:before", "public", "string", "good")
		arrives(t, ours, "bad:before")
		s.proc.stop(t)
		bad := s.operator(t, "", "spoil", s.db(), text(good["id"]))
		s.serve(t)
		theirs.assert(t, "bad:after", "public", "string", "good")
		arrives(t, ours, "bad:after")
		call(t, "GET", ours.url+"/v1/facts/"+bad, nil, bearer(ours.key)...).want(t, "the spoiled fact", 404)
		log := call(t, "GET", ours.url+"/v1/federation/audit?limit=500", nil, bearer(ours.key)...).want(t, "federation audit", 200)
		if !strings.Contains(log.Text, bad) {
			t.Error("the refusal of the spoiled fact is not in the federation audit log")
		}
	})

	t.Run("restart of either", func(t *testing.T) {
		s.proc.stop(t)
		ours.assert(t, "restart:while-theirs-was-down", "public", "string", "x")
		s.serve(t)
		arrives(t, theirs, "restart:while-theirs-was-down")
		n.proc.stop(t)
		theirs.assert(t, "restart:while-ours-was-down", "public", "string", "x")
		n.serve(t)
		arrives(t, ours, "restart:while-ours-was-down")
		ours.assert(t, "restart:after", "public", "string", "x")
		arrives(t, theirs, "restart:after")
		for _, m := range []memory{ours, theirs} {
			for _, entity := range []string{"interop:theirs-to-us-0-public", "interop:ours-to-them-0-public", "many:theirs-0", "many:ours-119"} {
				if got := m.facts(t, entity); len(got) != 1 {
					t.Errorf("%s has %d facts about %s, want 1", m.url, len(got), entity)
				}
			}
		}
	})

	t.Run("suspended and removed", func(t *testing.T) {
		n.peer(t, "", "suspend", theirID, "--why", "a test")
		theirs.assert(t, "suspended:theirs", "public", "string", "x")
		ours.assert(t, "suspended:ours", "public", "string", "x")
		time.Sleep(4 * time.Second)
		if got := append(ours.facts(t, "suspended:theirs"), theirs.facts(t, "suspended:ours")...); len(got) > 0 {
			t.Errorf("facts crossed a suspended peering: %v", got)
		}
		n.peer(t, "", "resume", theirID)
		arrives(t, ours, "suspended:theirs")
		arrives(t, theirs, "suspended:ours")
	})
}

// arrives waits until exactly one fact about an entity is at the node.
func arrives(t *testing.T, at memory, entity string) map[string]any {
	t.Helper()
	var got []map[string]any
	eventually(t, 40*time.Second, entity+" arrives at "+at.url, func() error {
		if got = at.facts(t, entity); len(got) != 1 {
			return fmt.Errorf("%d facts about it", len(got))
		}
		return nil
	})
	return got[0]
}

// tryPeer runs `symbolon peer` beside the running node.
func (n *node) tryPeer(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	argv := append(append([]string{symbolonBinary(t), "peer"}, args...), "--data", n.dir, "--listen", strings.TrimPrefix(n.url, "http://"))
	for i := 0; i < len(n.flags); i++ {
		argv = append(argv, n.flags[i])
	}
	return run(t, n.environ, input, argv...)
}

func (n *node) peer(t *testing.T, input string, args ...string) string {
	t.Helper()
	out, err := n.tryPeer(t, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// peerOf shows a peer as `symbolon peer show` does.
func (n *node) peerOf(t *testing.T, ref string) map[string]any {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(n.peer(t, "", "show", ref, "--json")), &p); err != nil {
		t.Fatal(err)
	}
	return p
}
