"""The transactional outbox: events are rows of the transaction that makes them true, and are published afterwards.

It owns the tables `outbox`, `outbox_quarantine`, `outbox_watermark` and `gauge_leader` in the schema of the service
that uses it, and publishes through a Kafka producer that the service opens.
"""

from chassis.runtime.outbox.gauge_leader import GaugeLeader
from chassis.runtime.outbox.outbox import Insert, Outbox, OutboxCounts
from chassis.runtime.outbox.relay import RelayTimes

__all__ = ["GaugeLeader", "Insert", "Outbox", "OutboxCounts", "RelayTimes"]
