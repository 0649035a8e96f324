"""What an operator of a stigmem-node does that its own command line cannot.

    VENV/bin/python stigmem_operator.py publish-manifest DB NODE_URL < ADMIN_KEY
    VENV/bin/python stigmem_operator.py peer-token DB TARGET_NODE_ID SCOPE,SCOPE
    VENV/bin/python stigmem_operator.py spoil DB FACT_ID

publish-manifest signs the node's manifest with the federation key kept in its
database and puts it on the node; from release 0.9.0a11 on, a peer binds the
node's entity_uri from it and takes no fact before. peer-token prints a peer
token of that node for TARGET_NODE_ID. spoil stores a copy of a fact with another
value under the same content id, as a corrupted or hostile node would serve it,
and prints its id.

Runs in the environment where the node is installed (cryptography).
"""

import base64
import datetime
import json
import sqlite3
import sys
import time
import urllib.request
import uuid

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def load(db):
    with sqlite3.connect(db) as conn:
        meta = dict(conn.execute("SELECT key, value FROM node_meta").fetchall())
    seed = meta["federation_privkey"]
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "=" * (-len(seed) % 4)))
    return key, meta["federation_pubkey"], meta["node_id"]


def canonical(doc):
    return json.dumps(doc, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def publish_manifest(db, node_url):
    admin = sys.stdin.readline().strip()
    key, pub, node_id = load(db)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    doc = {
        "entities": [node_url, node_id],
        "entity_uri": node_url,
        "expires_at": (now + datetime.timedelta(days=90)).isoformat(),
        "issued_at": now.isoformat(),
        "key_id": "key-1",
        "public_key": pub,
        "rotation_events": [],
    }
    doc["signature"] = b64(key.sign(canonical(doc)))
    req = urllib.request.Request(
        node_url + "/v1/federation/manifest", data=json.dumps(doc).encode(), method="PUT",
        headers={"Content-Type": "application/json", "Authorization": "Bearer " + admin})
    with urllib.request.urlopen(req, timeout=20) as res:
        print(res.read().decode())


def peer_token(db, target, scopes):
    key, _, node_id = load(db)
    now = int(time.time() * 1000)
    head = b64(canonical({"alg": "EdDSA", "typ": "JWT"}))
    body = b64(canonical({"iss": node_id, "sub": target, "iat": now, "exp": now + 3600000,
                          "nonce": str(uuid.uuid4()), "scopes": scopes.split(",")}))
    text = head + "." + body
    print(text + "." + b64(key.sign(text.encode())))


def spoil(db, fact_id):
    with sqlite3.connect(db, timeout=20) as conn:
        conn.row_factory = sqlite3.Row
        row = dict(conn.execute("SELECT * FROM facts WHERE id = ?", (fact_id,)).fetchone())
        row["id"], row["value_v"] = str(uuid.uuid4()), "spoiled"
        wall, counter = row["hlc"].split(".")
        row["hlc"] = "%s.%d" % (wall, int(counter) + 1)
        names = ",".join(row)
        conn.execute("INSERT INTO facts (%s) VALUES (%s)" % (names, ",".join("?" * len(row))), tuple(row.values()))
    print(row["id"])


if __name__ == "__main__":
    {"publish-manifest": publish_manifest, "peer-token": peer_token, "spoil": spoil}[sys.argv[1]](*sys.argv[2:])
