-- name: add_delivery
-- One row per (job, url), however often and in whatever order the job's result is read.
INSERT INTO deliveries (id, job_id, project, url, body)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: lock_delivery
-- The row, and the seconds until it is due, locked so that two workers cannot begin the same attempt.
SELECT id, url, body, state, extract(epoch FROM due_at - now())::float8 AS due_in,
    extract(epoch FROM now() - created_at)::float8 AS waited
FROM deliveries
WHERE id = $1
FOR UPDATE;

-- name: begin_attempt
-- Every start counts, so the row is written before anything is sent: a killed worker's attempt is seen here.
INSERT INTO attempts (delivery_id, number)
SELECT $1, coalesce(max(number), 0) + 1 FROM attempts WHERE delivery_id = $1
RETURNING number;

-- name: count_attempts
SELECT count(*) FROM attempts WHERE delivery_id = $1;

-- name: end_attempt
UPDATE attempts
SET finished_at = now(), status = $3, error = $4, address = $5, seconds = $6, excerpt = $7
WHERE delivery_id = $1 AND number = $2 AND finished_at IS NULL;

-- name: postpone_delivery
-- The schedule lives here: an early claim (after a lost lease, say) is sent back until `due_at`.
UPDATE deliveries
SET due_at = now() + make_interval(secs => $2)
WHERE id = $1 AND state = 'pending';

-- name: close_delivery
UPDATE deliveries
SET state = $2, reason = $3, closed_at = now()
WHERE id = $1 AND state = 'pending';

-- name: forget_deliveries
WITH gone AS (
    DELETE FROM deliveries WHERE closed_at < now() - $1::interval RETURNING 1
)
SELECT count(*) FROM gone;
