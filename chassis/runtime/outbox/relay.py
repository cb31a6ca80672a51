"""The relay: takes rows in order, sends them to Kafka, deletes those that Kafka acknowledged.

At least once: a row is deleted after its acknowledgement, so a crash between the two sends it again (with the same
`ce_id`). In order per key: one relay of a service has its turn at a time, rows go out by id, and a row behind a
failed one of the same key is sent again after it. Kafka or Postgres may be away for any time.

A record that is too large for Kafka must not hold up the rest for ever: it moves to `outbox_quarantine` with its
reason, an error is logged, `Outbox.quarantined` counts it, and the queue goes on. Once the limit was raised, it is put
back by `INSERT INTO outbox (topic, key, value, headers) SELECT topic, key, value, headers FROM outbox_quarantine`.
Nothing is ever dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg
import orjson
from aiokafka.errors import KafkaError

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Pool
from chassis.core import logs
from chassis.core.concurrency import WakeSignal, abandon_after
from chassis.core.retry import Backoff
from chassis.runtime.outbox.publisher import Producer, Publisher, PublishResult, Row

BATCH_ROWS = 200
IDLE_POLL = timedelta(milliseconds=200)
"""For rows that other processes commit: the `keys` command, a replica that died."""
TURN_SECONDS = 20.0
"""A turn takes milliseconds; after this long its connection is dead, and Postgres ends the transaction by itself."""
CONNECTION_SECONDS = 5.0
"""For getting a connection, and for giving it back: one that hangs is then thrown away instead of given back."""
SHUTDOWN_WRITE_SECONDS = 1.0
"""For the last events of a shutdown; what is left is published at the next start."""
FAILURES_UNTIL_HOPELESS = 3
"""Errors that aiokafka does not call retriable leave its producer unusable, but the first ones may be of one record."""

Reopen = Callable[[], Awaitable[Producer]]
"""Gives a new producer in place of one whose session with Kafka is beyond repair."""

log = logs.get_logger(__name__)


class Relay:
    """Publishes the outbox behind `pool`. Without `reopen`, a producer beyond repair ends `run` with its error."""

    def __init__(self, pool: Pool, bell: WakeSignal, producer: Producer, reopen: Reopen | None = None) -> None:
        self._pool = pool
        self._bell = bell
        self._publisher = Publisher(producer)
        self._reopen = reopen
        self._queries = sql.load("chassis.runtime.outbox")
        self._current: asyncio.Task[bool] | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Until cancelled, or until `stop` is set; what is committed by then is still published, if that is quick."""
        try:
            await self._loop(stop)
        except asyncio.CancelledError:
            await self._flush()
            raise

    async def _loop(self, stop: asyncio.Event | None) -> None:
        backoff = Backoff(log, "outbox relay")
        while True:
            subscription = self._bell.subscribe()
            last = stop is not None and stop.is_set()
            try:
                # A turn is not cut off by a cancellation: what it had sent would be sent again at the next start.
                self._current = asyncio.create_task(abandon_after(TURN_SECONDS, self._publish_batch()))
                more = await asyncio.shield(self._current)
            except Exception as error:  # noqa: BLE001 - Kafka or Postgres is away, in any of their many words
                if last:
                    return
                await backoff.sleep(error)
                await self._renew(error, backoff.failures)
                continue
            backoff.reset()
            if more:
                continue
            if last:
                return
            await subscription.wait(IDLE_POLL)

    async def _flush(self) -> None:
        with suppress(Exception):
            await abandon_after(SHUTDOWN_WRITE_SECONDS, self._publish_rest())

    async def _publish_rest(self) -> None:
        if self._current is not None:
            await self._current
        while await self._publish_batch():
            pass

    async def _publish_batch(self) -> bool:
        """Publishes a batch; whether there may be more. Raises what kept some of it from being published."""
        async with self._pool.acquire(timeout=CONNECTION_SECONDS) as conn:
            if not await conn.fetchval(self._queries["pending"]):
                return False
            async with conn.transaction():
                await conn.execute(self._queries["take_turn"], f"{TURN_SECONDS:g}s")
                rows = [_row(record) for record in await conn.fetch(self._queries["claim"], BATCH_ROWS)]
                outcome = await self._publisher.publish(rows)
                await conn.execute(self._queries["remove"], outcome.sent)
                for row_id, error in outcome.too_large.items():
                    await conn.execute(self._queries["quarantine"], row_id, f"{type(error).__name__}: {error}")
        _log_rejected(rows, outcome)
        if outcome.trouble is not None:
            raise outcome.trouble
        return len(rows) == BATCH_ROWS

    async def _renew(self, error: Exception, failures: int) -> None:
        if not isinstance(error, KafkaError) or error.retriable or failures < FAILURES_UNTIL_HOPELESS:
            return
        if self._reopen is None:
            raise error
        log.warning("outbox relay: new producer", reason=f"{type(error).__name__}: {error}")
        # Where Kafka is away a new one cannot be had either: the old one stays, fails again, and we come back here.
        with suppress(KafkaError, OSError):
            self._publisher = Publisher(await self._reopen())


def _row(record: asyncpg.Record) -> Row:
    headers = [(name, value.encode()) for name, value in orjson.loads(record["headers"])]
    return Row(record["id"], record["topic"], record["key"], record["value"], headers)


def _log_rejected(rows: list[Row], outcome: PublishResult) -> None:
    for row in rows:
        if row.id in outcome.too_large:
            error = outcome.too_large[row.id]
            log.error("event too large for Kafka, set aside", outbox_id=row.id, topic=row.topic, reason=str(error))
