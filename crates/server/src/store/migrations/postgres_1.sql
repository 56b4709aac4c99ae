CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    entry TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$;
CREATE TRIGGER audit_keeps_entries BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_keeps_all BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TABLE tie (
    sequence BIGINT PRIMARY KEY REFERENCES audit,
    tenant TEXT NOT NULL,
    conversation TEXT,
    salt BYTEA NOT NULL
);
CREATE INDEX tie_by_conversation ON tie (tenant, conversation);
CREATE TABLE answered (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    salt BYTEA NOT NULL,
    conversation TEXT,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE TABLE session (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    turns BIGINT NOT NULL,
    state TEXT NOT NULL,
    salt TEXT NOT NULL,
    begun_ms BIGINT NOT NULL,
    disclosed_ms BIGINT,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, conversation)
);
CREATE INDEX session_by_change ON session (changed_ms);
CREATE TABLE turn_digest (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant, conversation, place)
);
-- What was said, where a tenant keeps it: sealed, with a key that is not here.
CREATE TABLE said (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant, conversation, place)
);
CREATE INDEX said_by_age ON said (at_ms);
ALTER TABLE tie ADD COLUMN person TEXT;
ALTER TABLE tie ADD COLUMN at_ms BIGINT;
CREATE INDEX tie_by_age ON tie (at_ms);
CREATE INDEX tie_by_person ON tie (tenant, person);
-- What a counsellor shall look at. One row for a conversation, as long as it is open.
CREATE TABLE review (
    sequence BIGINT PRIMARY KEY REFERENCES audit,
    tenant TEXT NOT NULL,
    conversation TEXT,
    latest BIGINT NOT NULL,
    state TEXT NOT NULL,
    opened_ms BIGINT NOT NULL,
    due_ms BIGINT NOT NULL,
    claimed_by TEXT,
    claimed_until_ms BIGINT,
    acknowledged_ms BIGINT,
    closed_by TEXT,
    closed_ms BIGINT,
    reason TEXT,
    calibration_consent BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX review_by_state ON review (tenant, state, due_ms);
CREATE UNIQUE INDEX review_open_once ON review (tenant, conversation)
    WHERE closed_ms IS NULL AND conversation IS NOT NULL;
-- What shall be told to whom. A row goes away only when it was delivered or given up.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    target TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX outbox_by_time ON outbox (state, next_ms);
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    per_minute BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT
);
-- When readiness was last asked for: one row.
CREATE TABLE pinged (
    one BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL
);
