-- Rows that an accepted job refers to are locked until its transaction ends: their own ends and deletions then see it.

-- name: shared_item
SELECT item FROM media WHERE id = $1 AND project = $2 FOR SHARE

-- name: shared_job
SELECT id, request ->> 'kind' AS kind, ended, output, media_id FROM jobs WHERE id = $1 AND project = $2 FOR SHARE

-- name: items_of_time
SELECT id FROM media WHERE left(right(id, 26), 10) = $1 AND project = $2

-- name: jobs_with_output_of_time
SELECT id FROM jobs WHERE left(right(id, 26), 10) = $1 AND output IS NOT NULL AND project = $2

-- name: set_input
UPDATE jobs SET input_file = $2::text::json, waits_for = $3 WHERE id = $1

-- name: stop_waiting
UPDATE jobs SET waits_for = NULL WHERE id = $1 AND project = $2 AND waits_for IS NOT NULL
RETURNING id, project, request, media_id, created_at, run, run_requested_at, earlier_runs, input_file, waits_for

-- name: lock_waiting_jobs
SELECT id, project, request, media_id, created_at, run, run_requested_at, earlier_runs, input_file, waits_for
FROM jobs WHERE waits_for = ANY ($1::text[]) AND ended IS NULL ORDER BY id FOR UPDATE

-- name: jobs_of_item_without_end
SELECT id, run FROM jobs WHERE media_id = $1 AND ended IS NULL

-- name: count_jobs_of_item_without_end
SELECT count(*) FROM jobs WHERE media_id = $1 AND ended IS NULL

-- name: outputs_for_item
SELECT id, project, request, media_id, created_at, run, run_requested_at, earlier_runs, input_file, waits_for, output,
    ended_at
FROM jobs WHERE media_id = $1 AND output IS NOT NULL ORDER BY id
