"""The roles of the services on a Postgres that asks for passwords, as compose and managed Postgres do.

The shared servers of the tests trust everybody, so that this one has its own data folder.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest

from chassis.adapters.postgres import open_pool, require_current
from cli.__main__ import main
from cli.migrate import spec_of
from embedded import PostgresServer
from schemas.topics import SERVICES, Service

_ACCESS = "local all postgres trust\nlocal all all scram-sha-256\n"
"""The owner of the data folder gets in without a password: the embedded server connects as that."""


@dataclass
class GuardedPostgres:
    """A database whose schemas and roles were made by `bitmill migrate --roles`."""

    admin: str
    passwords: dict[Service, str]

    def address(self, service: Service, password: str | None = None) -> str:
        """The address for the role of a service, with its password or another one."""
        parts = urlsplit(self.admin)
        secret = quote(self.passwords[service] if password is None else password, safe="")
        return urlunsplit(parts._replace(netloc=f"bitmill_{service}:{secret}@{parts.netloc.rpartition('@')[2]}"))

    async def migrate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as environment:
            environment.setenv("ADMIN_DATABASE_URL", self.admin)
            for service in SERVICES:
                environment.setenv(f"{service.upper()}_DATABASE_URL", self.address(service))
            assert await asyncio.to_thread(main, ["migrate", "--roles"]) == 0


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GuardedPostgres]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    server = PostgresServer(folder, durable=False)
    async with server.running(print):
        pass
    (folder / "postgres" / "pg_hba.conf").write_text(_ACCESS)
    async with server.running(print) as admin:
        # Characters that an address has to quote, and that SQL would end a string at.
        found = GuardedPostgres(admin, {service: f"{service}'s p@ss/wörd%41\\" for service in SERVICES})
        with pytest.MonkeyPatch.context() as monkeypatch:
            await found.migrate(monkeypatch)
        yield found


@pytest.mark.parametrize("service", SERVICES)
async def test_each_role_gets_in_with_its_password_and_finds_its_schema(
    guarded: GuardedPostgres, service: Service
) -> None:
    spec = spec_of(service)
    await require_current(guarded.address(service), spec.name, spec.all_migrations)
    async with await open_pool(guarded.address(service), service, size=1) as pool:
        assert await pool.fetchval("SELECT current_user") == f"bitmill_{service}"
        assert await pool.fetchval("SELECT count(*) > 0 FROM pg_tables WHERE schemaname = $1", service)
    with psycopg.connect(guarded.address(service)) as blocking:  # the other driver reads addresses by itself
        assert blocking.execute("SELECT current_user").fetchone() == (f"bitmill_{service}",)


@pytest.mark.parametrize("service", SERVICES)
async def test_no_role_gets_in_with_the_password_of_another_or_with_none(
    guarded: GuardedPostgres, service: Service
) -> None:
    others = [guarded.passwords[other] for other in SERVICES if other != service]
    for password in (*others, "wrong", ""):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
            await asyncpg.connect(guarded.address(service, password))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_role_reads_no_schema_of_another_service(guarded: GuardedPostgres, service: Service) -> None:
    connection = await asyncpg.connect(guarded.address(service))
    try:
        for other in SERVICES:
            statement = f"SELECT FROM {other}._yoyo_migration"
            if other == service:
                await connection.execute(statement)
                continue
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"permission denied for schema {other}"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_password_is_changed_by_migrating_with_the_new_address(
    guarded: GuardedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = guarded.address("catalog")
    guarded.passwords["catalog"] = "a new one"
    await guarded.migrate(monkeypatch)
    await (await asyncpg.connect(guarded.address("catalog"))).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(old)


async def test_a_service_with_a_wrong_password_is_told_so_at_once(guarded: GuardedPostgres) -> None:
    """A wrong password does not become right by waiting."""
    with pytest.raises(asyncpg.InvalidPasswordError, match="password authentication failed for user"):
        await open_pool(guarded.address("ingest", "wrong"), "ingest", wait=3600)
