"""`ittybit connections`: connections to S3-compatible stores, of the API, or of this user for jobs on this machine."""

import argparse
import getpass
import sys
from typing import Any

from cli import local_connections
from cli.api_address import uses_api
from cli.api_client import ApiClient
from cli.api_command import through_api
from cli.connection_names import find_connection
from cli.errors import UsageError
from cli.reporter import Reporter, open_reporter
from cli.safe_text import printable

_FIELDS = ("name", "endpoint", "region", "access_key_id", "secret_access_key")


def list_(arguments: argparse.Namespace) -> int:
    """Print the connections, a line each."""
    if not uses_api(arguments):
        return _locally(arguments, local_connections.listed())

    async def work(client: ApiClient, reporter: Reporter) -> int:
        for each in await client.get("/connections", [("limit", "100")]):
            reporter.result(each, _line(each))
        return 0

    return through_api(arguments, "connections list", work)


def get(arguments: argparse.Namespace) -> int:
    """Show one connection."""
    if not uses_api(arguments):
        return _locally(arguments, [local_connections.shown(arguments.connection)])

    async def work(client: ApiClient, reporter: Reporter) -> int:
        found = await find_connection(client, arguments.connection)
        reporter.result(found, _line(found))
        return 0

    return through_api(arguments, "connections get", work)


def add(arguments: argparse.Namespace) -> int:
    """Add a connection. The API tries it first, and says what is wrong."""
    body = {"kind": arguments.kind, **_values(arguments)}
    if "secret_access_key" not in body:
        body["secret_access_key"] = _asked()
    if not uses_api(arguments):
        return _locally(arguments, [local_connections.added(body)])

    async def work(client: ApiClient, reporter: Reporter) -> int:
        made = await client.post("/connections", body)
        reporter.result(made, _line(made))
        return 0

    return through_api(arguments, "connections add", work)


def update(arguments: argparse.Namespace) -> int:
    """Change a connection."""
    body = _values(arguments)
    if not body:
        raise UsageError("connections update: name what is to be changed, such as --region")
    if not uses_api(arguments):
        return _locally(arguments, [local_connections.changed(arguments.connection, body)])

    async def work(client: ApiClient, reporter: Reporter) -> int:
        id = (await find_connection(client, arguments.connection))["id"]
        made = await client.patch(f"/connections/{id}", body)
        reporter.result(made, _line(made))
        return 0

    return through_api(arguments, "connections update", work)


def delete(arguments: argparse.Namespace) -> int:
    """Delete a connection."""
    if not uses_api(arguments):
        local_connections.deleted(arguments.connection)
        with open_reporter(arguments, sys.stdout, sys.stderr, bars=False) as reporter:
            gone = {"name": arguments.connection, "deleted": True}
            reporter.result(gone, f"{printable(arguments.connection)} deleted")
        return 0

    async def work(client: ApiClient, reporter: Reporter) -> int:
        id = (await find_connection(client, arguments.connection))["id"]
        await client.delete(f"/connections/{id}")
        reporter.result({"id": id, "deleted": True}, f"{id} deleted")
        return 0

    return through_api(arguments, "connections delete", work)


def _locally(arguments: argparse.Namespace, connections: list[dict[str, Any]]) -> int:
    with open_reporter(arguments, sys.stdout, sys.stderr, bars=False) as reporter:
        for each in connections:
            reporter.result(each, _line(each))
    return 0


def _values(arguments: argparse.Namespace) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(arguments, name)) is not None}
    if values.get("secret_access_key") == "-":
        values["secret_access_key"] = sys.stdin.readline().strip()
    if arguments.default:
        values["is_default"] = True
    return values


def _asked() -> str:
    if not sys.stdin.isatty():
        raise UsageError("--secret-access-key is needed where nobody can be asked; - reads it from standard input")
    return getpass.getpass("Secret access key: ")


def _line(connection: dict[str, Any]) -> str:
    default = "default" if connection.get("is_default") else ""
    place = connection.get("endpoint") or connection.get("region") or ""
    shown = [connection.get("id") or "", connection["name"], connection.get("kind") or "", place, default]
    return "  ".join(printable(str(each)) for each in shown if each)
