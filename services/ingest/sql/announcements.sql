-- name: try_announcing
-- One replica announces at a time; the others do not wait. The lock ends with the transaction.
SELECT pg_try_advisory_xact_lock(hashtextextended('bitmill.announcements.' || current_schema(), 0))

-- name: unpublished_events
-- How many events wait for Kafka, counted up to $1.
SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS waiting

-- name: announce_jobs
-- At most $2 jobs without an end, longest silent first, which are marked as announced once more. $1 are the pauses
-- after the first announcement, the second, and so on; a job that was announced more often is left alone. One look into
-- the index for each pause, however many jobs there are.
WITH due AS (
    SELECT found.id FROM unnest($1::interval[]) WITH ORDINALITY AS pauses (pause, announcements)
    CROSS JOIN LATERAL (
        SELECT jobs.id, jobs.announced_at FROM jobs
        WHERE jobs.ended IS NULL AND jobs.announcements = pauses.announcements AND jobs.announced_at <= now() - pause
        ORDER BY jobs.announced_at LIMIT $2
    ) AS found
    ORDER BY found.announced_at LIMIT $2
),
locked AS (SELECT jobs.id FROM jobs JOIN due USING (id) WHERE jobs.ended IS NULL FOR UPDATE OF jobs SKIP LOCKED)
UPDATE jobs SET announced_at = now(), announcements = announcements + 1 FROM locked WHERE jobs.id = locked.id
RETURNING jobs.id, jobs.project, jobs.request, jobs.media_id, jobs.created_at, jobs.run, jobs.run_requested_at,
    jobs.earlier_runs, jobs.input_file, jobs.waits_for

-- name: announce_media
-- At most $2 items whose last change is $1 old and was announced once.
WITH due AS (
    SELECT id FROM media WHERE NOT announced_twice AND announced_at <= now() - $1::interval
    ORDER BY announced_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE media SET announced_twice = true FROM due WHERE media.id = due.id
RETURNING media.item
