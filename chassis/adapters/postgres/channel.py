"""A notification channel of Postgres (LISTEN and NOTIFY), with proof of how recent what was heard is.

A message is sent in the transaction that makes it true, and arrives within milliseconds of the commit, whatever Kafka
does. It is lost if the connection is broken at that moment: senders repeat for some time what must not be missed, and
`confirm` says whether everything sent up to a moment ago has been handled.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import SESSION_SETTINGS, PostgresUnavailable
from chassis.core import logs
from chassis.core.concurrency import WakeSignal
from chassis.core.retry import Backoff

log = logs.get_logger(__name__)


@dataclass(frozen=True)
class ChannelTimes:
    """Seconds. What senders repeat, they repeat more often than every `catch_up_s`."""

    max_age_s: float = 0.5
    """How old the proof of `confirm` may be."""
    confirm_s: float = 5.0
    """How long `confirm` waits for a proof."""
    catch_up_s: float = 0.7
    """After a connection was opened, for the repetitions of what was sent before."""
    response_s: float = 2.0
    """For the server's response to a query; then the connection is replaced."""
    keepalive_s: float = 30.0
    """Between two proofs that nobody asked for: they notice a connection that has died."""


class ChannelSilent(PostgresUnavailable):
    """The connection does not receive notifications: it goes through a transaction pooler, for example."""


class Channel:
    """Calls `handle` with each message of the channel `name`; `run` has to run in the background.

    `handle` sees a message more than once, and has to raise if it failed: the connection is then opened again, and the
    message comes with the next repetition. It must send no message itself.
    """

    def __init__(
        self, dsn: str, name: str, handle: Callable[[str], Awaitable[None]], *, times: ChannelTimes | None = None
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._handle = handle
        self._times = times or ChannelTimes()
        self._heard_until = float("-inf")
        """Everything that was sent before this moment (`time.monotonic`) has been handled."""
        self._wake = asyncio.Event()
        self._proved = WakeSignal()

    def check(self) -> None:
        """Raises PostgresUnavailable if the last proof is older than the keepalive allows."""
        age = time.monotonic() - self._heard_until
        if age > self._times.keepalive_s + self._times.response_s + self._times.catch_up_s:
            raise PostgresUnavailable(f"nothing is heard on the channel {self._name}")

    async def confirm(self) -> None:
        """Returns once everything has been handled that was sent up to `max_age_s` before the call.

        Raises PostgresUnavailable after `confirm_s`.
        """
        called_at = time.monotonic()
        deadline = called_at + self._times.confirm_s
        while self._heard_until < called_at - self._times.max_age_s:
            if (now := time.monotonic()) >= deadline:
                raise PostgresUnavailable(f"nothing is heard on the channel {self._name}")
            subscription = self._proved.subscribe()
            self._wake.set()
            await subscription.wait(timedelta(seconds=deadline - now))

    async def run(self) -> None:
        """Listens until cancelled, through any outage of Postgres."""
        backoff = Backoff(log, "listen_to_postgres", first_s=0.05, longest_s=1.0)
        while True:
            try:
                await self._listen(backoff)
            except Exception as error:  # noqa: BLE001 - of the server, the network or `handle`: all end with a new connection
                await backoff.sleep(error)

    async def _listen(self, backoff: Backoff) -> None:
        seconds = self._times.response_s
        connection = await asyncpg.connect(
            self._dsn,
            timeout=seconds,
            command_timeout=seconds,
            server_settings={"application_name": f"bitmill.{self._name}", **SESSION_SETTINGS},
        )
        try:
            messages: asyncio.Queue[str] = asyncio.Queue()

            def receive(*notification: Any) -> None:
                messages.put_nowait(notification[3])
                self._wake.set()

            await connection.add_listener(self._name, receive)
            await self._test(connection, messages)
            backoff.reset()
            usable_at = time.monotonic() + self._times.catch_up_s
            while True:
                proved = self._heard_until >= usable_at
                await self._wait(self._times.keepalive_s if proved else max(usable_at - time.monotonic(), 0.0))
                await self._prove(connection, messages, usable_at)
        finally:
            connection.terminate()

    async def _test(self, connection: "asyncpg.Connection[asyncpg.Record]", messages: "asyncio.Queue[str]") -> None:
        """Sends an empty message to itself: a pooler accepts LISTEN, and delivers nothing."""
        await connection.execute(sql.load("chassis.adapters.postgres")["notify"], self._name, "")
        try:
            async with asyncio.timeout(self._times.response_s):
                while message := await messages.get():
                    await self._handle(message)
        except TimeoutError:
            raise ChannelSilent(f"no notification arrives on {self._name}: is there a transaction pooler?") from None

    async def _wait(self, seconds: float) -> None:
        """Until there is a message or a proof is wanted, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _prove(
        self, connection: "asyncpg.Connection[asyncpg.Record]", messages: "asyncio.Queue[str]", usable_at: float
    ) -> None:
        """Handles what has arrived. Before the server responds to a query, it sends the notifications that it has for
        this connection; those of a commit reach it within milliseconds, which `max_age_s` allows for."""
        self._wake.clear()
        asked_at = time.monotonic()
        await connection.fetchval(sql.load("chassis.adapters.postgres")["check"])
        while not messages.empty():
            await self._handle_unless_empty(messages.get_nowait())
        if asked_at >= usable_at:
            self._heard_until = asked_at
            self._proved.notify()

    async def _handle_unless_empty(self, message: str) -> None:
        if message:
            await self._handle(message)
