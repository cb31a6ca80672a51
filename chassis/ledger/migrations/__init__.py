"""Migrations of the ledger, applied in the schema of each service that works."""
