-- name: use_key
-- A row is returned once. An expired key is replaced; a valid one makes this return nothing, after waiting for a
-- transaction that is inserting it at this moment.
INSERT INTO idempotency_keys (project, scope, key, fingerprint, resource_id, response, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (project, scope, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    resource_id = excluded.resource_id,
    response = excluded.response,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at
WHERE idempotency_keys.expires_at <= excluded.created_at
RETURNING resource_id

-- name: stored_response
SELECT fingerprint, resource_id, response FROM idempotency_keys WHERE project = $1 AND scope = $2 AND key = $3

-- name: keep_response
-- The first response stays: it is the one that every repetition gets.
UPDATE idempotency_keys SET response = coalesce(response, $5)
WHERE project = $1 AND scope = $2 AND key = $3 AND resource_id = $4
RETURNING response
