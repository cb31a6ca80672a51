-- Inputs that are files of the project, and outputs that become files of a media item.
--
-- `output` is that of a job which succeeded; null for jobs that ended before this migration, and for those without one.
-- `input_file` is what an input of the project was found to be: {"source": …} or {"input_fault": …}. `waits_for` is the
-- media item or job whose file the input will be; such a job is not for workers yet.
ALTER TABLE jobs
    ADD COLUMN output json,
    ADD COLUMN input_file json,
    ADD COLUMN waits_for text;

CREATE INDEX jobs_waiting ON jobs (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX jobs_of_media ON jobs (media_id) WHERE media_id IS NOT NULL;
-- The id of a file has the time of the job or media item that it was derived from: the first ten characters behind the
-- prefix are the milliseconds.
CREATE INDEX jobs_with_output_by_time ON jobs (left(right(id, 26), 10)) WHERE output IS NOT NULL;
CREATE INDEX media_by_time ON media (left(right(id, 26), 10));
