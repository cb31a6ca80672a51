-- name: add_upload
INSERT INTO uploads (id, project, token_hash, filename, size, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: begin_upload
-- One more attempt, each of which stores an object of its own: of two at a time, neither writes what the other stores.
UPDATE uploads SET attempts = attempts + 1
WHERE id = $1 AND token_hash = $2 AND stored_at IS NULL AND expires_at > $3 AND attempts < $4
RETURNING id, project, filename, size, attempts, created_at

-- name: upload_by_token
SELECT stored_at, expires_at FROM uploads WHERE id = $1 AND token_hash = $2

-- name: end_upload
-- The first attempt that ends has stored the file.
UPDATE uploads SET stored_at = $2, stored_attempt = $3, size = $4, expires_at = $5
WHERE id = $1 AND stored_at IS NULL
RETURNING id

-- name: use_upload
-- Its file stays until the job or media item has ended. Not shortly before the file is removed.
INSERT INTO upload_uses (upload_id, user_id)
SELECT id, $3 FROM uploads WHERE id = $1 AND project = $2 AND stored_at IS NOT NULL AND expires_at > $4
ON CONFLICT (upload_id, user_id) DO UPDATE SET user_id = excluded.user_id
RETURNING (SELECT stored_attempt FROM uploads WHERE id = $1) AS attempt, (SELECT size FROM uploads WHERE id = $1) AS size

-- name: upload_state
SELECT stored_at IS NOT NULL AS stored, expires_at FROM uploads WHERE id = $1 AND project = $2

-- name: waiting_uploads
-- Counted up to $2.
SELECT count(*) FROM (
    SELECT FROM uploads WHERE project = $1 AND expires_at > extract(epoch FROM now()) * 1000 LIMIT $2
) AS waiting

-- name: uploads_with_objects
-- Those whose objects may be referred to: stored, or still open.
SELECT id, stored_attempt FROM uploads
WHERE id = ANY ($1::text[]) AND (stored_at IS NOT NULL OR expires_at > extract(epoch FROM now()) * 1000)
