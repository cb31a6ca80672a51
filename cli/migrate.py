"""`bitmill migrate`: applies the migrations of services to their schemas, as the schemas' owner.

The owner's address is ADMIN_DATABASE_URL, or DATABASE_URL where the services use the same. With `--roles` each service
gets a role with rights on its own schema only; its name and password are those of the address with which the service
connects, which this command takes from INGEST_DATABASE_URL, CATALOG_DATABASE_URL and so on.
"""

import argparse
import asyncio
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import unquote, urlsplit

from asyncpg import PostgresError as QueryError

from chassis.adapters.postgres import PostgresError, ServiceRole, grant_roles, migrate, schema_state
from chassis.core import logs
from chassis.core.setting_types import duration
from chassis.runtime.service_spec import ServiceSpec
from cli.database import database_of
from cli.errors import CliError, UsageError
from cli.service_commands import app_class
from schemas.topics import SERVICES, Service

MIGRATE_WAIT = timedelta(minutes=1)
"""Longer than that of other commands: in a deployment Postgres may start at the same time."""
CHECK_WAIT = timedelta(seconds=3)
"""Whoever asks what is missing wants to know at once that Postgres is."""


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each schema; status 1 with `--check` if a migration is missing."""
    services = chosen(arguments.service)
    dsn, wait = database_of(arguments), postgres_wait(arguments).total_seconds()
    specs = [spec_of(service) for service in services]
    roles = service_roles(specs, os.environ) if arguments.roles else []
    # Whoever migrates is told that Postgres is waited for.
    logs.configure("auto", "error" if arguments.check else "warning")
    try:
        if arguments.check:
            return asyncio.run(_check(dsn, specs, wait))
        asyncio.run(_migrate(dsn, specs, roles, wait))
    except (OSError, QueryError, PostgresError) as error:
        raise CliError(str(error)) from None
    return 0


def chosen(names: Sequence[str]) -> list[Service]:
    """The named services, or all. Raises UsageError."""
    for name in names:
        if name not in SERVICES:
            raise UsageError(f"there is no service {name!r}: the services are {', '.join(SERVICES)}")
    return [service for service in SERVICES if service in names or not names]


def postgres_wait(arguments: argparse.Namespace) -> timedelta:
    """How long to wait for a Postgres that does not respond (pure). Raises UsageError."""
    if arguments.wait is None:
        return CHECK_WAIT if arguments.check else MIGRATE_WAIT
    try:
        return duration(arguments.wait)
    except ValueError as error:
        raise UsageError(f"--wait {error}") from None


def spec_of(service: Service) -> ServiceSpec:
    """The declaration of a service, which names its schema and its migrations."""
    found: ServiceSpec = app_class(service).spec
    return found


def service_roles(specs: Sequence[ServiceSpec], environment: Mapping[str, str]) -> list[ServiceRole]:
    """The role of each service, by the address with which it connects (pure). Raises UsageError."""
    roles: list[ServiceRole] = []
    for spec in specs:
        variable = f"{spec.name.upper()}_DATABASE_URL"
        address = urlsplit(environment.get(variable, ""))
        if not address.username:
            raise UsageError(f"--roles needs {variable}: the DATABASE_URL of {spec.name}, with a user of its own")
        name, password = unquote(address.username), address.password
        if shared := [role.schema for role in roles if role.name == name]:
            raise UsageError(f"{variable} has the same user as {shared[0]}: each service needs a role of its own")
        roles.append(ServiceRole(name, spec.name, password and unquote(password), spec.temporary_tables))
    return roles


async def _check(dsn: str, specs: Sequence[ServiceSpec], wait: float) -> int:
    missing = False
    for spec in specs:
        state = await schema_state(dsn, spec.name, spec.all_migrations, wait=wait)
        _report(spec.name, "to be applied", state.pending)
        missing |= bool(state.pending)
    return int(missing)


async def _migrate(dsn: str, specs: Sequence[ServiceSpec], roles: Sequence[ServiceRole], wait: float) -> None:
    for spec in specs:
        applied = await migrate(dsn, spec.name, spec.all_migrations, wait=wait)
        _report(spec.name, "applied", applied)
    if roles:
        await grant_roles(dsn, roles, wait=wait)
    for role in roles:
        print(f"{role.schema}: the role {role.name} may use this schema only")


def _report(schema: str, what: str, ids: Sequence[str]) -> None:
    print(f"{schema}: {what} {', '.join(ids)}" if ids else f"{schema}: up to date")
