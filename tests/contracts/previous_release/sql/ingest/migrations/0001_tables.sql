-- A project separates customers from one another; everything below belongs to one.
CREATE TABLE projects (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at bigint NOT NULL
);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    project text NOT NULL REFERENCES projects (id),
    name text NOT NULL,
    hash text NOT NULL UNIQUE,
    hint text NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);

-- Jobs as accepted. No foreign key to projects: each insert would lock and read a row that authentication just read.
-- What became of a job is the workers' to say; `ended` is kept so that a late cancel can be answered.
CREATE TABLE jobs (
    id text PRIMARY KEY,
    project text NOT NULL,
    request jsonb NOT NULL,
    media_id text,
    created_at bigint NOT NULL,
    ended text,
    ended_at bigint
);

-- Media items: `item` is the snapshot that events carry, the other columns are copies for conditions.
CREATE TABLE media (
    id text PRIMARY KEY,
    project text NOT NULL,
    version integer NOT NULL,
    status text NOT NULL,
    item jsonb NOT NULL
);

-- A name below the project's delivery address, and the item that has it.
CREATE TABLE names (
    project text NOT NULL,
    path text NOT NULL,
    media_id text NOT NULL,
    PRIMARY KEY (project, path)
);
CREATE INDEX names_of_media ON names (media_id);

-- A claim makes a request happen once: an Idempotency-Key (scope: the path) or a submission (scope: the topic).
-- `response` is the answer that was given, byte for byte; null while it has not been given.
CREATE TABLE claims (
    project text NOT NULL,
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    resource_id text NOT NULL,
    response bytea,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (project, scope, key)
);
CREATE INDEX claims_by_expiry ON claims (expires_at);
