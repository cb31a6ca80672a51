"""Tests of `embedded`: real servers, started, stopped and killed."""
