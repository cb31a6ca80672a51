"""Migrations for the tests of `chassis.postgres.migrate`."""
