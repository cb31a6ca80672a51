-- The records of the events with which the item ended, as they are in the outbox: its end can be published again where
-- Kafka has lost it. Null for items that ended before this migration, and for ends without events.
ALTER TABLE job_queue ADD COLUMN final_events json;
