"""Webhook secrets of projects: listed and rotated in the database directly, as `bitmill projects` does.

A project without a secret of its own signs with that of the installation, as all projects did in release 0.1.
"""

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.adapters.postgres import Connection, Pool, migrate, open_pool, require_current
from chassis.core.encryption import Keyring
from services.notifier.signing import SECRET_PREFIX
from services.notifier.store import MIGRATIONS, QUERIES, SCHEMA

SECRET_BYTES = 32
"""Standard Webhooks 1.0.0 asks for 24 to 64."""
MAX_ACTIVE = 10
"""Each signs every webhook, and a receiver compares with each signature."""


class TooManySecrets(Exception):
    """The project has `MAX_ACTIVE` secrets that have not expired."""


@dataclass(frozen=True)
class WebhookSecret:
    """A secret as it is listed; `own` is False for that of the installation, which still signs for the project."""

    id: int
    own: bool
    created_at: datetime
    expires_at: datetime | None


@asynccontextmanager
async def database(dsn: str, *, wait: float = 60.0, migrate_first: bool = False) -> AsyncIterator[Pool]:
    """A pool for the functions below, which need a schema of this release. Waits up to `wait` seconds for Postgres.

    Raises MigrationsPending where the schema is older, unless `migrate_first`.
    """
    await (migrate if migrate_first else require_current)(dsn, SCHEMA, MIGRATIONS, wait=wait)
    async with await open_pool(dsn, SCHEMA, size=2, wait=wait) as pool:
        yield pool


async def add_first_secret(on: "Pool | Connection", keyring: Keyring, project: str) -> str:
    """The secret of a new project, as text: show it once, only its encryption is stored.

    On a connection it belongs to the caller's transaction, whose search path is the notifier's schema.
    """
    text = _random_secret()
    await on.execute(QUERIES["add_secret"], project, keyring.encrypt(text, secret_context(project)))
    return text


async def rotate_secret(pool: Pool, keyring: Keyring, project: str, overlap: timedelta) -> str:
    """A new secret of the project, as text: show it once. Those before it sign as well for `overlap`, then no more.

    Raises TooManySecrets.
    """
    text = _random_secret()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(QUERIES["lock_secrets"], project)
        await conn.execute(QUERIES["expire_secrets"], project, overlap)
        # Afterwards: without an overlap none is active any more.
        if await conn.fetchval(QUERIES["count_active_secrets"], project) >= MAX_ACTIVE:
            raise TooManySecrets(project)
        await conn.execute(QUERIES["add_secret"], project, keyring.encrypt(text, secret_context(project)))
    return text


async def list_secrets(pool: Pool, project: str) -> list[WebhookSecret]:
    """The secrets that sign for the project, newest first; empty where that of the installation does."""
    return [WebhookSecret(**dict(row)) for row in await pool.fetch(QUERIES["list_secrets"], project)]


def secret_context(project: str) -> str:
    """What an encrypted secret is bound to: it cannot be decrypted as another project's."""
    return f"{project}:webhook_secret"


def _random_secret() -> str:
    return SECRET_PREFIX + b64encode(os.urandom(SECRET_BYTES)).decode()
