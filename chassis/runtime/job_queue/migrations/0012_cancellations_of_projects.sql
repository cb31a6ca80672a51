-- The run of each project that requested the cancellation, by the project's id. Null: for whatever project the item has
-- (rows of the previous release, which reads and writes `run` only).
ALTER TABLE job_queue_cancellations ADD COLUMN runs jsonb;
