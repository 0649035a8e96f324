"""Walk the Identity API and record every exchange.

    python3 identity_walk.py BASE_URL ADMIN_PASSWORD OUT_DIR

BASE_URL ends in /v3 and belongs to a server that was bootstrapped with the
user, project and role "admin". The walk makes everything it needs, asks for
every kind of token, list and refusal, and leaves one JSON file per group in
OUT_DIR: a list of {name, request, response}. The same walk run against two
servers gives two recordings that can be compared step by step.

Standard library only.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request


class Walk:
    def __init__(self, base, out):
        self.base, self.out, self.group, self.steps = base.rstrip("/"), out, None, []
        os.makedirs(out, exist_ok=True)

    def begin(self, group):
        self.flush()
        self.group, self.steps = group, []

    def flush(self):
        if self.group:
            path = os.path.join(self.out, self.group + ".json")
            with open(path, "w") as f:
                json.dump(self.steps, f, indent=1)
                f.write("\n")

    def call(self, name, method, path, token=None, body=None, raw=None, **headers):
        url = path if path.startswith("http") else self.base + path
        head = {k.replace("_", "-"): v for k, v in headers.items()}
        if token is not None:
            head["X-Auth-Token"] = token
        data = raw.encode() if raw is not None else None
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            head.setdefault("Content-Type", "application/json")
        req = urllib.request.Request(url, data=data, method=method, headers=head)
        opener = urllib.request.build_opener(NoRedirect())
        try:
            res = opener.open(req, timeout=60)
        except urllib.error.HTTPError as e:
            res = e
        text = res.read().decode("utf-8", "replace")
        got = {"status": res.status, "headers": sorted(res.headers.items())}
        try:
            got["body"] = json.loads(text) if text else None
        except ValueError:
            got["text"] = text
        self.steps.append(
            {
                "name": name,
                "request": {"method": method, "path": path, "headers": head,
                            "body": body if body is not None else raw},
                "response": got,
            }
        )
        got["token"] = res.headers.get("X-Subject-Token")
        answer = dict(got)
        del got["token"]
        return answer


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None

    def http_error_300(self, req, fp, code, msg, headers):
        return None


def password(user, pw, domain="default", scope=None, methods=("password",)):
    who = {"password": pw}
    if isinstance(user, dict):
        who.update(user)
    else:
        who.update({"name": user, "domain": {"id": domain}})
    auth = {"identity": {"methods": list(methods), "password": {"user": who}}}
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


def retoken(token, scope=None):
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


def dig(answer, *path):
    node = answer.get("body")
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def main():
    base, admin_pw, out = sys.argv[1:4]
    w = Walk(base, out)
    root = w.base[: -len("/v3")]
    project_admin = {"project": {"name": "admin", "domain": {"id": "default"}}}
    domain_default = {"domain": {"id": "default"}}
    system_all = {"system": {"all": True}}
    tokens_path = "/auth/tokens"

    w.begin("01-discovery")
    w.call("root", "GET", root + "/")
    w.call("v3", "GET", "")
    w.call("v3-slash", "GET", "/")
    w.call("unknown-path", "GET", "/nosuch")
    w.call("wrong-method", "PUT", "/auth/tokens")
    w.call("no-token", "GET", "/users")
    w.call("bad-token", "GET", "/users", token="nonsense")

    w.begin("02-tokens")
    sys_t = w.call("system", "POST", tokens_path, body=password("admin", admin_pw, scope=system_all))["token"]
    proj = w.call("project", "POST", tokens_path, body=password("admin", admin_pw, scope=project_admin))
    proj_t = proj["token"]
    w.call("project-nocatalog", "POST", tokens_path + "?nocatalog",
           body=password("admin", admin_pw, scope=project_admin))
    w.call("unscoped-explicit", "POST", tokens_path, body=password("admin", admin_pw, scope="unscoped"))
    plain = w.call("no-scope", "POST", tokens_path, body=password("admin", admin_pw))
    plain_t = plain["token"]
    admin_id = dig(plain, "token", "user", "id")
    admin_project = dig(proj, "token", "project", "id")
    roles = {r["name"]: r["id"] for r in dig(w.call("role-ids", "GET", "/roles", token=sys_t), "roles") or []}
    w.call("domain-without-role", "POST", tokens_path, body=password("admin", admin_pw, scope=domain_default))
    w.call("grant-domain", "PUT", "/domains/default/users/%s/roles/%s" % (admin_id, roles.get("admin")), token=sys_t)
    dom = w.call("domain", "POST", tokens_path, body=password("admin", admin_pw, scope=domain_default))
    dom_t = dom["token"]
    w.call("domain-by-name", "POST", tokens_path,
           body=password("admin", admin_pw, scope={"domain": {"name": "Default"}}))
    w.call("user-by-id", "POST", tokens_path, body=password({"id": admin_id}, admin_pw))
    rescoped = w.call("rescope-unscoped-to-project", "POST", tokens_path, body=retoken(plain_t, project_admin))
    w.call("rescope-project-to-system", "POST", tokens_path, body=retoken(proj_t, system_all))
    w.call("rescope-project-to-unscoped", "POST", tokens_path, body=retoken(proj_t, "unscoped"))
    w.call("rescope-project-no-scope", "POST", tokens_path, body=retoken(proj_t))
    for kind, tok in (("system", sys_t), ("project", proj_t), ("domain", dom_t), ("unscoped", plain_t),
                      ("rescoped", rescoped["token"])):
        w.call("validate-" + kind, "GET", tokens_path, token=sys_t, X_Subject_Token=tok or "")
    w.call("validate-nocatalog", "GET", tokens_path + "?nocatalog", token=sys_t, X_Subject_Token=proj_t)
    w.call("validate-self", "GET", tokens_path, token=plain_t, X_Subject_Token=plain_t)
    w.call("validate-head", "HEAD", tokens_path, token=sys_t, X_Subject_Token=proj_t)
    w.call("validate-no-subject", "GET", tokens_path, token=sys_t)
    w.call("validate-garbage", "GET", tokens_path, token=sys_t, X_Subject_Token="garbage")
    w.call("validate-no-caller", "GET", tokens_path, X_Subject_Token=proj_t)
    w.call("catalog", "GET", "/auth/catalog", token=proj_t)
    w.call("catalog-unscoped", "GET", "/auth/catalog", token=plain_t)
    w.call("auth-projects", "GET", "/auth/projects", token=plain_t)
    w.call("auth-domains", "GET", "/auth/domains", token=plain_t)
    w.call("auth-system", "GET", "/auth/system", token=plain_t)
    victim = w.call("victim", "POST", tokens_path, body=password("admin", admin_pw))["token"]
    w.call("revoke", "DELETE", tokens_path, token=victim, X_Subject_Token=victim)
    w.call("revoked-validate", "GET", tokens_path, token=sys_t, X_Subject_Token=victim)
    w.call("revoked-use", "GET", "/auth/projects", token=victim)
    w.call("revoked-again", "DELETE", tokens_path, token=sys_t, X_Subject_Token=victim)
    w.call("revoke-no-subject", "DELETE", tokens_path, token=sys_t)
    w.call("revocation-events", "GET", "/OS-REVOKE/events", token=sys_t)

    w.begin("03-token-errors")
    bad = lambda name, body=None, raw=None, **h: w.call(name, "POST", tokens_path, body=body, raw=raw, **h)
    bad("wrong-password", password("admin", "nope"))
    bad("unknown-user", password("nobody", "nope"))
    bad("unknown-domain", password("admin", admin_pw, domain="nowhere"))
    bad("no-domain", {"auth": {"identity": {"methods": ["password"],
                                            "password": {"user": {"name": "admin", "password": admin_pw}}}}})
    bad("no-password", {"auth": {"identity": {"methods": ["password"],
                                              "password": {"user": {"id": admin_id}}}}})
    bad("method-without-data", {"auth": {"identity": {"methods": ["password"]}}})
    bad("methods-empty", {"auth": {"identity": {"methods": []}}})
    bad("method-unknown", {"auth": {"identity": {"methods": ["magic"], "magic": {}}}})
    bad("token-garbage", retoken("garbage"))
    bad("token-revoked", retoken(victim))
    bad("scope-unknown-project", password("admin", admin_pw, scope={"project": {"id": "0" * 32}}))
    bad("scope-unknown-domain", password("admin", admin_pw, scope={"domain": {"id": "0" * 32}}))
    bad("scope-unknown-trust", password("admin", admin_pw, scope={"OS-TRUST:trust": {"id": "0" * 32}}))
    bad("scope-two", password("admin", admin_pw, scope={"project": {"id": admin_project}, "domain": {"id": "default"}}))
    bad("scope-empty", password("admin", admin_pw, scope={}))
    bad("scope-other", password("admin", admin_pw, scope={"zone": {}}))
    bad("system-not-all", password("admin", admin_pw, scope={"system": {"all": False}}))
    bad("body-empty-object", {})
    bad("body-array", [])
    bad("body-not-json", raw="{")
    bad("body-empty", raw="")
    bad("body-form", raw="a=b", Content_Type="application/x-www-form-urlencoded")
    bad("auth-null", {"auth": None})

    def crud(group, one, many, make, change, filters=(), more_make=(), bad_make=(), before_delete=None):
        """Create, show, list, change and delete one kind of resource; keep it alive until told."""
        w.begin(group)
        made = w.call("create", "POST", "/" + many, token=sys_t, body={one: make})
        ident = dig(made, one, "id")
        w.call("create-again", "POST", "/" + many, token=sys_t, body={one: make})
        for label, body in bad_make:
            w.call("create-" + label, "POST", "/" + many, token=sys_t, body=body)
        w.call("create-unscoped", "POST", "/" + many, token=plain_t, body={one: make})
        w.call("create-anonymous", "POST", "/" + many, body={one: make})
        w.call("show", "GET", "/%s/%s" % (many, ident), token=sys_t)
        w.call("show-head", "HEAD", "/%s/%s" % (many, ident), token=sys_t)
        w.call("show-unknown", "GET", "/%s/%s" % (many, "0" * 32), token=sys_t)
        w.call("show-by-name", "GET", "/%s/%s" % (many, "no such name".replace(" ", "%20")), token=sys_t)
        w.call("show-unknown-unscoped", "GET", "/%s/%s" % (many, "0" * 32), token=plain_t)
        w.call("list", "GET", "/" + many, token=sys_t)
        w.call("list-unscoped", "GET", "/" + many, token=plain_t)
        w.call("list-limit", "GET", "/%s?limit=1" % many, token=sys_t)
        for label, query in filters:
            w.call("list-" + label, "GET", "/%s?%s" % (many, query), token=sys_t)
        w.call("update", "PATCH", "/%s/%s" % (many, ident), token=sys_t, body={one: change})
        w.call("update-empty", "PATCH", "/%s/%s" % (many, ident), token=sys_t, body={one: {}})
        w.call("update-unknown", "PATCH", "/%s/%s" % (many, "0" * 32), token=sys_t, body={one: change})
        w.call("update-id-mismatch", "PATCH", "/%s/%s" % (many, ident), token=sys_t,
               body={one: dict(change, id="f" * 32)})
        return ident

    def drop(one, many, ident, first=()):
        for label, method, path, body in first:
            w.call(label, method, path, token=sys_t, body=body)
        w.call("delete-unscoped", "DELETE", "/%s/%s" % (many, ident), token=plain_t)
        w.call("delete", "DELETE", "/%s/%s" % (many, ident), token=sys_t)
        w.call("delete-again", "DELETE", "/%s/%s" % (many, ident), token=sys_t)

    dom_id = crud("10-domains", "domain", "domains", {"name": "acme", "description": "a domain"},
                  {"description": "changed"}, filters=[("name", "name=acme"), ("enabled", "enabled=true")],
                  bad_make=[("no-name", {"domain": {}}), ("blank", {"domain": {"name": " "}}),
                            ("long", {"domain": {"name": "x" * 65}}), ("no-object", {}),
                            ("enabled-text", {"domain": {"name": "y", "enabled": "yes"}})])
    w.call("delete-enabled", "DELETE", "/domains/%s" % dom_id, token=sys_t)

    proj_id = crud("11-projects", "project", "projects",
                   {"name": "alpha", "domain_id": dom_id, "description": "a project", "tags": ["one", "two"]},
                   {"description": "changed", "colour": "blue"},
                   filters=[("name", "name=alpha&domain_id=" + dom_id), ("contains", "name__contains=lph"),
                            ("tags", "tags=one"), ("parent", "parent_id=" + dom_id)],
                   bad_make=[("no-name", {"project": {}}), ("long", {"project": {"name": "x" * 65}}),
                             ("bad-domain", {"project": {"name": "q", "domain_id": "0" * 32}}),
                             ("bad-parent", {"project": {"name": "q", "parent_id": "0" * 32}}),
                             ("minimal", {"project": {"name": "minimal"}})])
    child = w.call("create-child", "POST", "/projects", token=sys_t,
                   body={"project": {"name": "beta", "domain_id": dom_id, "parent_id": proj_id}})
    child_id = dig(child, "project", "id")
    w.call("delete-with-child", "DELETE", "/projects/%s" % proj_id, token=sys_t)
    w.call("disable-with-child", "PATCH", "/projects/%s" % proj_id, token=sys_t, body={"project": {"enabled": False}})
    w.call("show-parents", "GET", "/projects/%s?parents_as_list" % child_id, token=sys_t)
    w.call("show-subtree-ids", "GET", "/projects/%s?subtree_as_ids" % proj_id, token=sys_t)
    w.call("move", "PATCH", "/projects/%s" % child_id, token=sys_t, body={"project": {"parent_id": dom_id}})

    user_id = crud("12-users", "user", "users",
                   {"name": "alice", "domain_id": dom_id, "password": "alice-pw", "email": "alice@example.org"},
                   {"description": "changed", "email": "a@example.org"},
                   filters=[("name", "name=alice&domain_id=" + dom_id), ("enabled", "enabled=true"),
                            ("bad-expiry", "password_expires_at=xx:2020-01-01T00:00:00Z")],
                   bad_make=[("no-name", {"user": {"password": "x"}}), ("long", {"user": {"name": "x" * 256}}),
                             ("minimal", {"user": {"name": "minimal"}}),
                             ("bad-domain", {"user": {"name": "q", "domain_id": "0" * 32}}),
                             ("default-project", {"user": {"name": "dp", "domain_id": dom_id, "password": "dp-pw",
                                                           "default_project_id": proj_id}})])
    w.call("own-password", "POST", "/users/%s/password" % user_id,
           body={"user": {"original_password": "alice-pw", "password": "alice-pw2"}})
    w.call("own-password-wrong", "POST", "/users/%s/password" % user_id,
           body={"user": {"original_password": "wrong", "password": "alice-pw3"}})
    w.call("user-projects-empty", "GET", "/users/%s/projects" % user_id, token=sys_t)
    w.call("user-groups-empty", "GET", "/users/%s/groups" % user_id, token=sys_t)

    role_id = crud("13-roles", "role", "roles", {"name": "operator"}, {"description": "changed"},
                   filters=[("name", "name=operator")],
                   bad_make=[("no-name", {"role": {}}),
                             ("domain-role", {"role": {"name": "operator", "domain_id": dom_id}})])

    svc_id = crud("14-services", "service", "services", {"name": "mem", "type": "memory", "description": "d"},
                  {"description": "changed"}, filters=[("type", "type=memory"), ("name", "name=mem")],
                  bad_make=[("no-type", {"service": {"name": "x"}})])

    reg_id = crud("15-regions", "region", "regions", {"id": "north", "description": "n"}, {"description": "changed"},
                  filters=[("parent", "parent_region_id=north")],
                  bad_make=[("no-id", {"region": {"description": "generated"}}), ("empty", {"region": {}}),
                            ("bad-parent", {"region": {"parent_region_id": "nowhere"}})])

    ep_id = crud("16-endpoints", "endpoint", "endpoints",
                 {"service_id": svc_id, "interface": "public", "url": "http://127.0.0.1:8765/$(project_id)s",
                  "region_id": reg_id},
                 {"url": "http://127.0.0.1:8765"},
                 filters=[("service", "service_id=" + str(svc_id)), ("interface", "interface=public"),
                          ("region", "region_id=north")],
                 bad_make=[("no-service", {"endpoint": {"interface": "public", "url": "http://x"}}),
                           ("bad-service", {"endpoint": {"service_id": "0" * 32, "interface": "public", "url": "http://x"}}),
                           ("bad-interface", {"endpoint": {"service_id": svc_id, "interface": "secret", "url": "http://x"}}),
                           ("bad-substitution", {"endpoint": {"service_id": svc_id, "interface": "public",
                                                              "url": "http://x/$(password)s"}}),
                           ("bad-region", {"endpoint": {"service_id": svc_id, "interface": "public", "url": "http://x",
                                                        "region_id": "nowhere"}}),
                           ("legacy-region", {"endpoint": {"service_id": svc_id, "interface": "admin", "url": "http://x",
                                                           "region": "south"}})])
    w.call("region-in-use", "DELETE", "/regions/%s" % reg_id, token=sys_t)
    w.call("catalog-now", "GET", "/auth/catalog", token=proj_t)

    w.begin("20-assignments")
    alice = {"id": user_id}
    targets = {
        "project": "/projects/%s/users/%s/roles" % (proj_id, user_id),
        "domain": "/domains/%s/users/%s/roles" % (dom_id, user_id),
        "system": "/system/users/%s/roles" % user_id,
    }
    member, reader = roles.get("member"), roles.get("reader")
    for kind, path in targets.items():
        w.call(kind + "-list-empty", "GET", path, token=sys_t)
        w.call(kind + "-check-missing", "HEAD", path + "/" + member, token=sys_t)
        w.call(kind + "-get-missing", "GET", path + "/" + member, token=sys_t)
        w.call(kind + "-grant", "PUT", path + "/" + member, token=sys_t)
        w.call(kind + "-grant-again", "PUT", path + "/" + member, token=sys_t)
        w.call(kind + "-check", "HEAD", path + "/" + member, token=sys_t)
        w.call(kind + "-get", "GET", path + "/" + member, token=sys_t)
        w.call(kind + "-list", "GET", path, token=sys_t)
        w.call(kind + "-grant-unknown-role", "PUT", path + "/" + "0" * 32, token=sys_t)
        w.call(kind + "-grant-unscoped", "PUT", path + "/" + reader, token=plain_t)
    w.call("grant-unknown-user", "PUT", "/projects/%s/users/%s/roles/%s" % (proj_id, "0" * 32, member), token=sys_t)
    w.call("grant-unknown-project", "PUT", "/projects/%s/users/%s/roles/%s" % ("0" * 32, user_id, member), token=sys_t)
    for label, query in (("all", ""), ("names", "?include_names"), ("user", "?user.id=" + user_id),
                         ("role", "?role.id=" + member), ("project", "?scope.project.id=" + proj_id),
                         ("domain", "?scope.domain.id=" + dom_id), ("system", "?scope.system=all"),
                         ("effective", "?effective&user.id=" + user_id),
                         ("effective-names", "?effective=true&include_names=true&user.id=%s&scope.project.id=%s" % (user_id, proj_id)),
                         ("two-scopes", "?scope.project.id=%s&scope.domain.id=%s" % (proj_id, dom_id)),
                         ("user-and-group", "?user.id=x&group.id=y"),
                         ("effective-group", "?effective&group.id=y"),
                         ("subtree-without-project", "?include_subtree")):
        w.call("assignments-" + label, "GET", "/role_assignments" + query, token=sys_t)
    w.call("assignments-unscoped", "GET", "/role_assignments", token=plain_t)
    w.call("implied-admin", "GET", "/roles/%s/implies" % roles.get("admin"), token=sys_t)
    w.call("role-inferences", "GET", "/role_inferences", token=sys_t)
    w.call("user-projects", "GET", "/users/%s/projects" % user_id, token=sys_t)

    w.begin("21-user-tokens")
    alice_scope = {"project": {"id": proj_id}}
    alice_tok = w.call("alice-project", "POST", tokens_path, body=password(alice, "alice-pw2", scope=alice_scope))["token"]
    w.call("alice-domain", "POST", tokens_path, body=password(alice, "alice-pw2", scope={"domain": {"id": dom_id}}))
    w.call("alice-system", "POST", tokens_path, body=password(alice, "alice-pw2", scope=system_all))
    w.call("alice-foreign-project", "POST", tokens_path,
           body=password(alice, "alice-pw2", scope={"project": {"id": admin_project}}))
    w.call("alice-lists-users", "GET", "/users", token=alice_tok)
    w.call("alice-shows-self", "GET", "/users/%s" % user_id, token=alice_tok)
    w.call("alice-shows-admin", "GET", "/users/%s" % admin_id, token=alice_tok)
    w.call("alice-validates-admin", "GET", tokens_path, token=alice_tok, X_Subject_Token=sys_t)
    w.call("alice-own-projects", "GET", "/users/%s/projects" % user_id, token=alice_tok)
    w.call("alice-auth-projects", "GET", "/auth/projects", token=alice_tok)
    w.call("project-admin-lists-domains", "GET", "/domains", token=proj_t)
    w.call("project-admin-lists-users", "GET", "/users", token=proj_t)
    w.call("domain-admin-lists-users", "GET", "/users", token=dom_t)
    w.call("domain-admin-creates-domain", "POST", "/domains", token=dom_t, body={"domain": {"name": "nope"}})

    w.begin("22-trusts")
    bob = w.call("create-trustee", "POST", "/users", token=sys_t,
                 body={"user": {"name": "bob", "domain_id": dom_id, "password": "bob-pw"}})
    bob_id = dig(bob, "user", "id")
    trust = {"trustor_user_id": user_id, "trustee_user_id": bob_id, "project_id": proj_id,
             "impersonation": True, "roles": [{"id": member}]}
    made = w.call("create", "POST", "/OS-TRUST/trusts", token=alice_tok, body={"trust": trust})
    trust_id = dig(made, "trust", "id")
    w.call("create-by-role-name", "POST", "/OS-TRUST/trusts", token=alice_tok,
           body={"trust": dict(trust, roles=[{"name": "member"}], impersonation=False,
                               expires_at="2999-01-01T00:00:00.000000Z", remaining_uses=2)})
    for label, change in (("no-roles", {"roles": []}), ("foreign-role", {"roles": [{"id": roles.get("admin")}]}),
                          ("unknown-role", {"roles": [{"id": "0" * 32}]}), ("unknown-trustee", {"trustee_user_id": "0" * 32}),
                          ("unknown-project", {"project_id": "0" * 32}), ("past", {"expires_at": "2000-01-01T00:00:00.000000Z"}),
                          ("bad-date", {"expires_at": "tomorrow"}), ("negative-uses", {"remaining_uses": -1}),
                          ("uses-text", {"remaining_uses": "two"}), ("other-trustor", {"trustor_user_id": bob_id}),
                          ("no-impersonation", {"impersonation": None})):
        w.call("create-" + label, "POST", "/OS-TRUST/trusts", token=alice_tok, body={"trust": dict(trust, **change)})
    w.call("show", "GET", "/OS-TRUST/trusts/%s" % trust_id, token=alice_tok)
    w.call("show-as-outsider", "GET", "/OS-TRUST/trusts/%s" % trust_id, token=plain_t)
    w.call("show-unknown", "GET", "/OS-TRUST/trusts/%s" % ("0" * 32), token=alice_tok)
    w.call("list-all-system", "GET", "/OS-TRUST/trusts", token=sys_t)
    w.call("list-all-alice", "GET", "/OS-TRUST/trusts", token=alice_tok)
    w.call("list-trustor", "GET", "/OS-TRUST/trusts?trustor_user_id=" + user_id, token=alice_tok)
    w.call("list-trustee-foreign", "GET", "/OS-TRUST/trusts?trustee_user_id=" + bob_id, token=alice_tok)
    w.call("trust-roles", "GET", "/OS-TRUST/trusts/%s/roles" % trust_id, token=alice_tok)
    w.call("trust-role", "GET", "/OS-TRUST/trusts/%s/roles/%s" % (trust_id, member), token=alice_tok)
    w.call("trust-role-missing", "GET", "/OS-TRUST/trusts/%s/roles/%s" % (trust_id, reader), token=alice_tok)
    through = w.call("login-through", "POST", tokens_path,
                     body=password({"id": bob_id}, "bob-pw", scope={"OS-TRUST:trust": {"id": trust_id}}))
    trust_t = through["token"]
    w.call("validate-trust-token", "GET", tokens_path, token=sys_t, X_Subject_Token=trust_t or "")
    w.call("trust-token-rescope", "POST", tokens_path, body=retoken(trust_t, alice_scope))
    w.call("trust-token-makes-trust", "POST", "/OS-TRUST/trusts", token=trust_t, body={"trust": trust})
    w.call("login-not-trustee", "POST", tokens_path,
           body=password(alice, "alice-pw2", scope={"OS-TRUST:trust": {"id": trust_id}}))
    w.call("delete-by-trustee", "DELETE", "/OS-TRUST/trusts/%s" % trust_id,
           token=w.call("bob-unscoped", "POST", tokens_path, body=password({"id": bob_id}, "bob-pw"))["token"])
    w.call("delete", "DELETE", "/OS-TRUST/trusts/%s" % trust_id, token=alice_tok)
    w.call("delete-again", "DELETE", "/OS-TRUST/trusts/%s" % trust_id, token=alice_tok)
    w.call("trust-token-after-delete", "GET", tokens_path, token=sys_t, X_Subject_Token=trust_t or "")

    w.begin("30-undo")
    for kind, path in targets.items():
        w.call(kind + "-revoke", "DELETE", path + "/" + member, token=sys_t)
        w.call(kind + "-revoke-again", "DELETE", path + "/" + member, token=sys_t)
    w.call("alice-token-after-revoke", "GET", tokens_path, token=sys_t, X_Subject_Token=alice_tok or "")
    w.call("disable-user", "PATCH", "/users/%s" % user_id, token=sys_t, body={"user": {"enabled": False}})
    w.call("login-disabled", "POST", tokens_path, body=password(alice, "alice-pw2"))
    drop("endpoint", "endpoints", ep_id)
    drop("service", "services", svc_id)
    drop("region", "regions", reg_id)
    drop("role", "roles", role_id)
    drop("user", "users", user_id)
    drop("project", "projects", proj_id, first=[("delete-child", "DELETE", "/projects/%s" % child_id, None)])
    drop("domain", "domains", dom_id,
         first=[("disable-domain", "PATCH", "/domains/%s" % dom_id, {"domain": {"enabled": False}})])
    w.call("delete-default-domain-enabled", "DELETE", "/domains/default", token=sys_t)
    w.flush()
    print("identity walk: done")


if __name__ == "__main__":
    main()
