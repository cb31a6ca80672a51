"""Connections of this user, for jobs on this machine: `~/.ittybit/connections.json`, which only they can read."""

from typing import Any

from cli import private_file
from cli.errors import UsageError
from schemas.known_names import nearest

FILE = "connections.json"
_MASKED = "secret_access_key"


def listed() -> list[dict[str, Any]]:
    """All of them, without their secrets."""
    return [_without_secret(name, each) for name, each in private_file.read(FILE).items()]


def shown(name: str) -> dict[str, Any]:
    """One of them, without its secret. Raises `UsageError` where there is none of this name."""
    return _without_secret(name, secret(name))


def secret(name: str) -> dict[str, Any]:
    """One of them as it is stored. Raises `UsageError`."""
    stored = private_file.read(FILE)
    if name not in stored:
        raise UsageError(f"there is no connection named {name} on this machine{nearest(name, stored)}")
    return dict(stored[name])


def default() -> dict[str, Any] | None:
    """The connection for addresses without one, as it is stored."""
    return next((dict(each) for each in private_file.read(FILE).values() if each.get("is_default")), None)


def added(body: dict[str, Any]) -> dict[str, Any]:
    """Store a new one. Raises `UsageError` where the name is taken."""
    stored = private_file.read(FILE)
    if body["name"] in stored:
        raise UsageError(f"there is a connection named {body['name']} already: use connections update")
    return _stored(stored, body["name"], body)


def changed(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Store it with these changes, also under another name."""
    before, stored = secret(name), private_file.read(FILE)
    del stored[name]
    return _stored(stored, changes.get("name", name), {**before, **changes})


def deleted(name: str) -> None:
    """Remove it."""
    secret(name)
    stored = private_file.read(FILE)
    del stored[name]
    private_file.write(FILE, stored)


def _stored(others: dict[str, Any], name: str, connection: dict[str, Any]) -> dict[str, Any]:
    if connection.get("is_default"):
        others = {each: {**fields, "is_default": False} for each, fields in others.items()}
    private_file.write(FILE, {**others, name: connection})
    return _without_secret(name, connection)


def _without_secret(name: str, connection: dict[str, Any]) -> dict[str, Any]:
    return {"object": "connection", **{key: value for key, value in connection.items() if key != _MASKED}, "name": name}
