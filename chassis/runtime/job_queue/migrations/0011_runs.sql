-- An item that has failed or was cancelled may be queued again: as its next run. The numbers of attempts go on.
ALTER TABLE job_queue ADD COLUMN run integer NOT NULL DEFAULT 1;

-- The run that is to be cancelled, and those before it.
ALTER TABLE job_queue_cancellations ADD COLUMN run integer NOT NULL DEFAULT 1;
