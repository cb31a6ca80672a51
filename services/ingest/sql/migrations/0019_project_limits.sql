-- What a project has in place of the settings of the installation; null where it has nothing of its own. Rates are
-- requests a minute, 0 is no limit. `retain_jobs_s` is in seconds.
ALTER TABLE projects
    ADD COLUMN rate_limit integer,
    ADD COLUMN key_rate_limit integer,
    ADD COLUMN max_unfinished_jobs integer,
    ADD COLUMN max_unfinished_imports integer,
    ADD COLUMN retain_jobs_s integer;

-- Ended jobs of a project, the longest ended first.
CREATE INDEX jobs_ended_of_project ON jobs (project, ended_at) WHERE ended IS NOT NULL;
