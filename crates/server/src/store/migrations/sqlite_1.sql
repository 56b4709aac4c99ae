CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    entry TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_changes_nothing BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_replaces_nothing BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TABLE tie (
    sequence INTEGER PRIMARY KEY REFERENCES audit,
    tenant TEXT NOT NULL,
    conversation TEXT,
    salt BLOB NOT NULL
) STRICT;
CREATE INDEX tie_by_conversation ON tie (tenant, conversation);
CREATE TABLE session (
    tenant TEXT NOT NULL,
    conversation TEXT NOT NULL,
    turns INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, conversation)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_change ON session (changed_ms);
CREATE TABLE answered (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    salt BLOB NOT NULL,
    conversation TEXT,
    request TEXT NOT NULL,
    answer TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
