"""Servers that end by themselves are restarted: the same data, the same address, a limited number of times."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from structlog.testing import capture_logs

from chassis.adapters.kafka.admin import ensure_topics, wait_for_kafka
from chassis.adapters.kafka.producer import open_producer
from chassis.adapters.postgres import wait_for_postgres
from embedded import EmbeddedServerError, KafkaServer, PostgresServer, keep_running, process
from embedded.errors import DiskFull
from embedded.restarts import RestartableServer, RestartPolicy
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
            raise OSError(errno.EAGAIN, "no process available")

    def disk_is_full(self) -> bool:
        return False


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


class _ServerOnAFullDisk(_FailingServer):
    """Ends because its disk is full, cannot be started for so many times, and then finishes the test."""

    def __init__(self, error: Exception, *, full_looks: int, failures: int) -> None:
        super().__init__(restarts_fail=False)
        self.looks = 0
        self._error = error
        self._full_looks = full_looks
        self._failures = failures

    def disk_is_full(self) -> bool:
        self.looks += 1
        return self.looks <= self._full_looks

    async def watch(self) -> None:
        if self.restarts:
            raise _Finished
        raise DiskFull("The disk of /data is full: failing could not write.")

    async def restart(self) -> None:
        self.restarts += 1
        if self.restarts <= self._failures:
            raise self._error


_QUICK = RestartPolicy(poll_seconds=0.001, full_disk_pause_seconds=0.001)


async def test_a_restart_waits_until_there_is_space() -> None:
    server = _ServerOnAFullDisk(DiskFull("full"), full_looks=50, failures=0)
    with pytest.raises(_Finished):
        await keep_running(server, _QUICK, clock=lambda: 0.0)
    assert (server.looks, server.restarts) == (51, 1)


@pytest.mark.parametrize(
    "error",
    [DiskFull("full"), OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded")],
)
async def test_a_full_disk_never_ends_the_restarts(error: Exception) -> None:
    server = _ServerOnAFullDisk(error, full_looks=0, failures=40)
    with pytest.raises(_Finished):
        await keep_running(server, _QUICK, clock=lambda: 0.0)
    assert server.restarts == 41


async def test_whatever_ends_a_server_on_a_full_disk_is_the_disk() -> None:
    policy = RestartPolicy(poll_seconds=0.001, full_disk_seconds=0.002, full_disk_pause_seconds=0.001)
    server = _ServerOnAFullDisk(EmbeddedServerError("it stood still"), full_looks=10_000, failures=40)
    with pytest.raises(_Finished):
        await keep_running(server, policy, clock=lambda: 0.0)
    assert server.restarts == 41


async def test_a_server_that_was_started_on_a_full_disk_is_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder for run files would be: they cannot be written")
    command = process.Command("stub", [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path / "log")
    with pytest.raises(OSError):
        await process.start(command, tmp_path)
    assert not [child for child in psutil.Process().children() if "time.sleep(600)" in " ".join(child.cmdline())]


@asynccontextmanager
async def _small_disk(folder: Path, size: str) -> AsyncIterator[Path]:
    """A file system of this size; the test is skipped where this user may not mount one."""
    folder.mkdir()
    mounted = await asyncio.create_subprocess_exec(
        *("mount", "-t", "tmpfs", "-o", f"size={size}", "bitmill-test", str(folder)), stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await mounted.communicate()
    if mounted.returncode:
        pytest.skip(f"this user may not mount a small disk ({stderr.decode().strip()}); the other tests use stubs")
    try:
        yield folder
    finally:
        unmount = await asyncio.create_subprocess_exec("umount", "--lazy", str(folder))
        await unmount.wait()


async def test_kafka_is_back_with_its_records_once_a_full_disk_has_space(tmp_path: Path) -> None:
    topic = topic_of_its_own()
    async with _small_disk(tmp_path / "disk", "400m") as disk:
        server = KafkaServer(disk / "data")
        async with server.running(ignore_progress) as bootstrap, _kept_running(server):
            await ensure_topics(bootstrap, [topic])
            producer = await open_producer(bootstrap, "test")
            await producer.send_and_wait(topic.name, b"before", partition=0)
            filler = disk / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
            first = server.pid
            assert first
            with capture_logs() as logged:
                os.kill(first, signal.SIGKILL)
                # From here on the restart waits for space.
                await until(lambda: "embedded_server_disk_full" in [each["event"] for each in logged], within=60)
            assert "embedded_server_exited" not in [each["event"] for each in logged], "nothing is counted"
            assert server.disk_is_full()
            filler.unlink()
            await until(lambda: server.pid not in (None, first), within=_DEADLINE_SECONDS)
            await wait_for_kafka(bootstrap, _DEADLINE_SECONDS)
            await producer.send_and_wait(topic.name, b"after", partition=0)
            await producer.stop()
            assert [record.value for record in await read(bootstrap, topic.name, 2)] == [b"before", b"after"]
