-- Jobs are deleted some time after their end, the longest ended first.
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended IS NOT NULL;
