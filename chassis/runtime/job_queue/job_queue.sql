-- All times are Postgres' own: workers whose clocks disagree still agree on leases.

-- name: watch_clock
-- The difference by which Postgres' clock has been set back since the last call; all times that lie ahead of it, and
-- cannot have been given since, are moved by it. Without that what was due would wait for as long again, and so would
-- the items of a worker that is gone. $1 is the lease; smaller differences than $2 are left alone. A clock that was set
-- forward needs nothing: retries come early, and leases that run out are renewed (`PostgresContact`).
-- The time is written down when what is written is older than $3 and there are items whose times may have to be moved,
-- otherwise when it is older than $4: of many callers one writes, and of those of an empty queue hardly any.
WITH seen AS (
    SELECT at FROM job_queue_clock
    WHERE at > clock_timestamp() + $2::interval OR at < clock_timestamp() - CASE
        WHEN (SELECT true FROM job_queue WHERE state = 'queued' ORDER BY not_before LIMIT 1)
            OR (SELECT true FROM job_queue WHERE state = 'running' ORDER BY project LIMIT 1) THEN $3::interval
        ELSE $4::interval
    END
    FOR UPDATE
),
back AS (SELECT at - clock_timestamp() AS difference FROM seen WHERE at > clock_timestamp() + $2::interval),
queued AS (
    UPDATE job_queue SET not_before = not_before - difference FROM back
    WHERE state = 'queued' AND not_before > clock_timestamp()
),
running AS (
    UPDATE job_queue SET lease_until = lease_until - difference FROM back
    WHERE state = 'running' AND lease_until > clock_timestamp() + 2 * $1::interval
),
moved AS (UPDATE job_queue_clock SET at = clock_timestamp() FROM seen)
SELECT difference FROM back;

-- name: add
-- In the order of the ids, so that two transactions that add the same ids do not wait for each other.
INSERT INTO job_queue (id, project, kind, payload, priority, estimate, not_before, traceparent, run)
SELECT id, project, kind, payload::json, priority, estimate,
    coalesce(to_timestamp(not_before_ms::double precision / 1000), now()), traceparent, run
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::double precision[], $7::bigint[], $8::text[],
    $9::integer[]
) AS item (id, project, kind, payload, priority, estimate, not_before_ms, traceparent, run)
ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: add_again
-- Queues those of the items that ended in an earlier run, as new ones, except that their attempts are counted on: no
-- attempt of an earlier run can write. Their projects join as those of new items do.
WITH item AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::double precision[], $7::bigint[], $8::text[],
        $9::integer[]
    ) AS item (id, project, kind, payload, priority, estimate, not_before_ms, traceparent, run)
),
locked AS (
    SELECT job_queue.id FROM job_queue JOIN item USING (id)
    WHERE job_queue.run < item.run AND job_queue.project = item.project
        AND job_queue.state IN ('done', 'failed', 'cancelled')
    ORDER BY job_queue.id
    FOR UPDATE OF job_queue
),
again AS (
    UPDATE job_queue
    SET state = 'queued', run = item.run, payload = item.payload::json, priority = item.priority,
        estimate = item.estimate, traceparent = item.traceparent,
        not_before = coalesce(to_timestamp(item.not_before_ms::double precision / 1000), now()),
        failures = 0, postponements = 0, deferrals = 0, deferred_s = 0, crashed = 0, crashed_alone = 0,
        crashed_waiting = 0, counted_crashes = '{}', deferral_reasons = '{}', waiting = false,
        cancel_requested = false, last_error = NULL, step = NULL, started_at = NULL, finished_at = NULL,
        final_events = NULL
    FROM item JOIN locked USING (id)
    WHERE job_queue.id = item.id AND job_queue.run < item.run
    RETURNING job_queue.id, job_queue.project
),
joined AS (
    INSERT INTO job_queue_projects (project, work, place, added)
    SELECT project, (SELECT coalesce(max(work), 0) FROM job_queue_projects),
        nextval('job_queue_places'), nextval('job_queue_places')
    FROM (SELECT project FROM again GROUP BY project ORDER BY project) AS projects
    ON CONFLICT (project) DO UPDATE SET added = EXCLUDED.added
)
SELECT id FROM again;

