"""Files of this user that hold secrets: `~/.ittybit/`, a folder of mode 0700 with files of mode 0600."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cli.errors import CliError

FOLDER = "ITTYBIT_CONFIG_DIR"
"""The variable that names another folder."""


def location(name: str) -> Path:
    """Where the file of this name is."""
    named = os.environ.get(FOLDER)
    return (Path(named) if named else Path.home() / ".ittybit") / name


def read(name: str) -> dict[str, Any]:
    """The object in the file; empty if there is no file. Raises `CliError` where it cannot be read."""
    path = location(name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CliError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise CliError(f"{path} cannot be read: it must hold a JSON object")
    return found


def write(name: str, value: dict[str, Any]) -> Path:
    """Replace the file atomically; at no moment can others read it. Raises `CliError`."""
    path = location(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # `mkstemp` makes a file of mode 0600.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=2)
                file.write("\n")
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def remove(name: str) -> bool:
    """Remove the file; False where there is none."""
    try:
        location(name).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CliError(f"{location(name)} cannot be removed: {error.strerror or error}") from None
    return True
