"""Events leave a service through this table: written in the transaction that makes them true, published afterwards.

The room knows the tables `outbox` and `outbox_quarantine` in the schema of whoever uses it, and a Kafka producer that
is given to it. It knows no event by name.
"""

from chassis.runtime.outbox.outbox import Outbox

__all__ = ["Outbox"]
