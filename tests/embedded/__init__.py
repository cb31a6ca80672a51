"""Tests of `embedded`: the servers themselves, started, stopped and killed."""
