-- name: put
-- Rows in the order of the arrays: ids, and with them the order of publishing, follow it.
INSERT INTO outbox (topic, key, value, headers)
SELECT topic, key, value, headers::jsonb
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) WITH ORDINALITY AS row (topic, key, value, headers, place)
ORDER BY place;

-- name: pending
-- Whether there is anything to publish: the only query of an idle relay, outside a transaction.
SELECT EXISTS (SELECT FROM outbox);

-- name: try_lock
-- One relay of a service publishes at a time, so that the order per key holds across replicas as well. The others do
-- not wait for the lock, because each would hold a connection meanwhile. The lock ends with the transaction, and the
-- transaction of a relay that hangs ends after the timeout $1 of the setting $2.
SELECT pg_try_advisory_xact_lock(hashtextextended('bitmill.outbox.' || current_schema(), 0))
-- Only what is disabled first gets a new length in the middle of a transaction.
FROM set_config($2, '0', true) AS disabled (value),
    LATERAL set_config($2, CASE disabled.value WHEN '0' THEN $1 END, true);

-- name: claim
-- The oldest rows. Rows that are locked by another session are skipped.
SELECT id, topic, key, value, headers::text AS headers
FROM outbox
ORDER BY id
LIMIT $1
FOR UPDATE SKIP LOCKED;

-- name: remove
DELETE FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: quarantine
WITH moved AS (DELETE FROM outbox WHERE id = $1 RETURNING id, topic, key, value, headers, created_at)
INSERT INTO outbox_quarantine (id, topic, key, value, headers, created_at, reason)
SELECT id, topic, key, value, headers, created_at, $2 FROM moved;

-- name: counts
SELECT (SELECT count(*) FROM outbox) AS backlog, (SELECT count(*) FROM outbox_quarantine) AS quarantined,
    coalesce(greatest(0, extract(epoch FROM now() - (SELECT min(created_at) FROM outbox))), 0)::double precision
        AS oldest_seconds;

-- name: unpublished
-- Whether rows are left of transactions that began at or before $1 (NULL: now). A row's `created_at` is the moment
-- its transaction began, so every row that is committed by now is counted.
SELECT EXISTS (SELECT FROM outbox WHERE created_at <= moment.until) AS unpublished, moment.until
FROM (SELECT coalesce($1::timestamptz, now()) AS until) AS moment;

-- name: watermark
-- No row if another replica sent a watermark less than $1 ago. Rows are deleted after Kafka acknowledged them: a row that was
-- committed before this statement and is not acknowledged is visible here, and bounds `published_through`. Both times
-- are rounded down to milliseconds. A row of the future is of the time before the clock was set back: nothing is known then.
WITH sender AS (
    INSERT INTO outbox_watermark (asked_at) VALUES (now())
    ON CONFLICT (single) DO UPDATE SET asked_at = excluded.asked_at
    WHERE outbox_watermark.asked_at <= excluded.asked_at - $1::interval
        OR outbox_watermark.asked_at > excluded.asked_at + $1::interval -- the clock was set back
    RETURNING asked_at
)
SELECT floor(extract(epoch FROM asked_at) * 1000)::bigint AS at,
    CASE WHEN EXISTS (SELECT FROM outbox WHERE created_at > asked_at) THEN 0
        ELSE floor(extract(epoch FROM least(asked_at, (SELECT min(created_at) FROM outbox))) * 1000)::bigint
    END AS published_through
FROM sender;

-- name: lead_gauges
-- A row for the replica that measures: the one that holds the lease, or the first to ask once it has expired. It then
-- lasts for $2. No write by the others.
INSERT INTO gauge_leader (holder, expires_at) VALUES ($1, now() + $2::interval)
ON CONFLICT (single) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE gauge_leader.holder = excluded.holder OR gauge_leader.expires_at < now()
    OR gauge_leader.expires_at > excluded.expires_at + $2::interval -- the clock was set back: all have the same lease
RETURNING true;

-- name: release_gauges
DELETE FROM gauge_leader WHERE holder = $1;

-- name: inspect
-- Events about any of the keys $1 that Kafka does not have (yet).
SELECT topic, headers::text AS headers, floor(extract(epoch FROM created_at) * 1000)::bigint AS created_at, reason
FROM (
    SELECT id, topic, key, headers, created_at, NULL::text AS reason FROM outbox
    UNION ALL
    SELECT id, topic, key, headers, created_at, reason FROM outbox_quarantine
) AS unpublished
WHERE key = ANY ($1::bytea[])
ORDER BY id
LIMIT 100;
