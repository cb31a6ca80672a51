"""What FastStream has to say, where that is news.

It logs each record twice, each failure with its whole traceback (also those that `chassis.kafka.delivery` has logged),
and each commit that a rebalance overtook as critical.
"""

import logging
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError

from chassis import logs
from chassis.kafka.errors import Redelivered

log = logs.get(__name__)


class Quiet:
    """A logger for FastStream's brokers: errors only, and those of Kafka itself as one line."""

    def log(
        self,
        level: int,
        msg: Any,
        /,
        exc_info: Any = None,
        extra: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if level < logging.ERROR or isinstance(exc_info, Redelivered):
            return
        fields = dict(extra or {})
        if isinstance(exc_info, KafkaError):
            # Kafka away, or a rebalance in the middle of a commit: the client goes on by itself, records come again.
            log.warning("kafka client trouble", error=repr(exc_info), **fields)
        else:
            log.error("faststream trouble", said=str(msg), exc_info=exc_info, **fields)
