"""The connection that a command names: its id, looked up by its name where needed."""

import os
from typing import Any

from cli.api_client import ApiClient
from cli.errors import UsageError
from schemas.known_names import nearest

CONNECTION = "ITTYBIT_CONNECTION"
"""The variable that names a connection where `--connection` names none."""


async def connection_id(client: ApiClient, name: str | None) -> str | None:
    """The id; None where no connection is named: the project's default one counts. Raises `UsageError`."""
    name = name or os.environ.get(CONNECTION)
    return None if name is None else str((await find_connection(client, name))["id"])


async def find_connection(client: ApiClient, name: str) -> dict[str, Any]:
    """The connection with this name or id. Raises `UsageError` with the one that looks most like it."""
    if name.startswith(("conn_", "con_")):
        found: dict[str, Any] = await client.get(f"/connections/{name}")
        return found
    listed = await client.get("/connections", [("limit", "100")])
    for each in listed:
        if each.get("name") == name:
            return dict(each)
    names = [str(each.get("name")) for each in listed]
    raise UsageError(f"there is no connection named {name}{nearest(name, names)}")
