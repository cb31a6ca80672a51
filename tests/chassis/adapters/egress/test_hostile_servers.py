"""Servers whose responses are made to keep the client busy: the event loop stays free, and the error is precise.

The bound on stalls is far above what is measured (milliseconds) and far below what the attacks reach without bounds
(tens of seconds).
"""

import asyncio
import gzip
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from chassis.adapters.egress.client import request
from chassis.adapters.egress.errors import FetchError, RequestError
from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.fetch import FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy
from tests.support.event_loop import loop_stalls
from tests.support.flood_server import flood_server

LONGEST_STALL_S = 1.0
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"
POLICY = EgressPolicy([ip_network("127.0.0.0/8")])
FLOODS = {
    "endless 103": (b"", EARLY_HINTS, "too_many_interim_responses"),
    "endless 100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "too_many_interim_responses"),
    "endless 103 with bare line feeds": (b"", b"HTTP/1.1 103 X\n\n", "too_many_interim_responses"),
    "endless header fields": (OK, b"a:b\r\n", "head_too_large"),
    "one endless header field": (OK + b"X-A: ", b"y", "head_too_large"),
    "no line end at all": (b"", b"HTTP/1.1 200 " + b"O" * 65_000, "head_too_large"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n", "tiny_chunks"),
    "chunks of 32 bytes": (CHUNKED, b"20\r\n" + b"x" * 32 + b"\r\n", "tiny_chunks"),
    "chunks with long extensions": (CHUNKED, b"100;" + b"e" * 1000 + b"\r\n" + b"x" * 256 + b"\r\n", "tiny_chunks"),
    # The bound on framing or the parser's, whichever the next bytes that arrive go beyond.
    "endless trailers": (CHUNKED + b"0\r\n", b"X-A: b\r\n", "tiny_chunks or invalid_http"),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_does_not_stop_the_event_loop_and_is_given_up_early(name: str) -> None:
    head, piece, reason = FLOODS[name]
    with flood_server(head, piece) as server:
        async with loop_stalls() as stalls:
            with pytest.raises(RequestError) as raised:
                async with request("POST", server.url, POLICY, ResponseLimits(), project="prj_1") as response:
                    while await response.read():
                        pass
    assert raised.value.reason in reason.split(" or ")
    assert stalls.longest_s < LONGEST_STALL_S


async def test_files_in_small_chunks_arrive_while_others_get_their_turns(tmp_path: Path) -> None:
    """256 bytes a chunk is slow to parse and allowed: ten of them take their time, not that of others."""
    chunk = b"100\r\n" + b"x" * 256 + b"\r\n"
    with flood_server(CHUNKED, chunk, max_bytes=500_000) as server:

        async def fetch_one(number: int) -> None:
            with pytest.raises(FetchError, match="truncated"):
                await fetch(server.url, tmp_path / f"{number}", POLICY, FetchLimits(), project=f"prj_{number}")

        async with loop_stalls() as stalls:
            await asyncio.gather(*(fetch_one(number) for number in range(10)))
    assert stalls.longest_s < LONGEST_STALL_S
    assert stalls.turns > 10


async def test_eight_interim_responses_are_skipped(tmp_path: Path) -> None:
    body = b"Content-Length: 4\r\n\r\nfile"
    with flood_server(EARLY_HINTS * 8 + OK + body, max_bytes=0) as server:
        found = await fetch(server.url, tmp_path / "dest", POLICY, FetchLimits(), project="prj_1")
    assert found.filesize == 4
    assert (tmp_path / "dest").read_bytes() == b"file"


async def test_a_head_that_comes_byte_by_byte_ends_at_its_time_limit(tmp_path: Path) -> None:
    limits = FetchLimits(head=timedelta(seconds=0.3))
    with flood_server(b"", b"H", pause_s=0.02) as server, pytest.raises(FetchError) as raised:
        await fetch(server.url, tmp_path / "dest", POLICY, limits, project="prj_1")
    assert raised.value.reason == "invalid_http"
    with flood_server(OK + b"X-A: ", b"y", pause_s=0.02) as server, pytest.raises(FetchError) as raised:
        await fetch(server.url, tmp_path / "dest", POLICY, limits, project="prj_1")
    assert (raised.value.reason, raised.value.limit) == ("response_timeout", 0.3)


async def test_a_body_below_the_least_rate_is_given_up_after_one_window(tmp_path: Path) -> None:
    limits = FetchLimits(min_rate=10_000, rate_window=timedelta(seconds=0.3))
    with flood_server(OK + b"\r\n", b"x", pause_s=0.02) as server, pytest.raises(FetchError) as raised:
        await fetch(server.url, tmp_path / "dest", POLICY, limits, project="prj_1")
    assert (raised.value.reason, raised.value.limit, raised.value.retriable) == ("too_slow", 10_000, True)


async def test_a_slow_body_above_the_least_rate_arrives(tmp_path: Path) -> None:
    limits = FetchLimits(min_rate=1, rate_window=timedelta(seconds=1))
    with flood_server(OK + b"\r\n", b"x" * 100, pause_s=0.05, max_bytes=5_000) as server:
        found = await fetch(server.url, tmp_path / "dest", POLICY, limits, project="prj_1")
    assert found.filesize == 5_000


async def test_a_compressed_bomb_stays_small_and_costs_no_time() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    received = 0
    with flood_server(head + bomb, max_bytes=0) as server:
        async with (
            loop_stalls() as stalls,
            request("GET", server.url, POLICY, ResponseLimits(), project="prj_1") as response,
        ):
            while data := await response.read():
                received += len(data)
    assert received == len(bomb)
    assert stalls.longest_s < LONGEST_STALL_S
