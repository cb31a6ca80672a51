"""Which schema is ours, and what it is made of."""

SCHEMA = "ingest"
SOURCES = (
    "chassis.runtime.outbox.migrations",
    "chassis.runtime.job_queue.migrations",
    "services.ingest.sql.migrations",
)
