"""The relay: takes rows in order, sends them to Kafka, deletes those that Kafka acknowledged.

At least once: a row is deleted after its acknowledgement, so a crash between the two sends it again (with the same
`ce_id`). In order per key: one relay of a service publishes at a time, rows go out by id, and a row behind a failed
one of the same key is sent again after it. Kafka or Postgres may be away for any time.

A record that is too large for Kafka must not hold up the rest for ever: it moves to `outbox_quarantine` with its
reason, an error is logged, `Outbox.counts` counts it, and the relay goes on. Once the limit was raised, it is put back
by `INSERT INTO outbox (topic, key, value, headers) SELECT topic, key, value, headers FROM outbox_quarantine`. Nothing
is ever dropped.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import orjson
from aiokafka.errors import KafkaError

from chassis.adapters.failure_policy import describe
from chassis.adapters.kafka.errors import KafkaUnavailable
from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import transaction_bound
from chassis.adapters.postgres.pool import Pool
from chassis.core import logs, tracing
from chassis.core.concurrency import WakeSignal, abandon_after
from chassis.core.retry import Backoff, run_periodically
from chassis.core.trace_context import TRACEPARENT
from chassis.runtime.outbox.publisher import Producer, PublishResult, Row, publish
from chassis.runtime.outbox.watermark import WatermarkSender

BATCH_ROWS = 200
FAILURES_UNTIL_REOPEN = 3
"""Errors that aiokafka does not call retriable leave its producer unusable, but the first ones may be of one record."""

Reopen = Callable[[], Awaitable[Producer]]
"""Gives a new producer in place of one whose session with Kafka is beyond repair."""

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class RelayTimes:
    """The relay's intervals and bounds."""

    idle_poll: timedelta = timedelta(seconds=2)
    """How often an idle relay looks: for rows of other processes (the `keys` command, a replica that ended)."""
    lock_retry: timedelta = timedelta(milliseconds=100)
    """How often a relay tries again while there are rows and the relay of another replica publishes."""
    watermark_every: timedelta = timedelta(seconds=1)
    batch_s: float = 20.0
    """For a batch, which takes milliseconds. Then the connection is discarded, and Postgres ends the transaction."""
    publish_s: float = 5.0
    """For sending a batch, and again for its acknowledgements: a transaction is open, and Postgres has to vacuum."""
    connection_s: float = 5.0
    """For getting a connection, and for giving it back: one that hangs is then discarded instead of given back."""
    flush_s: float = 1.0
    """For the last events of a shutdown; what is left is published at the next start."""


