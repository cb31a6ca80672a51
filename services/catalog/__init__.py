"""Serves GET requests: jobs, media items, and the files themselves.

Reads `media.created`, `media.changed`, `job.created`, `job.results`, `job.progress`, `key.changed`, `queue.order` and
`outbox.watermark`, projects them into the Postgres schema `catalog`, which it owns, and reads queries from there. It
publishes no events, only reads stored files, and imports no other service.
"""
