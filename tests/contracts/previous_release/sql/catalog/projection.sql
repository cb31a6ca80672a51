-- name: put_job
-- The same rule as schemas.jobs.supersedes, decided under the row's lock: twice and in any order, the same row comes out.
INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, rank = excluded.rank, updated_at = excluded.updated_at, job = excluded.job
WHERE jobs.rank < 2 AND (excluded.rank, excluded.updated_at) > (jobs.rank, jobs.updated_at)
RETURNING id;

-- name: lock_media
-- One writer an item at a time: its events come on two topics, and the row may not be there yet to be locked.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: media_before
SELECT version, kind, created_at, pairs FROM media WHERE id = $1;

-- name: put_media
INSERT INTO media (
    id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
    pairs, item
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::json)
ON CONFLICT (id) DO UPDATE
SET version = excluded.version, hidden = excluded.hidden, kind = excluded.kind, created_at = excluded.created_at,
    updated_at = excluded.updated_at, filesize = excluded.filesize, duration = excluded.duration,
    width = excluded.width, height = excluded.height, fps = excluded.fps, filename = excluded.filename,
    pairs = excluded.pairs, item = excluded.item;

-- name: drop_pairs
DELETE FROM media_metadata WHERE pair = ANY ($1::uuid[]) AND created_at = $2 AND media_id = $3;

-- name: add_pairs
INSERT INTO media_metadata (pair, created_at, media_id, kind)
SELECT pair, $2, $3, $4 FROM unnest($1::uuid[]) AS pair
ON CONFLICT DO NOTHING;

-- name: drop_files
DELETE FROM files WHERE owner = $1;

-- name: put_file
INSERT INTO files (project, path, owner, since, media_id, key, content_type, lasting)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (project, path, owner) DO UPDATE
SET since = excluded.since, media_id = excluded.media_id, key = excluded.key, content_type = excluded.content_type,
    lasting = excluded.lasting;

-- name: put_key
-- A key that was revoked stays so, in whatever order its two events arrive.
INSERT INTO api_keys (id, hash, key, revoked_at)
VALUES ($1, $2, $3::text::json, $4)
ON CONFLICT (id) DO UPDATE
SET key = excluded.key, revoked_at = excluded.revoked_at
WHERE api_keys.revoked_at IS NULL;
