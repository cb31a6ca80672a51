"""Answers GET: jobs, media items, and the files themselves.

Reads `media.created`, `media.changed`, `job.created`, `job.results`, `job.progress`, `key.changed` and
`outbox.watermark`, projects them into the Postgres schema `catalog`, which it owns, and answers queries from there. It
publishes no events, reads stored files and writes none, and imports no other service.
"""
