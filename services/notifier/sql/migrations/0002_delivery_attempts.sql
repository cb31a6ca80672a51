-- The primary key is derived from job and URL, so this constraint only did harm: a btree entry holds 2704 bytes, and a
-- longer webhook URL made the insert fail.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_job_id_url_key;

-- `dead` is the former word, which processes of release 0.1 still write while they are being replaced.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_state_check;
UPDATE deliveries SET state = 'gave_up' WHERE state = 'dead';
ALTER TABLE deliveries
    ADD CONSTRAINT deliveries_state_check CHECK (state IN ('pending', 'delivered', 'gave_up', 'dead'));

ALTER TABLE attempts RENAME TO delivery_attempts;
CREATE VIEW attempts AS
    SELECT delivery_id, number, started_at, finished_at, status, error, address, seconds, excerpt
    FROM delivery_attempts;

-- When a delivery is due is the job queue's `not_before` alone. Release 0.1 still needs the column.
COMMENT ON COLUMN deliveries.due_at IS 'unused since release 0.2';
