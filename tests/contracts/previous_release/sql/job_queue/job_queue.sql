-- The queries of release 0.1 as they were (chassis/ledger/ledger.sql of that release): its processes run them until the
-- last of them is replaced. Not to be changed.

-- All times are Postgres' own: workers whose clocks disagree still agree on leases.

-- name: add
INSERT INTO ledger (id, project, kind, payload, priority, estimate, not_before)
VALUES ($1, $2, $3, $4, $5, $6, coalesce(to_timestamp($7::double precision / 1000), now()))
ON CONFLICT (id) DO NOTHING
RETURNING true;

-- name: claim
-- THE RULE OF FAIRNESS: first the project with the fewest items running, then the highest priority, then what has
-- been due the longest. An item whose lease ran out is claimable like a queued one, with its old place in the row.
--
-- The cost grows with the number of projects that have something queued, not with the number of items: `hops` walks
-- the index from project to project, `fronts` looks at the front of each queue, and only the projects that are next in
-- line give candidates. There are more candidates than one, so that claimers at the same time do not all want the
-- same row; the lock is taken on one, and its state is looked at again once it is held.
WITH RECURSIVE
running AS (
    SELECT project, count(*) AS items FROM ledger
    WHERE state = 'running' AND lease_until > now()
    GROUP BY project
),
hops AS (
    (SELECT project FROM ledger WHERE state = 'queued' ORDER BY project LIMIT 1)
    UNION ALL
    SELECT (SELECT next.project FROM ledger AS next
            WHERE next.state = 'queued' AND next.project > hops.project ORDER BY next.project LIMIT 1)
    FROM hops WHERE hops.project IS NOT NULL
),
fronts AS (
    SELECT hops.project, coalesce(running.items, 0) AS items
    FROM hops
    CROSS JOIN LATERAL (
        SELECT priority, not_before FROM ledger
        WHERE state = 'queued' AND ledger.project = hops.project AND not_before <= now()
        ORDER BY priority DESC, not_before, id LIMIT 1
    ) AS front
    LEFT JOIN running ON running.project = hops.project
    ORDER BY coalesce(running.items, 0), front.priority DESC, front.not_before
    LIMIT 8
),
candidates AS (
    SELECT queued.id, fronts.items, queued.priority, queued.not_before
    FROM fronts
    CROSS JOIN LATERAL (
        SELECT id, priority, not_before FROM ledger
        WHERE state = 'queued' AND ledger.project = fronts.project AND not_before <= now()
        ORDER BY priority DESC, not_before, id LIMIT 32
    ) AS queued
    UNION ALL
    SELECT expired.id, coalesce(running.items, 0), expired.priority, expired.not_before
    FROM ledger AS expired LEFT JOIN running ON running.project = expired.project
    WHERE expired.state = 'running' AND expired.lease_until <= now()
    ORDER BY items, priority DESC, not_before, id
    LIMIT 32
),
chosen AS (
    SELECT ledger.id FROM candidates JOIN ledger ON ledger.id = candidates.id
    WHERE ledger.state = 'queued' OR (ledger.state = 'running' AND ledger.lease_until <= now())
    ORDER BY candidates.items, candidates.priority DESC, candidates.not_before, candidates.id
    LIMIT 1
    FOR UPDATE OF ledger SKIP LOCKED
)
UPDATE ledger
SET state = 'running', worker = $1, attempt = attempt + 1, lease_until = now() + $2::interval
FROM chosen
WHERE ledger.id = chosen.id
RETURNING ledger.id, project, kind, payload, attempt, worker,
    cancel_requested OR EXISTS (SELECT FROM ledger_cancel WHERE ledger_cancel.id = ledger.id) AS cancelled;

-- name: next_due
-- Seconds until the next queued item is due; less than 0 where one is due already.
SELECT extract(epoch FROM min(not_before) - now())::double precision FROM ledger WHERE state = 'queued';

-- name: heartbeat
UPDATE ledger SET lease_until = now() + $4::interval
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING cancel_requested OR EXISTS (SELECT FROM ledger_cancel WHERE ledger_cancel.id = ledger.id);

-- name: hold
-- Locks the row until the end of the transaction; no row where the lease is another's.
SELECT true FROM ledger WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' FOR UPDATE;

-- name: finish
UPDATE ledger SET state = $4, finished_at = now(), worker = NULL, lease_until = NULL
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: retry
UPDATE ledger
SET state = 'queued', worker = NULL, lease_until = NULL, not_before = now() + $4::interval, last_error = $5
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: release
-- Back to where it was before the claim.
UPDATE ledger SET state = 'queued', worker = NULL, lease_until = NULL, attempt = attempt - 1
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running';

-- name: request_cancel
-- A queued item is claimed for the caller ($2), so that nobody starts it while the caller closes it.
UPDATE ledger
SET cancel_requested = true,
    worker = CASE state WHEN 'queued' THEN $2 ELSE worker END,
    lease_until = CASE state WHEN 'queued' THEN now() + $3::interval ELSE lease_until END,
    state = 'running'
WHERE id = $1 AND state IN ('queued', 'running')
RETURNING id, project, kind, payload, attempt, worker, true AS cancelled;

-- name: mark_cancel
INSERT INTO ledger_cancel (id) SELECT $1 WHERE NOT EXISTS (SELECT FROM ledger WHERE id = $1)
ON CONFLICT (id) DO NOTHING;

-- name: unwanted
SELECT id FROM ledger_cancel WHERE id = ANY ($1::text[]);

-- name: counts
SELECT
    (SELECT count(*) FROM ledger WHERE state = 'queued') AS queued,
    (SELECT count(*) FROM ledger WHERE state = 'running') AS running,
    (SELECT coalesce(sum(estimate), 0) FROM ledger WHERE state = 'queued') AS queued_seconds;

-- name: purge
-- In steps, so that it never holds many locks.
WITH old AS (
    SELECT id FROM ledger WHERE finished_at < now() - $1::interval ORDER BY finished_at LIMIT $2
    FOR UPDATE SKIP LOCKED
),
old_marks AS (DELETE FROM ledger_cancel WHERE created_at < now() - $1::interval),
gone AS (DELETE FROM ledger USING old WHERE ledger.id = old.id RETURNING 1)
SELECT count(*) FROM gone;
