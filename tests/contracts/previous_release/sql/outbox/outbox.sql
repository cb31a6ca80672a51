-- name: put
-- Rows in the order of the arrays: ids, and with them the order of publishing, follow it.
INSERT INTO outbox (topic, key, value, headers)
SELECT topic, key, value, headers::jsonb
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) WITH ORDINALITY AS row (topic, key, value, headers, place)
ORDER BY place;

-- name: pending
-- Whether there is anything to publish: what an idle relay asks, outside a transaction.
SELECT EXISTS (SELECT FROM outbox);

-- name: take_turn
-- One relay of a service publishes at a time, so that the order per key holds across replicas as well. The lock ends
-- with the transaction, and a relay that hangs loses both after the timeout.
SELECT set_config('idle_in_transaction_session_timeout', $1, true),
       pg_advisory_xact_lock(hashtextextended('bitmill.outbox.' || current_schema(), 0));

-- name: claim
-- The oldest rows. A row is locked against whoever else might touch it (people, tests); those are passed over.
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

-- name: backlog
SELECT count(*) FROM outbox;

-- name: quarantined
SELECT count(*) FROM outbox_quarantine;
