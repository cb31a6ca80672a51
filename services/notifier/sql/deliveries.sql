-- name: add_deliveries
-- One row per (job, URL), from which the id is derived, however often the job's result is read. Returns the new ids.
INSERT INTO deliveries (id, job_id, project, url, encrypted_url, body)
SELECT id, job_id, project, url, encrypted_url, body
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[])
    AS row (id, job_id, project, url, encrypted_url, body)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: begin_attempts
-- The next attempt at each of the deliveries $1 that are pending; those that have ended have no row here.
--
-- Every attempt counts from its beginning: the row is committed before anything is sent, so the attempt of a killed
-- worker is seen here, and counts as one, because the receiver may have got it. One that a stop or an outage of ours
-- interrupts is taken back by `discard_attempt`; it counts only if Postgres is away at that moment, too. `number` is
-- null where there were $2 attempts already, or where another worker, whose lease has expired, is beginning the same
-- one (`previous` is then below $2).
WITH delivery AS (
    SELECT id, project, url, encrypted_url, body, extract(epoch FROM now() - created_at)::float8 AS waited
    FROM deliveries
    WHERE id = ANY ($1::text[]) AND state = 'pending'
),
previous AS (
    SELECT delivery.id, count(number) AS attempts, coalesce(max(number), 0) AS last
    FROM delivery LEFT JOIN delivery_attempts ON delivery_id = delivery.id
    GROUP BY delivery.id
),
begun AS (
    INSERT INTO delivery_attempts (delivery_id, number)
    SELECT id, last + 1 FROM previous WHERE attempts < $2 ORDER BY id
    ON CONFLICT (delivery_id, number) DO NOTHING
    RETURNING delivery_id, number
)
SELECT
    delivery.id, delivery.project, delivery.url, delivery.encrypted_url, delivery.body, delivery.waited,
    previous.attempts AS previous, begun.number,
    -- Newest first.
    ARRAY(
        SELECT encrypted FROM webhook_secrets
        WHERE project = delivery.project AND (expires_at IS NULL OR expires_at > now())
        ORDER BY id DESC
    ) AS secrets
FROM delivery JOIN previous USING (id) LEFT JOIN begun ON begun.delivery_id = delivery.id;

-- name: discard_attempt
-- An attempt that was interrupted by our own shutdown, or could not be made for an outage of ours, does not count.
DELETE FROM delivery_attempts WHERE delivery_id = $1 AND number = $2 AND finished_at IS NULL;

-- name: end_attempts
UPDATE delivery_attempts
SET finished_at = now(), status = ended.status, error = ended.error, address = ended.address, seconds = ended.seconds,
    excerpt = ended.excerpt
FROM unnest($1::text[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::float8[], $7::bytea[])
    AS ended (delivery_id, number, status, error, address, seconds, excerpt)
WHERE delivery_attempts.delivery_id = ended.delivery_id AND delivery_attempts.number = ended.number
    AND finished_at IS NULL;

-- name: close_deliveries
UPDATE deliveries
SET state = closed.state, reason = closed.reason, closed_at = now()
FROM unnest($1::text[], $2::text[], $3::text[]) AS closed (id, state, reason)
WHERE deliveries.id = closed.id AND deliveries.state = 'pending';

-- name: put_projects
INSERT INTO projects (id, signed, version)
SELECT id, signed, version FROM unnest($1::text[], $2::boolean[], $3::integer[]) AS incoming (id, signed, version)
ON CONFLICT (id) DO UPDATE SET signed = excluded.signed, version = excluded.version
WHERE projects.version < excluded.version;

-- name: signed_projects
SELECT id FROM projects WHERE id = ANY ($1::text[]) AND signed;

-- name: inspect_delivery
SELECT id, url, state, reason,
    floor(extract(epoch FROM created_at) * 1000)::bigint AS created_at,
    floor(extract(epoch FROM closed_at) * 1000)::bigint AS closed_at
FROM deliveries
WHERE id = $1;

-- name: inspect_attempts
SELECT number, status, error, address, seconds,
    floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at,
    floor(extract(epoch FROM finished_at) * 1000)::bigint AS finished_at
FROM delivery_attempts
WHERE delivery_id = $1
ORDER BY number;
