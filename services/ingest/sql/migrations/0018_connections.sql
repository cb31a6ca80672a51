-- How the stores of projects are reached. The secret is encrypted by ENCRYPTION_KEYS. A job names its connection; what a
-- worker needs of it is read when the job is announced.
CREATE TABLE connections (
    id text PRIMARY KEY,
    project text NOT NULL REFERENCES projects (id),
    name text NOT NULL,
    endpoint text,
    region text NOT NULL,
    access_key_id text NOT NULL,
    encrypted_secret text NOT NULL,
    is_default boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    UNIQUE (project, name)
);
CREATE UNIQUE INDEX connections_default ON connections (project) WHERE is_default;
