"""A channel: what is confirmed has been handled, and a broken connection is noticed and replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from chassis.adapters.postgres import PostgresUnavailable
from chassis.adapters.postgres.channel import Channel, ChannelTimes
from tests.support.proxy import Proxy
from tests.support.waiting import until

TIMES = ChannelTimes(max_age_s=0.0, confirm_s=60.0, catch_up_s=0.05, response_s=5.0)


@asynccontextmanager
async def running(channel: Channel) -> AsyncIterator[None]:
    task = asyncio.create_task(channel.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def sender(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def send(connection: "asyncpg.Connection[asyncpg.Record]", message: str) -> None:
    await connection.execute("SELECT pg_notify('words', $1)", message)


async def test_what_is_confirmed_has_been_handled(fresh_dsn: str) -> None:
    heard: list[str] = []

    async def handle(message: str) -> None:
        heard.append(message)

    channel = Channel(fresh_dsn, "words", handle, times=TIMES)
    async with running(channel), sender(fresh_dsn) as connection:
        await channel.confirm()
        channel.check()
        async with asyncio.timeout(60):
            for number in range(20):
                await send(connection, f"m{number}")
                while f"m{number}" not in heard:
                    await channel.confirm()
    assert heard == [f"m{number}" for number in range(20)]


async def test_a_message_of_a_transaction_that_is_rolled_back_never_comes(fresh_dsn: str) -> None:
    heard: list[str] = []

    async def handle(message: str) -> None:
        heard.append(message)

    channel = Channel(fresh_dsn, "words", handle, times=TIMES)
    async with running(channel), sender(fresh_dsn) as connection:
        await channel.confirm()
        transaction = connection.transaction()
        await transaction.start()
        await send(connection, "never")
        await transaction.rollback()
        await send(connection, "last")
        async with asyncio.timeout(60):
            while not heard:
                await channel.confirm()
    assert heard == ["last"]


@pytest.mark.parametrize("hang", [True, False])
async def test_nothing_is_confirmed_while_postgres_is_away_and_it_goes_on_by_itself(fresh_dsn: str, hang: bool) -> None:
    heard = asyncio.Event()

    async def handle(message: str) -> None:
        heard.set()

    async with Proxy(fresh_dsn) as proxy, sender(fresh_dsn) as connection:
        times = replace(TIMES, confirm_s=0.3, response_s=0.3)
        channel = Channel(proxy.dsn, "words", handle, times=times)
        async with running(channel), asyncio.timeout(60):
            await until_confirmed(channel)
            await proxy.cut(hang=hang)
            with pytest.raises(PostgresUnavailable, match="nothing is heard"):
                while True:
                    await channel.confirm()
            await proxy.restore()
            await until_confirmed(channel)
            # With bounds as short as these the channel may lose its connection once more on a busy machine.
            while not heard.is_set():
                await send(connection, "again")
                await asyncio.sleep(0.05)


async def until_confirmed(channel: Channel) -> None:
    while True:
        try:
            await channel.confirm()
        except PostgresUnavailable:
            continue
        return


async def test_a_handler_that_fails_confirms_nothing_and_gets_the_message_with_its_repetition(fresh_dsn: str) -> None:
    calls: list[str] = []

    async def handle(message: str) -> None:
        calls.append(message)
        if len(calls) == 1:
            raise ConnectionError("away")

    channel = Channel(fresh_dsn, "words", handle, times=TIMES)
    async with running(channel), sender(fresh_dsn) as connection, asyncio.timeout(60):
        await channel.confirm()
        while len(calls) < 2:
            await send(connection, "m")
            await channel.confirm()
    assert set(calls) == {"m"}


async def test_a_new_channel_proves_by_itself_that_it_hears(fresh_dsn: str) -> None:
    async def handle(message: str) -> None:
        raise AssertionError(message)

    # Its first query is asked before the end of `catch_up_s`, and answered after it. Nobody asks for a further proof.
    times = replace(TIMES, keepalive_s=3600.0, catch_up_s=0.0002)
    for _ in range(10):
        channel = Channel(fresh_dsn, "words", handle, times=times)
        async with running(channel):
            await until(lambda channel=channel: _hears(channel))  # type: ignore[misc]


def _hears(channel: Channel) -> bool:
    try:
        channel.check()
    except PostgresUnavailable:
        return False
    return True
