-- name: end_jobs
-- Records how jobs ended. The first end stays; unknown jobs are ignored.
UPDATE jobs SET ended = result.ended, ended_at = result.ended_at
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS result (id, ended, ended_at)
WHERE jobs.id = result.id AND jobs.ended IS NULL

-- name: add_jobs
-- A repeated import requests the same jobs again; all other ids are new.
INSERT INTO jobs (id, project, request, media_id, created_at)
SELECT id, project, request::json, media_id, created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    AS new (id, project, request, media_id, created_at)
ON CONFLICT (id) DO NOTHING

-- name: with_jobs
-- The head of a statement that stores jobs together with their events: the outbox's own INSERT, with the parameters $1
-- to $4, follows it. One statement is one transaction and one round trip.
WITH added AS (
    INSERT INTO jobs (id, project, request, media_id, created_at)
    SELECT id, project, request::json, media_id, created_at
    FROM unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
        AS new (id, project, request, media_id, created_at)
)

-- name: inspect_job
SELECT project, request::text AS request, media_id, created_at, ended, ended_at FROM jobs WHERE id = $1

-- name: jobs_without_end
SELECT id FROM jobs WHERE id = ANY ($1::text[]) AND ended IS NULL

-- name: request_cancellation
-- The first request counts; a job that has ended stays as it is.
UPDATE jobs SET cancel_requested_at = CASE WHEN ended IS NULL THEN coalesce(cancel_requested_at, $3) END
WHERE id = $1 AND project = $2
RETURNING ended

-- name: job_end
SELECT ended FROM jobs WHERE id = $1

-- name: cancellations_of
SELECT id, cancel_requested_at FROM jobs WHERE id = ANY ($1::text[]) AND cancel_requested_at IS NOT NULL

-- name: unfinished_jobs
-- Counted up to $2.
SELECT count(*) FROM (SELECT FROM jobs WHERE project = $1 AND ended IS NULL LIMIT $2) AS unfinished
