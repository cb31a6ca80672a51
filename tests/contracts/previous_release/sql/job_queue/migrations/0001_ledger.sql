-- Work to do, being done and done. Finished rows stay a while: an id that comes again is then known.
CREATE TABLE ledger (
    id text PRIMARY KEY,
    project text NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    priority integer NOT NULL DEFAULT 0,
    estimate double precision NOT NULL DEFAULT 1, -- seconds of work, for autoscaling
    attempt integer NOT NULL DEFAULT 0, -- how often it was started
    worker text,
    lease_until timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(), -- when it became, or becomes, due
    cancel_requested boolean NOT NULL DEFAULT false,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state = 'running') = (lease_until IS NOT NULL AND worker IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- All indexes are partial: finished rows, however many, cost a claim nothing. None holds lease_until, so that a
-- heartbeat updates the row in place.
CREATE INDEX ledger_queued ON ledger (project, priority DESC, not_before, id) WHERE state = 'queued';
CREATE INDEX ledger_due ON ledger (not_before) WHERE state = 'queued';
CREATE INDEX ledger_running ON ledger (project) WHERE state = 'running';
CREATE INDEX ledger_finished ON ledger (finished_at) WHERE finished_at IS NOT NULL;

-- Wishes to cancel what is not here (yet): topics keep no order between each other.
CREATE TABLE ledger_cancel (
    id text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_cancel_age ON ledger_cancel (created_at);
