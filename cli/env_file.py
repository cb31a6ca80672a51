"""`DIR/env`: the addresses and the key of a system that `bitmill up` runs, as shell assignments to source."""

import shlex
from collections.abc import Mapping
from pathlib import Path

EMBEDDED = "BITMILL_EMBEDDED"
"""The variable that lists those of the addresses that belong to embedded servers, separated by commas.

A shell that has sourced the file passes them on to the next `up`, which must start its embedded servers again instead
of waiting for servers that do not run.
"""


def path(data: Path) -> Path:
    """Where the file of a data folder is."""
    return data / "env"


def write(data: Path, values: Mapping[str, str]) -> None:
    """Replace the file atomically, readable by its owner only: it holds keys and a secret.

    It is on the disk afterwards: what is stored from then on is encrypted with its keys.
    """
    from embedded.synced_files import write_private  # only `up` writes: other commands work without embedded servers

    write_private(path(data), "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))


def read(data: Path) -> dict[str, str]:
    """The values of the file; empty if there is no file."""
    try:
        text = path(data).read_text()
    except FileNotFoundError:
        return {}
    values = {}
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if len(words) == 2 and words[0] == "export":
            name, _, value = words[1].partition("=")
            values[name] = value
    return values


def external(environment: Mapping[str, str], name: str) -> str | None:
    """The address in the environment, unless it is that of an embedded server of an earlier `up`."""
    if name in environment.get(EMBEDDED, "").split(","):
        return None
    return environment.get(name) or None
