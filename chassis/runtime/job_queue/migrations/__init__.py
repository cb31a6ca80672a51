"""Migrations of the job queue, applied in the schema of each service that has one."""

RECORDED_AS = "chassis.ledger.migrations"
"""The name under which databases of release 0.1 recorded these files."""
