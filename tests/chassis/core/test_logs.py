"""Logs: one event per line, the same in text and JSON, without secrets."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
import structlog

from chassis.core import logs, redact


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configured(fmt: logs.Format = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(fmt, level, stream=stream)
    return stream


def only(stream: io.StringIO) -> dict[str, Any]:
    [line] = stream.getvalue().splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_json_has_one_line_per_event_with_the_bound_fields() -> None:
    stream = configured()
    with logs.bind_context(service="ingest", job_id="job_1", request_id=None):
        logs.get_logger("services.ingest").info("accepted", size=3)
    line = only(stream)
    assert (line["level"], line["service"], line["event"]) == ("info", "ingest", "accepted")
    assert (line["job_id"], line["size"], line["logger"]) == ("job_1", 3, "services.ingest")
    assert "request_id" not in line
    assert line["time"].endswith("Z")


def test_auto_is_text_on_a_terminal_and_json_otherwise() -> None:
    terminal = Terminal()
    logs.configure("auto", "info", stream=terminal)
    logs.get_logger("x").info("hello", n=1)
    assert "hello" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    stream = configured("auto")
    logs.get_logger("x").info("hello", n=1)
    assert only(stream)["n"] == 1


def test_bound_fields_end_with_their_block() -> None:
    stream = configured()
    with logs.bind_context(job_id="job_1"):
        pass
    logs.get_logger("x").info("after")
    assert "job_id" not in only(stream)


async def test_fields_of_a_task_are_on_its_events_only() -> None:
    async def one() -> None:
        logs.bind_task(job_id="job_1")
        logs.get_logger("x").info("inside")

    stream = configured()
    with logs.bind_context(service="ingest"):
        await asyncio.create_task(one())
        logs.get_logger("x").info("outside")
    inside, outside = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (inside["job_id"], inside["service"]) == ("job_1", "ingest")
    assert "job_id" not in outside


def test_lower_levels_are_not_logged() -> None:
    stream = configured(level="warning")
    logs.get_logger("x").info("quiet")
    logs.get_logger("x").warning("loud")
    assert only(stream)["event"] == "loud"


@pytest.mark.parametrize(
    ("fields", "removed", "kept"),
    [
        ({"url": "https://cdn.example.com/a.mov?X-Sig=abc#t"}, "X-Sig", "https://cdn.example.com/a.mov"),
        ({"url": "https://user:pw@example.com/a"}, "pw@", "example.com/a"),
        ({"dsn": "postgresql://bitmill:hunter2@db/x"}, "hunter2", "db/x"),
        ({"webhook_secret": "whsec_abc"}, "whsec_abc", "***"),
        ({"Authorization": "Bearer abc123"}, "abc123", "***"),
        ({"access_token": "abc123"}, "abc123", "***"),
        ({"text": "key ittybit_live_0123abcXYZ refused"}, "0123abcXYZ", "ittybit_live_***"),
        ({"nested": {"headers": [{"api_key": "abc123"}]}}, "abc123", "***"),
        ({"raw": b"https://example.com/?q=abc123"}, "abc123", "https://example.com/"),
        ({"object": ValueError("https://example.com/?q=abc123")}, "abc123", "https://example.com/"),
    ],
)
@pytest.mark.parametrize("fmt", ["json", "text"])
def test_secrets_and_query_strings_are_removed(
    fmt: logs.Format, fields: dict[str, Any], removed: str, kept: str
) -> None:
    stream = configured(fmt)
    logs.get_logger("x").info("event", **fields)
    assert removed not in stream.getvalue()
    assert kept in stream.getvalue()


def test_an_exception_is_one_field_without_secrets() -> None:
    stream = configured()
    try:
        raise ValueError("no https://example.com/a?sig=" + "abc" * 3)
    except ValueError:
        logs.get_logger("x").exception("failed")
    line = only(stream)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].splitlines()[-1] == "ValueError: no https://example.com/a"
    assert "abcabcabc" not in line["exception"]


def test_a_line_break_in_a_message_makes_no_second_line() -> None:
    stream = configured("text")
    logs.get_logger("x").info("one\n2026-01-01 [info] forged")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("name", ["aiokafka.consumer", "faststream.access.kafka", "aiohttp.server", "yoyo.migrations"])
def test_warnings_of_libraries_go_through_our_handler(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("faststream"):
        # As FastStream does: a handler on stdout, no propagation.
        own = logging.getLogger(name)
        own.addHandler(logging.StreamHandler(sys.stdout))
        own.propagate = False
    stream = configured()
    library = logging.getLogger(name)
    library.info("joined")
    with logs.bind_context(service="catalog"):
        library.warning("lost %s", "https://example.com/?token=abc")
    line = only(stream)
    assert (line["event"], line["logger"], line["service"]) == ("lost https://example.com/", name, "catalog")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("part", ["a.", "a://", "a@", "://a?", "sk_", "://"])
def test_long_text_of_a_client_is_cleaned_without_long_work(part: str) -> None:
    """Each request's path is logged: one that took seconds to clean would stop the requests of everybody."""
    long = "/x://" + part * (1_000_000 // len(part))
    started = process_time()
    redact.text(long)
    redact.masked_url(f"https://h.example.com{long}?x=1")
    assert process_time() - started < 60
