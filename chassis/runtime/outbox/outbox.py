"""Writing events into the outbox, and waiting until they are published."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from chassis.adapters.kafka import codec
from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Connection, Pool
from chassis.core import tracing
from chassis.core.concurrency import WakeSignal
from chassis.core.ids import new_id, now_ms
from chassis.core.metrics import clear_gauges, gauge
from chassis.runtime.outbox.publisher import Producer
from chassis.runtime.outbox.relay import Relay, RelayTimes, Reopen
from schemas.events import Event

PUBLISHED_POLL = timedelta(milliseconds=100)
"""How often `wait_published` queries: for rows that the relay of another replica publishes."""
CONNECTION_SECONDS = 5.0


@dataclass(frozen=True)
class Insert:
    """An INSERT of many rows. `columns` are the arguments `$1`, `$2` …: one array per column, all of equal length.

    The statement may be the end of a larger one (`WITH … AS (…) INSERT …`) whose own parameters follow these.
    """

    statement: str
    columns: tuple[list[Any], ...]

    @classmethod
    def joined(cls, inserts: Sequence["Insert"]) -> "Insert":
        """Inserts of the same statement as one, rows in the order of the inserts. Raises ValueError for none."""
        statements = {insert.statement for insert in inserts}
        if len(statements) != 1:
            raise ValueError(f"{len(statements)} different statements cannot be joined to one")
        columns = zip(*(insert.columns for insert in inserts), strict=True)
        return cls(statements.pop(), tuple([value for part in parts for value in part] for parts in columns))

    def records_json(self) -> str:
        """The rows of `Outbox.rows` as a JSON list, for a table that keeps them to put them in again."""
        rows = zip(*self.columns, strict=True)
        return orjson.dumps(
            [
                {"topic": topic, "key": key.decode(), "value": value.decode(), "headers": orjson.Fragment(headers)}
                for topic, key, value, headers in rows
            ]
        ).decode()


@dataclass(frozen=True)
class OutboxCounts:
    """Rows that wait to be published, and rows that Kafka refuses (the second should be 0)."""

    backlog: int
    quarantined: int
    oldest_seconds: float = 0.0
    """For how long the oldest of those that wait has been there."""


class Outbox:
    """The outbox of one service. After the commit of a transaction that wrote events, call `wake()`."""

    def __init__(self, pool: Pool, service: str) -> None:
        self._pool = pool
        self._service = service
        self._queries = sql.load("chassis.runtime.outbox")
        self._committed = WakeSignal()
        self._published = WakeSignal()

    def rows(self, *events: Event) -> Insert:
        """The insert that puts `events` into the outbox: each gets its id and time, and the trace of this context.

        For callers that combine it with an insert of their own; `put` is the usual way.
        """
        at = now_ms()
        source = f"/bitmill/{self._service}"
        records = [
            codec.encode(
                event,
                id=new_id("evt"),
                source=source,
                time_ms=at,
                traceparent=tracing.traceparent(event.subject()),
            )
            for event in events
        ]
        return Insert(
            self._queries["put"],
            (
                [record.topic for record in records],
                [record.key for record in records],
                [record.value for record in records],
                [_headers_json(record.headers) for record in records],
            ),
        )

    async def put(self, conn: Connection, *events: Event) -> None:
        """Writes the events in the transaction that `conn` is in."""
        if events:
            insert = self.rows(*events)
            await conn.execute(insert.statement, *insert.columns)

    def wake(self) -> None:
        """Wakes the relay of this process after a commit; otherwise it looks once per `idle_poll`."""
        self._committed.notify()

    async def relay(
        self,
        producer: Producer,
        stop: asyncio.Event | None = None,
        *,
        reopen: Reopen | None = None,
        watermark: bool = False,
        times: RelayTimes | None = None,
    ) -> None:
        """Publishes until cancelled, or until `stop` is set and what is committed by then is published: see `Relay`.

        With `watermark`, `OutboxAdvanced` is sent about once a second by one of the replicas.
        """
        relay = Relay(
            self._pool,
            producer,
            committed=self._committed,
            published=self._published,
            reopen=reopen,
            watermark_of=self._service if watermark else None,
            times=times or RelayTimes(),
        )
        await relay.run(stop)

    async def wait_published(self, until: datetime | int | None = None, *, timeout: timedelta) -> bool:
        """Waits until Kafka has every event that was put by a transaction begun at or before `until`; True if so.

        `until` is a time of the database's clock (an int is Unix milliseconds, up to the end of that millisecond);
        None means everything that is committed now. Quarantined events count as published. False after `timeout`.
        Raises what the database raises.
        """
        moment = _moment(until)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                while True:
                    subscription = self._published.subscribe()
                    async with self._pool.acquire(timeout=CONNECTION_SECONDS) as conn:
                        row = await conn.fetchrow(self._queries["unpublished"], moment)
                    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
                    if not row["unpublished"]:
                        return True
                    moment = row["until"]
                    await subscription.wait(PUBLISHED_POLL)
        except TimeoutError:
            return False

    async def counts(self) -> OutboxCounts:
        """For metrics."""
        async with self._pool.acquire(timeout=CONNECTION_SECONDS) as conn:
            row = await conn.fetchrow(self._queries["counts"])
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return OutboxCounts(
            cast(int, row["backlog"]), cast(int, row["quarantined"]), cast(float, row["oldest_seconds"])
        )

    async def set_gauges(self) -> None:
        """Measures the outbox for Prometheus."""
        counts = await self.counts()
        for name, help in _GAUGES.items():
            gauge(name, help).labels(self._service).set(getattr(counts, name.removeprefix("bitmill_outbox_")))

    def clear_gauges(self) -> None:
        """Shows no values any more: another replica measures."""
        clear_gauges(_GAUGES, self._service)


_GAUGES = {
    "bitmill_outbox_backlog": "Events that wait to be published.",
    "bitmill_outbox_quarantined": "Events that Kafka refuses.",
    "bitmill_outbox_oldest_seconds": "For how long the oldest event that waits has been there.",
}


def _moment(until: datetime | int | None) -> datetime | None:
    if isinstance(until, int):
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=until + 1)
    return until


def _headers_json(headers: list[tuple[str, bytes]]) -> str:
    return orjson.dumps([[name, value.decode()] for name, value in headers]).decode()
