-- Each statement writes a batch: parallel arrays, one element a row. The caller gives every id once and in
-- ascending order, so that two batches lock the rows that they share in the same order and cannot deadlock. Snapshots
-- are cut out of the event's JSON: that is cheaper than writing them again, and keeps what a newer release has added.

-- name: prepare_incoming_jobs
-- Jobs come by COPY, which costs the client a third of what arrays cost. The table lasts as long as the connection. The
-- setting, which holds for the transaction, says that put_incoming_jobs writes what the trigger of migration 0006 would.
-- The lock is that of lock_jobs_for_purge.
CREATE TEMP TABLE IF NOT EXISTS incoming_jobs (
    id text COLLATE "C", project text, kind text, status text, input text, rank smallint, updated_at bigint,
    event text, job_path text, media_id text, path text, key text, content_type text,
    created_at bigint, run integer, pairs text
) ON COMMIT DELETE ROWS;
SELECT set_config('bitmill.jobs_are_indexed', 'on', true),
    pg_advisory_xact_lock_shared(hashtextextended('bitmill.purged_jobs.' || current_schema(), 0));

-- name: known_jobs
SELECT id FROM jobs WHERE id = ANY ($1::text[]);

-- name: reserve_job_positions
-- $2 positions for each of the projects $1, which are in ascending order: their rows stay locked until the commit.
INSERT INTO job_positions (project, last)
SELECT project, count FROM unnest($1::text[], $2::bigint[]) AS new (project, count)
ON CONFLICT (project) DO UPDATE SET last = job_positions.last + excluded.last
RETURNING project, last;

-- name: put_incoming_jobs
-- The rule of schemas.jobs.supersedes, decided under the row's lock: duplicates and any order give the same row. The
-- names of outputs are written for the jobs that are; returns their ids, with what was replaced of them. A job that is
-- there keeps its position; the new ones $1 have the positions $2, and get their rows in job_metadata and job_spans. -1
-- stands for the position of the others, which is not written; 0 would fire the trigger of migration 0004.
WITH given AS (
    SELECT id COLLATE "C" AS id, position FROM unnest($1::text[], $2::bigint[]) AS given (id, position)
),
written AS (
    INSERT INTO jobs (id, project, kind, status, input, rank, updated_at, job, position, created_at, run)
    SELECT id, project, kind, status, input, rank, updated_at, event::json #> job_path::text[],
        coalesce(position, -1), created_at, run
    FROM incoming_jobs LEFT JOIN given USING (id)
    WHERE NOT EXISTS (
        SELECT FROM purged_jobs WHERE purged_jobs.id = incoming_jobs.id AND purged_jobs.project = incoming_jobs.project
    )
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET status = excluded.status, rank = excluded.rank, updated_at = excluded.updated_at, job = excluded.job,
        run = excluded.run, replaced_run = jobs.run, replaced_rank = jobs.rank, replaced_updated_at = jobs.updated_at
    WHERE jobs.project = excluded.project AND (excluded.run > jobs.run
        OR (excluded.run = jobs.run AND jobs.rank < 2
            AND (excluded.rank, excluded.updated_at) > (jobs.rank, jobs.updated_at)))
    RETURNING id, project, position, minted, created_at, replaced_run, replaced_rank, replaced_updated_at
),
new AS (
    SELECT written.*, pairs FROM written JOIN given USING (id, position) JOIN incoming_jobs USING (id)
),
described AS (
    INSERT INTO job_metadata (pair, position, minted)
    SELECT pair, position, minted FROM new CROSS JOIN unnest(pairs::uuid[]) AS pair
    ON CONFLICT DO NOTHING
),
spanned AS (
    INSERT INTO job_spans AS known (project, size, span, first_created_at, last_created_at)
    SELECT project, size, position / size, min(created_at), max(created_at)
    FROM new CROSS JOIN (VALUES (256), (65536)) AS sizes (size)
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (project, size, span) DO UPDATE
    SET first_created_at = least(known.first_created_at, excluded.first_created_at),
        last_created_at = greatest(known.last_created_at, excluded.last_created_at)
),
named AS (
    -- The label of a media item may be given to another file one day; the output of a job alone never changes.
    INSERT INTO files (project, path, owner, since, media_id, key, content_type, lasting)
    SELECT incoming_jobs.project, path, id, updated_at, media_id, key, content_type, media_id IS NULL
    FROM incoming_jobs
    JOIN written USING (id)
    WHERE path IS NOT NULL
    ON CONFLICT (project, path, owner) DO UPDATE
    SET since = excluded.since, media_id = excluded.media_id, key = excluded.key,
        content_type = excluded.content_type, lasting = excluded.lasting
)
SELECT id, replaced_run, replaced_rank, replaced_updated_at FROM written;

