"""`jobs watch` by server-sent events: shown as they come, continued after a broken connection, polled without them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from cli.__main__ import main
from cli.job_events import parsed
from schemas.ids import typeid, uuid7
from tests.cli.conftest import Api

JOB = typeid("job", uuid7(1_700_000_000_000, b"0123456789"))
QUEUED = {"id": JOB, "kind": "video", "status": "queued", "progress": None, "error": None, "output": None}
OUTPUT = {"url": "http://h/made.mp4", "filesize": 4}
DONE = {**QUEUED, "status": "succeeded", "output": OUTPUT}


def event(id: int, name: str, data: dict[str, Any]) -> bytes:
    return f"id: {id}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


async def lines(*parts: bytes) -> AsyncIterator[bytes]:
    for line in b"".join(parts).splitlines(keepends=True):
        yield line


async def test_a_stream_is_parsed_with_comments_and_the_last_id() -> None:
    stream = lines(b"retry: 1000\n\n: heartbeat\n\n", event(7, "job.queued", {"a": 1}), b"data:2\n\n")
    found = [(id, each.name, each.data) async for id, each in parsed(stream)]
    assert found == [("7", "job.queued", {"a": 1}), ("7", "message", 2)]


def test_a_job_is_watched_by_its_events_also_after_a_broken_connection(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = {"id": JOB, "status": "processing", "progress": 0.5, "step": "video"}
    parts = [[event(1, "job.queued", QUEUED), event(2, "job.progress", progress)], [event(3, "job.succeeded", DONE)]]
    seen: list[str | None] = []

    async def events(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts.pop(0):
            await response.write(part)
        return response

    api.answers[f"GET /jobs/{JOB}"] = [(200, QUEUED)]
    api.handlers[f"GET /jobs/{JOB}/events"] = events
    assert main(["jobs", "watch", JOB, "--json"]) == 0
    assert seen == [None, "2"]
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["step"], line["progress"]) for line in printed[:-1]] == [
        ("queued", None),
        ("video", 0.5),
        ("succeeded", None),
    ]
    assert printed[-1] == DONE


def test_a_job_is_polled_where_the_api_has_no_events(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers = {
        f"GET /jobs/{JOB}": [(200, QUEUED), (200, DONE)],
        f"GET /jobs/{JOB}/events": [(404, {"kind": "not_found", "message": "There is nothing at this address."})],
    }
    assert main(["jobs", "watch", JOB, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == DONE
