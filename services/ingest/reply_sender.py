"""Sends replies to the topics that producers have named.

Apart from the outbox, and each topic by itself: one that does not exist, or that this service may not write, delays
no event, and the replies of others by seconds at most. Its replies are tried again with growing pauses until their
retention is over.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from chassis.adapters.failure_policy import describe
from chassis.core import logs
from chassis.core.concurrency import WakeSignal
from chassis.core.metrics import counter
from chassis.core.retry import Backoff
from chassis.runtime.outbox.publisher import Producer, PublishResult, Row, publish
from services.ingest.reply_store import ReplyStore
from services.ingest.store import DEADLINE_S

BATCH = 200
SEND_SECONDS = 5.0
LOOK_EVERY = timedelta(seconds=2)

log = logs.get_logger(__name__)
_sent = counter(
    "bitmill_replies", "Replies to producers by result: sent, failed (tried again), dropped.", ("service", "result")
)


class ReplySender:
    """`open_producer` gives a producer of its own. `added` wakes it; otherwise it looks once per `look_every`."""

    def __init__(
        self,
        store: ReplyStore,
        open_producer: Callable[[], Awaitable[Producer]],
        added: WakeSignal,
        *,
        send_s: float = SEND_SECONDS,
        look_every: timedelta = LOOK_EVERY,
    ) -> None:
        self._store = store
        self._open_producer = open_producer
        self._added = added
        self._send_s = send_s
        self._look_every = look_every
        self._producer: Producer | None = None

    async def run(self) -> None:
        """Sends until cancelled."""
        backoff = Backoff(log, "replies")
        while True:
            subscription = self._added.subscribe()
            try:
                sent = await self.send()
            except Exception as error:  # noqa: BLE001 - Kafka's client and Postgres may fail with any exception
                self._producer = None
                await backoff.sleep(error)
                continue
            backoff.reset()
            if sent < BATCH:
                await subscription.wait(self._look_every)

    async def send(self) -> int:
        """One batch; how many replies were due."""
        if not await self._store.has_due():
            return 0
        producer = self._producer = self._producer or await self._open_producer()
        async with self._store.transaction(DEADLINE_S + 4 * self._send_s) as conn:
            rows = await self._store.due(conn, BATCH)
            by_topic = [list(group) for _, group in groupby(sorted(rows, key=attrgetter("topic")), attrgetter("topic"))]
            results = await asyncio.gather(*(publish(producer, each, timeout_s=self._send_s) for each in by_topic))
            for batch, result in zip(by_topic, results, strict=True):
                done = [*result.published, *result.too_large]
                await self._store.end(conn, done)
                await self._store.postpone(conn, [row.id for row in batch if row.id not in done])
                _count(batch, result)
        if any(result.error is not None for result in results):
            self._producer = None  # it may be beyond repair
        return len(rows)


def _count(batch: list[Row], result: PublishResult) -> None:
    failed = len(batch) - len(result.published) - len(result.too_large)
    for name, number in (("sent", len(result.published)), ("dropped", len(result.too_large)), ("failed", failed)):
        _sent.labels("ingest", name).inc(number)
    if result.error is not None and failed:
        log.warning("replies_not_sent", topic=batch[0].topic, replies=failed, error=describe(result.error))
    if result.too_large:
        log.warning("replies_dropped", topic=batch[0].topic, replies=len(result.too_large))
