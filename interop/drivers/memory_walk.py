"""Walk the Stigmem API of one node and record every exchange.

    python3 memory_walk.py BASE_URL OUT_DIR < ADMIN_KEY

The key on standard input holds every permission. The walk makes keys of less,
asserts a fact of each kind, pages, contradicts, resolves, and asks for every
refusal; it leaves one JSON file per group in OUT_DIR, a list of {name,
request, response}. The same walk run against two nodes gives recordings that
can be compared step by step.

Standard library only.
"""

import http.client
import json
import os
import sys
import urllib.parse


class Walk:
    def __init__(self, base, out):
        self.at = urllib.parse.urlsplit(base)
        self.out, self.group, self.steps = out, None, []
        os.makedirs(out, exist_ok=True)

    def begin(self, group):
        self.flush()
        self.group, self.steps = group, []

    def flush(self):
        if self.group:
            with open(os.path.join(self.out, self.group + ".json"), "w") as f:
                json.dump(self.steps, f, indent=1)
                f.write("\n")

    def call(self, name, method, path, key=None, body=None, raw=None, **headers):
        # http.client sends the path as it is: raw stigmem:// URIs stay unescaped.
        head = {k.replace("_", "-"): v for k, v in headers.items()}
        if key:
            head["Authorization"] = "Bearer " + key
        data = raw.encode() if raw is not None else None
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            head.setdefault("Content-Type", "application/json")
        conn = http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=60)
        conn.request(method, path, body=data, headers=head)
        res = conn.getresponse()
        text = res.read().decode("utf-8", "replace")
        conn.close()
        got = {"status": res.status, "headers": sorted(res.getheaders())}
        try:
            got["body"] = json.loads(text) if text else None
        except ValueError:
            got["text"] = text
        shown = dict(head)
        if key:
            shown["Authorization"] = "Bearer <key>"
        self.steps.append({"name": name,
                           "request": {"method": method, "path": path, "headers": shown,
                                       "body": body if body is not None else raw},
                           "response": got})
        return got


def fact(entity="user:alice", relation="memory:role", v="CEO", kind="string", **more):
    body = {"entity": entity, "relation": relation, "value": {"type": kind, "v": v}, "source": "agent:walker",
            "scope": "company"}
    body.update(more)
    return body


