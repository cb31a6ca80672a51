"""What libraries say, sparingly."""

import logging

from chassis.adapters.kafka.log_filters import Sparing


def _record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.conn", logging.ERROR, "conn.py", 1, message, args, None)


def test_the_same_message_passes_once_in_thirty_seconds_and_as_a_warning() -> None:
    now = [0.0]
    sparing = Sparing(lambda: now[0])
    first = _record("Unable connect to node %s", 1)
    assert sparing.filter(first)
    assert first.levelno == logging.WARNING
    assert not sparing.filter(_record("Unable connect to node %s", 2))
    assert sparing.filter(_record("Something else"))
    now[0] = 30.0
    assert sparing.filter(_record("Unable connect to node %s", 1))