-- name: claim
-- The rule of fairness: first the project with the fewest items running, then the one of which the least work has been
-- claimed (`job_queue_projects`); within a project the highest priority, then what has been due the longest. An item
-- whose lease ran out is claimable like a queued one, with its old place in the queue, where $4 allows it; its worker
-- is then taken for crashed. A claim that an outage delayed until after $3 claims nothing.
-- A project of which this worker runs $5 items already gets none: its items could hold all of the worker's. Nor does
-- one of $7, of which items wait in the worker: another worker may have room.
--
-- A claim is charged with its estimate, at most $10 seconds, and no project is further behind the others than that:
-- one whose items were all postponed does not come back with a claim to hours of work.
--
-- A crash makes the item suspect if it was being worked on. One that only waited, for its input or for a slot, is
-- innocent in all likelihood; its crashes count from the $6th on, so that none crashes workers for ever. A worker that
-- claims its own item again has not crashed; $8 are the items that it still works on, which it does not claim.
-- `counted_crashes` keeps by attempt what was counted, for `retract_crash`. After each crash of a suspect its next claim
-- waits longer, a multiple of $9: a worker that only stood still can say so meanwhile.
--
-- The cost grows neither with the items nor with the projects: `unserved` takes the next projects from the index, one at
-- a time; it passes over those that run something, that have only items for later, and that have nothing any more. The
-- last kind is removed here, unless something was added meanwhile. There are more candidates than one, so that claimers
-- at the same time do not all want the same row, nor the same project; the lock is taken on one, and its state is looked
-- at again once it is held.
--
-- Whether a project has an item is asked in the order of an index and for one row, also where any would do: to a planner
-- that takes ended rows for queued ones, because they were when it counted them, reading the table seems cheaper. For
-- the same reason no limit of a scan is a parameter: the plan that is made once for all calls has to look as cheap as
-- one for the values of a call, or each call is planned, which takes longer than the claim.
--
-- At most $11 items, in the order in which as many claims would get them: the next item of a project counts as if the
-- one before it was running.
--
-- A row for each claimed item, with the time; without one a row of NULLs, and the seconds until the next queued item is
-- due or the next lease ends (0 if an item that could be claimed is due already and locked by another transaction).
WITH RECURSIVE running AS MATERIALIZED (
    SELECT project, count(*) AS items,
        CASE WHEN project = ANY ($7::text[]) THEN $5 ELSE count(*) FILTER (WHERE worker = $1) END AS here
    FROM job_queue
    WHERE state = 'running' AND lease_until > now()
    GROUP BY project
),
unserved (project, work, place, nth) AS (
    SELECT NULL::text, '-infinity'::double precision, 0::bigint, 0
    UNION ALL
    SELECT next.project, next.work, next.place, nth + 1
    FROM unserved CROSS JOIN LATERAL (
        SELECT project, projects.work, projects.place FROM job_queue_projects AS projects
        WHERE (projects.work, projects.place) > (unserved.work, unserved.place)
            AND project <> ALL (ARRAY(SELECT project FROM running))
            AND (
                SELECT true FROM job_queue
                WHERE state = 'queued' AND job_queue.project = projects.project AND not_before <= now()
                ORDER BY priority DESC, not_before, id LIMIT 1
            )
        ORDER BY projects.work, projects.place LIMIT 1
    ) AS next
    WHERE nth < greatest(4, $11::integer)
),
served AS (
    SELECT running.project, items, here, work, place
    FROM running
    JOIN job_queue_projects AS projects ON projects.project = running.project
    WHERE here < $5 AND (SELECT count(*) FROM unserved) <= greatest(4, $11)
        AND (
            SELECT true FROM job_queue
            WHERE state = 'queued' AND job_queue.project = running.project AND not_before <= now()
            ORDER BY priority DESC, not_before, id LIMIT 1
        )
    ORDER BY items, work, place
    LIMIT greatest(4, $11)
),
fronts AS MATERIALIZED (
    SELECT project, 0::bigint AS items, 0::bigint AS here, work, place FROM unserved WHERE nth > 0
    UNION ALL
    SELECT * FROM served
),
candidates AS (
    SELECT queued.id, items + nth - 1 AS items, work, place, nth
    FROM fronts
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY priority DESC, not_before, id) AS nth FROM job_queue
        WHERE state = 'queued' AND job_queue.project = fronts.project AND not_before <= now()
        ORDER BY priority DESC, not_before, id LIMIT 32
    ) AS queued
    WHERE here + least(nth, $11) <= $5
    UNION ALL
    SELECT expired.id, coalesce(running.items, 0), coalesce(work, 0), coalesce(place, 0), 0
    FROM job_queue AS expired
    LEFT JOIN running ON running.project = expired.project
    LEFT JOIN job_queue_projects AS projects ON projects.project = expired.project
    WHERE $4 AND expired.state = 'running' AND coalesce(running.here, 0) < $5 AND expired.id <> ALL ($8::text[])
        AND expired.lease_until + $9::interval * CASE WHEN expired.crashed > 0 THEN 2 ^ least(expired.crashed - 1, 2)
            ELSE 0 END <= now()
    ORDER BY items, work, place, nth, id
    LIMIT 32 * least($11, 4)
),
chosen AS (
    SELECT job_queue.id,
        CASE WHEN crashed.worker AND (NOT waiting OR crashed_waiting + 1 >= $6) THEN 1 ELSE 0 END AS crash,
        CASE WHEN crashed.worker AND waiting THEN 1 ELSE 0 END AS crash_waiting,
        CASE WHEN crashed.worker AND alone THEN 1 ELSE 0 END AS crash_alone
    FROM candidates JOIN job_queue ON job_queue.id = candidates.id
    CROSS JOIN LATERAL (SELECT job_queue.state = 'running' AND job_queue.worker <> $1 AS worker) AS crashed
    WHERE now() <= $3
        AND (job_queue.state = 'queued' OR ($4 AND job_queue.state = 'running' AND job_queue.lease_until <= now()))
    ORDER BY candidates.items, work, place, nth, candidates.id
    LIMIT $11
    FOR UPDATE OF job_queue SKIP LOCKED
),
claimed AS (
    UPDATE job_queue
    SET state = 'running', worker = $1, attempt = attempt + 1, lease_until = now() + $2::interval,
        started_at = CASE WHEN cancel_requested THEN started_at ELSE coalesce(started_at, now()) END,
        crashed = crashed + chosen.crash, crashed_waiting = crashed_waiting + chosen.crash_waiting,
        crashed_alone = crashed_alone + chosen.crash_alone,
        counted_crashes = CASE WHEN chosen.crash + chosen.crash_waiting = 0 THEN counted_crashes
            ELSE counted_crashes || jsonb_build_object(
                attempt, jsonb_build_array(chosen.crash, chosen.crash_waiting, chosen.crash_alone)) END,
        alone = false, waiting = false
    FROM chosen
    WHERE job_queue.id = chosen.id
    RETURNING job_queue.id, project, kind, payload, attempt, worker, failures, postponements, deferrals, deferred_s,
        deferral_reasons, crashed, crashed_alone, crashed_waiting, step, estimate, traceparent,
        extract(epoch FROM now() - job_queue.not_before)::double precision AS waited_s,
        floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms,
        cancel_requested OR EXISTS (
            SELECT FROM job_queue_cancellations AS requested
            WHERE requested.id = job_queue.id AND requested.run >= job_queue.run
                AND (requested.runs IS NULL OR (requested.runs ->> job_queue.project)::integer >= job_queue.run)
        ) AS cancelled
),
free AS MATERIALIZED (
    -- Claims of one project at the same time do not wait for one another: one of them is charged.
    SELECT project FROM job_queue_projects WHERE project IN (SELECT project FROM claimed)
    FOR UPDATE SKIP LOCKED
),
charged AS (
    UPDATE job_queue_projects AS projects
    SET work = greatest(
            projects.work, (SELECT work FROM job_queue_projects ORDER BY work DESC, place DESC LIMIT 1) - $10
        ) + claims.work,
        place = nextval('job_queue_places')
    FROM (
        SELECT project, sum(least(greatest(estimate, 0.1), $10)) AS work FROM claimed GROUP BY project
    ) AS claims
    JOIN free ON free.project = claims.project
    WHERE projects.project = free.project
),
idle AS (
    SELECT projects.project
    FROM (
        SELECT project, added FROM job_queue_projects AS passed
        WHERE (work, place) < (
                SELECT CASE WHEN nth < greatest(4, $11) THEN 'infinity' ELSE work END, place
                FROM unserved ORDER BY nth DESC LIMIT 1
            )
            AND (
                SELECT true FROM job_queue WHERE state = 'queued' AND job_queue.project = passed.project
                ORDER BY priority DESC, not_before, id LIMIT 1
            ) IS NULL
            AND (
                SELECT true FROM job_queue WHERE state = 'running' AND job_queue.project = passed.project
                ORDER BY project LIMIT 1
            ) IS NULL
        ORDER BY work, place
        LIMIT 8
    ) AS passed
    JOIN job_queue_projects AS projects ON projects.project = passed.project AND projects.added = passed.added
    FOR UPDATE OF projects SKIP LOCKED
),
removed AS (DELETE FROM job_queue_projects AS projects USING idle WHERE projects.project = idle.project)
SELECT now() AS at, claimed.*,
    CASE
        WHEN claimed.id IS NOT NULL THEN NULL
        WHEN EXISTS (SELECT FROM fronts) THEN 0
        ELSE (
            SELECT extract(epoch FROM least(
                (SELECT min(not_before) FROM job_queue WHERE state = 'queued' AND not_before > now()),
                (SELECT min(lease_until) FROM job_queue
                 WHERE state = 'running' AND lease_until > now() AND worker <> $1)
            ) - now())::double precision
        )
    END AS next_due_s,
    EXISTS (SELECT FROM running WHERE here >= $5) AS limited
