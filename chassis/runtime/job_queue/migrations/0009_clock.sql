-- The time that Postgres' clock showed last: it may be set back, or another server with another clock may take over.
CREATE TABLE job_queue_clock (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    at timestamptz NOT NULL
);
INSERT INTO job_queue_clock (at) VALUES (now());