-- name: put_job_events
-- The rows of `services.catalog.job_changes`, in their order; projects are locked in ascending order. The time is taken
-- under the lock, so that rows are deleted in the order of their positions.
WITH incoming AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]
    ) WITH ORDINALITY AS change (project, job_id, kind, status, name, data, path, nth)
),
given AS (
    INSERT INTO event_positions (project, last)
    SELECT project, count(*) FROM incoming GROUP BY project ORDER BY project
    ON CONFLICT (project) DO UPDATE SET last = event_positions.last + excluded.last
    RETURNING project, last
)
INSERT INTO job_events (project, position, job_id, kind, status, name, recorded_at, data)
SELECT incoming.project,
    last - count(*) OVER (PARTITION BY incoming.project)
        + row_number() OVER (PARTITION BY incoming.project ORDER BY nth),
    job_id, incoming.kind, incoming.status, name, clock_timestamp(), coalesce(data::json #> path::text[], job)
FROM incoming JOIN given ON given.project = incoming.project
LEFT JOIN jobs ON data IS NULL AND jobs.id = job_id;

-- name: lock_jobs_for_purge
-- Waits for the transactions that write jobs, and keeps others from it until the end of this one: what writes jobs
-- afterwards sees the marks.
SELECT pg_advisory_xact_lock(hashtextextended('bitmill.purged_jobs.' || current_schema(), 0));

-- name: mark_purged_jobs
INSERT INTO purged_jobs (id, project)
SELECT id, project FROM unnest($1::text[], $2::text[]) AS purged (id, project)
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: delete_purged_jobs
-- With what listeners could still hear of them, and the names of their outputs, but for those of media items.
WITH purged AS (
    SELECT jobs.id FROM jobs JOIN unnest($1::text[], $2::text[]) AS purged (id, project) USING (id, project)
    ORDER BY jobs.id FOR UPDATE OF jobs
),
unnamed AS (
    DELETE FROM files USING purged WHERE files.owner = purged.id AND files.media_id IS NULL
),
unheard AS (
    DELETE FROM job_events USING purged WHERE job_events.job_id = purged.id
)
DELETE FROM jobs USING purged WHERE jobs.id = purged.id RETURNING jobs.id;

-- name: put_media
-- The higher version wins. A row keeps what it replaced, because RETURNING gives new values only (before Postgres 18),
-- and a SELECT beforehand would miss a row that another transaction inserts in between. `pairs` are array literals,
-- sorted: an array of arrays cannot be unnested row by row. The metadata and the names, from $16 on, are written for the
-- items that are. Returns the ids of those, and whether they were there before.
WITH written AS (
    INSERT INTO media (
        id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
        pairs, item
    )
    SELECT
        id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
        pairs::uuid[], event::json -> 'media'
    FROM unnest(
        $1::text[], $2::text[], $3::bigint[], $4::boolean[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::float8[], $10::integer[], $11::integer[], $12::float8[], $13::text[], $14::text[], $15::text[]
    ) AS incoming (
        id, project, version, hidden, kind, created_at, updated_at, filesize, duration, width, height, fps, filename,
        pairs, event
    )
    ON CONFLICT (id) DO UPDATE
    SET version = excluded.version, hidden = excluded.hidden, kind = excluded.kind, created_at = excluded.created_at,
        updated_at = excluded.updated_at, filesize = excluded.filesize, duration = excluded.duration,
        width = excluded.width, height = excluded.height, fps = excluded.fps, filename = excluded.filename,
        pairs = excluded.pairs, item = excluded.item, replaced_kind = media.kind,
        replaced_created_at = media.created_at, replaced_pairs = media.pairs
    WHERE media.project = excluded.project AND excluded.version > media.version
    RETURNING id, project, updated_at, kind, created_at, pairs, replaced_kind, replaced_created_at, replaced_pairs
),
described AS (
    INSERT INTO media_metadata (pair, created_at, media_id, kind)
    SELECT new.pair, written.created_at, written.id, written.kind
    FROM written CROSS JOIN unnest(written.pairs) AS new (pair)
    WHERE (written.kind, written.created_at, written.pairs)
        IS DISTINCT FROM (written.replaced_kind, written.replaced_created_at, written.replaced_pairs)
    ON CONFLICT (pair, created_at, media_id) DO UPDATE SET kind = excluded.kind
),
named AS (
    INSERT INTO files (project, path, owner, since, media_id, key, content_type, lasting)
    SELECT written.project, path, written.id, written.updated_at, written.id, key, content_type, false
    FROM unnest($16::text[], $17::text[], $18::text[], $19::text[]) AS stored (owner, path, key, content_type)
    JOIN written ON written.id = stored.owner
    ON CONFLICT (project, path, owner) DO UPDATE
    SET since = excluded.since, media_id = excluded.media_id, key = excluded.key,
        content_type = excluded.content_type, lasting = excluded.lasting
)
SELECT id, replaced_pairs IS NOT NULL AS replaced FROM written;

-- name: delete_replaced_metadata
-- After put_media, for items that were there before. A statement of its own, because it has to see what was committed
-- while put_media waited for a row's lock.
DELETE FROM media_metadata
USING media CROSS JOIN unnest(media.replaced_pairs) AS replaced (pair)
WHERE media.id = ANY ($1::text[]) AND media_metadata.pair = replaced.pair
    AND media_metadata.created_at = media.replaced_created_at AND media_metadata.media_id = media.id
    AND NOT (media.created_at = media.replaced_created_at AND replaced.pair = ANY (media.pairs));

-- name: delete_replaced_files
-- As delete_replaced_metadata: the names of the owners $1, but for those that they have now ($2 and $3).
DELETE FROM files
WHERE owner = ANY ($1::text[]) AND NOT EXISTS (
    SELECT FROM unnest($2::text[], $3::text[]) AS kept (owner, path)
    WHERE kept.owner = files.owner AND kept.path = files.path
);

-- name: put_keys
-- A revoked key stays revoked, in whatever order its events arrive.
INSERT INTO api_keys (id, hash, key, revoked_at)
SELECT id, hash, key::json, revoked_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS incoming (id, hash, key, revoked_at)
ON CONFLICT (id) DO UPDATE
SET key = excluded.key, revoked_at = excluded.revoked_at
WHERE api_keys.revoked_at IS NULL;

-- name: put_projects
INSERT INTO projects (id, signed, version, rate_limit, key_rate_limit)
SELECT id, signed, version, rate_limit, key_rate_limit
FROM unnest($1::text[], $2::boolean[], $3::integer[], $4::integer[], $5::integer[])
    AS incoming (id, signed, version, rate_limit, key_rate_limit)
ON CONFLICT (id) DO UPDATE SET signed = excluded.signed, version = excluded.version, rate_limit = excluded.rate_limit,
    key_rate_limit = excluded.key_rate_limit
WHERE projects.version < excluded.version;

-- name: revoke_keys
-- What was announced before the event has come. Keys that are not known yet are left to whoever remembers the id.
UPDATE api_keys
SET revoked_at = announced.revoked_at,
    key = (key::jsonb || jsonb_build_object('revoked_at', announced.revoked_at))::json
FROM unnest($1::text[], $2::bigint[]) AS announced (id, revoked_at)
WHERE api_keys.id = announced.id AND api_keys.revoked_at IS NULL;
