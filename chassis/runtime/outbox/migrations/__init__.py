"""Migrations of the outbox, applied in the schema of each service that publishes events."""

RECORDED_AS = "chassis.outbox.migrations"
"""The name under which databases of release 0.1 recorded these files."""