class Relay:
    """Publishes the outbox behind `pool`. Without `reopen`, a producer beyond repair ends `run` with its error.

    `committed` wakes the relay; it notifies `published` after each batch. `watermark_of` names the service whose
    watermark is sent, None sends none.
    """

    def __init__(
        self,
        pool: Pool,
        producer: Producer,
        *,
        committed: WakeSignal,
        published: WakeSignal,
        reopen: Reopen | None,
        watermark_of: str | None,
        times: RelayTimes,
    ) -> None:
        self._pool = pool
        self._producer = producer
        self._committed = committed
        self._published = published
        self._reopen = reopen
        self._watermark_of = watermark_of
        self._times = times
        self._queries = sql.load("chassis.runtime.outbox")
        self._batch: asyncio.Task[timedelta | None] | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Until cancelled, or until `stop` is set; what is committed by then is still published, within `flush_s`."""
        watermark = asyncio.create_task(self._send_watermarks())
        try:
            await self._loop(stop)
        except asyncio.CancelledError:
            await self._flush()
            raise
        finally:
            watermark.cancel()
            await asyncio.gather(watermark, return_exceptions=True)

    async def _loop(self, stop: asyncio.Event | None) -> None:
        backoff = Backoff(log, "outbox_relay")
        while True:
            subscription = self._committed.subscribe()
            last = stop is not None and stop.is_set()
            try:
                # A cancellation does not interrupt a batch: what it had sent would be sent again at the next start.
                self._batch = asyncio.create_task(abandon_after(self._times.batch_s, self._publish_batch()))
                pause = await asyncio.shield(self._batch)
            except Exception as error:  # noqa: BLE001 - Kafka or Postgres is away: nothing else is done here
                if last:
                    return
                await backoff.sleep(error)
                await self._reopen_producer(error, backoff.failures)
                continue
            backoff.reset()
            if pause is None:
                continue
            if last:
                return
            await subscription.wait(pause)

    async def _flush(self) -> None:
        with suppress(Exception):
            await abandon_after(self._times.flush_s, self._publish_rest())

    async def _publish_rest(self) -> None:
        if self._batch is not None:
            await self._batch
        while await self._publish_batch() is None:
            pass

    async def _publish_batch(self) -> timedelta | None:
        """Publishes a batch; returns the pause before the next one, None where there may be more at once.

        Raises what kept some of the batch from being published.
        """
        async with self._pool.acquire(timeout=self._times.connection_s) as conn:
            if not await conn.fetchval(self._queries["pending"]):
                return self._times.idle_poll
            async with conn.transaction():
                # A relay that hangs loses its transaction, and with it the lock, after the timeout.
                bound = f"{self._times.batch_s:g}s", transaction_bound(conn)
                if not await conn.fetchval(self._queries["try_lock"], *bound):
                    return self._times.lock_retry
                rows = [_row(record) for record in await conn.fetch(self._queries["claim"], BATCH_ROWS)]
                started_ns = time.time_ns()
                result = await publish(self._producer, rows, timeout_s=self._times.publish_s)
                await conn.execute(self._queries["remove"], result.published)
                for row_id, error in result.too_large.items():
                    await conn.execute(self._queries["quarantine"], row_id, describe(error))
        self._published.notify()
        _record_spans(rows, result, started_ns)
        _log_quarantined(rows, result)
        if result.error is not None:
            raise result.error
        return None if len(rows) == BATCH_ROWS else self._times.idle_poll

    async def _reopen_producer(self, error: Exception, failures: int) -> None:
        if not isinstance(error, KafkaError) or error.retriable or failures < FAILURES_UNTIL_REOPEN:
            return
        if self._reopen is None:
            raise error
        log.warning("outbox_producer_reopened", error=f"{type(error).__name__}: {error}")
        # While Kafka is away no new one can be opened: the old one stays, fails again, and we come back here.
        with suppress(KafkaError, KafkaUnavailable, OSError):
            self._producer = await self._reopen()

    async def _send_watermarks(self) -> None:
        if self._watermark_of is None:
            return
        sender = WatermarkSender(self._pool, self._watermark_of, self._times.watermark_every, self._times.connection_s)
        await run_periodically(
            lambda: sender.send(self._producer), self._times.watermark_every, log, "outbox_watermark"
        )


def _row(record: asyncpg.Record) -> Row:
    headers = [(name, value.encode()) for name, value in orjson.loads(record["headers"])]
    return Row(record["id"], record["topic"], record["key"], record["value"], headers)


def _record_spans(rows: list[Row], result: PublishResult, started_ns: int) -> None:
    """A span for each published record, in its own trace."""
    if not tracing.enabled():
        return
    published = set(result.published)
    for row in rows:
        if row.id in published and (parent := dict(row.headers).get(TRACEPARENT)) is not None:
            tracing.record(
                f"publish {row.topic}",
                kind="producer",
                parent=parent.decode(),
                started_ns=started_ns,
                attributes={
                    "messaging.system": "kafka",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": row.topic,
                    "outbox.id": row.id,
                },
            )


def _log_quarantined(rows: list[Row], result: PublishResult) -> None:
    for row in rows:
        if row.id in result.too_large:
            error = result.too_large[row.id]
            log.error("outbox_record_quarantined", outbox_id=row.id, topic=row.topic, error=str(error))
