"""`bitmill keys create`: what is printed is stored, and what is not printed is not stored or named."""

import asyncio
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import asyncpg
import orjson
import pytest

from cli.__main__ import main
from schemas.keys import well_formed

_DIE = """
CREATE FUNCTION notifier.die() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN NULL; END $$;
"""
"""Ends the session that calls it, as a Postgres does that goes away."""
WITH_THE_SECRET = f"{_DIE} CREATE TRIGGER die BEFORE INSERT ON notifier.webhook_secrets EXECUTE FUNCTION notifier.die()"
AT_THE_COMMIT = (
    f"{_DIE} CREATE CONSTRAINT TRIGGER die AFTER INSERT ON notifier.webhook_secrets "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION notifier.die()"
)


@pytest.fixture
async def database(fresh_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database that the commands find by DATABASE_URL, with encryption."""
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", fresh_dsn)
    monkeypatch.setenv("ENCRYPTION_KEYS", b64encode(bytes(32)).decode())
    assert await bitmill("migrate") == 0
    return fresh_dsn


async def bitmill(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def stored(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        names = ("ingest.api_keys", "ingest.projects", "ingest.outbox", "notifier.webhook_secrets")
        return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names}
    finally:
        await connection.close()


async def test_a_new_project_gets_a_key_and_a_webhook_secret(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert await bitmill("keys", "create", "--project", "shop", "--json") == 0
    made = orjson.loads(capsys.readouterr().out)
    assert well_formed(made["key"])
    assert made["webhook_secret"].startswith("whsec_")
    assert await stored(database) == {
        "ingest.api_keys": 1,
        "ingest.projects": 1,
        "ingest.outbox": 1,
        "notifier.webhook_secrets": 1,
    }
    assert await bitmill("keys", "create", "--project", "shop", "--json") == 0
    assert orjson.loads(capsys.readouterr().out)["webhook_secret"] is None


async def test_no_key_is_stored_if_the_database_goes_away_before_the_webhook_secret(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await execute(database, WITH_THE_SECRET)
    capsys.readouterr()
    assert await bitmill("keys", "create", "--project", "shop") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("bitmill: no key was created: the system's database does not respond")
    assert set((await stored(database)).values()) == {0}
    await execute(database, "DROP TRIGGER die ON notifier.webhook_secrets")
    assert await bitmill("keys", "create", "--project", "shop") == 0
    assert "whsec_" in capsys.readouterr().out


async def test_a_key_whose_commit_is_not_confirmed_is_named_with_what_to_do_and_not_printed(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await execute(database, AT_THE_COMMIT)
    capsys.readouterr()
    assert await bitmill("keys", "create", "--project", "shop") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert "the database did not confirm the new key key_" in output.err
    assert "revoke it with `bitmill keys revoke key_" in output.err
    assert "`bitmill projects rotate-secret shop`" in output.err


@pytest.fixture
def full_disk() -> Iterator[TextIO]:
    file = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails
    yield file
    with suppress(OSError):
        file.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="about a device of Linux")
async def test_a_key_that_cannot_be_printed_is_named(
    database: str, full_disk: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full_disk)
        assert await bitmill("keys", "create") == 1
    error = capsys.readouterr().err
    assert "was created and could not be printed (No space left on device)" in error
    assert "bitmill keys revoke key_" in error


async def test_keys_of_a_project_that_does_not_exist_are_an_error_and_no_empty_table(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bitmill("keys", "create", "--project", "shop") == 0
    capsys.readouterr()
    assert await bitmill("keys", "list", "--project", "shpo") == 1
    output = capsys.readouterr()
    assert (output.out, output.err) == (
        "",
        "bitmill: there is no project shpo; `bitmill projects list` shows them\n",
    )
