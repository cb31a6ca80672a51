"""Reduces what FastStream and aiokafka log.

FastStream logs each record twice, each failure with its whole traceback, and each commit that a rebalance overtook as
critical. aiokafka logs an error ten times a second for each of its consumers while Kafka is away, and then recovers.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.errors import KafkaError

from chassis.core import logs

log = logs.get_logger(__name__)

_REPEAT_SECONDS = 30.0


class FastStreamLogger:
    """A logger for FastStream's brokers: errors only, and those of the Kafka client as one line."""

    def log(
        self,
        level: int,
        msg: Any,
        /,
        exc_info: Any = None,
        extra: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if level < logging.ERROR:
            return
        fields = dict(extra or {})
        if isinstance(exc_info, KafkaError):
            # Kafka away, or a rebalance during a commit: the client recovers by itself, records come again.
            log.warning("kafka_client_failed", error=repr(exc_info), **fields)
        else:
            log.error("faststream_failed", message=str(msg), exc_info=exc_info, **fields)


class RepeatFilter(logging.Filter):
    """Passes the same message of a logger once in 30 seconds, and as a warning at most.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        # By the template: the messages differ in the group or the address that they name.
        key = (record.name, record.msg)
        if now - self._last.get(key, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
            return False
        if len(self._last) > 1000:  # a library that formats its messages itself must not fill the memory
            self._last.clear()
        self._last[key] = now
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


_REPEAT_FILTER = RepeatFilter()


def limit_client_logs() -> None:
    """Puts the filter on the existing loggers of aiokafka; calling it again changes nothing."""
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "aiokafka"]:
        logging.getLogger(name).addFilter(_REPEAT_FILTER)
