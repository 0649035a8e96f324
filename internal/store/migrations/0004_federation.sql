-- +goose Up

-- Other nodes. A row is found by its id in routes and by its node_id in tokens.
-- allowed_scopes is the sorted list of names, joined by commas.
CREATE TABLE peers (
    id              {{text}}   NOT NULL PRIMARY KEY,
    node_id         {{text}}   NOT NULL UNIQUE,
    node_url        {{text}}   NOT NULL,
    pubkey          {{text}}   NOT NULL,
    prev_pubkey     {{text}}   NOT NULL DEFAULT '',
    prev_until      BIGINT,
    allowed_scopes  {{text}}   NOT NULL,
    wire            {{text}}   NOT NULL DEFAULT '',
    status          {{text}}   NOT NULL CHECK (status IN
        ('pending_verification', 'pending_approval', 'active', 'suspended', 'revoked', 'rejected')),
    declaration_sig {{text}}   NOT NULL DEFAULT '',
    signed_at       {{text}}   NOT NULL DEFAULT '',
    why             {{text}}   NOT NULL DEFAULT '',
    registered_by   {{text}}   NOT NULL DEFAULT '',
    approved_by     {{text}}   NOT NULL DEFAULT '',
    created_at      BIGINT NOT NULL,
    verified_at     BIGINT,
    approved_at     BIGINT,
    updated_at      BIGINT NOT NULL
);

-- How far each peer was read. The cursor is the peer's own text.
CREATE TABLE peer_positions (
    peer_id    {{text}}   NOT NULL PRIMARY KEY REFERENCES peers (id) ON DELETE CASCADE,
    cursor_pos {{text}}   NOT NULL,
    saved_at   BIGINT NOT NULL
);

-- Nonces of peer tokens that were used. They are keyed by the node, not by the
-- peer's row, and outlive it: a node that is removed and comes back cannot use
-- an old token again. expires_at is in milliseconds, as the tokens are.
CREATE TABLE peer_nonces (
    node_id    {{text}}   NOT NULL,
    nonce      {{text}}   NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, nonce)
) {{without_rowid}};

CREATE INDEX peer_nonces_expiry ON peer_nonces (expires_at);

-- The federation log is a part of the audit log.
CREATE INDEX audit_log_federation ON audit_log (seq) WHERE peer_id <> '';
CREATE INDEX audit_log_federation_peer ON audit_log (peer_id, seq) WHERE peer_id <> '';
