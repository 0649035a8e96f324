-- +goose Up

-- Projects and domains: a domain is a project that acts as one. A project's
-- parent is a project or its domain.
CREATE TABLE projects (
    id          {{text}} NOT NULL PRIMARY KEY,
    domain_id   {{text}} REFERENCES projects (id),
    parent_id   {{text}} REFERENCES projects (id),
    is_domain   BOOLEAN NOT NULL,
    name        {{text}} NOT NULL,
    description {{text}},
    enabled     BOOLEAN NOT NULL,
    options     {{text}} NOT NULL DEFAULT '{}',
    extra       {{text}} NOT NULL DEFAULT '{}',
    CHECK (is_domain = (domain_id IS NULL)),
    CHECK (is_domain = (parent_id IS NULL))
) {{without_rowid}};

CREATE UNIQUE INDEX projects_name ON projects (COALESCE(domain_id, ''), name);
CREATE INDEX projects_domain ON projects (domain_id);
CREATE INDEX projects_parent ON projects (parent_id);

CREATE TABLE project_tags (
    project_id {{text}} NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    tag        {{text}} NOT NULL,
    PRIMARY KEY (project_id, tag)
) {{without_rowid}};

CREATE INDEX project_tags_tag ON project_tags (tag);

CREATE TABLE users (
    id                  {{text}} NOT NULL PRIMARY KEY,
    domain_id           {{text}} NOT NULL REFERENCES projects (id),
    name                {{text}} NOT NULL,
    default_project_id  {{text}} NOT NULL DEFAULT '',
    enabled             BOOLEAN NOT NULL,
    options             {{text}} NOT NULL DEFAULT '{}',
    extra               {{text}} NOT NULL DEFAULT '{}',
    created_at          BIGINT NOT NULL,
    last_active_at      BIGINT,
    password_expires_at BIGINT
) {{without_rowid}};

CREATE UNIQUE INDEX users_name ON users (domain_id, name);
CREATE INDEX users_default_project ON users (default_project_id);

-- The newest password has the highest seq of its user.
CREATE TABLE passwords (
    user_id      {{text}} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    seq          BIGINT NOT NULL,
    hash         {{text}} NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    self_service BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, seq)
) {{without_rowid}};

CREATE TABLE login_failures (
    user_id  {{text}} NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    failures BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
) {{without_rowid}};

