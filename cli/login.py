"""`ittybit login` saves the API's address and a key for this user; `ittybit logout` removes them."""

import argparse
import getpass
import sys

from cli import private_file
from cli.api_address import DEFAULT_API_URL, LOGIN, Address, checked_base
from cli.api_client import ApiClient, open_client
from cli.errors import UsageError
from cli.parallel import run_loop


def run(arguments: argparse.Namespace) -> int:
    """Checks the key first. Exit status: 0 saved, 1 the key is refused, 3 the API cannot be reached."""
    base = checked_base(arguments.url or DEFAULT_API_URL, "--url")
    key = _key(arguments.key)

    async def check() -> None:
        async with open_client(Address(base, key)) as client:
            await check_key(client)

    run_loop(check())
    path = private_file.write(LOGIN, {"url": base, "key": key})
    print(f"logged in to {base}; the key is in {path}, which only you can read")
    return 0


def logout(_: argparse.Namespace) -> int:
    """Exit status 0, also if nothing was saved."""
    print("logged out" if private_file.remove(LOGIN) else "nothing was saved")
    return 0


async def check_key(client: ApiClient) -> None:
    """Raises `CliError` with the API's sentence if it refuses the key."""
    await client.get("/jobs", [("limit", "1")])


def _key(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        given = getpass.getpass("API key: ")
    elif given is None or given == "-":
        given = sys.stdin.readline()
    key = given.strip()
    if not key or not key.isprintable() or not key.isascii():
        raise UsageError("the key is empty, or no text of printable ASCII characters")
    return key
