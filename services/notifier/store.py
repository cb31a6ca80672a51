"""The notifier's tables: deliveries, and each attempt at one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.pool import Connection, Pool
from services.notifier.schedule import ATTEMPTS, Answer


@dataclass(frozen=True)
class Delivery:
    """What is to be sent where. `body` are the exact bytes that are signed, on every attempt the same."""

    id: str
    job_id: str
    project: str
    url: str
    body: bytes


@dataclass(frozen=True)
class Attempt:
    """A begun attempt: its number (from 1), and what to send. `waited` is the seconds since the row was made."""

    number: int
    delivery_id: str
    url: str
    body: bytes
    waited: float


@dataclass(frozen=True)
class NotDue:
    """Claimed too early: come back after `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Closed:
    """Nothing to do: the delivery is over already."""


@dataclass(frozen=True)
class SpentByCrashes:
    """All attempts were begun and the last never ended: its worker was killed."""


Begun = Attempt | NotDue | Closed | SpentByCrashes


class Store:
    """All SQL of this service. Methods that take a connection run in the caller's transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql: Mapping[str, str] = sql.load("services.notifier.sql")

    async def add(self, connection: Connection, delivery: Delivery) -> bool:
        """Whether the delivery is new; a known (job, url) changes nothing."""
        row = (delivery.id, delivery.job_id, delivery.project, delivery.url, delivery.body)
        return await connection.fetchval(self._sql["add_delivery"], *row) is not None

    async def begin(self, delivery_id: str) -> Begun:
        """Begins the next attempt, durably, before anything is sent."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(self._sql["lock_delivery"], delivery_id)
            if row is None or row["state"] != "pending":
                return Closed()
            if row["due_in"] > 0:
                return NotDue(row["due_in"])
            if await connection.fetchval(self._sql["count_attempts"], delivery_id) >= ATTEMPTS:
                return SpentByCrashes()
            number = await connection.fetchval(self._sql["begin_attempt"], delivery_id)
        return Attempt(number, delivery_id, row["url"], row["body"], row["waited"])

    async def postpone(self, attempt: Attempt, answer: Answer, delay: float) -> None:
        """Ends a failed attempt; the next is due `delay` seconds from now."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._end(connection, attempt, answer)
            await connection.execute(self._sql["postpone_delivery"], attempt.delivery_id, delay)

    async def delivered(self, connection: Connection, attempt: Attempt, answer: Answer) -> None:
        """Ends the attempt that reached the receiver, and with it the delivery."""
        await self._end(connection, attempt, answer)
        await connection.execute(self._sql["close_delivery"], attempt.delivery_id, "delivered", None)

    async def dead(self, connection: Connection, delivery_id: str, reason: str) -> None:
        """Gives the delivery up; row, body and attempts are kept."""
        await connection.execute(self._sql["close_delivery"], delivery_id, "dead", reason)

    async def gave_up(self, connection: Connection, attempt: Attempt, answer: Answer, reason: str) -> None:
        """Ends the last attempt, and gives the delivery up."""
        await self._end(connection, attempt, answer)
        await self.dead(connection, attempt.delivery_id, reason)

    async def forget(self, age: timedelta) -> int:
        """Deletes deliveries that ended more than `age` ago, with their attempts; how many."""
        gone: int = await self._pool.fetchval(self._sql["forget_deliveries"], age)
        return gone

    async def _end(self, connection: Connection, attempt: Attempt, answer: Answer) -> None:
        told = (answer.status, answer.error, answer.address, answer.seconds, answer.excerpt)
        await connection.execute(self._sql["end_attempt"], attempt.delivery_id, attempt.number, *told)