CREATE TABLE user_groups (
    id          {{text}} NOT NULL PRIMARY KEY,
    domain_id   {{text}} NOT NULL REFERENCES projects (id),
    name        {{text}} NOT NULL,
    description {{text}},
    extra       {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE UNIQUE INDEX user_groups_name ON user_groups (domain_id, name);

CREATE TABLE group_members (
    user_id  {{text}} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id {{text}} NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
) {{without_rowid}};

CREATE INDEX group_members_group ON group_members (group_id);

-- An empty domain is that of the global roles.
CREATE TABLE roles (
    id          {{text}} NOT NULL PRIMARY KEY,
    domain_id   {{text}} NOT NULL DEFAULT '',
    name        {{text}} NOT NULL,
    description {{text}},
    options     {{text}} NOT NULL DEFAULT '{}',
    extra       {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE UNIQUE INDEX roles_name ON roles (domain_id, name);

CREATE TABLE implied_roles (
    prior_role_id   {{text}} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    implied_role_id {{text}} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (prior_role_id, implied_role_id)
) {{without_rowid}};

CREATE INDEX implied_roles_implied ON implied_roles (implied_role_id);

-- actor_kind is 'user' or 'group'; target_kind is 'project', 'domain' or
-- 'system', whose target_id is 'all'.
CREATE TABLE assignments (
    actor_kind  {{text}} NOT NULL CHECK (actor_kind IN ('user', 'group')),
    actor_id    {{text}} NOT NULL,
    target_kind {{text}} NOT NULL CHECK (target_kind IN ('project', 'domain', 'system')),
    target_id   {{text}} NOT NULL,
    role_id     {{text}} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    inherited   BOOLEAN NOT NULL,
    PRIMARY KEY (actor_id, target_id, role_id, inherited, actor_kind, target_kind)
) {{without_rowid}};

CREATE INDEX assignments_target ON assignments (target_id);
CREATE INDEX assignments_role ON assignments (role_id);

CREATE TABLE regions (
    id               {{text}} NOT NULL PRIMARY KEY,
    parent_region_id {{text}} REFERENCES regions (id),
    description      {{text}} NOT NULL DEFAULT '',
    extra            {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE INDEX regions_parent ON regions (parent_region_id);

CREATE TABLE services (
    id      {{text}} NOT NULL PRIMARY KEY,
    type    {{text}} NOT NULL,
    name    {{text}} NOT NULL DEFAULT '',
    enabled BOOLEAN NOT NULL,
    extra   {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE TABLE endpoints (
    id         {{text}} NOT NULL PRIMARY KEY,
    service_id {{text}} NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    interface  {{text}} NOT NULL,
    url        {{text}} NOT NULL,
    region_id  {{text}} REFERENCES regions (id),
    enabled    BOOLEAN NOT NULL,
    extra      {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE INDEX endpoints_service ON endpoints (service_id);
CREATE INDEX endpoints_region ON endpoints (region_id);

-- Trusts are kept after their deletion, so that a revoked delegation stays
-- explainable; deleted_at marks those.
CREATE TABLE trusts (
    id                   {{text}} NOT NULL PRIMARY KEY,
    trustor_id           {{text}} NOT NULL,
    trustee_id           {{text}} NOT NULL,
    project_id           {{text}} NOT NULL DEFAULT '',
    impersonation        BOOLEAN NOT NULL,
    expires_at           BIGINT,
    remaining_uses       BIGINT CHECK (remaining_uses >= 0),
    redelegated_trust_id {{text}} NOT NULL DEFAULT '',
    redelegation_count   BIGINT NOT NULL DEFAULT 0,
    deleted_at           BIGINT,
    extra                {{text}} NOT NULL DEFAULT '{}'
) {{without_rowid}};

CREATE INDEX trusts_trustor ON trusts (trustor_id);
CREATE INDEX trusts_trustee ON trusts (trustee_id);
CREATE INDEX trusts_project ON trusts (project_id);
CREATE INDEX trusts_redelegated ON trusts (redelegated_trust_id);

CREATE TABLE trust_roles (
    trust_id {{text}} NOT NULL REFERENCES trusts (id) ON DELETE CASCADE,
    role_id  {{text}} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (trust_id, role_id)
) {{without_rowid}};

CREATE INDEX trust_roles_role ON trust_roles (role_id);

-- What is empty or NULL is not part of the match.
CREATE TABLE revocation_events (
    id              {{text}} NOT NULL PRIMARY KEY,
    audit_id        {{text}} NOT NULL DEFAULT '',
    audit_chain_id  {{text}} NOT NULL DEFAULT '',
    user_id         {{text}} NOT NULL DEFAULT '',
    project_id      {{text}} NOT NULL DEFAULT '',
    domain_id       {{text}} NOT NULL DEFAULT '',
    domain_scope_id {{text}} NOT NULL DEFAULT '',
    role_id         {{text}} NOT NULL DEFAULT '',
    trust_id        {{text}} NOT NULL DEFAULT '',
    consumer_id     {{text}} NOT NULL DEFAULT '',
    access_token_id {{text}} NOT NULL DEFAULT '',
    expires_at      BIGINT,
    issued_before   BIGINT NOT NULL,
    revoked_at      BIGINT NOT NULL,
    keep_until      BIGINT NOT NULL,
    revision        BIGINT NOT NULL
) {{without_rowid}};

CREATE INDEX revocation_events_keep ON revocation_events (keep_until);

-- The revision of identity state that an event came with: whoever knows the events
-- up to one asks for those after it, and no clock takes part.
CREATE INDEX revocation_events_revision ON revocation_events (revision);

CREATE INDEX revocation_events_revoked ON revocation_events (revoked_at);
