-- name: project_named
-- The project of this name, made if it is not there. The idle update lets the row be returned in both cases.
INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id

-- name: project_exists
SELECT EXISTS (SELECT FROM projects WHERE id = $1)

-- name: add_key
INSERT INTO api_keys (id, project, name, hash, hint, created_at) VALUES ($1, $2, $3, $4, $5, $6)

-- name: key_by_hash
SELECT id, project, name, hash, hint, created_at, revoked_at FROM api_keys WHERE hash = $1

-- name: list_keys
SELECT k.id, k.project, k.name, k.hash, k.hint, k.created_at, k.revoked_at, p.name AS project_name
FROM api_keys k JOIN projects p ON p.id = k.project
ORDER BY k.created_at, k.id

-- name: revoke_key
-- Revoking twice keeps the first time.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1
RETURNING id, project, name, hash, hint, created_at, revoked_at
