"""Texts from outside on a terminal: control characters are shown, not obeyed, and nothing moves the cursor (pure)."""

import json
from datetime import UTC, datetime
from typing import Any


def printable(text: str) -> str:
    r"""One line: everything that is not a visible character is shown as `\x1b`, `\n` or `\u202e`.

    Bidirectional marks are among them: they would show a text in another order than it has.
    """
    return text if text.isprintable() else "".join(each if each.isprintable() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """As `printable`, with the line breaks kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def shortened(text: str, chars: int) -> str:
    """At most so many characters."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def json_line(value: Any) -> str:
    """One line of JSON in ASCII: also harmless on a terminal."""
    return json.dumps(value, ensure_ascii=True)


def time(at_ms: int | None) -> str:
    """A time in UTC to the second; empty for None, the number itself where no calendar has it."""
    if at_ms is None:
        return ""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(at_ms)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
