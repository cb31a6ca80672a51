"""Tests of `chassis.embedded`: the servers themselves, started, stopped and killed."""
