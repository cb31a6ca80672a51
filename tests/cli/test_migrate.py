"""`bitmill migrate` on a real Postgres, and the commands that must not migrate."""

import asyncio

import asyncpg
import pytest

from cli.__main__ import main
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
