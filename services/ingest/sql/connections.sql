-- name: lock_connections
-- Changes of one project's connections are made one after the other. The lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('bitmill.connections.' || $1, 0))

-- name: connection
SELECT * FROM connections WHERE id = $1 AND project = $2

-- name: default_connection
SELECT * FROM connections WHERE project = $1 AND is_default

-- name: list_connections
SELECT * FROM connections WHERE project = $1 ORDER BY created_at, id

-- name: connections_of_jobs
SELECT * FROM connections WHERE id = ANY ($1::text[])

-- name: clear_default_connection
UPDATE connections SET is_default = false, updated_at = $3 WHERE project = $1 AND is_default AND id <> $2

-- name: put_connection
INSERT INTO connections (id, project, name, endpoint, region, access_key_id, encrypted_secret, is_default, created_at,
    updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, endpoint = excluded.endpoint, region = excluded.region,
    access_key_id = excluded.access_key_id, encrypted_secret = excluded.encrypted_secret,
    is_default = excluded.is_default, updated_at = excluded.updated_at

-- name: delete_connection
DELETE FROM connections WHERE id = $1 AND project = $2 RETURNING id

-- name: older_secrets
-- Those that another key than the one with the prefix $1 has encrypted; they cannot be changed until the end of the
-- transaction.
SELECT id, project, encrypted_secret FROM connections WHERE NOT starts_with(encrypted_secret, $1)
ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: replace_secret
UPDATE connections SET encrypted_secret = $2 WHERE id = $1
