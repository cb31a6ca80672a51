-- Jobs that were removed for good: an event about one that is read late, or again, does not bring it back.
CREATE TABLE purged_jobs (
    id text COLLATE "C" PRIMARY KEY,
    project text NOT NULL,
    purged_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX purged_jobs_by_age ON purged_jobs (purged_at);
