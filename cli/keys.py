"""`bitmill keys`: creates, lists and revokes API keys in the database of the running system.

Changes reach the other services as events, by the outbox relay of the running ingest service.
"""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import orjson
from asyncpg import PostgresError

from chassis.adapters.postgres import Connection, Pool, set_schema
from chassis.core.encryption import Keyring
from cli.database import table, with_database
from cli.errors import CliError, UsageError
from cli.projects import keyring
from schemas.keys import ApiKey
from services.ingest import keys
from services.ingest.keys import NewKey
from services.notifier import webhook_secrets
from services.notifier.store import SCHEMA as NOTIFIER_SCHEMA


class Unconfirmed(CliError):
    """The database did not say whether it has stored a key."""


@dataclass(frozen=True)
class CreatedKey:
    """A stored key, and the webhook secret of its project if that is new and secrets can be encrypted."""

    new: NewKey
    webhook_secret: str | None


def create(arguments: argparse.Namespace) -> int:
    """Create a key and print it: only its hash is stored. A new project gets a webhook secret, which is printed too."""
    ring = keyring(arguments)
    try:
        if ring is not None:
            # A new project gets a secret as well: the notifier's schema has to be there, and ours to change.
            with_database(arguments, webhook_secrets.database, _ready)
        created = with_database(arguments, keys.database, partial(_create, arguments.project, arguments.name, ring))
    except keys.InvalidName as error:
        raise UsageError(str(error)) from None
    except (UsageError, Unconfirmed):
        raise
    except CliError as error:
        raise CliError(f"no key was created: {error}") from None
    key = created.new.key
    try:
        print(_text(created, arguments), flush=True)
    except OSError as error:
        raise CliError(
            f"{key.id} was created and could not be printed ({error.strerror}): revoke it with "
            f"`bitmill keys revoke {key.id}`, and create another"
        ) from None
    return 0


async def _create(project: str, name: str, ring: Keyring | None, pool: Pool) -> CreatedKey:
    """The key and the secret in one transaction: both are stored, or neither. Raises Unconfirmed."""
    written: list[CreatedKey] = []

    async def add_secret(conn: Connection, new: NewKey) -> None:
        secret = None
        if new.project_is_new and ring is not None:
            await set_schema(conn, NOTIFIER_SCHEMA)
            secret = await webhook_secrets.add_first_secret(conn, ring, new.key.project)
        written.append(CreatedKey(new, secret))

    try:
        await keys.create_key(pool, project, name, also=add_secret)
    except (OSError, PostgresError) as error:
        if not written:
            raise
        # Everything was written, and the commit failed: only the database knows how that ended.
        raise Unconfirmed(_unconfirmed(written[0], project, error)) from None
    return written[0]


def _unconfirmed(created: CreatedKey, project: str, error: Exception) -> str:
    id = created.new.key.id
    rotate = f", rotate the secret with `bitmill projects rotate-secret {project}`" if created.webhook_secret else ""
    return (
        f"the database did not confirm the new key {id} ({error}), so it is not shown. If `bitmill keys list` has it, "
        f"revoke it with `bitmill keys revoke {id}`{rotate}. Then create another."
    )


def _text(created: CreatedKey, arguments: argparse.Namespace) -> str:
    key, secret = created.new.key, created.webhook_secret
    if arguments.json:
        return orjson.dumps({**_fields(key), "key": created.new.text, "webhook_secret": secret}).decode()
    lines = [
        created.new.text,
        f"{key.id} of project {key.project}. Keep the key: it is not stored and cannot be shown again.",
    ]
    if secret is not None:
        lines += [secret, f"signs the webhooks of {arguments.project}. Keep it as well: it is stored encrypted."]
    return "\n".join(lines)


def list_(arguments: argparse.Namespace) -> int:
    """Print all keys, or those of one project, without their secrets."""
    listed = with_database(arguments, keys.database, keys.list_keys)
    if arguments.project:
        listed = [entry for entry in listed if arguments.project in (entry.project_name, entry.key.project)]
        if not listed:  # A project is made with its first key.
            raise CliError(f"there is no project {arguments.project}; `bitmill projects list` shows them")
    if arguments.json:
        for entry in listed:
            print(orjson.dumps({**_fields(entry.key), "project_name": entry.project_name}).decode())
        return 0
    rows = [
        (
            entry.key.id,
            entry.project_name,
            entry.key.name,
            entry.key.hint,
            _time(entry.key.created_at),
            _time(entry.key.revoked_at),
        )
        for entry in listed
    ]
    print(table([("Id", "Project", "Name", "Ends in", "Created", "Revoked"), *rows]))
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a key by its id."""
    key = with_database(arguments, keys.database, lambda pool: keys.revoke_key(pool, arguments.key))
    if key is None:
        raise CliError(f"there is no key {arguments.key}; `bitmill keys list` shows them")
    print(orjson.dumps(_fields(key)).decode() if arguments.json else f"{key.id} is revoked")
    return 0


async def _ready(_pool: Pool) -> None:
    """Opening the database has checked what there is to check."""


def _fields(key: ApiKey) -> dict[str, object]:
    return key.model_dump(exclude={"hash"})


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
