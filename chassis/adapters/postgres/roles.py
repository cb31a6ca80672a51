"""The role of a service in Postgres: it connects, and reads and writes the tables of its own schema, and nothing else.

It owns nothing, so it can neither create nor change a table: migrations are applied by the owner of the schema.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from chassis.adapters.postgres import sql
from chassis.adapters.postgres.connection import RoleRefused, wait_for_postgres
from chassis.adapters.postgres.migrate import KEEPALIVES

_READABLE = ("_yoyo_migration", "migration_checksums")
"""What a service reads at its start, and must not write: it says what was applied to its schema."""
_REFUSALS = {
    "powerful": "has attributes such as SUPERUSER, CREATEDB, CREATEROLE, REPLICATION or BYPASSRLS",
    "member": "is a member of other roles",
    "owner": "owns objects of Postgres, which it could change or drop",
    "current": "is the role that applies the migrations",
}


@dataclass(frozen=True)
class ServiceRole:
    """A role that works on `schema`. Without a `password` its password stays as it is, or it has none."""

    name: str
    schema: str
    password: str | None = field(default=None, repr=False)
    temporary_tables: bool = False


async def grant_roles(dsn: str, roles: Sequence[ServiceRole], *, wait: float = 60.0) -> None:
    """Creates the roles that do not exist, sets their passwords, and grants each what it needs on its schema.

    `dsn` is the owner of the schemas and of the database, and may create roles. The schemas exist. Takes from PUBLIC
    what it may do in this database. All or nothing, and the same when repeated. Raises `RoleRefused` if a role has
    other rights already, or would keep rights beyond its schema.
    """
    await wait_for_postgres(dsn, wait)
    await asyncio.to_thread(_grant_roles, dsn, tuple(roles))


def _grant_roles(dsn: str, roles: Sequence[ServiceRole]) -> None:
    with psycopg.connect(dsn, application_name="bitmill.migrate", connect_timeout=10, **KEEPALIVES) as connection:
        granting = _Granting(connection)
        granting.close_database()
        for role in roles:
            granting.create(role)
            granting.grant(role)
            granting.check(role)


class _Granting:
    """Statements of one transaction."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._queries = sql.load("chassis.adapters.postgres")
        self._database = Identifier(connection.info.dbname)
        connection.execute(self._query("lock_roles"))

    def close_database(self) -> None:
        """Everybody may connect to a new database and use its schema `public`: not any more."""
        self._execute("close_database", database=self._database)
        if self._connection.execute(self._query("has_public_schema")).fetchone() == (True,):
            self._execute("close_public_schema")

    def create(self, role: ServiceRole) -> None:
        """Creates the role, or refuses the one that exists if it has other rights; then sets its password."""
        cursor = self._connection.execute(self._query("refusals"), (role.name,))
        found = cursor.fetchone()
        if found is not None:
            names = [column.name for column in cursor.description or ()]
            reasons = [_REFUSALS[name] for name, applies in zip(names, found, strict=True) if applies]
            if reasons:
                raise RoleRefused(
                    f"The role {role.name} cannot be that of one service: it {' and '.join(reasons)}. Use another name."
                )
        self._execute("create_role" if found is None else "set_login", role=Identifier(role.name))
        if role.password is not None:
            # Only the hash leaves this process, so that no log of the server has the password.
            hashed = self._connection.pgconn.encrypt_password(
                role.password.encode(), role.name.encode(), b"scram-sha-256"
            )
            self._execute("set_password", role=Identifier(role.name), password=Literal(hashed.decode()))

    def grant(self, role: ServiceRole) -> None:
        """Grants what the role needs on the database and on its schema, for future tables as well."""
        names = {"role": Identifier(role.name), "schema": Identifier(role.schema), "database": self._database}
        self._execute("reset_database", **names)
        self._execute("grant_connect", **names)
        if role.temporary_tables:
            self._execute("grant_temporary", **names)
        for query in ("close_schema", "grant_schema", "grant_tables", "grant_sequences"):
            self._execute(query, **names)
        for query in ("grant_future_tables", "grant_future_sequences"):
            self._execute(query, **names)
        for (table,) in self._connection.execute(self._query("bookkeeping"), (role.schema,)).fetchall():
            self._execute("close_table", table=Identifier(table), **names)
            if table in _READABLE:
                self._execute("grant_reading", table=Identifier(table), **names)

    def check(self, role: ServiceRole) -> None:
        """Asks Postgres whether the role may do more than it should."""
        arguments = {"role": role.name, "schema": role.schema}
        excess = [row[0] for row in self._connection.execute(self._query("excess"), arguments).fetchall()]
        if excess:
            raise RoleRefused(
                f"The role {role.name} would keep rights beyond schema {role.schema}: {', '.join(excess)}. Revoke them "
                f"from {role.name} or from PUBLIC."
            )

    def _execute(self, name: str, **parts: Composable) -> None:
        self._connection.execute(self._query(name).format(**parts))

    def _query(self, name: str) -> SQL:
        return SQL(self._queries[name])
