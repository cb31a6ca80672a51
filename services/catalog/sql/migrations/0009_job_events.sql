-- What happens to jobs, in the order in which it became visible: what streams of events are made of, and go on with.

-- One row for each change. `position` counts the changes of a project from 1 and has no holes: it is given while the row
-- of the project in event_positions is locked, until the commit. `data` is the job after the change or, of a report of
-- progress, only what it says.
CREATE TABLE job_events (
    project text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    recorded_at timestamptz NOT NULL,
    data json NOT NULL,
    PRIMARY KEY (project, position)
);
CREATE INDEX job_events_by_job ON job_events (job_id, position);
CREATE INDEX job_events_recorded ON job_events (recorded_at);

CREATE TABLE event_positions (
    project text COLLATE "C" PRIMARY KEY,
    last bigint NOT NULL
) WITH (fillfactor = 50);

-- What the last change of a job replaced: which changes are new follows from it, and RETURNING gives new values only
-- (before Postgres 18). See put_incoming_jobs.
ALTER TABLE jobs
    ADD COLUMN replaced_run integer,
    ADD COLUMN replaced_rank smallint,
    ADD COLUMN replaced_updated_at bigint;
