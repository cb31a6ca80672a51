"""Accepts commands: validates requests, stores them with their events, and imports the files of media items.

Owns projects, API keys, accepted jobs, media items, their names and idempotency keys, in its own Postgres schema. It
never encodes and never answers queries. It reads customers' servers through the egress policy only.
"""
