-- name: end_job
-- Marks what became of a job; the first word stays.
UPDATE jobs SET ended = $2, ended_at = $3 WHERE id = $1 AND ended IS NULL

-- name: add_jobs
-- A repeated import asks for the same jobs again; all other ids are new.
INSERT INTO jobs (id, project, request, media_id, created_at)
SELECT id, project, request::jsonb, media_id, created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    AS asked (id, project, request, media_id, created_at)
ON CONFLICT (id) DO NOTHING

-- name: with_jobs
-- The head of a statement that writes jobs together with what follows it, which has the parameters $1 to $4: the
-- outbox's own insert. One statement is one transaction and one round trip.
WITH added AS (
    INSERT INTO jobs (id, project, request, created_at)
    SELECT id, project, request::jsonb, created_at
    FROM unnest($5::text[], $6::text[], $7::text[], $8::bigint[]) AS asked (id, project, request, created_at)
)