FROM (VALUES (1)) AS always (row) LEFT JOIN claimed ON true;

-- name: renew
-- A result for each claim. A row that another transaction has locked is not waited for, or one transaction that stands
-- still would cost the leases of all items; while it is locked nobody can claim it.
WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]) AS asked (id, worker, attempt)),
free AS MATERIALIZED (
    SELECT job_queue.id
    FROM asked JOIN job_queue ON job_queue.id = asked.id
    WHERE job_queue.worker = asked.worker AND job_queue.attempt = asked.attempt AND state = 'running'
    FOR NO KEY UPDATE OF job_queue SKIP LOCKED
),
renewed AS (
    UPDATE job_queue SET lease_until = now() + $4::interval FROM free WHERE job_queue.id = free.id
    RETURNING job_queue.id, attempt, cancel_requested OR EXISTS (
        SELECT FROM job_queue_cancellations AS requested
        WHERE requested.id = job_queue.id AND requested.run >= job_queue.run
            AND (requested.runs IS NULL OR (requested.runs ->> job_queue.project)::integer >= job_queue.run)
    ) AS cancelled
)
SELECT now() AS at, asked.id, asked.attempt,
    CASE
        WHEN renewed.cancelled THEN 'cancelled'
        WHEN renewed.id IS NOT NULL THEN 'held'
        WHEN job_queue.id IS NOT NULL THEN 'locked'
        ELSE 'lost'
    END AS result
