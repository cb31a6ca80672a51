"""Dead letters as text for people and as JSON for programs (pure). Values and headers may be anything."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from chassis.adapters.kafka.dead_letter import DeadLetter, Position, ReplayMark, Summary
from chassis.adapters.kafka.dead_letters import REASON, REASON_CODE, SOURCE_SERVICE
from chassis.core import redact
from cli.database import table
from cli.safe_text import printable, printable_lines, shortened, time

REASON_CHARS = 80
PRETTY_BYTES = 64 * 1024
"""A larger value is shown as it is: deep nesting could make an indented text hundreds of times as long."""
SHOWN_BYTES = 256 * 1024


def list_table(found: Sequence[Summary]) -> str:
    """One line for each dead letter, oldest first."""
    rows = [
        (
            str(each.position),
            time(each.at_ms),
            _cell(each.type, 40),
            _cell(each.subject, 60),
            _cell(each.service, 20),
            "" if each.replayed is None else time(each.replayed.at_ms),
            _cell(each.code, 20),
            _cell(each.reason, REASON_CHARS),
        )
        for each in found
    ]
    return table([("Position", "Given up", "Type", "Subject", "By", "Replayed", "Code", "Reason"), *rows])


def summary_fields(each: Summary) -> dict[str, Any]:
    """A dead letter of a list, for programs. Times in Unix milliseconds."""
    return {
        "position": str(each.position),
        "topic": each.position.topic,
        "partition": each.position.partition,
        "offset": each.position.offset,
        "at": each.at_ms,
        "type": each.type,
        "subject": each.subject,
        "reason": redact.text(each.reason),
        "code": each.code,
        "service": each.service,
        "source": each.source,
        "replayed": mark_fields(each.replayed),
    }


def letter_text(letter: DeadLetter, mark: ReplayMark | None, *, masked: bool) -> str:
    """Everything about one dead letter. `masked`: without secrets and the query strings of addresses."""
    replayed = "no" if mark is None else f"{time(mark.at_ms)} to {printable(mark.to)}"
    facts = [
        ("Position", str(letter.position)),
        ("Given up", time(letter.at_ms)),
        ("By", letter.text(SOURCE_SERVICE)),
        ("Code", letter.text(REASON_CODE)),
        ("Reason", _masked(letter.text(REASON), masked)),
        ("Original", str(letter.source or "not known")),
        ("Replayed", replayed),
        ("Key", "none" if letter.key is None else _text(letter.key)),
    ]
    lines = [f"{name:<9} {printable(text)}" for name, text in facts]
    lines.append("Headers")
    lines += [f"  {printable(name)}: {printable(value)}" for name, value in _headers(letter, masked)]
    size = "none" if letter.value is None else f"{len(letter.value)} bytes"
    return "\n".join([*lines, f"Value     {size}", *value_lines(letter.value, masked=masked)])


def letter_fields(letter: DeadLetter, mark: ReplayMark | None, *, masked: bool) -> dict[str, Any]:
    """As `letter_text`, for programs. `value` is JSON where it is that, otherwise text; not masked, it is there as
    base64 as well: exactly its bytes."""
    parsed = _parsed(letter.value, masked)
    value = parsed[0] if parsed else None if letter.value is None else _masked(_text(letter.value), masked)
    exact = {} if masked or letter.value is None else {"value_base64": b64encode(letter.value).decode()}
    return {
        "position": str(letter.position),
        "at": letter.at_ms,
        "service": letter.text(SOURCE_SERVICE),
        "reason": _masked(letter.text(REASON), masked),
        "code": letter.text(REASON_CODE),
        "source": str(letter.source or ""),
        "replayed": mark_fields(mark),
        "key": None if letter.key is None else _text(letter.key),
        "headers": list(_headers(letter, masked)),
        "value": value,
        **exact,
    }


def mark_fields(mark: ReplayMark | None) -> dict[str, Any] | None:
    """When a dead letter was replayed, and where its record is now."""
    return None if mark is None else {"at": mark.at_ms, "to": mark.to}


def replayed_line(at: Position, to: Position) -> str:
    return f"{at} -> {to}"


def value_lines(value: bytes | None, *, masked: bool) -> list[str]:
    """The value in lines that are safe on a terminal: indented where it is JSON and not large."""
    if value is None:
        return []
    parsed = _parsed(value, masked) if len(value) <= PRETTY_BYTES else ()
    if parsed:
        try:
            return printable_lines(orjson.dumps(parsed[0], option=orjson.OPT_INDENT_2).decode()).split("\n")
        except orjson.JSONEncodeError:
            pass  # nested too deeply: as it is
    shown = printable_lines(_masked(_text(value[:SHOWN_BYTES]), masked)).split("\n")
    left = len(value) - SHOWN_BYTES
    return shown if left <= 0 else [*shown, f"({left} further bytes: --json shows all)"]


def _parsed(value: bytes | None, masked: bool) -> tuple[Any, ...]:
    """The JSON value in a tuple of one; an empty tuple where it is none."""
    if value is None:
        return ()
    try:
        parsed = orjson.loads(value)
        return (redact.value("", parsed) if masked else parsed,)
    except (orjson.JSONDecodeError, RecursionError):
        return ()


def _headers(letter: DeadLetter, masked: bool) -> list[tuple[str, str]]:
    return [
        (name, "none" if value is None else str(redact.value(name, _text(value))) if masked else _text(value))
        for name, value in letter.own_headers
    ]


def _masked(text: str, masked: bool) -> str:
    return redact.text(text) if masked else text


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _cell(text: str, chars: int) -> str:
    return printable(shortened(redact.text(text), chars))
