"""What libraries say, repeatsly."""

import logging

from chassis.adapters.kafka.log_filters import RepeatFilter


def _record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka.conn", logging.ERROR, "conn.py", 1, message, args, None)


def test_the_same_message_passes_once_in_thirty_seconds_and_as_a_warning() -> None:
    now = [0.0]
    repeats = RepeatFilter(lambda: now[0])
    first = _record("Unable connect to node %s", 1)
    assert repeats.filter(first)
    assert first.levelno == logging.WARNING
    assert not repeats.filter(_record("Unable connect to node %s", 2))
    assert repeats.filter(_record("Something else"))
    now[0] = 30.0
    assert repeats.filter(_record("Unable connect to node %s", 1))
