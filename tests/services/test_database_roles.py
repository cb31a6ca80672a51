"""One role of Postgres for each service: it does the work of its service and is refused everything else."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from chassis.adapters.postgres import (
    MigrationFailed,
    RoleRefused,
    ServiceRole,
    grant_roles,
    migrate,
    open_pool,
    require_current,
)
from chassis.core.settings import StartRefused
from cli.__main__ import main
from cli.errors import UsageError
from cli.migrate import service_roles, spec_of
from schemas.topics import SERVICES, Service
from services.notifier.app import Notifier
from tests.services.notifier.support import settings
from tests.support.servers import Postgres, with_user

SPECS = {service: spec_of(service) for service in SERVICES}


@dataclass(frozen=True)
class Roles:
    """A migrated database with a role for each service. Roles belong to the server, so their names are random."""

    admin: str
    names: dict[Service, str]

    def address(self, service: Service) -> str:
        return with_user(self.admin, self.names[service])

    def roles(self) -> list[ServiceRole]:
        environment = {f"{service.upper()}_DATABASE_URL": self.address(service) for service in SERVICES}
        return service_roles(list(SPECS.values()), environment)


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def granted(postgres_server: Postgres) -> AsyncIterator[Roles]:
    admin = await postgres_server.database()
    for service, spec in SPECS.items():
        await migrate(admin, service, spec.all_migrations)
    found = Roles(admin, {service: f"{service}_{uuid4().hex[:8]}" for service in SERVICES})
    await grant_roles(admin, found.roles())
    yield found
    for name in found.names.values():
        await execute(admin, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def tables(dsn: str, schema: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'v') ORDER BY 1",
            schema,
        )
    finally:
        await connection.close()
    return [row["relname"] for row in rows]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_reads_and_writes_every_table_of_its_service_and_changes_no_schema(
    granted: Roles, service: Service
) -> None:
    async with await open_pool(granted.address(service), service, size=1) as pool:
        for table in await tables(granted.admin, service):
            if "yoyo" in table or table == "migration_checksums":
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await pool.execute(f"DELETE FROM {table}")
                continue
            await pool.execute(f"SELECT FROM {table}")
            await pool.execute(f"DELETE FROM {table} WHERE false")
            allowed = await pool.fetchval(
                "SELECT has_table_privilege($1, 'INSERT') AND has_table_privilege($1, 'UPDATE')", table
            )
            assert allowed
        for refused in ("CREATE TABLE more (id int)", "DROP TABLE migration_checksums", "CREATE SCHEMA more"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(refused)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_is_refused_on_every_other_schema(granted: Roles, service: Service) -> None:
    async with await open_pool(granted.address(service), service, size=1) as pool:
        for other in SERVICES:
            if other == service:
                continue
            for table in await tables(granted.admin, other):
                for statement in (f"SELECT FROM {other}.{table}", f"DELETE FROM {other}.{table}"):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await pool.execute(statement)
        for refused in ("CREATE TABLE public.mine (id int)", "SELECT pg_read_file('PG_VERSION')", "CREATE ROLE more"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(refused)


async def test_tables_of_later_migrations_are_granted_as_well(granted: Roles) -> None:
    await execute(granted.admin, "CREATE TABLE notifier.later (id bigint GENERATED ALWAYS AS IDENTITY, n int)")
    await execute(
        granted.address("notifier"), "INSERT INTO notifier.later (n) VALUES (1)", "SELECT FROM notifier.later"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(granted.address("catalog"), "SELECT FROM notifier.later")


async def test_granting_again_changes_the_password_and_nothing_else(granted: Roles) -> None:
    async def rights() -> Sequence[object]:
        connection = await asyncpg.connect(granted.admin)
        try:
            return await connection.fetch(
                "SELECT relname, relacl::text FROM pg_class WHERE relnamespace::regnamespace::text = ANY ($1) "
                "ORDER BY oid",
                SERVICES,
            )
        finally:
            await connection.close()

    async def password() -> str:
        connection = await asyncpg.connect(granted.admin)
        try:
            return str(
                await connection.fetchval(
                    "SELECT rolpassword FROM pg_authid WHERE rolname = $1", granted.names["ingest"]
                )
            )
        finally:
            await connection.close()

    before, old = await rights(), await password()
    assert old.startswith("SCRAM-SHA-256$")
    # With a session open that has a temporary table, as the catalog's have.
    catalog = await asyncpg.connect(granted.address("catalog"))
    try:
        await catalog.execute("CREATE TEMP TABLE incoming (id int)")
        await grant_roles(granted.admin, granted.roles())
    finally:
        await catalog.close()
    assert await rights() == before
    assert await password() != old


async def test_a_role_with_other_rights_is_refused_and_nothing_is_granted(granted: Roles) -> None:
    name = f"other_{uuid4().hex[:8]}"
    role = ServiceRole(name, "ingest", "secret")
    await execute(granted.admin, f"CREATE ROLE {name} CREATEDB")
    try:
        with pytest.raises(RoleRefused, match=f"{name} cannot be that of one service: it has attributes"):
            await grant_roles(granted.admin, [role])
        await execute(granted.admin, f"ALTER ROLE {name} NOCREATEDB", f"GRANT USAGE ON SCHEMA catalog TO {name}")
        with pytest.raises(RoleRefused, match="beyond schema ingest: USAGE of schema catalog"):
            await grant_roles(granted.admin, [role])
        await execute(granted.admin, f"REVOKE ALL ON SCHEMA catalog FROM {name}", f"GRANT pg_monitor TO {name}")
        with pytest.raises(RoleRefused, match="is a member of other roles"):
            await grant_roles(granted.admin, [role])
        connection = await asyncpg.connect(granted.admin)
        try:
            assert not await connection.fetchval("SELECT has_schema_privilege($1, 'ingest', 'USAGE')", name)
        finally:
            await connection.close()
    finally:
        await execute(granted.admin, f"DROP ROLE {name}")


async def test_an_owner_that_is_no_superuser_can_grant_and_its_migrations_need_no_more(
    postgres_server: Postgres,
) -> None:
    """As managed Postgres has it: the owner of a database who may create roles."""
    dsn = await postgres_server.database()
    owner, name = f"owner_{uuid4().hex[:8]}", f"notifier_{uuid4().hex[:8]}"
    database = urlsplit(dsn).path.removeprefix("/")
    await execute(
        dsn, f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'p@ss word'", f"ALTER DATABASE {database} OWNER TO {owner}"
    )
    admin = with_user(dsn, owner)
    sources = SPECS["notifier"].all_migrations
    try:
        for _ in range(2):
            await migrate(admin, "notifier", sources)
            await grant_roles(admin, [ServiceRole(name, "notifier", "p@ss word")])
        # What is up to date needs no right to change it; what is not says who has to.
        assert await migrate(with_user(dsn, name), "notifier", sources) == []
        with pytest.raises(MigrationFailed, match="run `bitmill migrate notifier` as the owner"):
            await migrate(with_user(dsn, name), "notifier", (*sources, "services.catalog.sql.migrations"))
        with pytest.raises(RoleRefused, match="may not use schema"):
            await execute(dsn, f"REVOKE ALL ON SCHEMA notifier FROM {name}")
            await require_current(with_user(dsn, name), "notifier", sources)
    finally:
        await execute(
            dsn,
            f"ALTER DATABASE {database} OWNER TO postgres",
            f"DROP OWNED BY {name}",
            f"DROP ROLE {name}",
            f"DROP OWNED BY {owner} CASCADE",
            f"DROP ROLE {owner}",
        )


async def test_the_catalog_hears_what_ingest_notifies(granted: Roles) -> None:
    """Channels of Postgres belong to the database, not to a schema."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    catalog = await asyncpg.connect(granted.address("catalog"))
    try:
        await catalog.add_listener("keys", lambda *notification: heard.put_nowait(notification[-1]))
        await execute(granted.address("ingest"), "SELECT pg_notify('keys', 'key_1')")
        assert await asyncio.wait_for(heard.get(), 60) == "key_1"
    finally:
        await catalog.close()


