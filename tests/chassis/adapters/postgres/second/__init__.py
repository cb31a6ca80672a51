"""Migrations for the tests of `chassis.adapters.postgres.migrate`."""
