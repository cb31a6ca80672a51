-- The statement that writes jobs writes their rows of job_metadata and job_spans as well, at a sixth of what the trigger
-- costs, and says so by this setting. Processes of the previous release do not.
DROP TRIGGER index_new_jobs ON jobs;
CREATE TRIGGER index_new_jobs AFTER INSERT ON jobs
REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT
WHEN (coalesce(current_setting('bitmill.jobs_are_indexed', true), '') <> 'on')
EXECUTE FUNCTION index_new_jobs();
