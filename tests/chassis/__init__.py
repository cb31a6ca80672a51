"""Tests of the chassis, on real servers where the code speaks to one."""
