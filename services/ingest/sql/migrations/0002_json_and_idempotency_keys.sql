-- `json` instead of `jsonb`: the keys of metadata keep the customer's order.
ALTER TABLE jobs ALTER COLUMN request TYPE json USING request::text::json;
ALTER TABLE media ALTER COLUMN item TYPE json USING item::text::json;

COMMENT ON TABLE jobs IS
    'Every accepted job, with what its JobCreated event is made of. Kept because the outbox row goes once Kafka has '
    'acknowledged the event, and a Kafka that loses acknowledged records (power cut, disk) loses the job with them: a '
    'job without `ended_at` after a long time is announced again from here, and a cancellation is answered from '
    '`ended`. The cost is one row per job, in the statement that writes its outbox row anyway, and one UPDATE for up '
    'to 500 results.';

-- The standard term. Processes of release 0.1 use the former name while they are being replaced.
ALTER TABLE claims RENAME TO idempotency_keys;
ALTER INDEX claims_by_expiry RENAME TO idempotency_keys_by_expiry;
CREATE VIEW claims AS
    SELECT project, scope, key, fingerprint, resource_id, response, created_at, expires_at FROM idempotency_keys;
