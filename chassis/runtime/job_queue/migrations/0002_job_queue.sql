-- Renames the tables of release 0.1 to the field's term and adds what a claim has to know about earlier claims.
ALTER TABLE ledger RENAME TO job_queue;
ALTER TABLE ledger_cancel RENAME TO job_queue_cancellations;
ALTER INDEX ledger_pkey RENAME TO job_queue_pkey;
ALTER INDEX ledger_queued RENAME TO job_queue_queued;
ALTER INDEX ledger_due RENAME TO job_queue_due;
ALTER INDEX ledger_running RENAME TO job_queue_running;
ALTER INDEX ledger_finished RENAME TO job_queue_finished;
ALTER INDEX ledger_cancel_pkey RENAME TO job_queue_cancellations_pkey;
ALTER INDEX ledger_cancel_age RENAME TO job_queue_cancellations_age;

ALTER TABLE job_queue
    ALTER COLUMN payload TYPE json USING payload::text::json, -- unlike jsonb it keeps the order of keys
    ADD COLUMN failures integer NOT NULL DEFAULT 0, -- attempts that failed and counted towards the limit
    ADD COLUMN postponements integer NOT NULL DEFAULT 0, -- retries since the last of them, in a row, that did not count
    ADD COLUMN crashed integer NOT NULL DEFAULT 0, -- claims whose worker disappeared
    ADD COLUMN crashed_alone integer NOT NULL DEFAULT 0, -- those of them during which no other item ran in the worker
    ADD COLUMN alone boolean NOT NULL DEFAULT false, -- whether the present claim runs alone in its worker
    ADD COLUMN started_at timestamptz, -- the first claim
    ADD COLUMN step text; -- the step that the newest attempt has reached, by the names of whoever uses the queue

-- In release 0.1 `attempt` counted failures as well; from now on it is the fencing number alone. Some queues had no
-- limit there: nobody loses the attempts that are left.
UPDATE job_queue SET failures = least(2, attempt - CASE state WHEN 'running' THEN 1 ELSE 0 END)
WHERE state IN ('queued', 'running') AND attempt > 0;

-- Processes of release 0.1 use the old names while they are being replaced.
CREATE VIEW ledger AS
    SELECT id, project, kind, payload, state, priority, estimate, attempt, worker, lease_until, not_before,
        cancel_requested, last_error, created_at, finished_at
    FROM job_queue;
CREATE VIEW ledger_cancel AS SELECT id, created_at FROM job_queue_cancellations;