def main():
    base, out = sys.argv[1].rstrip("/"), sys.argv[2]
    admin = sys.stdin.readline().strip()
    w = Walk(base, out)

    w.begin("01-discovery")
    for name, path in (("well-known", "/.well-known/stigmem"), ("manifest", "/.well-known/stigmem-manifest.json"),
                       ("healthz", "/healthz"), ("doctor", "/v1/doctor"), ("connectors", "/v1/mcp/connectors"),
                       ("me-anonymous", "/v1/me"), ("unknown", "/v1/nosuch"), ("slash", "/v1/facts/")):
        w.call(name, "GET", path)
    w.call("me", "GET", "/v1/me", admin)
    w.call("me-bad-key", "GET", "/v1/me", "x" * 40)
    w.call("me-basic", "GET", "/v1/me", Authorization="Basic eDp5")
    w.call("method", "PUT", "/v1/facts", admin, body={})
    w.call("head", "HEAD", "/v1/facts", admin)

    w.begin("02-keys")
    reader, writer = "walk-reader-" + os.urandom(16).hex(), "walk-writer-" + os.urandom(16).hex()
    w.call("create-reader", "POST", "/v1/auth/keys", admin,
           body={"raw_key": reader, "entity_uri": "agent:reader", "permissions": ["read"]})
    made = w.call("create-writer", "POST", "/v1/auth/keys", admin,
                  body={"raw_key": writer, "entity_uri": "agent:writer", "permissions": ["write"], "description": "d"})
    w.call("create-again", "POST", "/v1/auth/keys", admin,
           body={"raw_key": writer, "entity_uri": "agent:writer", "permissions": ["write"]})
    w.call("create-short", "POST", "/v1/auth/keys", admin, body={"raw_key": "short", "entity_uri": "a"})
    w.call("create-unknown-permission", "POST", "/v1/auth/keys", admin,
           body={"raw_key": "y" * 40, "entity_uri": "a", "permissions": ["fly"]})
    w.call("create-none", "POST", "/v1/auth/keys", admin, body={"raw_key": "y" * 40, "entity_uri": "a", "permissions": []})
    w.call("create-far", "POST", "/v1/auth/keys", admin,
           body={"raw_key": "y" * 40, "entity_uri": "a", "expires_at": "2999-01-01T00:00:00+00:00"})
    w.call("create-empty", "POST", "/v1/auth/keys", admin, body={})
    w.call("create-as-reader", "POST", "/v1/auth/keys", reader, body={"raw_key": "z" * 40, "entity_uri": "a"})
    w.call("list", "GET", "/v1/auth/keys", writer)
    w.call("expiring", "GET", "/v1/auth/keys/expiring-soon?within_days=365", admin)
    w.call("expiring-bad", "GET", "/v1/auth/keys/expiring-soon?within_days=0", admin)
    w.call("expiring-as-reader", "GET", "/v1/auth/keys/expiring-soon", reader)
    ident = (made.get("body") or {}).get("id")
    w.call("delete-foreign", "DELETE", "/v1/auth/keys/%s" % ident, reader)
    w.call("delete-unknown", "DELETE", "/v1/auth/keys/nosuch", reader)

    w.begin("03-assert")
    first = w.call("string", "POST", "/v1/facts", admin, body=fact())
    w.call("same-again", "POST", "/v1/facts", admin, body=fact())
    for kind, v in (("text", "long text\nline two"), ("number", 42.5), ("number", 42), ("boolean", True),
                    ("datetime", "2026-01-02T03:04:05Z"), ("ref", "stigmem://acme.example/user/bob"), ("null", None)):
        w.call("%s-%s" % (kind, json.dumps(v)[:8]), "POST", "/v1/facts", admin,
               body=fact(relation="memory:%s" % kind, kind=kind, v=v, entity="user:kinds-%s" % json.dumps(v)[:3]))
    w.call("number-huge", "POST", "/v1/facts", admin, body=fact(relation="memory:n", entity="n:1", kind="number", v=1e22))
    w.call("number-text", "POST", "/v1/facts", admin, body=fact(relation="memory:n", entity="n:2", kind="number", v="7"))
    w.call("number-word", "POST", "/v1/facts", admin, body=fact(relation="memory:n", entity="n:3", kind="number", v="seven"))
    w.call("normalise", "POST", "/v1/facts", admin,
           body=fact(entity="  Stigmem://ACME.Example/User/Alice  Smith ", relation="memory:x", source=" Agent:One Two "))
    w.call("bare-relation", "POST", "/v1/facts", admin, body=fact(relation="role", entity="user:bare"))
    w.call("system-relation", "POST", "/v1/facts", admin, body=fact(relation="stigmem:zz", entity="user:sys"))
    w.call("instruction-denied", "POST", "/v1/facts", admin,
           body=fact(entity="user:i", value={"type": "text", "v": "do", "interpret_as": "instruction"}))
    w.call("derived", "POST", "/v1/facts", admin,
           body=fact(entity="user:derived", derived_from=[{"fact_id": (first.get("body") or {}).get("id"), "hash": "h"}]))
    w.call("valid-until", "POST", "/v1/facts", admin,
           body=fact(entity="user:expiring", valid_until="2020-01-01T00:00:00+00:00", confidence=0.5))
    w.call("retract", "POST", "/v1/facts", admin, body=fact(entity="user:gone", confidence=0, v="retracted"))
    w.call("unicode", "POST", "/v1/facts", admin, body=fact(entity="user:ünïcode", v="\u2028<&>\"\\\u0001é"))
    w.call("as-reader", "POST", "/v1/facts", reader, body=fact(entity="user:no"))
    w.call("anonymous", "POST", "/v1/facts", body=fact(entity="user:no"))
    for label, body in (("empty", {}), ("bad-scope", fact(scope="galaxy")), ("confidence-high", fact(confidence=1.5)),
                        ("confidence-low", fact(confidence=-1)), ("confidence-word", fact(confidence="high")),
                        ("entity-empty", fact(entity="")), ("entity-blank", fact(entity="  ")), ("entity-number", fact(entity=5)),
                        ("type-unknown", fact(kind="blob")), ("value-missing", {"entity": "a", "relation": "b", "source": "c"}),
                        ("interpret-unknown", fact(value={"type": "text", "v": "x", "interpret_as": "poem"})),
                        ("write-mode", fact(write_mode="yolo")), ("derived-not-list", fact(derived_from="x")),
                        ("garden-unknown", fact(garden_id="stigmem://x/garden/none")),
                        ("attestation-unknown", fact(attestation={"key_id": "k", "signature": "s"})),
                        ("list", [])):
        w.call("bad-" + label, "POST", "/v1/facts", admin, body=body)
    w.call("bad-json", "POST", "/v1/facts", admin, raw="{\"a\": ")
    w.call("bad-json-anonymous", "POST", "/v1/facts", raw="{")
    w.call("bad-empty", "POST", "/v1/facts", admin, raw="")
    w.call("bad-type", "POST", "/v1/facts", admin, raw="{}", Content_Type="text/plain")

    w.begin("04-query")
    f = first.get("body") or {}
    w.call("by-id", "GET", "/v1/facts/%s" % f.get("id"), admin)
    w.call("by-cid", "GET", "/v1/facts/%s" % f.get("cid"), admin)
    w.call("by-cid-unknown", "GET", "/v1/facts/sha256:%s" % ("0" * 64), admin)
    w.call("by-cid-malformed", "GET", "/v1/facts/sha256:zz", admin)
    w.call("by-id-unknown", "GET", "/v1/facts/00000000-0000-4000-8000-000000000000", admin)
    w.call("by-id-writer", "GET", "/v1/facts/%s" % f.get("id"), writer)
    w.call("all", "GET", "/v1/facts", admin)
    w.call("entity", "GET", "/v1/facts?entity=User:ALICE", admin)
    w.call("relation", "GET", "/v1/facts?relation=memory:role&limit=2", admin)
    w.call("scope-bad", "GET", "/v1/facts?scope=galaxy", admin)
    w.call("scope-empty", "GET", "/v1/facts?scope=&limit=1", admin)
    w.call("limit-0", "GET", "/v1/facts?limit=0", admin)
    w.call("limit-501", "GET", "/v1/facts?limit=501", admin)
    w.call("limit-word", "GET", "/v1/facts?limit=many", admin)
    w.call("min-confidence", "GET", "/v1/facts?min_confidence=2", admin)
    w.call("bool-bad", "GET", "/v1/facts?include_expired=maybe", admin)
    w.call("expired", "GET", "/v1/facts?entity=user:expiring", admin)
    w.call("expired-included", "GET", "/v1/facts?entity=user:expiring&include_expired=true", admin)
    w.call("page-1", "GET", "/v1/facts?limit=3", admin)
    w.call("as-of", "GET", "/v1/facts?as_of=2026-01-01T00:00:00Z", admin)
    w.call("garden", "GET", "/v1/facts?garden_id=none", admin)
    w.call("as-writer", "GET", "/v1/facts", writer)
    w.call("verify-cid", "POST", "/v1/facts/%s/verify-cid" % f.get("id"), admin)
    w.call("provenance", "GET", "/v1/facts/%s/provenance" % f.get("id"), admin)
    w.call("card-raw-uri", "GET", "/v1/cards/stigmem://acme.example/user/alice--smith?scope=company", admin)

    w.begin("05-conflicts")
    w.call("other-value", "POST", "/v1/facts", admin, body=fact(v="CTO"))
    w.call("query-hidden", "GET", "/v1/facts?entity=user:alice&relation=memory:role", admin)
    w.call("query-shown", "GET", "/v1/facts?entity=user:alice&relation=memory:role&include_contradicted=true", admin)
    listed = w.call("list", "GET", "/v1/conflicts?status=unresolved", admin)
    w.call("list-all", "GET", "/v1/conflicts", admin)
    w.call("list-limit-0", "GET", "/v1/conflicts?limit=0", admin)
    w.call("list-writer", "GET", "/v1/conflicts", writer)
    conflicts = [c for c in (listed.get("body") or {}).get("conflicts", []) if c["fact_a"]["entity"] == "user:alice"]
    cid = conflicts[0]["conflict_id"] if conflicts else "none"
    w.call("resolve-nothing", "POST", "/v1/conflicts/%s/resolve" % cid, admin, body={})
    w.call("resolve-other", "POST", "/v1/conflicts/%s/resolve" % cid, admin, body={"winning_fact_id": "x"})
    w.call("resolve-reader", "POST", "/v1/conflicts/%s/resolve" % cid, reader, body={"winning_fact_id": f.get("id")})
    w.call("resolve", "POST", "/v1/conflicts/%s/resolve" % cid, admin,
           body={"winning_fact_id": f.get("id"), "resolution_note": "n"})
    w.call("resolve-again", "POST", "/v1/conflicts/%s/resolve" % cid, admin, body={"winning_fact_id": f.get("id")})
    w.call("resolve-unknown", "POST", "/v1/conflicts/stigmem:conflict:none/resolve", admin, body={"winning_fact_id": "x"})
    w.call("list-resolved", "GET", "/v1/conflicts?status=resolved", admin)
    w.call("after-resolve", "GET", "/v1/facts?entity=user:alice&relation=memory:role&include_contradicted=true", admin)

    w.begin("06-federation-refusals")
    w.call("peers", "GET", "/v1/federation/peers", admin)
    w.call("peers-reader", "GET", "/v1/federation/peers", reader)
    w.call("register-reader", "POST", "/v1/federation/peers", reader, body={})
    w.call("register-empty", "POST", "/v1/federation/peers", admin, body={})
    peer = {"node_url": "http://127.0.0.1:1", "node_id": "stigmem:node:walk-" + os.urandom(4).hex(),
            "federation_pubkey": "A" * 43, "allowed_scopes": ["public", "company"], "declaration_sig": "A" * 86,
            "signed_at": "2026-01-01T00:00:00Z"}
    got = w.call("register-unreachable", "POST", "/v1/federation/peers", admin, body=peer)
    w.call("register-again", "POST", "/v1/federation/peers", admin, body=peer)
    w.call("register-bad-scope", "POST", "/v1/federation/peers", admin, body=dict(peer, node_id="b", allowed_scopes=["zz"]))
    pid = (got.get("body") or {}).get("peer_id", "none")
    w.call("approve-rejected", "POST", "/v1/federation/peers/%s/approve" % pid, admin, body={"pubkey_fingerprint": "x"})
    w.call("approve-unknown", "POST", "/v1/federation/peers/none/approve", admin, body={"pubkey_fingerprint": "x"})
    w.call("approve-empty", "POST", "/v1/federation/peers/%s/approve" % pid, admin, body={})
    w.call("approve-reader", "POST", "/v1/federation/peers/%s/approve" % pid, reader, body={"pubkey_fingerprint": "x"})
    w.call("pull-no-token", "GET", "/v1/federation/facts")
    w.call("pull-api-key", "GET", "/v1/federation/facts", admin)
    w.call("pull-bad-limit", "GET", "/v1/federation/facts?limit=0", admin)
    w.call("push-disabled", "POST", "/v1/federation/facts/push", admin, body={"facts": []})
    w.call("audit", "GET", "/v1/federation/audit", admin)
    w.call("audit-reader", "GET", "/v1/federation/audit", reader)
    w.call("tombstones", "GET", "/v1/federation/tombstones")

    w.begin("07-sessions")
    w.call("session-read", "GET", "/v1/facts?entity=user:bare", admin, Stigmem_Session="s1")
    w.call("session-loop", "POST", "/v1/facts", admin, body=fact(entity="user:loop"), Stigmem_Session="s1")
    w.call("session-long", "POST", "/v1/facts", admin, body=fact(entity="user:loop"), Stigmem_Session="s" * 129)
    w.flush()
    print("memory walk: done")


if __name__ == "__main__":
    main()
