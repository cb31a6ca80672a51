"""Postgres as a child process: folders, durability, stale files, errors."""

import os
import shutil
import signal
from pathlib import Path

import asyncpg
import psycopg
import pytest

from embedded import EmbeddedServerError, PostgresServer
from tests.embedded.both_servers import ignore_progress


@pytest.mark.parametrize("name", ["long" * 30, "with space, comma, ä and %"])
async def test_it_works_below_a_folder_whose_path_a_socket_cannot_have(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    for expected in (None, 7):
        async with PostgresServer(folder, durable=False).running(ignore_progress) as dsn:
            connection = await asyncpg.connect(dsn)
            if expected is None:
                await connection.execute("CREATE TABLE t AS SELECT 7 AS n")
            assert await connection.fetchval("SELECT n FROM t") == 7
            await connection.close()
            with psycopg.connect(dsn) as blocking:  # both drivers take the same address
                assert blocking.execute("SHOW jit").fetchone() == ("off",)


async def test_commits_are_durable_by_default(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path).running(ignore_progress) as dsn:
        connection = await asyncpg.connect(dsn)
        settings = [
            await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "max_connections")
        ]
        await connection.close()
    assert settings == ["on", "on", "200"]


async def test_a_stale_pid_file_with_the_pid_of_another_process_does_not_prevent_the_start(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, durable=False)
    async with server.running(ignore_progress):
        text = (tmp_path / "postgres" / "postmaster.pid").read_text()
    lines = ["1", *text.splitlines()[1:]]  # process 1 is always there, and never Postgres
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    async with server.running(ignore_progress) as dsn:
        await (await asyncpg.connect(dsn)).close()


async def test_a_server_that_cannot_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, durable=False)
    async with server.running(ignore_progress):
        pass
    (tmp_path / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match=r"(?s)postgres ended with status 1.*no_such_setting"):
        async with server.running(ignore_progress):
            pass


async def test_watch_reports_a_server_that_was_killed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, durable=False)
    async with server.running(ignore_progress):
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(EmbeddedServerError, match="postgres ended with status -9"):
            await server.watch()


@pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")
async def test_a_data_folder_that_root_copied_can_be_used(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    async with PostgresServer(first, durable=False).running(ignore_progress):
        pass
    shutil.copytree(first, second)
    async with PostgresServer(second, durable=False).running(ignore_progress) as dsn:
        await (await asyncpg.connect(dsn)).close()
