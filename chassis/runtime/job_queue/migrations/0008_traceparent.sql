-- The trace that an item belongs to (W3C Trace Context), as the event or request that queued it carried it. Null for
-- items without a trace, and for those that were queued before this migration.
ALTER TABLE job_queue ADD COLUMN traceparent text;
