-- Jobs that failed or were cancelled can be run again. `ended` and the columns of the end are those of the present run,
-- `earlier_runs` are the ends of those before it, as events carry them.
ALTER TABLE jobs
    ADD COLUMN run integer NOT NULL DEFAULT 1,
    ADD COLUMN run_requested_at bigint,
    ADD COLUMN started_at bigint,
    ADD COLUMN end_error json,
    ADD COLUMN earlier_runs json NOT NULL DEFAULT '[]';
