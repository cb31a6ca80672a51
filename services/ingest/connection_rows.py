"""Connections as they are stored, and what of them the events of jobs carry: with the secret, but encrypted."""

from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from chassis.adapters.postgres import Connection as Postgres
from schemas.connections import ConnectionAccess, ConnectionResource
from schemas.jobs import Job
from services.ingest.store import QUERIES


@dataclass(frozen=True)
class StoredConnection:
    """A row. Times in Unix milliseconds."""

    id: str
    project: str
    name: str
    endpoint: str | None
    region: str
    access_key_id: str
    encrypted_secret: str
    is_default: bool
    created_at: int
    updated_at: int

    @property
    def access(self) -> ConnectionAccess:
        """What the events of jobs carry."""
        return ConnectionAccess(
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key_id,
            encrypted_secret=self.encrypted_secret,
        )

    @property
    def resource(self) -> ConnectionResource:
        """What customers see."""
        return {
            "id": self.id,
            "object": "connection",
            "kind": "s3",
            "name": self.name,
            "endpoint": self.endpoint,
            "region": self.region,
            "access_key_id": self.access_key_id,
            "is_default": self.is_default,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


async def with_connections(conn: Postgres, jobs: Iterable[Job]) -> list[Job]:
    """The jobs, with what is known now of the connections that they name: it is not kept with them."""
    listed = list(jobs)
    ids = {job.connection_id for job in listed if job.connection_id is not None}
    if not ids:
        return listed
    found = {row["id"]: stored_connection(row) for row in await conn.fetch(QUERIES["connections_of_jobs"], list(ids))}
    of_project = {(each.project, each.id): each.access for each in found.values()}
    return [job.with_connection(of_project.get((job.project, job.connection_id or ""))) for job in listed]


def stored_connection(row: asyncpg.Record) -> StoredConnection:
    """A row of the table, all columns."""
    return StoredConnection(**dict(row))
