-- Where the end of a submitted job is to be sent besides `job.results`; NULL for all but a few jobs.
ALTER TABLE jobs ADD COLUMN reply json;

-- Replies to producers that are not sent yet.
CREATE TABLE replies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    headers json NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX replies_by_age ON replies (created_at);
