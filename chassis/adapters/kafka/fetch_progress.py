"""Whether Kafka responds to the fetches of a consumer: it responds to each within seconds, with or without records.

A consumer whose connections went silent, or whose client does not recover, looks like one that has nothing to read.
"""

import time
from collections.abc import Callable, Collection
from typing import Protocol

from aiokafka import TopicPartition


class FetchingConsumer(Protocol):
    """The part of aiokafka's consumer that is used."""

    def assignment(self) -> Collection[TopicPartition]: ...

    def paused(self) -> Collection[TopicPartition]: ...

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None: ...


class FetchProgress:
    """The fetches of one consumer, looked at now and then. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._find: Callable[[], FetchingConsumer | None] = lambda: None
        self._oldest: int | None = None
        self._seen_at = clock()

    def watch(self, find: Callable[[], FetchingConsumer | None]) -> None:
        """`find` gives the consumer; None while there is none."""
        self._find = find

    def stalled_s(self) -> float:
        """For how many seconds a partition has been fetched without a response, as far as was looked.

        0 where nothing is fetched: without partitions, and while a batch is handled, when they are paused. The times of
        responses are of the system's clock: only whether they change counts.
        """
        now = self._clock()
        oldest = self._oldest_response()
        if oldest is None or oldest != self._oldest:
            self._oldest, self._seen_at = oldest, now
        return now - self._seen_at

    def _oldest_response(self) -> int | None:
        """When the partition that waits the longest had its last response; None where nothing is fetched."""
        consumer = self._find()
        if consumer is None:
            return None
        fetched = [each for each in consumer.assignment() if each not in consumer.paused()]
        return min((consumer.last_poll_timestamp(each) or 0 for each in fetched), default=None)
