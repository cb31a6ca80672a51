-- Attempts that failed because of somebody else's server, since the last one that counted: how many, and the sum of the
-- pauses after them in seconds.
ALTER TABLE job_queue
    ADD COLUMN deferrals integer NOT NULL DEFAULT 0,
    ADD COLUMN deferred_s double precision NOT NULL DEFAULT 0;
