-- Which replica measures the gauges of this schema, and until when. Unlogged: after a crash another one takes over.
CREATE UNLOGGED TABLE gauge_leader (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
);
