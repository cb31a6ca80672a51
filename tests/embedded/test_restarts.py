"""Servers that end by themselves are restarted: the same data, the same address, a limited number of times."""

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
from embedded.server import RestartableServer, RestartPolicy
from tests.chassis.adapters.kafka.examples import read, topic_of_its_own
from tests.embedded.both_servers import ignore_progress
from tests.support.waiting import until

_NO_DELAYS = RestartPolicy(delays_seconds=(0.0,) * 5)
_DEADLINE_SECONDS = 120


@asynccontextmanager
async def _kept_running(server: RestartableServer) -> AsyncIterator[None]:
    task = asyncio.create_task(keep_running(server))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_killed_postgres_is_restarted_at_its_socket_with_what_was_committed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path)
    async with server.running(ignore_progress) as dsn, _kept_running(server):
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        busy = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))  # a session that outlives its server
        first = server.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first), within=_DEADLINE_SECONDS)
        await wait_for_postgres(dsn, _DEADLINE_SECONDS)
        assert isinstance((await asyncio.gather(busy, return_exceptions=True))[0], Exception)
        again = await asyncpg.connect(dsn)
        assert await again.fetchval("SELECT one FROM kept") == 1
        await again.close()


async def test_a_killed_kafka_is_restarted_at_its_port_with_what_was_acknowledged(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    server = KafkaServer(tmp_path)
    async with server.running(ignore_progress) as bootstrap, _kept_running(server):
        await ensure_topics(bootstrap, [topic])
        producer = await open_producer(bootstrap, "test")
        await producer.send_and_wait(topic.name, b"before", partition=0)
        first = server.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: server.pid not in (None, first), within=_DEADLINE_SECONDS)
        await wait_for_kafka(bootstrap, _DEADLINE_SECONDS)
        await producer.send_and_wait(topic.name, b"after", partition=0)
        await producer.stop()
        assert [record.value for record in await read(bootstrap, topic.name, 2)] == [b"before", b"after"]


class _FailingServer:
    """A server that ends at once, each time it is started."""

    name = "Failing"

    def __init__(self, restarts_fail: bool) -> None:
        self.restarts = 0
        self._restarts_fail = restarts_fail

    async def watch(self) -> None:
        raise EmbeddedServerError("failing ended with status 1.\nthe end of its log")

    async def restart(self) -> None:
        self.restarts += 1
        if self._restarts_fail:
            raise OSError(28, "No space left on device")


@pytest.mark.parametrize("restarts_fail", [False, True])
async def test_a_server_that_ends_too_often_is_not_started_again(restarts_fail: bool) -> None:
    server = _FailingServer(restarts_fail)
    with pytest.raises(EmbeddedServerError, match="Failing has ended 6 times within 5 minutes and is not "):
        await keep_running(server, _NO_DELAYS, clock=lambda: 0.0)
    assert server.restarts == 5


class _Finished(Exception):
    """Ends the test."""


class _RarelyFailingServer(_FailingServer):
    """Ends every two minutes."""

    def __init__(self) -> None:
        super().__init__(restarts_fail=False)
        self.now = 0.0

    async def watch(self) -> None:
        self.now += 120.0
        if self.restarts == 20:
            raise _Finished
        await super().watch()


async def test_exits_outside_the_window_do_not_count() -> None:
    server = _RarelyFailingServer()
    with pytest.raises(_Finished):
        await keep_running(server, _NO_DELAYS, clock=lambda: server.now)
