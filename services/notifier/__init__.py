"""Webhooks: one delivery row for each finished job that asked for one, signed, retried on the published schedule.

This room reads `job.results`, owns the Postgres schema `notifier`, and opens connections to customers' addresses only
through the egress guard. It publishes no events and imports no other service.
"""
