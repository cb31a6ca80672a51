-- Ended items of which all but the id is to be forgotten before their retention is over. The row stays until then: an id
-- that comes again is known.
ALTER TABLE job_queue ADD COLUMN erase_requested boolean NOT NULL DEFAULT false;
CREATE INDEX job_queue_to_erase ON job_queue (finished_at) WHERE erase_requested;