FROM asked
LEFT JOIN renewed ON renewed.id = asked.id AND renewed.attempt = asked.attempt
LEFT JOIN job_queue ON job_queue.id = asked.id AND job_queue.worker = asked.worker
    AND job_queue.attempt = asked.attempt AND job_queue.state = 'running';

-- name: retract_crash
-- The worker of attempt $2 lives: that its lease ran out was no crash. Takes back what the claim after it has counted.
UPDATE job_queue
SET crashed = crashed - (counted_crashes -> $2 ->> 0)::integer,
    crashed_waiting = crashed_waiting - (counted_crashes -> $2 ->> 1)::integer,
    crashed_alone = crashed_alone - (counted_crashes -> $2 ->> 2)::integer, counted_crashes = counted_crashes - $2
WHERE id = $1 AND counted_crashes ? $2
RETURNING true;

-- name: start_alone
-- From now on a crash of the worker is attributed to this item.
UPDATE job_queue SET alone = true, waiting = false
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: set_waiting
UPDATE job_queue SET waiting = $4, alone = alone AND NOT $4
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: set_step
UPDATE job_queue SET step = $4
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: lock_claimed
-- Locks the row until the end of the transaction; no row if another worker has claimed the item.
SELECT true FROM job_queue WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running' FOR UPDATE;

