"""The transcoder: makes videos. Consumes `job.created`, `media.created` and `job.control`.

Owns the Postgres schema `transcoder` (job queue and outbox) and writes outputs to the storage. Inputs come from the
storage or through the egress policy. `encode` needs no service: the shell's local mode calls it too.
"""
