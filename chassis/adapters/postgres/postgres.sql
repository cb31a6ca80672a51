-- name: check
-- Succeeds if the connection works.
SELECT 1;

-- name: lock_schema
-- Waits until no other process migrates this schema. The lock ends with the connection, also if its process is killed.
SELECT pg_advisory_lock(hashtextextended('bitmill.migrate.' || :schema, 0));

-- name: create_schema
-- The caller checks and inserts {schema}: identifiers cannot be parameters.
CREATE SCHEMA IF NOT EXISTS {schema};
