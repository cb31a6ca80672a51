"""The only door for commands: it validates, writes down and announces; it never encodes and never answers queries.

This room owns projects, API keys, accepted jobs, media items, names and claims (idempotency keys and submissions),
all in its own schema. It may touch its Postgres schema, Kafka, storage for originals, and the customers' servers
through the egress guard.
"""
