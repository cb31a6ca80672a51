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
        self._consumer: FetchingConsumer | None = None
        self._oldest: int | None = None
        self._seen_at = clock()

    def watch(self, consumer: FetchingConsumer) -> None:
        """From now on this consumer is meant."""
        self._consumer, self._seen_at = consumer, self._clock()

    def stalled_s(self) -> float:
        """For how many seconds a partition has been fetched without a response, as far as was looked.

        0 where nothing is fetched: without partitions, and while a batch is handled, when they are paused. The times of
        responses are of the system's clock: only whether they change counts.
        """
        now = self._clock()
        if self._consumer is None:
            return 0.0
        paused = self._consumer.paused()
        fetched = [
            self._consumer.last_poll_timestamp(partition) or 0
            for partition in self._consumer.assignment()
            if partition not in paused
        ]
        oldest = min(fetched, default=None)
        if oldest is None or oldest != self._oldest:
            self._oldest, self._seen_at = oldest, now
        return now - self._seen_at
