"""Tests of the chassis, on real servers where the code connects to one."""
