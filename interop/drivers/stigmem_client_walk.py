"""Walk a Stigmem node with the stigmem-py client.

    VENV/bin/python stigmem_client_walk.py BASE_URL < KEYS

KEYS is two lines: a key that may read and write, and one that may only read.
Every call parses the answer with the client's own strict models; what does not
parse, and what is not as it should be, ends the walk with an exit code of 1.
"""

import asyncio
import sys
import uuid

import stigmem
from stigmem import models
from stigmem.client import AsyncStigmemClient, StigmemClient
from stigmem.exceptions import StigmemAuthError, StigmemConflictError, StigmemHTTPError, StigmemNotFoundError
from stigmem.verification import verify_fact_cid

run = uuid.uuid4().hex[:8]
failures = []


def check(what, ok, got=None):
    print(("ok    " if ok else "FAIL  ") + what + ("" if ok else ": %r" % (got,)), flush=True)
    if not ok:
        failures.append(what)


def refused(what, kind, status, call):
    try:
        got = call()
    except kind as e:
        check(what, e.status_code == status, e.status_code)
    except Exception as e:
        check(what, False, e)
    else:
        check(what, False, got)


def main(base):
    writer_key, reader_key = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    writer, reader = StigmemClient(base, writer_key), StigmemClient(base, reader_key)
    nobody, wrong = StigmemClient(base), StigmemClient(base, "x" * 48)

    info = writer.node_info()
    check("node_info", info.version == "1.0" and info.auth == "required" and info.node_url == base, info)
    check("node_info names the node", info.node_id != "", info)

    values = [
        ("string", models.string_value("CEO")), ("text", models.text_value("line one\nline two\u2028é")),
        ("number", models.number_value(42.5)), ("whole number", models.number_value(42)),
        ("large number", models.number_value(1e22)), ("small number", models.number_value(1e-7)),
        ("boolean", models.boolean_value(True)), ("false", models.boolean_value(False)),
        ("datetime", models.datetime_value("2026-01-02T03:04:05Z")),
        ("ref", models.ref_value("stigmem://acme.example/user/bob")), ("null", models.null_value()),
    ]
    facts = []
    for name, value in values:
        entity = "user:%s-%s" % (run, name.replace(" ", "-"))
        f = writer.assert_fact(entity, "memory:value", value, "agent:walker", scope="company")
        facts.append(f)
        got = writer.get(f.id)
        for what, x in (("assert", f), ("get", got)):
            check("%s a %s" % (what, name),
                  (x.id, x.entity, x.relation, x.source, x.scope, x.confidence, x.contradicted, x.hlc, x.timestamp, x.cid)
                  == (f.id, entity, "memory:value", "agent:walker", "company", 1.0, False, f.hlc, f.timestamp, f.cid)
                  and x.value.model_dump() == value.model_dump(), x)
        # The client's own rule of the CID; it reads a number as a float.
        try:
            check("the client verifies the cid of a %s" % name, verify_fact_cid(f) == f.cid)
        except Exception as e:
            check("the client verifies the cid of a %s" % name, False, e)
        check("get a %s by cid" % name, writer.get(f.cid).id == f.id)
    again = writer.assert_fact("user:%s-string" % run, "memory:value", models.string_value("CEO"), "agent:walker", scope="company")
    check("the same fact again is the same fact", again.id == facts[0].id, again)
    f = writer.assert_fact("  User:%s UPPER Case " % run, "memory:value", models.string_value("x"), " Agent:Walker ", scope="local",
                           confidence=0.25, valid_until="2999-01-01T00:00:00+00:00")
    check("entity and source are normalised", f.entity == "user:%s-upper-case" % run and f.source == "agent:walker", f)
    check("confidence and valid_until", f.confidence == 0.25 and f.valid_until == "2999-01-01T00:00:00+00:00", f)
    check("hlc", f.hlc is not None, f)
    f = writer.assert_fact("stigmem://ACME.example/User/%s" % run, "memory:value", models.string_value("x"), "agent:walker", scope="public",
                           derived_from=[{"fact_id": facts[0].id, "hash": facts[0].cid}], write_mode="summarize_with_provenance")
    check("a formal uri", f.entity == "stigmem://acme.example/user/" + run, f)

    # Paging loses and repeats nothing.
    want = []
    for i in range(25):
        want.append(writer.assert_fact("page:%s-%d" % (run, i), "memory:page-%s" % run, models.number_value(i), "agent:walker", scope="team").id)
    seen, cursor, pages = [], None, 0
    while True:
        page = reader.query(relation="memory:page-%s" % run, scope="team", limit=7, cursor=cursor)
        seen += [f.id for f in page.facts]
        pages += 1
        cursor = page.cursor
        if cursor is None or pages > 20:
            break
    check("pages hold every fact once", sorted(seen) == sorted(want), (len(seen), len(set(seen)), pages))
    check("newest first", seen == list(reversed(want)), seen)
    check("query by entity", [f.id for f in reader.query(entity=" USER:%s STRING" % run).facts] == [facts[0].id])
    check("query by source", facts[0].id in [f.id for f in reader.query(source="Agent:Walker", entity="user:%s-string" % run).facts])
    check("query by confidence", reader.query(entity="user:%s-upper-case" % run, min_confidence=0.5).facts == [])
    page = reader.query(relation="memory:page-%s" % run, limit=3)
    check("total and cursor", page.cursor is not None and page.total >= 3, page)

    old = writer.assert_fact("user:%s-old" % run, "memory:value", models.string_value("x"), "agent:walker", valid_until="2020-01-01T00:00:00+00:00")
    check("an expired fact is hidden", reader.query(entity="user:%s-old" % run).facts == [])
    check("and shown on request", [f.id for f in reader.query(entity="user:%s-old" % run, include_expired=True).facts] == [old.id])

    # Contradiction and resolution.
    key = dict(entity="user:%s-boss" % run, relation="memory:role", scope="company")
    a = writer.assert_fact(value=models.string_value("CEO"), source="agent:one", **key)
    b = writer.assert_fact(value=models.string_value("CTO"), source="agent:two", **key)
    check("the second fact says that it contradicts", b.contradicted and not a.contradicted, (a, b))
    shown = reader.query(entity=key["entity"], relation="memory:role", include_contradicted=True).facts
    check("both are shown on request", sorted(f.id for f in shown) == sorted([a.id, b.id]) and all(f.contradicted for f in shown), shown)
    page = reader.list_conflicts(limit=500)
    mine = [c for c in page.conflicts if {c.fact_a.id, c.fact_b.id} == {a.id, b.id}]
    check("one conflict is listed", len(mine) == 1 and mine[0].status == "unresolved", mine)
    conflict = mine[0].conflict_id
    refused("a reader may not resolve", StigmemAuthError, 403, lambda: reader.resolve_conflict(conflict, winning_fact_id=a.id))
    refused("a stranger does not win", StigmemHTTPError, 422, lambda: writer.resolve_conflict(conflict, winning_fact_id=facts[0].id))
    refused("nothing does not win", StigmemHTTPError, 422, lambda: writer.resolve_conflict(conflict))
    done = writer.resolve_conflict(conflict, winning_fact_id=a.id, resolution_note="agreed")
    check("resolved", done.conflict_status == "resolved" and done.resolution_fact_id != "", done)
    refused("not twice", StigmemConflictError, 409, lambda: writer.resolve_conflict(conflict, winning_fact_id=a.id))
    refused("no unknown conflict", StigmemNotFoundError, 404, lambda: writer.resolve_conflict("stigmem:conflict:none", winning_fact_id=a.id))
    listed = reader.list_conflicts(status="resolved", limit=500).conflicts
    check("listed as resolved", [c.resolved_by is not None for c in listed if c.conflict_id == conflict] == [True], listed)
    c1 = writer.assert_fact("user:%s-two" % run, "memory:role", models.string_value("x"), "agent:one")
    writer.assert_fact("user:%s-two" % run, "memory:role", models.string_value("y"), "agent:one")
    other = [c for c in reader.list_conflicts(limit=500).conflicts if c1.id in (c.fact_a.id, c.fact_b.id)]
    done = writer.resolve_conflict(other[0].conflict_id, new_value=models.string_value("z"))
    check("resolved by a new value", writer.get(done.resolution_fact_id).value.v == "z", done)

    gone = writer.assert_fact("user:%s-gone" % run, "memory:role", models.string_value("x"), "agent:one", scope="company")
    r = writer.retract("user:%s-gone" % run, "memory:role", "company", "agent:one")
    check("a retraction is a fact of confidence 0", r.confidence == 0 and r.value.v == "retracted" and r.id != gone.id, r)

    # Refusals.
    bad = lambda c: c.assert_fact("user:no", "memory:x", models.string_value("x"), "agent:no")
    refused("no key", StigmemAuthError, 401, lambda: bad(nobody))
    refused("a wrong key", StigmemAuthError, 401, lambda: bad(wrong))
    refused("a reader may not write", StigmemAuthError, 403, lambda: bad(reader))
    refused("no unknown fact", StigmemNotFoundError, 404, lambda: reader.get("00000000-0000-4000-8000-000000000000"))
    refused("no unknown cid", StigmemNotFoundError, 404, lambda: reader.get("sha256:" + "0" * 64))
    refused("no malformed cid", StigmemHTTPError, 400, lambda: reader.get("sha256:zz"))
    refused("no empty entity", StigmemHTTPError, 422, lambda: writer.assert_fact("", "memory:x", models.string_value("x"), "a"))
    refused("no blank entity", StigmemHTTPError, 400, lambda: writer.assert_fact("  ", "memory:x", models.string_value("x"), "a"))
    refused("no confidence above 1", StigmemHTTPError, 422,
            lambda: writer.assert_fact("a", "memory:x", models.string_value("x"), "a", confidence=1.5))
    refused("no limit above 500", StigmemHTTPError, 422, lambda: reader.query(limit=501))

    async def walk_async():
        async with AsyncStigmemClient(base, writer_key) as c:
            info = await c.node_info()
            f = await c.assert_fact("user:%s-async" % run, "memory:x", models.string_value("x"), "agent:async")
            many = await asyncio.gather(*(c.assert_fact("user:%s-async-%d" % (run, i), "memory:x", models.number_value(i), "agent:async") for i in range(16)))
            page = await c.query(entity="user:%s-async" % run)
            return info.version == "1.0" and [x.id for x in page.facts] == [f.id] and len({x.id for x in many}) == 16
    check("the asynchronous client", asyncio.run(walk_async()))

    print("%s: %d failed" % (getattr(stigmem, "__version__", "stigmem-py"), len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/")))
