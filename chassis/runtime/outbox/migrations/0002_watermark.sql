-- The oldest row is asked for once a second, however many rows wait while Kafka is away.
CREATE INDEX outbox_created_at ON outbox (created_at);

-- When the watermark was last asked for, so that one of all replicas sends it. Unlogged: a write a second that a crash
-- may lose, without WAL.
CREATE UNLOGGED TABLE outbox_watermark (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    asked_at timestamptz NOT NULL
);
