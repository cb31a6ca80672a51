"""Connections of projects: making, changing and deleting them.

The secret is encrypted before it gets into a row, and decrypted here only to try a change of the other fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.postgres import Connection as Postgres
from chassis.core import logs
from chassis.core.encryption import Keyring
from schemas.connections import (
    ConnectionPatch,
    ConnectionRequest,
    secret_context,
)
from schemas.faults import FieldFault
from services.ingest.connection_rows import StoredConnection, stored_connection
from services.ingest.store import QUERIES, Store

log = logs.get_logger(__name__)

MAX_CONNECTIONS = 100
"""Of one project."""


class UnknownConnection(Exception):
    """The project has no connection with this id."""


class ConnectionNameTaken(Exception):
    """Another connection of the project has this name."""


class TooManyConnections(Exception):
    """The project has `MAX_CONNECTIONS`."""


class NoKeyring(Exception):
    """Nothing can be encrypted: ENCRYPTION_KEYS is not set."""


class CheckFailed(Exception):
    """The store cannot be used with what was given: the fields at fault."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        super().__init__([fault.rule for fault in faults])
        self.faults = faults


@dataclass(frozen=True)
class Connections:
    """The connections of all projects. Methods raise UnknownConnection, ConnectionNameTaken, CheckFailed, NoKeyring."""

    store: Store
    keyring: Keyring | None
    egress: EgressPolicy
    max_connections: int = MAX_CONNECTIONS

    async def create(self, request: ConnectionRequest, *, id: str, project: str, at: int) -> StoredConnection:
        """A new connection, tried before unless the request says otherwise. Also raises TooManyConnections."""
        secret = request.secret_access_key.get_secret_value()
        new = StoredConnection(
            id=id,
            project=project,
            name=request.name,
            endpoint=request.endpoint,
            region=request.region,
            access_key_id=request.access_key_id,
            encrypted_secret=self._encrypted(secret, project, id),
            is_default=bool(request.is_default),
            created_at=at,
            updated_at=at,
        )
        if request.check:
            await self._check(new, secret, request.bucket)
        async with self.store.transaction() as conn:
            others = await self._locked(conn, project)
            if len(others) >= self.max_connections:
                raise TooManyConnections(project)
            if request.is_default is None and not any(other.is_default for other in others):
                new = replace(new, is_default=True)
            await self._put(conn, new, others)
        log.info("connection_created", connection_id=id, endpoint=new.endpoint, region=new.region)
        return new

    async def change(self, id: str, project: str, patch: ConnectionPatch, at: int) -> StoredConnection:
        """The changed connection. What changes how the store is reached is tried before."""
        given: dict[str, Any] = {name: getattr(patch, name) for name in patch.model_fields_set}
        secret, bucket = given.pop("secret_access_key", None), given.pop("bucket", None)
        given.pop("check", None)
        changes = {name: value for name, value in given.items() if value is not None or name == "endpoint"}
        if secret is not None:
            changes["encrypted_secret"] = self._encrypted(secret.get_secret_value(), project, id)
        before = await self.get(id, project)
        if patch.check and (changes.keys() - {"name", "is_default"} or bucket):
            await self._check(replace(before, **changes), self._secret(secret, before), bucket)
        async with self.store.transaction() as conn:
            connections = await self._locked(conn, project)
            current = next((each for each in connections if each.id == id), None)
            if current is None:
                raise UnknownConnection(id)
            changed = replace(current, **changes, updated_at=max(at, current.updated_at + 1))
            await self._put(conn, changed, [each for each in connections if each.id != id])
        log.info("connection_changed", connection_id=id, endpoint=changed.endpoint, region=changed.region)
        return changed

    async def get(self, id: str, project: str) -> StoredConnection:
        async with self.store.connection() as conn:
            row = await conn.fetchrow(QUERIES["connection"], id, project)
        if row is None:
            raise UnknownConnection(id)
        return stored_connection(row)

    async def default(self, project: str) -> StoredConnection | None:
        """The connection that jobs without one use."""
        async with self.store.connection() as conn:
            row = await conn.fetchrow(QUERIES["default_connection"], project)
        return stored_connection(row) if row else None

    async def list(self, project: str) -> list[StoredConnection]:
        """All of a project, oldest first."""
        async with self.store.connection() as conn:
            return [stored_connection(row) for row in await conn.fetch(QUERIES["list_connections"], project)]

    async def delete(self, id: str, project: str) -> None:
        """Deletes it with its secret. Jobs that are queued keep what they were given."""
        async with self.store.transaction() as conn:
            if await conn.fetchval(QUERIES["delete_connection"], id, project) is None:
                raise UnknownConnection(id)
        log.info("connection_deleted", connection_id=id)

    def _encrypted(self, secret: str, project: str, id: str) -> str:
        if self.keyring is None:
            raise NoKeyring
        return self.keyring.encrypt(secret, secret_context(project, id))

    def _secret(self, given: SecretStr | None, stored: StoredConnection) -> str:
        if given is not None:
            return given.get_secret_value()
        if self.keyring is None:
            raise NoKeyring
        return self.keyring.decrypt(stored.encrypted_secret, secret_context(stored.project, stored.id))

    async def _check(self, connection: StoredConnection, secret: str, bucket: str | None) -> None:
        # Imported here, because botocore costs tens of megabytes that an installation without S3 does not need.
        from services.ingest.connection_check import check_connection

        faults = await check_connection(connection, secret, bucket, self.egress)
        if faults:
            raise CheckFailed(faults)

    async def _locked(self, conn: Postgres, project: str) -> "Sequence[StoredConnection]":
        await conn.execute(QUERIES["lock_connections"], project)
        return [stored_connection(row) for row in await conn.fetch(QUERIES["list_connections"], project)]

    async def _put(self, conn: Postgres, new: StoredConnection, others: "Sequence[StoredConnection]") -> None:
        if any(other.name == new.name for other in others):
            raise ConnectionNameTaken(new.name)
        if new.is_default:
            await conn.execute(QUERIES["clear_default_connection"], new.project, new.id, new.updated_at)
        await conn.execute(
            QUERIES["put_connection"],
            *(new.id, new.project, new.name, new.endpoint, new.region, new.access_key_id, new.encrypted_secret),
            *(new.is_default, new.created_at, new.updated_at),
        )
