-- Who works at the desk. Names are a tenant's own.
CREATE TABLE desk_user (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    language TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    disabled_ms BIGINT,
    PRIMARY KEY (tenant, name)
);
-- Who is logged in: the digest of a random token that only the browser has.
CREATE TABLE desk_session (
    digest TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
-- Who looked at what, and did what. It names no conversation but by the number of its
-- review, which is nobody's once the conversation is erased.
CREATE TABLE access_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    deed TEXT NOT NULL,
    review BIGINT
);
CREATE INDEX access_log_by_tenant ON access_log (tenant, id);
CREATE FUNCTION access_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the access log is append-only'; END $$;
CREATE TRIGGER access_log_keeps_entries BEFORE UPDATE OR DELETE ON access_log
    FOR EACH ROW EXECUTE FUNCTION access_log_is_append_only();
CREATE TRIGGER access_log_keeps_all BEFORE TRUNCATE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION access_log_is_append_only();
-- The distribution of risk that later periods are compared with.
CREATE TABLE drift_reference (
    tenant TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    frozen_ms BIGINT NOT NULL,
    frozen_by TEXT NOT NULL,
    counts TEXT NOT NULL
);
