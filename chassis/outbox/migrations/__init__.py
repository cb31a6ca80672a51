"""Migrations of the outbox, applied in the schema of each service that publishes."""
