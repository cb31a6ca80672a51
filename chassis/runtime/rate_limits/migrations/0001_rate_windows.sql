-- How many requests of a subject (a project, a key) the replicas have taken of its present window. Unlogged: after a
-- crash every window begins anew, and nothing waits for the disk.
CREATE UNLOGGED TABLE rate_windows (
    subject text PRIMARY KEY,
    ends_at timestamptz NOT NULL,
    used bigint NOT NULL
) WITH (fillfactor = 50);
