-- Files that customers send by themselves. Times in Unix milliseconds. While stored_at is null the file is awaited until
-- expires_at; then the stored file is kept until expires_at, and as long as unfinished jobs and imports use it.
CREATE TABLE uploads (
    id text PRIMARY KEY,
    project text NOT NULL,
    token_hash text NOT NULL,
    filename text,
    size bigint,
    attempts integer NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    stored_at bigint,
    stored_attempt integer,
    expires_at bigint NOT NULL
);
CREATE INDEX uploads_expired ON uploads (expires_at);
CREATE INDEX uploads_of_project ON uploads (project, expires_at);
CREATE TABLE upload_uses (
    upload_id text NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    user_id text NOT NULL,
    PRIMARY KEY (upload_id, user_id)
);
