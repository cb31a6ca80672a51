"""API keys: created, listed and revoked in the database directly, as `bitmill keys` does.

Each change is an event in the outbox, which the relay of a running ingest publishes.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.adapters.postgres import Connection, Pool, migrate, open_pool, require_current
from chassis.core.ids import new_id, now_ms
from chassis.runtime.outbox import Outbox
from schemas import keys as texts
from schemas.events import KeyChanged
from schemas.keys import ApiKey, Revocation
from services.ingest.revocations import announce
from services.ingest.store import MIGRATIONS, QUERIES, SCHEMA

DEFAULT_PROJECT = "default"
MAX_NAME_CHARS = 200
"""Of a project or a key: the names of projects are unique, and an entry of an index has a limit."""


class InvalidName(ValueError):
    """The name of a project or a key breaks a rule; the message says which."""


@dataclass(frozen=True)
class ListedKey:
    """A key and the name of its project."""

    key: ApiKey
    project_name: str


@dataclass(frozen=True)
class NewKey:
    """`text` is the key itself, which is not stored: show it once. `project_is_new`: it is the project's first key."""

    key: ApiKey
    text: str
    project_is_new: bool


AlsoWrite = Callable[[Connection, NewKey], Awaitable[None]]


@asynccontextmanager
async def database(dsn: str, *, wait: float = 60.0, migrate_first: bool = False) -> AsyncIterator[Pool]:
    """A pool for the functions below, which need a schema of this release. Waits up to `wait` seconds for Postgres.

    Raises MigrationsPending where the schema is older, unless `migrate_first`.
    """
    await (migrate if migrate_first else require_current)(dsn, SCHEMA, MIGRATIONS, wait=wait)
    async with await open_pool(dsn, SCHEMA, size=2, wait=wait) as pool:
        yield pool


async def create_key(
    pool: Pool, project_name: str = DEFAULT_PROJECT, name: str = "", *, also: AlsoWrite | None = None
) -> NewKey:
    """A new key. Creates the project where there is none.

    `also` writes more in the same transaction, after the key. Raises InvalidName.
    """
    _check_name("project", project_name, least=1)
    _check_name("name", name, least=0)
    text = texts.generate(os.urandom(texts.RANDOM_BYTES))
    at = now_ms()
    async with pool.acquire() as conn, conn.transaction():
        id = new_id("prj")
        project = await conn.fetchval(QUERIES["project_named"], id, project_name, at)
        key = ApiKey(
            id=new_id("key"),
            project=project,
            name=name,
            hash=texts.hash_key(text),
            hint=texts.hint(text),
            created_at=at,
        )
        await conn.execute(QUERIES["add_key"], key.id, key.project, key.name, key.hash, key.hint, key.created_at)
        await Outbox(pool, SCHEMA).put(conn, KeyChanged(key=key))
        new = NewKey(key, text, project_is_new=project == id)
        if also is not None:
            await also(conn, new)
    return new


async def list_keys(pool: Pool) -> list[ListedKey]:
    """All keys, oldest first, revoked ones included."""
    async with pool.acquire() as conn:
        rows = [dict(row) for row in await conn.fetch(QUERIES["list_keys"])]
    return [ListedKey(project_name=row.pop("project_name"), key=ApiKey.model_validate(row)) for row in rows]


async def revoke_key(pool: Pool, key_id: str) -> ApiKey | None:
    """The revoked key, or None where no key has this id. Revoking again changes nothing."""
    async with pool.acquire() as conn, conn.transaction():
        row = await conn.fetchrow(QUERIES["revoke_key"], key_id, now_ms())
        if row is None:
            return None
        key = ApiKey.model_validate(dict(row))
        await Outbox(pool, SCHEMA).put(conn, KeyChanged(key=key))
        if key.revoked_at is not None:
            await announce(conn, [Revocation(key.id, key.revoked_at)])
    return key


def _check_name(field: str, name: str, *, least: int) -> None:
    if not least <= len(name) <= MAX_NAME_CHARS:
        raise InvalidName(f"{field} must have {least} to {MAX_NAME_CHARS} characters, has {len(name)}")
    if not name.isprintable():
        raise InvalidName(f"{field} must have printable characters only")
