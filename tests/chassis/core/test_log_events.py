"""The table of log events and the code agree, in both directions."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from chassis.core.log_events import LOG_EVENTS

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "chassis", "media", "worker", "services", "embedded", "cli", "devtools")
COMMON_FIELDS = {"service", "request_id", "project", "job_id", "media_id"}
"""Usually added by `bind_context`; the table does not list them."""
_LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
_LOGGERS = {"log", "_log", "logger", "_logger"}
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")


@dataclass(frozen=True)
class LogCall:
    """One call of a logger; `code` is "" if the event is not a literal."""

    place: str
    code: str
    level: str | None
    """None if the call computes it."""
    fields: frozenset[str]
    complete: bool
    """False if fields are passed as a mapping (`**fields`), so that not all of them are known."""


def _receiver(function: ast.Attribute) -> str:
    value = function.value
    return value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""


def _codes(event: ast.expr) -> list[str]:
    if isinstance(event, ast.IfExp):
        return [*_codes(event.body), *_codes(event.orelse)]
    return [event.value] if isinstance(event, ast.Constant) and isinstance(event.value, str) else [""]


def _calls_of(path: Path) -> Iterator[LogCall]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method = node.func.attr
        if method not in _LEVELS or _receiver(node.func) not in _LOGGERS:
            continue
        arguments = node.args[1:] if method == "log" else node.args
        level = None if method == "log" else "error" if method == "exception" else method
        names = [keyword.arg for keyword in node.keywords]
        fields = frozenset(name for name in names if name is not None and name != "exc_info")
        for code in _codes(arguments[0]) if arguments else [""]:
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            yield LogCall(place, code, level, fields, complete=None not in names)


def _files() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


@cache
def calls() -> list[LogCall]:
    """All log calls of the product."""
    return [call for file in _files() for call in _calls_of(file)]


def test_every_log_call_has_a_literal_code_of_the_table() -> None:
    assert {call.place: call.code for call in calls() if call.code not in LOG_EVENTS} == {}


def test_methods_of_loggers_are_called_where_they_are_named() -> None:
    """`report = log.error if bug else log.warning` would hide an event from these tests: use `log.log(level, ...)`."""
    aliases = []
    for file in _files():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        aliases += [
            f"{file.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in _LEVELS and _receiver(node) in _LOGGERS
            if id(node) not in called
        ]
    assert aliases == []


def test_every_code_of_the_table_is_logged_somewhere() -> None:
    assert set(LOG_EVENTS) - {call.code for call in calls()} == set()


def test_calls_have_the_level_of_the_table() -> None:
    wrong = {
        call.place: (call.code, call.level)
        for call in calls()
        if call.code in LOG_EVENTS and call.level not in (None, LOG_EVENTS[call.code].level)
    }
    assert wrong == {}


def test_calls_have_the_fields_of_the_table_and_no_others() -> None:
    found: dict[str, set[str]] = {}
    for call in calls():
        if call.code in LOG_EVENTS:
            found.setdefault(call.code, set()).update(call.fields)
    partly = {call.code for call in calls() if not call.complete}
    documented = {code: event.fields for code, event in LOG_EVENTS.items()}
    undocumented = {
        code: fields - documented[code] - COMMON_FIELDS
        for code, fields in found.items()
        if fields - documented[code] - COMMON_FIELDS
    }
    missing = {
        code: documented[code] - fields
        for code, fields in found.items()
        if code not in partly and documented[code] - fields
    }
    assert (undocumented, missing) == ({}, {})


@pytest.mark.parametrize("code", sorted(LOG_EVENTS))
def test_codes_are_snake_case_and_their_meaning_is_a_sentence(code: str) -> None:
    assert _SNAKE_CASE.fullmatch(code)
    meaning = LOG_EVENTS[code].meaning
    assert meaning[0].isupper() and meaning.endswith(".")
    assert len(meaning) > 20
