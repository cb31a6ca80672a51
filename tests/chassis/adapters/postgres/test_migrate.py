"""Migrations: in order, once, together or not at all, also when five replicas start at once."""

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from chassis.adapters.postgres import (
    MigrationChanged,
    MigrationFailed,
    MigrationsPending,
    migrate,
    require_current,
    schema_state,
)

FIRST, SECOND, BROKEN = (f"tests.chassis.adapters.postgres.{name}" for name in ("first", "second", "broken"))


async def _fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def test_packages_number_their_migrations_independently_and_each_runs_once(fresh_dsn: str) -> None:
    for _ in range(2):
        await migrate(fresh_dsn, "mill", [FIRST, SECOND])
    rows = await _fetch(fresh_dsn, "SELECT * FROM mill.things")
    assert [dict(row) for row in rows] == [{"id": 1, "note": "a; b % c", "colour": None}]
    applied = await _fetch(fresh_dsn, "SELECT migration_id FROM mill._yoyo_migration ORDER BY applied_at_utc")
    assert [row[0] for row in applied] == [f"{FIRST}:0001_things", f"{FIRST}:0002_rows", f"{SECOND}:0001_things"]


async def test_what_was_added_since_the_last_start_is_applied(fresh_dsn: str) -> None:
    await migrate(fresh_dsn, "mill", [FIRST])
    await migrate(fresh_dsn, "mill", [FIRST, SECOND])
    assert await _fetch(fresh_dsn, "SELECT colour FROM mill.things")


async def test_schemas_of_one_database_do_not_see_each_other(fresh_dsn: str) -> None:
    await asyncio.gather(*(migrate(fresh_dsn, schema, [FIRST]) for schema in ("one", "two")))
    tables = await _fetch(fresh_dsn, "SELECT schemaname FROM pg_tables WHERE tablename = 'things' ORDER BY 1")
    assert [row[0] for row in tables] == ["one", "two"]


async def test_a_refused_migration_names_its_file_and_leaves_nothing(fresh_dsn: str) -> None:
    with pytest.raises(MigrationFailed, match=r"broken:0001_half of schema mill failed: .*no_such_column"):
        await migrate(fresh_dsn, "mill", [FIRST, BROKEN])
    assert not await _fetch(fresh_dsn, "SELECT FROM pg_tables WHERE tablename = 'half'")
    assert await _fetch(fresh_dsn, "SELECT FROM mill.things")


async def test_five_replicas_may_start_at_once(fresh_dsn: str) -> None:
    call = f"migrate({fresh_dsn!r}, 'mill', {[FIRST, SECOND]!r})"
    program = f"import asyncio; from chassis.adapters.postgres import migrate; asyncio.run({call})"
    replicas = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(5)
    ]
    for replica in replicas:
        _, stderr = await replica.communicate()
        assert replica.returncode == 0, stderr.decode()
    assert len(await _fetch(fresh_dsn, "SELECT FROM mill.things")) == 1
    assert len(await _fetch(fresh_dsn, "SELECT FROM mill._yoyo_migration")) == 3


async def test_a_lock_row_left_by_a_killed_process_does_not_stop_the_next_start(fresh_dsn: str) -> None:
    await migrate(fresh_dsn, "mill", [FIRST])
    await _fetch(fresh_dsn, "INSERT INTO mill.yoyo_lock (locked, pid) VALUES (1, 4242)")
    await migrate(fresh_dsn, "mill", [FIRST, SECOND])
    assert await _fetch(fresh_dsn, "SELECT colour FROM mill.things")


async def test_a_schema_name_that_would_need_quoting_is_refused(fresh_dsn: str) -> None:
    with pytest.raises(ValueError, match="not a plain schema name"):
        await migrate(fresh_dsn, 'x"; DROP', [])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an importable package with one migration that a test may change."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / f"migrations_{uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "0001_first.sql").write_text("CREATE TABLE first (id int);\n")
    return folder


async def test_a_migration_that_was_changed_after_it_was_applied_is_an_error_that_names_it(
    fresh_dsn: str, package: Path
) -> None:
    assert await migrate(fresh_dsn, "mill", [package.name]) == [f"{package.name}:0001_first"]
    (package / "0001_first.sql").write_text("CREATE TABLE first (id bigint);\n")
    (package / "0002_second.sql").write_text("CREATE TABLE second (id int);\n")
    for call in (migrate, schema_state, require_current):
        with pytest.raises(MigrationChanged, match=f"mill: {package.name}:0001_first was changed"):
            await call(fresh_dsn, "mill", [package.name])
    assert not await _fetch(fresh_dsn, "SELECT FROM pg_tables WHERE tablename = 'second'")
    (package / "0001_first.sql").write_text("CREATE TABLE first (id int);\r\n", newline="")
    assert await migrate(fresh_dsn, "mill", [package.name]) == [f"{package.name}:0002_second"]


async def test_checksums_of_what_a_release_without_them_applied_are_recorded_at_the_first_run(
    fresh_dsn: str, package: Path
) -> None:
    await migrate(fresh_dsn, "mill", [package.name])
    await _fetch(fresh_dsn, "DROP TABLE mill.migration_checksums")
    await require_current(fresh_dsn, "mill", [package.name])
    assert await migrate(fresh_dsn, "mill", [package.name]) == []
    assert len(await _fetch(fresh_dsn, "SELECT FROM mill.migration_checksums")) == 1
    (package / "0001_first.sql").write_text("-- Changed.\n")
    with pytest.raises(MigrationChanged):
        await migrate(fresh_dsn, "mill", [package.name])


async def test_a_schema_of_an_older_release_is_refused_and_not_touched(fresh_dsn: str) -> None:
    with pytest.raises(MigrationsPending, match=r"mill has 2 migrations to be applied .*0002_rows.*: run `bitmill"):
        await require_current(fresh_dsn, "mill", [FIRST])
    assert not await _fetch(fresh_dsn, "SELECT FROM pg_namespace WHERE nspname = 'mill'")
    await migrate(fresh_dsn, "mill", [FIRST])
    await require_current(fresh_dsn, "mill", [FIRST])
    with pytest.raises(MigrationsPending, match=r"mill has 1 migrations to be applied .*second:0001_things"):
        await require_current(fresh_dsn, "mill", [FIRST, SECOND])
    # A newer schema is one that this release has to work with.
    await migrate(fresh_dsn, "mill", [FIRST, SECOND])
    await require_current(fresh_dsn, "mill", [FIRST])
