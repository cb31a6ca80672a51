-- How much of a project's work has no end yet is counted with these. They hold what is unfinished, and no ends.
CREATE INDEX jobs_unfinished ON jobs (project) WHERE ended IS NULL;
CREATE INDEX media_unfinished ON media (project) WHERE status = 'processing';
