-- name: end_jobs
-- Records how the present runs of jobs ended. The first end stays; ends of unknown jobs, of earlier runs and of
-- other projects are ignored.
UPDATE jobs SET ended = result.ended, ended_at = result.ended_at, started_at = result.started_at,
    end_error = result.error::json, output = result.output::json
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::text[])
    AS result (id, ended, ended_at, run, started_at, error, project, output)
WHERE jobs.id = result.id AND jobs.project = result.project AND jobs.ended IS NULL AND jobs.run = result.run
RETURNING jobs.id, jobs.reply

-- name: run_again
-- Only what failed or was cancelled, and at most $4 runs.
UPDATE jobs
SET run = run + 1, run_requested_at = greatest($3, ended_at + 1),
    earlier_runs = (earlier_runs::jsonb || jsonb_build_array(jsonb_build_object(
        'run', run, 'status', ended, 'error', end_error, 'started_at', started_at, 'finished_at', ended_at
    )))::json,
    ended = NULL, ended_at = NULL, started_at = NULL, end_error = NULL, cancel_requested_at = NULL,
    announced_at = now(), announcements = 1
WHERE id = $1 AND project = $2 AND ended IN ('failed', 'cancelled') AND run < $4
RETURNING id, project, request, media_id, created_at, run, run_requested_at, earlier_runs, input_file, waits_for

-- name: job_run
SELECT ended, run FROM jobs WHERE id = $1 AND project = $2

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

-- name: purge_job
-- Only what has ended.
DELETE FROM jobs WHERE id = $1 AND project = $2 AND ended IS NOT NULL RETURNING id

-- name: purge_expired_jobs
-- At most $3 jobs of a project that ended more than $2 seconds ago, by the clock of Postgres.
WITH old AS (
    SELECT id FROM jobs
    WHERE project = $1 AND ended IS NOT NULL AND ended_at < (extract(epoch FROM now()) - $2::bigint) * 1000
    ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
DELETE FROM jobs USING old WHERE jobs.id = old.id RETURNING jobs.id

-- name: inspect_job
SELECT project, request::text AS request, media_id, created_at, ended, ended_at, run FROM jobs WHERE id = $1

-- name: jobs_without_end
SELECT id, run FROM jobs WHERE id = ANY ($1::text[]) AND ended IS NULL

-- name: request_cancellation
-- The first request counts; a job that has ended stays as it is.
UPDATE jobs SET cancel_requested_at = CASE WHEN ended IS NULL THEN coalesce(cancel_requested_at, $3) END
WHERE id = $1 AND project = $2
RETURNING ended, run

-- name: job_end
SELECT ended FROM jobs WHERE id = $1

-- name: cancellations_of
SELECT id, cancel_requested_at, run FROM jobs WHERE id = ANY ($1::text[]) AND cancel_requested_at IS NOT NULL

-- name: unfinished_jobs
-- Counted up to $2.
SELECT count(*) FROM (SELECT FROM jobs WHERE project = $1 AND ended IS NULL LIMIT $2) AS unfinished
