"""Webhooks: one delivery for each finished job with a `webhook_url`, signed, and retried on the published schedule.

Reads `job.results`, owns the Postgres schema `notifier`, and connects to customers' addresses through the egress
policy only. Publishes no events.
"""
