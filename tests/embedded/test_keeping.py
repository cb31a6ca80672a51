"""Servers that end by themselves come back: the same data, the same address, and not for ever."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import wait_for_postgres
from embedded import EmbeddedServerError, KafkaServer, PostgresServer, keep_running
from embedded import restart_policy as keeping
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own
from tests.support.waiting import until


def _say(_: str) -> None:
    """Progress is not looked at."""


@asynccontextmanager
async def _kept(server: keeping.Server) -> AsyncIterator[None]:
    task = asyncio.create_task(keep_running(server))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_killed_postgres_is_back_at_its_socket_with_what_was_committed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    async with server.running(_say) as dsn, _kept(server):
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        busy = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))  # a session that outlives its server
        first = server.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first))
        await wait_for_postgres(dsn, 20)
        assert isinstance((await asyncio.gather(busy, return_exceptions=True))[0], Exception)
        again = await asyncpg.connect(dsn)
        assert await again.fetchval("SELECT one FROM kept") == 1
        await again.close()


async def test_a_killed_kafka_is_back_at_its_port_with_what_was_acknowledged(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    server = KafkaServer(tmp_path)
    async with server.running(_say) as bootstrap, _kept(server):
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        await producer.send_and_wait(topic.name, b"before", partition=0)
        first = server.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first))
        await wait_for_kafka(bootstrap, 30)
        await producer.send_and_wait(topic.name, b"after", partition=0)
        await producer.stop()
        assert [record.value for record in await read(bootstrap, topic.name, 2)] == [b"before", b"after"]


class _Dying:
    """A server that ends at once, each time it was started."""

    name = "Straw"

    def __init__(self, restarts_fail: bool) -> None:
        self.restarts = 0
        self._restarts_fail = restarts_fail

    async def watch(self) -> None:
        raise EmbeddedServerError("straw ended with status 1.\nlast words")

    async def restart(self) -> None:
        self.restarts += 1
        if self._restarts_fail:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("restarts_fail", [False, True])
async def test_one_that_ends_again_and_again_is_left_alone_with_a_sentence(
    restarts_fail: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAUSES_SECONDS", (0.0,) * keeping.RESTARTS)
    server = _Dying(restarts_fail)
    with pytest.raises(EmbeddedServerError, match="Straw has ended 6 times within 5 minutes and is left alone now"):
        await keep_running(server, clock=lambda: 0.0)
    assert server.restarts == 5


class _Enough(Exception):
    """The test has seen what it wanted to see."""


class _Ageing(_Dying):
    """Ends every two minutes."""

    def __init__(self) -> None:
        super().__init__(restarts_fail=False)
        self.now = 0.0

    async def watch(self) -> None:
        self.now += 120.0
        if self.restarts == 20:
            raise _Enough
        await super().watch()


async def test_ends_that_lie_further_apart_do_not_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAUSES_SECONDS", (0.0,) * keeping.RESTARTS)
    server = _Ageing()
    with pytest.raises(_Enough):
        await keep_running(server, clock=lambda: server.now)
