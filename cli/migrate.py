"""`bitmill migrate`: applies the migrations of services to their schemas, as the schemas' owner.

The owner's address is ADMIN_DATABASE_URL, or DATABASE_URL where the services use the same.
"""

import argparse
import asyncio
from collections.abc import Sequence

from asyncpg import PostgresError as QueryError

from chassis.adapters.postgres import PostgresError, migrate, schema_state
from chassis.core import logs
from chassis.runtime.service_spec import ServiceSpec
from cli.database import database_of
from cli.errors import CliError, UsageError
from cli.service_commands import app_class
from schemas.topics import SERVICES, Service

CONNECT_TIMEOUT_SECONDS = 60.0
"""Longer than that of other commands: in a deployment Postgres may start at the same time."""


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each schema; status 1 with `--check` if a migration is missing."""
    services = chosen(arguments.service)
    dsn = database_of(arguments)
    logs.configure("auto", "warning")
    try:
        if arguments.check:
            return asyncio.run(_check(dsn, services))
        asyncio.run(_migrate(dsn, services))
    except (OSError, QueryError, PostgresError) as error:
        raise CliError(str(error)) from None
    return 0


def chosen(names: Sequence[str]) -> list[Service]:
    """The named services, or all. Raises UsageError."""
    for name in names:
        if name not in SERVICES:
            raise UsageError(f"there is no service {name!r}: the services are {', '.join(SERVICES)}")
    return [service for service in SERVICES if service in names or not names]


def spec_of(service: Service) -> ServiceSpec:
    """The declaration of a service, which names its schema and its migrations."""
    found: ServiceSpec = app_class(service).spec
    return found


async def _check(dsn: str, services: Sequence[Service]) -> int:
    missing = False
    for spec in map(spec_of, services):
        state = await schema_state(dsn, spec.name, spec.all_migrations, wait=CONNECT_TIMEOUT_SECONDS)
        _report(spec.name, "to be applied", state.pending)
        missing |= bool(state.pending)
    return int(missing)


async def _migrate(dsn: str, services: Sequence[Service]) -> None:
    for spec in map(spec_of, services):
        applied = await migrate(dsn, spec.name, spec.all_migrations, wait=CONNECT_TIMEOUT_SECONDS)
        _report(spec.name, "applied", applied)


def _report(schema: str, what: str, ids: Sequence[str]) -> None:
    print(f"{schema}: {what} {', '.join(ids)}" if ids else f"{schema}: up to date")