-- name: finish
UPDATE job_queue
SET state = $4, finished_at = now(), worker = NULL, lease_until = NULL, alone = false, final_events = $5::text::json
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: finish_many
-- `finish` for many items, without events; the ids of those that were still claimed.
UPDATE job_queue
SET state = ended.state, finished_at = now(), worker = NULL, lease_until = NULL, alone = false
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[]) AS ended (id, worker, attempt, state)
WHERE job_queue.id = ended.id AND job_queue.worker = ended.worker AND job_queue.attempt = ended.attempt
    AND job_queue.state = 'running'
RETURNING job_queue.id;

-- name: retry
UPDATE job_queue
SET state = 'queued', worker = NULL, lease_until = NULL, alone = false,
    not_before = now() + $4::interval, last_error = $5,
    failures = failures + CASE WHEN $6 THEN 1 ELSE 0 END,
    postponements = CASE WHEN $6 THEN 0 WHEN $7::text IS NOT NULL THEN postponements ELSE postponements + 1 END,
    deferrals = CASE WHEN $6 THEN 0 WHEN $7::text IS NOT NULL THEN deferrals + 1 ELSE deferrals END,
    deferred_s = CASE WHEN $6 THEN 0
        WHEN $7::text IS NOT NULL THEN deferred_s + extract(epoch FROM $4::interval) ELSE deferred_s END,
    deferral_reasons = CASE WHEN $6 THEN '{}'
        WHEN $7::text <> ALL (deferral_reasons) THEN deferral_reasons || $7::text ELSE deferral_reasons END
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running'
RETURNING true;

-- name: repeat_final_events
-- Puts the events of those of the items $1 that have ended into the outbox again, as they were: with the same ids.
INSERT INTO outbox (topic, key, value, headers)
SELECT record ->> 'topic', convert_to(record ->> 'key', 'UTF8'), convert_to(record ->> 'value', 'UTF8'),
    (record -> 'headers')::jsonb
FROM job_queue CROSS JOIN LATERAL json_array_elements(final_events) WITH ORDINALITY AS final (record, place)
WHERE job_queue.id = ANY ($1::text[]) AND final_events IS NOT NULL
ORDER BY job_queue.id, place
RETURNING convert_from(key, 'UTF8') AS id;

-- name: request_erasure
-- Of those of the items $1 that have ended; $2 are their projects.
UPDATE job_queue SET erase_requested = true
FROM unnest($1::text[], $2::text[]) AS requested (id, project)
WHERE job_queue.id = requested.id AND job_queue.project = requested.project
    AND job_queue.state IN ('done', 'failed', 'cancelled');

-- name: to_erase
SELECT id, final_events FROM job_queue WHERE erase_requested ORDER BY finished_at LIMIT $1;

