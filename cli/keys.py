"""`bitmill keys`: creates, lists and revokes API keys in the database of the running system.

Changes reach the other services as events, by the outbox relay of the running ingest service.
"""

import argparse
from datetime import UTC, datetime

import orjson

from chassis.adapters.postgres import Pool
from cli.database import table, with_database
from cli.errors import CliError, UsageError
from cli.projects import keyring
from schemas.keys import ApiKey
from services.ingest import keys
from services.notifier import webhook_secrets


def create(arguments: argparse.Namespace) -> int:
    """Create a key and print it: only its hash is stored. A new project gets a webhook secret, which is printed too."""
    ring = keyring(arguments)
    if ring is not None:
        # A new project gets a secret as well: refused here, before there is a key, where the notifier's schema is.
        with_database(arguments, webhook_secrets.database, _ready)
    try:
        new = with_database(
            arguments, keys.database, lambda pool: keys.create_key(pool, arguments.project, arguments.name)
        )
    except keys.InvalidName as error:
        raise UsageError(str(error)) from None
    key, secret = new.key, None
    if new.project_is_new and ring is not None:
        secret = with_database(
            arguments,
            webhook_secrets.database,
            lambda pool: webhook_secrets.add_first_secret(pool, ring, key.project),
        )
    if arguments.json:
        print(orjson.dumps({**_fields(key), "key": new.text, "webhook_secret": secret}).decode())
        return 0
    print(new.text)
    print(f"{key.id} of project {key.project}. Keep the key: it is not stored and cannot be shown again.")
    if secret is not None:
        print(f"{secret}\nsigns the webhooks of {arguments.project}. Keep it as well: it is stored encrypted.")
    return 0


def list_(arguments: argparse.Namespace) -> int:
    """Print all keys, or those of one project, without their secrets."""
    listed = with_database(arguments, keys.database, keys.list_keys)
    if arguments.project:
        listed = [entry for entry in listed if arguments.project in (entry.project_name, entry.key.project)]
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
