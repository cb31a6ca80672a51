"""Where the API is and with which key: from the environment, otherwise from what `ittybit login` has saved."""

import argparse
import os
from dataclasses import dataclass

from cli import private_file
from cli.errors import UsageError

DEFAULT_API_URL = "http://127.0.0.1:8080"
LOGIN = "login.json"


@dataclass(frozen=True)
class Address:
    """The API's base address and a key of a project."""

    base: str
    key: str


def uses_api(arguments: argparse.Namespace) -> bool:
    """As `--cloud` or `--local` say; otherwise whether the environment or a saved login names an API."""
    if arguments.cloud or arguments.local:
        return bool(arguments.cloud)
    return bool(os.environ.get("ITTYBIT_API_URL") or os.environ.get("ITTYBIT_API_KEY") or private_file.read(LOGIN))


def api_address(used_by: str) -> Address:
    """The address and the key for what the user named. Raises `UsageError` with what is missing."""
    base, key = os.environ.get("ITTYBIT_API_URL"), os.environ.get("ITTYBIT_API_KEY")
    if not base or not key:
        saved = private_file.read(LOGIN)
        # The key that was saved belongs to the address that was saved with it, and goes to no other.
        if not key and saved.get("key") and (not base or base.rstrip("/") == str(saved.get("url")).rstrip("/")):
            base, key = str(saved.get("url")), str(saved["key"])
    if not key:
        raise UsageError(
            f"{used_by} needs a key: log in with `ittybit login`, or set ITTYBIT_API_KEY (`bitmill up` writes one to "
            "its env file)"
        )
    return Address(checked_base(base or DEFAULT_API_URL, "ITTYBIT_API_URL"), key)


def checked_base(base: str, name: str) -> str:
    """The address without a slash at its end. Raises `UsageError` for anything but http:// and https://."""
    if not base.startswith(("http://", "https://")):
        raise UsageError(f"{name} must start with http:// or https:// (it is {base!r})")
    return base.rstrip("/")
