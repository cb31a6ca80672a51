-- name: lock_secrets
-- Two rotations of one project come one after the other; a project without secrets has no row to lock.
SELECT pg_advisory_xact_lock(hashtextextended('webhook_secrets:' || $1, 0));

-- name: count_active_secrets
SELECT count(*) FROM webhook_secrets WHERE project = $1 AND (expires_at IS NULL OR expires_at > now());

-- name: expire_secrets
-- The secret of the installation (`encrypted` is null) has signed for a project without a secret of its own.
WITH expired AS (
    UPDATE webhook_secrets SET expires_at = now() + $2::interval
    WHERE project = $1 AND (expires_at IS NULL OR expires_at > now() + $2::interval)
)
INSERT INTO webhook_secrets (project, expires_at)
SELECT $1, now() + $2::interval WHERE NOT EXISTS (SELECT FROM webhook_secrets WHERE project = $1);

-- name: add_secret
INSERT INTO webhook_secrets (project, encrypted) VALUES ($1, $2);

-- name: list_secrets
SELECT id, encrypted IS NOT NULL AS own, created_at, expires_at
FROM webhook_secrets
WHERE project = $1 AND (expires_at IS NULL OR expires_at > now())
ORDER BY id DESC;
