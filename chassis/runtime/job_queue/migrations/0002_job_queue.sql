-- The table's name is the field's term. `json` instead of `jsonb`: metadata keys keep the customer's order. `crashed`
-- counts claims whose worker disappeared, `crashed_alone` those during which no other item ran in the same process.
ALTER TABLE ledger RENAME TO job_queue;
ALTER TABLE ledger_cancel RENAME TO job_queue_cancellations;
ALTER INDEX ledger_queued RENAME TO job_queue_queued;
ALTER INDEX ledger_due RENAME TO job_queue_due;
ALTER INDEX ledger_running RENAME TO job_queue_running;
ALTER INDEX ledger_finished RENAME TO job_queue_finished;
ALTER INDEX ledger_cancel_age RENAME TO job_queue_cancellations_age;
ALTER TABLE job_queue
    ALTER COLUMN payload TYPE json USING payload::text::json,
    ADD COLUMN crashed integer NOT NULL DEFAULT 0,
    ADD COLUMN crashed_alone integer NOT NULL DEFAULT 0,
    ADD COLUMN alone boolean NOT NULL DEFAULT false;

-- Processes of release 0.1 use the old names while they are being replaced.
CREATE VIEW ledger AS
    SELECT id, project, kind, payload, state, priority, estimate, attempt, worker, lease_until, not_before,
        cancel_requested, last_error, created_at, finished_at
    FROM job_queue;
CREATE VIEW ledger_cancel AS SELECT id, created_at FROM job_queue_cancellations;
