"""`bitmill migrate` on a real Postgres, and the commands that must not migrate."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest

from cli.__main__ import main
from cli.args import parser
from cli.migrate import postgres_wait
from schemas.topics import SERVICES


@pytest.fixture
def environment(fresh_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database that the commands find by DATABASE_URL."""
    monkeypatch.delenv("ENCRYPTION_KEYS", raising=False)
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", fresh_dsn)
    return fresh_dsn


async def bitmill(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def schemas(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname = ANY ($1)", SERVICES)
    finally:
        await connection.close()
    return {row["nspname"] for row in rows}


async def test_migrate_creates_the_schemas_of_all_services_and_runs_again_without_effect(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bitmill("migrate", "--check") == 1
    assert "ingest: to be applied chassis.outbox.migrations:0001_outbox, " in capsys.readouterr().out
    assert await schemas(environment) == set()
    assert await bitmill("migrate", "notifier") == 0
    assert await schemas(environment) == {"notifier"}
    assert await bitmill("migrate") == 0
    assert "notifier: up to date\n" in capsys.readouterr().out
    assert await schemas(environment) == set(SERVICES)
    assert await bitmill("migrate", "--check") == 0
    assert capsys.readouterr().out == "".join(f"{service}: up to date\n" for service in SERVICES)


@pytest.mark.parametrize("command", [("keys", "list"), ("keys", "create"), ("projects", "list")])
async def test_commands_on_keys_and_projects_migrate_nothing(
    environment: str, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bitmill(*command) == 1
    assert "run `bitmill migrate ingest`" in capsys.readouterr().err
    assert await schemas(environment) == set()
    assert await bitmill("migrate") == 0
    assert await bitmill(*command) == 0


async def test_a_service_that_does_not_exist_is_named(environment: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await bitmill("migrate", "gateway") == 2
    assert "there is no service 'gateway'" in capsys.readouterr().err


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which no Postgres listens, and that no other program takes meanwhile."""
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}/bitmill"
        monkeypatch.setenv("DATABASE_URL", f"postgresql://bitmill:secret@{address}")
        yield address


async def test_a_check_of_a_stopped_system_gives_up_after_three_seconds_with_one_sentence(
    stopped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bitmill("migrate", "--check") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"bitmill: Postgres at {stopped} did not answer within 3 s: ")
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize("options", [(), ("--check",)])
async def test_the_wait_for_postgres_can_be_chosen(
    options: tuple[str, ...], stopped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bitmill("migrate", "--wait", "50ms", *options) == 1
    assert f"bitmill: Postgres at {stopped} did not answer within 0.05 s: " in capsys.readouterr().err
    assert await bitmill("migrate", "--wait", "soon", *options) == 2
    assert "--wait must be a duration such as 500ms" in capsys.readouterr().err


def test_a_migration_waits_for_a_postgres_that_starts_at_the_same_time() -> None:
    assert postgres_wait(parser().parse_args(["migrate"])) == timedelta(minutes=1)
