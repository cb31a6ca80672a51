-- Each statement writes a whole batch: parallel arrays, one element a row. The caller gives every id once and in
-- ascending order, so that two batches lock the rows that they share in the same order and cannot deadlock.

-- name: put_jobs
-- The rule of schemas.jobs.supersedes, decided under the row's lock: duplicates and any order give the same row.
-- Returns the ids of the rows that were written.
INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job)
SELECT id, project, kind, status, input, rank, updated_at, job::json
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[], $8::text[]
) AS incoming (id, project, kind, status, input, rank, updated_at, job)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, rank = excluded.rank, updated_at = excluded.updated_at, job = excluded.job
WHERE jobs.rank < 2 AND (excluded.rank, excluded.updated_at) > (jobs.rank, jobs.updated_at)
RETURNING id;

-- name: put_media
-- The higher version wins. The row keeps what it replaced, because RETURNING gives new values only (before Postgres 18),
-- and a SELECT beforehand would miss a row that another transaction inserts in between. `pairs` are array literals: an
-- array of arrays cannot be unnested row by row. Returns the rows that were written; replaced_pairs is NULL for new ones.
INSERT INTO media (
    id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
    pairs, item
)
SELECT
    id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
    pairs::uuid[], item::json
FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::boolean[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::float8[], $10::integer[], $11::integer[], $12::float8[], $13::text[], $14::text[], $15::text[]
) AS incoming (
    id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
    pairs, item
)
ON CONFLICT (id) DO UPDATE
SET version = excluded.version, hidden = excluded.hidden, kind = excluded.kind, created_at = excluded.created_at,
    updated_at = excluded.updated_at, filesize = excluded.filesize, duration = excluded.duration,
    width = excluded.width, height = excluded.height, fps = excluded.fps, filename = excluded.filename,
    pairs = excluded.pairs, item = excluded.item, replaced_kind = media.kind,
    replaced_created_at = media.created_at, replaced_pairs = media.pairs
WHERE excluded.version > media.version
RETURNING id, replaced_kind, replaced_created_at, replaced_pairs;

-- name: delete_pairs
DELETE FROM media_metadata AS stored
USING unnest($1::uuid[], $2::bigint[], $3::text[]) AS replaced (pair, created_at, media_id)
WHERE stored.pair = replaced.pair AND stored.created_at = replaced.created_at AND stored.media_id = replaced.media_id;

-- name: insert_pairs
INSERT INTO media_metadata (pair, created_at, media_id, kind)
SELECT pair, created_at, media_id, kind
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[]) AS incoming (pair, created_at, media_id, kind)
ON CONFLICT DO NOTHING;

-- name: delete_files
DELETE FROM files WHERE owner = ANY ($1::text[]);

-- name: put_files
INSERT INTO files (project, path, owner, since, media_id, key, content_type, lasting)
SELECT project, path, owner, since, media_id, key, content_type, lasting
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::boolean[]
) AS incoming (project, path, owner, since, media_id, key, content_type, lasting)
ON CONFLICT (project, path, owner) DO UPDATE
SET since = excluded.since, media_id = excluded.media_id, key = excluded.key, content_type = excluded.content_type,
    lasting = excluded.lasting;

-- name: put_keys
-- A revoked key stays revoked, in whatever order its events arrive.
INSERT INTO api_keys (id, hash, key, revoked_at)
SELECT id, hash, key::json, revoked_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS incoming (id, hash, key, revoked_at)
ON CONFLICT (id) DO UPDATE
SET key = excluded.key, revoked_at = excluded.revoked_at
WHERE api_keys.revoked_at IS NULL;
