-- +goose Up

-- Facts are written once. Triggers, below, refuse to change or remove one. Every
-- unique index contains (tenant, entity), so that the table can be distributed by
-- them; look-ups by id or content id begin with the tenant and that id.
-- What is said again after it was superseded is a new fact with the same content id,
-- the nth; a fact without content id is always the 0th.
-- A CHECK with a longer IN list would build a table of it for every row on one engine.
-- cid is the content id without its prefix, as bytes. Other hashes are the first 16
-- bytes of a SHA-256 and stand for texts that are too long for an index key.
CREATE TABLE facts (
    tenant                {{text}}         NOT NULL,
    id                    {{text}}         NOT NULL,
    entity                {{text}}         NOT NULL,
    relation              {{text}}         NOT NULL,
    value_type            {{text}}         NOT NULL,
    value_v               {{text}}         NOT NULL,
    interpret_as          {{text}}         NOT NULL CHECK (interpret_as = 'content' OR interpret_as = 'instruction'),
    source                {{text}}         NOT NULL,
    confidence            DOUBLE PRECISION NOT NULL CHECK (confidence >= 0 AND confidence <= 1),
    scope                 {{text}}         NOT NULL CHECK (scope = 'local' OR scope = 'team' OR scope = 'company' OR scope = 'public'),
    ts                    {{text}}         NOT NULL,
    hlc                   {{text}}         NOT NULL,
    valid_until           {{text}},
    cid                   {{bytes}},
    nth                   BIGINT           NOT NULL DEFAULT 0,
    derived_from          {{text}},
    asserted_by           {{text}}         NOT NULL,
    on_behalf_of          {{text}},
    received_from         {{text}},
    origin_node_id        {{text}},
    origin_allowed_scopes {{text}},
    re_federation_blocked BOOLEAN          NOT NULL DEFAULT FALSE,
    garden_id             {{text}}         NOT NULL DEFAULT '',
    attested_key_id       {{text}},
    source_trust          DOUBLE PRECISION,
    replicable            BOOLEAN          NOT NULL,
    PRIMARY KEY (tenant, id, entity)
);

CREATE UNIQUE INDEX facts_cid ON facts (tenant, cid, entity, nth);

-- Each fact is in one of the two: those that may go to peers, and the others.
CREATE INDEX facts_outbound ON facts (tenant, hlc) WHERE replicable;
CREATE INDEX facts_inward ON facts (tenant, hlc) WHERE NOT replicable;

-- +sqlite
-- +goose StatementBegin
CREATE TRIGGER facts_no_update BEFORE UPDATE ON facts BEGIN
    SELECT RAISE(ABORT, 'facts is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER facts_no_delete BEFORE DELETE ON facts BEGIN
    SELECT RAISE(ABORT, 'facts is append-only');
END;
-- +goose StatementEnd
-- +postgres
CREATE TRIGGER facts_append_only BEFORE UPDATE OR DELETE ON facts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
-- +both

-- What may change about a fact. No row: nothing has.
CREATE TABLE fact_states (
    tenant            {{text}} NOT NULL,
    entity            {{text}} NOT NULL,
    fact_id           {{text}} NOT NULL,
    overridden        BOOLEAN  NOT NULL DEFAULT FALSE,
    valid_until       {{text}},
    confidence        DOUBLE PRECISION,
    override_reason   {{text}} NOT NULL DEFAULT '',
    quarantine_status {{text}} NOT NULL DEFAULT '',
    quarantine_garden {{text}} NOT NULL DEFAULT '',
    quarantine_reason {{text}} NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, entity, fact_id)
) {{without_rowid}};

-- The newest fact of each voice about each key. A voice is a source as one
-- principal, or one peer, speaks for it.
CREATE TABLE fact_heads (
    tenant        {{text}}         NOT NULL,
    entity        {{text}}         NOT NULL,
    relation_hash {{bytes}}        NOT NULL,
    scope         {{text}}         NOT NULL,
    garden_id     {{text}}         NOT NULL,
    voice_hash    {{bytes}}        NOT NULL,
    fact_id       {{text}}         NOT NULL,
    value_hash    {{bytes}}        NOT NULL,
    confidence    DOUBLE PRECISION NOT NULL,
    valid_until   {{text}},
    hlc           {{text}}         NOT NULL,
    overruled     BOOLEAN          NOT NULL,
    disputed      BOOLEAN          NOT NULL,
    PRIMARY KEY (tenant, entity, relation_hash, scope, garden_id, voice_hash)
);

CREATE INDEX fact_heads_hlc ON fact_heads (tenant, hlc);
CREATE INDEX fact_heads_relation ON fact_heads (tenant, relation_hash, hlc);

-- What was a head and was superseded. An entity's history is its heads and these; so
-- a fact about something new costs no index of its own for it.
CREATE TABLE fact_past (
    tenant  {{text}} NOT NULL,
    entity  {{text}} NOT NULL,
    hlc     {{text}} NOT NULL,
    fact_id {{text}} NOT NULL,
    PRIMARY KEY (tenant, entity, hlc)
) {{without_rowid}};

CREATE TABLE conflicts (
    tenant      {{text}} NOT NULL,
    id          {{text}} NOT NULL,
    entity      {{text}} NOT NULL,
    fact_a      {{text}} NOT NULL,
    fact_b      {{text}} NOT NULL,
    status      {{text}} NOT NULL CHECK (status IN ('unresolved', 'resolved')),
    resolved_by {{text}},
    detected_at {{text}} NOT NULL,
    PRIMARY KEY (tenant, id, entity)
);

CREATE UNIQUE INDEX conflicts_pair ON conflicts (tenant, entity, fact_a, fact_b);
CREATE INDEX conflicts_detected ON conflicts (tenant, detected_at, id);
CREATE INDEX conflicts_status ON conflicts (tenant, status, detected_at, id);

-- lookup is a keyed hash of the key's text, so that finding a key costs one look
-- at an index; hash is the Argon2id string, or the lower-case hexadecimal SHA-256
-- of a key taken over from another node, which has no lookup until its first use.
CREATE TABLE api_keys (
    id          {{text}} NOT NULL PRIMARY KEY,
    lookup      {{bytes}} UNIQUE,
    hash        {{text}} NOT NULL UNIQUE,
    entity_uri  {{text}} NOT NULL,
    tenant      {{text}} NOT NULL,
    permissions {{text}} NOT NULL,
    description {{text}},
    created_at  {{text}} NOT NULL,
    expires_at  {{text}},
    oidc_sub    {{text}}
);

CREATE INDEX api_keys_entity ON api_keys (entity_uri, created_at);
CREATE INDEX api_keys_expires ON api_keys (expires_at);

-- Secrets of the node that every process on the store shares.
CREATE TABLE node_secrets (
    name  {{text}} NOT NULL PRIMARY KEY,
    value {{bytes}} NOT NULL
);
