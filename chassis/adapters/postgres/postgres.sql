-- name: check
-- Answers when the connection works.
SELECT 1;

-- name: lock_schema
-- Waits until no one else migrates this schema; held until the connection closes, also when its process is killed.
SELECT pg_advisory_lock(hashtextextended('bitmill.migrate.' || :schema, 0));

-- name: create_schema
-- {schema} is put in by the caller, who has checked it: identifiers cannot be parameters.
CREATE SCHEMA IF NOT EXISTS {schema};