async def test_commands_that_need_more_than_the_role_of_ingest_name_the_owner_s_address_and_change_nothing(
    granted: Roles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", granted.address("ingest"))
    monkeypatch.setenv("ENCRYPTION_KEYS", b64encode(bytes(32)).decode())
    monkeypatch.delenv("ADMIN_DATABASE_URL", raising=False)
    for command in (["keys", "create"], ["projects", "list"]):
        assert await asyncio.to_thread(main, command) == 1
        assert "may not use schema notifier" in (error := capsys.readouterr().err)
        assert "Set ADMIN_DATABASE_URL" in error
    assert await asyncio.to_thread(main, ["keys", "list", "--json"]) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("ADMIN_DATABASE_URL", granted.admin)
    for command in (["keys", "create"], ["projects", "list"]):
        assert await asyncio.to_thread(main, command) == 0


async def test_a_service_that_does_not_migrate_refuses_to_start_on_an_older_schema_and_changes_nothing(
    fresh_dsn: str,
) -> None:
    with pytest.raises(
        StartRefused, match=r"notifier has \d+ migrations to be applied .*: run `bitmill migrate notifier`"
    ):
        async with Notifier(settings(fresh_dsn, migrate_on_start=False)).run():
            pass
    async with await open_pool(fresh_dsn, "notifier", size=1) as pool:
        assert not await pool.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'notifier')")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CATALOG_DATABASE_URL", "", "--roles needs CATALOG_DATABASE_URL"),
        ("CATALOG_DATABASE_URL", "postgresql://db/bitmill", "--roles needs CATALOG_DATABASE_URL"),
        ("CATALOG_DATABASE_URL", "postgresql://ingest@db/bitmill", "CATALOG_DATABASE_URL has the same user as ingest"),
    ],
)
def test_each_service_needs_an_address_with_a_user_of_its_own(variable: str, value: str, expected: str) -> None:
    environment = {f"{service.upper()}_DATABASE_URL": f"postgresql://{service}:x@db/bitmill" for service in SERVICES}
    with pytest.raises(UsageError, match=expected):
        service_roles(list(SPECS.values()), {**environment, variable: value})
