"""`DIR/env`: how other programs find a system that `bitmill up` runs. A shell can source it, and we read it back."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

EMBEDDED = "BITMILL_EMBEDDED"
"""Names of the addresses below that belong to servers which `up` itself started, separated by commas.

A shell that has sourced the file hands them to the next `up`, which must start its own servers again instead of
waiting for those.
"""


def path(data: Path) -> Path:
    return data / "env"


def write(data: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by its owner only: it holds a key and a secret."""
    target = path(data)
    temporary = target.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    temporary.replace(target)


def read(data: Path) -> dict[str, str]:
    """The values of the file; empty where there is none."""
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
    """The address in the environment, unless it is one of a server that an earlier `up` had started itself."""
    if name in environment.get(EMBEDDED, "").split(","):
        return None
    return environment.get(name) or None
