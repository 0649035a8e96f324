-- The node itself: one row of state that every write transaction locks, settings
-- by name, and the audit log.

-- +goose Up

-- +sqlite
PRAGMA application_id = 1398361410;
-- +both

CREATE TABLE node_state (
    id                INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    hlc               {{text}} NOT NULL,
    audit_seq         BIGINT NOT NULL,
    audit_hash        {{bytes}} NOT NULL,
    identity_revision BIGINT NOT NULL
);

INSERT INTO node_state (id, hlc, audit_seq, audit_hash, identity_revision)
VALUES (1, '', 0, CAST('' AS {{bytes}}), 0);

CREATE TABLE node_settings (
    key   {{text}} NOT NULL PRIMARY KEY,
    value {{text}} NOT NULL
) {{without_rowid}};

CREATE TABLE audit_log (
    seq             {{bigint_key}} NOT NULL PRIMARY KEY,
    id              {{text}} NOT NULL,
    prev            {{bytes}} NOT NULL,
    hash            {{bytes}} NOT NULL,
    type            {{text}} NOT NULL,
    at              BIGINT NOT NULL,
    actor           {{text}} NOT NULL,
    tenant          {{text}} NOT NULL,
    subject         {{text}} NOT NULL,
    source          {{text}} NOT NULL,
    attested_key_id {{text}} NOT NULL,
    oidc_subject    {{text}} NOT NULL,
    peer_id         {{text}} NOT NULL,
    detail          {{text}}
);

-- +sqlite
-- +goose StatementBegin
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd

-- +postgres
-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
-- +both