-- name: erase
-- An empty list of events, not NULL: it is known that nothing is stored any more.
UPDATE job_queue SET payload = '{}', final_events = '[]', last_error = NULL, erase_requested = false
WHERE id = ANY ($1::text[]) AND erase_requested;

-- name: is_lost
-- Whether this claim can no longer end the item as done, and has not done so. An end whose connection was lost may have
-- been committed; while the claim is held it may still be. Unknown items count as not lost.
SELECT attempt <> $3 OR NOT (state = 'done' OR (state = 'running' AND worker = $2)) FROM job_queue WHERE id = $1;

-- name: release
UPDATE job_queue SET state = 'queued', worker = NULL, lease_until = NULL, alone = false
WHERE id = $1 AND worker = $2 AND attempt = $3 AND state = 'running';

-- name: request_cancel
-- Queued items are claimed for the caller ($2), so that no runner starts one while the caller ends it. Items in a later
-- run than $4, and those of another project than $5 if that is given, are left alone.
UPDATE job_queue
SET cancel_requested = true,
    worker = CASE state WHEN 'queued' THEN $2 ELSE worker END,
    lease_until = CASE state WHEN 'queued' THEN now() + $3::interval ELSE lease_until END,
    state = 'running'
FROM unnest($1::text[], $4::integer[]) AS requested (id, run)
WHERE job_queue.id = requested.id AND job_queue.run <= requested.run AND state IN ('queued', 'running')
    AND ($5::text IS NULL OR job_queue.project = $5)
RETURNING job_queue.id, project, kind, payload, attempt, worker, failures, postponements, deferrals, deferred_s,
    deferral_reasons, crashed, crashed_alone, crashed_waiting, step, traceparent, 0::double precision AS waited_s,
    floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms,
    true AS cancelled;

-- name: remember_cancellations
-- For the items of project $3, or of any project where it is null. Two projects may request to cancel the same id before
-- it is added: `runs` has the run of each, so that only that of the item's own project counts.
INSERT INTO job_queue_cancellations AS known (id, run, runs)
SELECT requested.id, requested.run, CASE WHEN $3::text IS NOT NULL THEN jsonb_build_object($3::text, requested.run) END
FROM unnest($1::text[], $2::integer[]) AS requested (id, run)
WHERE NOT EXISTS (
    SELECT FROM job_queue
    WHERE id = requested.id AND (job_queue.run >= requested.run OR job_queue.project <> $3::text)
)
ORDER BY requested.id
ON CONFLICT (id) DO UPDATE SET run = greatest(known.run, excluded.run),
    runs = known.runs || CASE WHEN excluded.run > coalesce((known.runs ->> $3::text)::integer, 0) THEN excluded.runs
        ELSE '{}' END;

-- name: pending_cancellations
SELECT requested.id FROM job_queue_cancellations AS requested LEFT JOIN job_queue ON job_queue.id = requested.id
WHERE requested.id = ANY ($1::text[])
    AND (job_queue.id IS NULL OR (requested.run >= job_queue.run
        AND (requested.runs IS NULL OR (requested.runs ->> job_queue.project)::integer >= job_queue.run)));

-- name: counts
SELECT queued.items AS queued, queued.seconds AS queued_seconds, running.items AS running,
    running.seconds AS running_seconds, running.expired,
    coalesce(greatest(0, extract(epoch FROM now() - (
        SELECT min(not_before) FROM job_queue WHERE state = 'queued'
    ))), 0)::double precision AS oldest_seconds
FROM (SELECT count(*) AS items, coalesce(sum(estimate), 0) AS seconds FROM job_queue WHERE state = 'queued') AS queued,
    (SELECT count(*) AS items, coalesce(sum(estimate), 0) AS seconds, count(*) FILTER (WHERE lease_until <= now()) AS expired
        FROM job_queue WHERE state = 'running') AS running;

