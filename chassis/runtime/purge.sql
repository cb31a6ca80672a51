-- name: begin_purge
-- Whether no other replica deletes at this moment, until the end of the transaction, and the time $1 ago.
SELECT pg_try_advisory_xact_lock(hashtextextended('bitmill.purge.' || current_schema(), 0)) AS alone,
    now() - $1::interval AS cutoff
FROM set_config('statement_timeout', $2, true);

-- name: now
SELECT now();

-- name: table_sizes
SELECT relname AS table, greatest(n_live_tup, 0) AS rows, pg_total_relation_size(relid) AS bytes
FROM pg_stat_user_tables WHERE schemaname = current_schema();
