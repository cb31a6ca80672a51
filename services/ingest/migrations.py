"""Which schema is ours, and what it is made of."""

SCHEMA = "ingest"
SOURCES = ("chassis.outbox.migrations", "chassis.ledger.migrations", "services.ingest.sql.migrations")
