-- name: project_named
-- The project of this name, created if there is none. The UPDATE changes nothing; it makes RETURNING give the row.
INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id

-- name: project
SELECT id, name, delivery, strip, rate_limit, key_rate_limit, max_unfinished_jobs, max_unfinished_imports, retain_jobs_s,
    version
FROM projects WHERE id = $1

-- name: short_retentions
-- Projects with a retention of their own.
SELECT id, retain_jobs_s FROM projects WHERE retain_jobs_s IS NOT NULL ORDER BY id

-- name: list_projects
SELECT id, name, delivery, strip, rate_limit, key_rate_limit, max_unfinished_jobs, max_unfinished_imports, retain_jobs_s,
    version
FROM projects ORDER BY created_at, id

-- name: set_project
-- What is null stays; a number of -1 stands for the setting of the installation.
UPDATE projects SET
    delivery = coalesce($2::text, delivery), strip = coalesce($3::boolean, strip),
    rate_limit = nullif(coalesce($4::integer, rate_limit), -1),
    key_rate_limit = nullif(coalesce($5::integer, key_rate_limit), -1),
    max_unfinished_jobs = nullif(coalesce($6::integer, max_unfinished_jobs), -1),
    max_unfinished_imports = nullif(coalesce($7::integer, max_unfinished_imports), -1),
    retain_jobs_s = nullif(coalesce($8::integer, retain_jobs_s), -1),
    version = version + 1
WHERE id = $1
RETURNING id, name, delivery, strip, rate_limit, key_rate_limit, max_unfinished_jobs, max_unfinished_imports,
    retain_jobs_s, version

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

-- name: revoked_since
SELECT id, revoked_at FROM api_keys WHERE revoked_at >= $1 ORDER BY revoked_at DESC LIMIT $2
