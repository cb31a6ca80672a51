"""The only door for queries: jobs, media items, and the files themselves.

This room reads `media.created`, `media.changed`, `job.created`, `job.results` and `key.changed`, projects them into the
Postgres schema `catalog`, which it owns, and answers GET. It changes nothing that others see: it publishes no events,
reads stored files and writes none, and imports no other service.
"""
