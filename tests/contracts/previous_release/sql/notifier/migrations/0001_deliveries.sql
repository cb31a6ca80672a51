CREATE TABLE deliveries (
    id text PRIMARY KEY,
    job_id text NOT NULL,
    project text NOT NULL,
    url text NOT NULL,
    body bytea NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    reason text,
    due_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    UNIQUE (job_id, url)
);

CREATE TABLE attempts (
    delivery_id text NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    status integer,
    error text,
    address text,
    seconds double precision,
    excerpt bytea,
    PRIMARY KEY (delivery_id, number)
);

CREATE INDEX deliveries_closed ON deliveries (closed_at) WHERE closed_at IS NOT NULL;
