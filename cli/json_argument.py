"""JSON on the command line: an argument, or standard input for `-`."""

import json
import sys
from typing import Any

from cli.errors import UsageError

MAX_BYTES = 1024 * 1024


def json_object(text: str, option: str) -> dict[str, Any]:
    """The object. Raises `UsageError` that names the option."""
    if text == "-":
        text = sys.stdin.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise UsageError(f"{option} must be at most {MAX_BYTES} bytes")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{option} must be a JSON object")
    return value
