"""The transactional outbox: events are rows of the transaction that makes them true, and are published afterwards.

It owns the tables `outbox`, `outbox_quarantine` and `outbox_watermark` in the schema of the service that uses it, and
publishes through a Kafka producer that the service opens.
"""

from chassis.runtime.outbox.outbox import Insert, Outbox, OutboxCounts
from chassis.runtime.outbox.relay import RelayTimes

__all__ = ["Insert", "Outbox", "OutboxCounts", "RelayTimes"]
