-- What lists of jobs are filtered by besides kind, status and input: the customer's metadata, and the time of creation.
-- Triggers keep both, so that jobs which processes of the previous release insert and delete are not left out. Both need
-- only what never changes of a job.

-- NULL for jobs of before and of the previous release: their time is read from the snapshot.
ALTER TABLE jobs ADD COLUMN created_at bigint;

-- One row for each metadata pair of each job, in the order of the list. `pair` is as in media_metadata.
CREATE TABLE job_metadata (
    pair uuid NOT NULL,
    position bigint NOT NULL,
    minted text COLLATE "C" NOT NULL,
    PRIMARY KEY (pair, position, minted)
);
ALTER TABLE job_metadata ALTER COLUMN pair SET STATISTICS 1000;

-- When the jobs in each span of 256 and of 65,536 positions were created. Positions follow the time of creation but for
-- jobs that became visible late: where in the list the jobs of a time are is found here.
CREATE TABLE job_spans (
    project text COLLATE "C" NOT NULL,
    size integer NOT NULL,
    span bigint NOT NULL,
    first_created_at bigint NOT NULL,
    last_created_at bigint NOT NULL,
    PRIMARY KEY (project, size, span)
) WITH (fillfactor = 50);

-- The same as `services.catalog.filters.pair_id`.
CREATE FUNCTION metadata_pair(project text, key text, value text) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT left(encode(sha256(
        convert_to(project, 'UTF8') || '\x00'::bytea || convert_to(key, 'UTF8') || '\x00'::bytea
        || convert_to(value, 'UTF8')
    ), 'hex'), 32)::uuid
$$;

CREATE FUNCTION index_new_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_metadata (pair, position, minted)
    SELECT metadata_pair(new_jobs.project, key, value), position, minted
    FROM new_jobs CROSS JOIN LATERAL json_each_text(job -> 'metadata')
    ON CONFLICT DO NOTHING;
    INSERT INTO job_spans AS known (project, size, span, first_created_at, last_created_at)
    SELECT project, size, position / size, min(created), max(created)
    FROM new_jobs
    CROSS JOIN LATERAL (SELECT coalesce(created_at, (job ->> 'created_at')::bigint, updated_at) AS created) AS times
    CROSS JOIN (VALUES (256), (65536)) AS sizes (size)
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (project, size, span) DO UPDATE
    SET first_created_at = least(known.first_created_at, excluded.first_created_at),
        last_created_at = greatest(known.last_created_at, excluded.last_created_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER index_new_jobs AFTER INSERT ON jobs
REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION index_new_jobs();

-- A span that has no jobs any more goes with its last one, unless new jobs may be given a position in it.
CREATE FUNCTION index_deleted_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM job_metadata USING old_jobs CROSS JOIN LATERAL json_each_text(job -> 'metadata')
    WHERE job_metadata.pair = metadata_pair(old_jobs.project, key, value)
        AND job_metadata.position = old_jobs.position AND job_metadata.minted = old_jobs.minted;
    DELETE FROM job_spans
    USING (
        SELECT DISTINCT project, size, position / size AS span
        FROM old_jobs CROSS JOIN (VALUES (256), (65536)) AS sizes (size)
    ) AS touched
    WHERE (job_spans.project, job_spans.size, job_spans.span) = (touched.project, touched.size, touched.span)
        AND touched.span < (SELECT last / touched.size FROM job_positions WHERE project = touched.project)
        AND NOT EXISTS (
            SELECT FROM jobs WHERE jobs.project = touched.project
                AND position >= touched.span * touched.size AND position < (touched.span + 1) * touched.size
        );
    RETURN NULL;
END
$$;
CREATE TRIGGER index_deleted_jobs AFTER DELETE ON jobs
REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION index_deleted_jobs();

INSERT INTO job_metadata (pair, position, minted)
SELECT metadata_pair(jobs.project, key, value), position, minted
FROM jobs CROSS JOIN LATERAL json_each_text(job -> 'metadata')
ON CONFLICT DO NOTHING;

INSERT INTO job_spans (project, size, span, first_created_at, last_created_at)
SELECT project, size, position / size, min(created), max(created)
FROM jobs
CROSS JOIN LATERAL (SELECT coalesce((job ->> 'created_at')::bigint, updated_at) AS created) AS times
CROSS JOIN (VALUES (256), (65536)) AS sizes (size)
GROUP BY 1, 2, 3;
