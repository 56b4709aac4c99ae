-- Who works at the desk. Names are a tenant's own.
CREATE TABLE desk_user (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    language TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    disabled_ms INTEGER,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
-- Who is logged in: the digest of a random token that only the browser has.
CREATE TABLE desk_session (
    digest TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Who looked at what, and did what. It names no conversation but by the number of its
-- review, which is nobody's once the conversation is erased.
CREATE TABLE access_log (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    deed TEXT NOT NULL,
    review INTEGER
) STRICT;
CREATE INDEX access_log_by_tenant ON access_log (tenant, id);
CREATE TRIGGER access_log_keeps BEFORE DELETE ON access_log
    BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_log_changes_nothing BEFORE UPDATE ON access_log
    BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_log_replaces_nothing BEFORE INSERT ON access_log
    WHEN EXISTS (SELECT 1 FROM access_log WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
-- The distribution of risk that later periods are compared with.
CREATE TABLE drift_reference (
    tenant TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    frozen_ms INTEGER NOT NULL,
    frozen_by TEXT NOT NULL,
    counts TEXT NOT NULL
) STRICT, WITHOUT ROWID;
