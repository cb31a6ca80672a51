-- name: check
-- Succeeds if the connection works.
SELECT 1;

-- name: lock_schema
-- Waits until no other process migrates this schema. The lock ends with the connection, also if its process is killed.
SELECT pg_advisory_lock(hashtextextended('bitmill.migrate.' || :schema, 0));

-- name: create_schema
-- The caller checks and inserts {schema}: identifiers cannot be parameters.
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_checksums
CREATE TABLE IF NOT EXISTS migration_checksums (migration_id text PRIMARY KEY, checksum text NOT NULL);

-- name: record_checksum
INSERT INTO migration_checksums (migration_id, checksum) VALUES (:id, :checksum) ON CONFLICT (migration_id) DO NOTHING;

-- name: has_table
SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = $2);

-- name: applied_with_checksums
SELECT migration_id AS id, checksum FROM {schema}._yoyo_migration
LEFT JOIN {schema}.migration_checksums USING (migration_id);

-- name: applied_without_checksums
SELECT migration_id AS id, NULL::text AS checksum FROM {schema}._yoyo_migration;

-- name: notify
-- Sends the message $2 to the channel $1 when the transaction is committed.
SELECT pg_notify($1, $2);

-- name: set_schema
-- Until the end of the transaction.
SELECT set_config('search_path', $1, true);
