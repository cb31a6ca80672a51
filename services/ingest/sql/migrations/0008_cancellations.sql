-- When the cancellation of a job was requested, in Unix milliseconds. A job that is announced again is cancelled again.
ALTER TABLE jobs ADD COLUMN cancel_requested_at bigint;