-- name: inspect
SELECT id, project, kind, state, priority, run, attempt, worker, step, waiting, alone, cancel_requested, last_error,
    failures, postponements, deferrals, crashed, crashed_alone, crashed_waiting,
    floor(extract(epoch FROM created_at) * 1000)::bigint AS created_at,
    floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at,
    floor(extract(epoch FROM finished_at) * 1000)::bigint AS finished_at,
    floor(extract(epoch FROM lease_until) * 1000)::bigint AS lease_until,
    CASE state WHEN 'queued' THEN floor(extract(epoch FROM not_before) * 1000)::bigint END AS next_attempt_at,
    state = 'running' AND lease_until <= now() AS lease_expired
FROM job_queue
WHERE id = $1;

-- name: ended_items
-- A failed or cancelled item has no result, whatever its events say; one that is done may have lost them.
SELECT id, CASE WHEN state IN ('failed', 'cancelled') THEN '[]'::json ELSE final_events END AS final_events,
    finished_at IS NOT NULL AND (state <> 'done' OR final_events IS NOT NULL) AS known
FROM job_queue WHERE id = ANY ($1::text[]);

-- name: take_turn_of_order
-- Of the workers that ask, one within each $1. A clock that was set back costs no turn.
INSERT INTO job_queue_order AS last (read_at) VALUES (clock_timestamp())
ON CONFLICT (single) DO UPDATE SET read_at = excluded.read_at
WHERE last.read_at NOT BETWEEN excluded.read_at - $1::interval AND excluded.read_at
RETURNING true;

-- name: order
-- The ids of the first $1 queued items in the order in which they would be claimed if nothing that runs ended meanwhile
-- and nothing was added: the rule of `claim`. Each claim counts as running for the next one, and is charged ($3).
--
-- The cost is bounded: of at most $2 projects some items each are looked at, and the order ends where an item that was
-- not looked at could be before the next one.
WITH running AS MATERIALIZED (
    SELECT project, count(*) AS items FROM job_queue WHERE state = 'running' AND lease_until > now() GROUP BY project
),
fronts AS MATERIALIZED (
    SELECT projects.project, work, place, coalesce(items, 0) AS items,
        row_number() OVER (ORDER BY work, place) > $2::integer AS beyond
    FROM job_queue_projects AS projects LEFT JOIN running ON running.project = projects.project
    ORDER BY work, place
    LIMIT $2::integer + 1
),
share AS MATERIALIZED (SELECT greatest(20, 2 * $1::integer / greatest(count(*), 1)) AS items FROM fronts),
queued AS MATERIALIZED (
    SELECT own.id, fronts.items + nth - 1 AS items, place, own.nth = share.items AS cut,
        CASE WHEN nth = 1 THEN work ELSE greatest(
            work, (SELECT work FROM job_queue_projects ORDER BY work DESC, place DESC LIMIT 1) - $3::double precision
        ) + own.charged END AS work
    FROM fronts CROSS JOIN share CROSS JOIN LATERAL (
        SELECT first.id, row_number() OVER earlier AS nth,
            coalesce(sum(least(greatest(estimate, 0.1), $3)) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING
                AND 1 PRECEDING), 0) AS charged
        FROM (
            SELECT id, priority, not_before, estimate FROM job_queue
            WHERE state = 'queued' AND job_queue.project = fronts.project AND not_before <= now()
            ORDER BY priority DESC, not_before, id
            LIMIT share.items
        ) AS first
        WINDOW earlier AS (ORDER BY priority DESC, not_before, id)
    ) AS own
    WHERE NOT beyond
),
known AS (
    SELECT items, work, place
    FROM (
        SELECT items, work, place FROM queued WHERE cut
        UNION ALL
        SELECT 0, work, place FROM fronts WHERE beyond
    ) AS ends
    ORDER BY items, work, place
    LIMIT 1
)
SELECT id FROM queued
WHERE NOT EXISTS (
    SELECT FROM known WHERE (queued.items, queued.work, queued.place) > (known.items, known.work, known.place)
)
ORDER BY items, work, place, id
LIMIT $1;
