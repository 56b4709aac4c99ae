-- Sessions keep the digests of their turns in rows of their own, so that a turn costs
-- the same however long the conversation is. Conversations under way begin anew.
DROP TABLE session;
CREATE TABLE session (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    turns INTEGER NOT NULL,
    state TEXT NOT NULL,
    salt TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    disclosed_ms INTEGER,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_change ON session (changed_ms);
CREATE TABLE turn_digest (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant, conversation, place)
) STRICT, WITHOUT ROWID;
-- What was said, where a tenant keeps it: sealed, with a key that is not here.
CREATE TABLE said (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX said_by_age ON said (at_ms);
ALTER TABLE tie ADD COLUMN person TEXT;
ALTER TABLE tie ADD COLUMN at_ms INTEGER;
CREATE INDEX tie_by_age ON tie (at_ms);
CREATE INDEX tie_by_person ON tie (tenant, person);
-- What a counsellor shall look at. One row for a conversation, as long as it is open.
CREATE TABLE review (
    sequence INTEGER PRIMARY KEY REFERENCES audit,
    tenant TEXT NOT NULL,
    conversation TEXT,
    latest INTEGER NOT NULL,
    state TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    claimed_by TEXT,
    claimed_until_ms INTEGER,
    acknowledged_ms INTEGER,
    closed_by TEXT,
    closed_ms INTEGER,
    reason TEXT,
    calibration_consent INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX review_by_state ON review (tenant, state, due_ms);
CREATE UNIQUE INDEX review_open_once ON review (tenant, conversation)
    WHERE closed_ms IS NULL AND conversation IS NOT NULL;
-- What shall be told to whom. A row goes away only when it was delivered or given up.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    target TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_time ON outbox (state, next_ms);
CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    per_minute INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
-- When readiness was last asked for: one row.
CREATE TABLE pinged (
    one INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT;
