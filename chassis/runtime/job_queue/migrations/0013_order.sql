-- When the order of the queue was read last: of many workers one at a time reads it, for all. A crash may lose it.
CREATE UNLOGGED TABLE job_queue_order (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    read_at timestamptz NOT NULL
);
