"""Whether the consumer of a topic is ready: its group is joined, Kafka responds to its fetches, its handler goes on.

Kafka responds to a fetch within seconds, with or without records. Without looking at that, a consumer whose connections
went silent, or whose client does not recover, looks like one that has nothing to read.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Protocol

from aiokafka import ConsumerRebalanceListener, TopicPartition

from chassis.adapters.kafka.errors import ConsumerNotReady
from chassis.adapters.kafka.record_decoder import RecordDecoder
from chassis.adapters.kafka.record_handler import RecordHandler

_REASSIGNMENT_SECONDS = 15.0


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


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One topic of a service: decoder, handler, and whether the group has assigned its partitions."""

    def __init__(self, decoder: RecordDecoder, handler: RecordHandler) -> None:
        self.decoder = decoder
        self.handler = handler
        self.fetches = FetchProgress()
        self._assigned = False
        self._revoked_at: float | None = None

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        """The batch in progress is finished; the next owner of its partitions may receive it again."""
        self._revoked_at = asyncio.get_running_loop().time()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002
        self._assigned, self._revoked_at = True, None
        self.handler.forget_batch()

    def check(self) -> None:
        """Raises ConsumerNotReady where there is no assignment, or the handler makes no progress."""
        topic = self.handler.topic.name
        if not self._assigned:
            raise ConsumerNotReady(f"{topic}: the group is not joined yet")
        if self._revoked_at is not None:
            seconds = asyncio.get_running_loop().time() - self._revoked_at
            if seconds > _REASSIGNMENT_SECONDS:
                raise ConsumerNotReady(f"{topic}: no partitions were assigned for {seconds:.0f} s")
        self.handler.check()
        seconds = self.fetches.stalled_s()
        if seconds > self.handler.limits.fetch_stalled_s:
            raise ConsumerNotReady(f"{topic}: Kafka has not responded to a fetch for {seconds:.0f} s")
