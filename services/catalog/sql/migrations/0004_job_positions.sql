-- Lists of jobs are in the order in which the jobs became visible. Ids are ordered by when they were made, which is
-- before: a reader that goes on after the last id it has seen would miss a job with an older id that comes later.
--
-- A transaction gives positions while it holds the row of the project in job_positions, so that of two positions the
-- lower one is visible first. Jobs that were here before this migration have position 0, and the order of their ids.
ALTER TABLE jobs ADD COLUMN position bigint NOT NULL DEFAULT 0;

CREATE TABLE job_positions (
    project text COLLATE "C" PRIMARY KEY,
    last bigint NOT NULL
) WITH (fillfactor = 50);

-- jobs_listed stays: it finds the place of an id that is not in the list.
CREATE INDEX jobs_by_position ON jobs (project, position, minted);
CREATE INDEX jobs_by_kind_and_position ON jobs (project, kind, position, minted);
CREATE INDEX jobs_by_status_and_position ON jobs (project, status, position, minted);
CREATE INDEX jobs_by_input_and_position ON jobs (project, md5(input), position, minted);
DROP INDEX jobs_by_kind, jobs_by_status, jobs_by_input;

-- Processes of the previous release, which insert beside new ones while they are replaced, give no positions.
CREATE FUNCTION give_job_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_positions (project, last) VALUES (NEW.project, 1)
    ON CONFLICT (project) DO UPDATE SET last = job_positions.last + 1
    RETURNING last INTO NEW.position;
    RETURN NEW;
END
$$;
CREATE TRIGGER give_job_position BEFORE INSERT ON jobs
FOR EACH ROW WHEN (NEW.position = 0) EXECUTE FUNCTION give_job_position();
