-- name: claim
-- The row appears once. An expired claim is taken over; a living one makes this return nothing, after waiting for a
-- transaction that is just making it.
INSERT INTO claims (project, scope, key, fingerprint, resource_id, response, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (project, scope, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    resource_id = excluded.resource_id,
    response = excluded.response,
    created_at = excluded.created_at,
    expires_at = excluded.expires_at
WHERE claims.expires_at <= excluded.created_at
RETURNING resource_id

-- name: claimed
SELECT fingerprint, resource_id, response FROM claims WHERE project = $1 AND scope = $2 AND key = $3

-- name: answer_claim
-- The first answer stays: it is the original that a repetition gets.
UPDATE claims SET response = coalesce(response, $5)
WHERE project = $1 AND scope = $2 AND key = $3 AND resource_id = $4
RETURNING response

-- name: sweep_claims
DELETE FROM claims WHERE expires_at <= $1
