"""Servers whose responses are made to keep the reader busy, as inputs and as webhook receivers."""

import pytest

from tests.attacks.two_projects import TwoProjects
from tests.support.flood_server import flood_server

_JOBS = 12
_FLOOD_BYTES = 3_000_000
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_FLOODS = {
    "endless 103": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", "interim responses"),
    "chunks of one byte": (_CHUNKED, b"1\r\nx\r\n", "chunks of a few bytes"),
    "chunks of 256 bytes": (_CHUNKED, b"100\r\n" + b"x" * 256 + b"\r\n", "broke off"),
}


@pytest.mark.parametrize("name", _FLOODS)
async def test_a_server_that_floods_its_reader_does_not_slow_another_project(
    two_projects: TwoProjects, name: str
) -> None:
    head, piece, sentence = _FLOODS[name]
    attacker = two_projects.attacker
    job = {"kind": "image", "options": {"width": 64}}
    async with two_projects.compared() as comparison:
        with flood_server(head, piece, max_bytes=_FLOOD_BYTES, host="127.0.0.2") as flood:
            photo = attacker.uploads.url("photo.png")
            jobs = []
            for _ in range(_JOBS):
                jobs.append((await attacker.api.post("/jobs", {**job, "input": flood.url}))["id"])
                await attacker.api.post("/jobs", {**job, "input": photo, "webhook_url": flood.url})
            await comparison.under_attack()
            assert flood.sent
            failed = await attacker.api.finished(jobs[0])
    assert failed["error"]["kind"] == "input_unreachable"
    assert sentence in failed["error"]["message"]
