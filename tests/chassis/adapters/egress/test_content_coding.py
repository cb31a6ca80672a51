"""Bodies that a server compressed although it was asked not to, and cookies across the redirects of one fetch."""

import asyncio
import gzip
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.adapters.egress.fetch import fetch
from tests.chassis.adapters.egress.raw_server import Serve, file, raw_server
from tests.chassis.adapters.egress.test_fetch import LIMITS, PROJECT, fetch_error, fetched, policy

BODY = bytes(range(256)) * 2000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("gzip", gzip.compress(BODY)),
        ("X-GZip", gzip.compress(BODY)),
        ("aws-chunked, gzip", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]) + bytes(100)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", raw_deflate(BODY)),
        # No coding, whatever the header says.
        ("gzip", BODY),
        ("deflate", b"\xff" + BODY[1:]),
        ("identity", BODY),
        ("aws-chunked", BODY),
        ("utf-8", BODY),
        ("", BODY),
    ],
)
async def test_the_file_is_what_was_compressed(tmp_path: Path, coding: str, sent: bytes) -> None:
    arrived = await fetched(file(sent, f"Content-Encoding: {coding}"), tmp_path / "dest")
    found = (tmp_path / "dest").read_bytes()
    assert found in (BODY, b"\xff" + BODY[1:])
    assert arrived.filesize == len(BODY)


async def test_a_compressed_body_may_be_chunked_in_single_bytes(tmp_path: Path) -> None:
    packed = gzip.compress(b"film")
    chunks = "".join(f"1\r\n{chr(byte)}\r\n" for byte in packed) + "0\r\n\r\n"
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: str) -> None:
        writer.write((head + chunks).encode("latin-1"))

    await fetched(serve, tmp_path / "dest")
    assert (tmp_path / "dest").read_bytes() == b"film"


async def test_a_bomb_is_too_large(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    error = await fetch_error(file(bomb, "Content-Encoding: gzip"), tmp_path)
    assert error.reason == "too_large"


async def test_a_bomb_within_the_limit_arrives(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_bytes=100_000_000)
    bomb = gzip.compress(bytes(20_000_000))
    assert (
        await fetched(file(bomb, "Content-Encoding: gzip"), tmp_path / "dest", limits=limits)
    ).filesize == 20_000_000


@pytest.mark.parametrize(
    ("coding", "sent", "reason"),
    [
        ("br", BODY, "unsupported_coding"),
        ("zstd", BODY, "unsupported_coding"),
        ("gzip, gzip", gzip.compress(gzip.compress(BODY)), "unsupported_coding"),
        ("gzip", gzip.compress(BODY)[:-300], "truncated"),
        ("gzip", gzip.compress(BODY)[:20] + b"\xff" * 400, "damaged_coding"),
        ("gzip", gzip.compress(b"", mtime=0), "empty"),
        ("gzip", b"", "empty"),
    ],
)
async def test_what_cannot_be_decoded_has_its_reason(tmp_path: Path, coding: str, sent: bytes, reason: str) -> None:
    error = await fetch_error(file(sent, f"Content-Encoding: {coding}"), tmp_path)
    assert error.reason == reason
    assert reason != "unsupported_coding" or error.detail == coding


# Cookies


def gate(cookie: str) -> Serve:
    """Redirects to itself with a cookie, and gives the file to who brings it."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        if "cookie: " in head.lower():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfilm")
        else:
            answer = f"HTTP/1.1 302 Elsewhere\r\nLocation: /clip.mov\r\n{cookie}Content-Length: 0\r\n\r\n"
            writer.write(answer.encode())

    return serve


async def test_a_cookie_is_sent_to_the_server_that_set_it(tmp_path: Path) -> None:
    cookie = "Set-Cookie: id=a b; Path=/; HttpOnly\r\nSet-Cookie: seen=1; Path=/\r\n"
    async with raw_server(gate(cookie)) as server:
        await fetch(f"{server.url}/clip.mov", tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        sent = next(line for line in server.heads[-1].splitlines() if line.lower().startswith("cookie"))
        assert "seen=1" in sent
    assert (tmp_path / "dest").read_bytes() == b"film"


@pytest.mark.parametrize(
    "cookie",
    ["Set-Cookie: id=1; Domain=other.example\r\n", "Set-Cookie: id=1; Path=/elsewhere\r\n", "Set-Cookie: ;\r\n"],
)
async def test_a_cookie_of_somebody_else_is_not_sent(tmp_path: Path, cookie: str) -> None:
    error = await fetch_error(gate(cookie), tmp_path)
    assert error.reason == "too_many_redirects"


async def test_no_cookie_outlives_its_fetch(tmp_path: Path) -> None:
    async with raw_server(gate("Set-Cookie: id=1; Path=/\r\n")) as server:
        for _ in range(2):
            await fetch(f"{server.url}/clip.mov", tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        assert ["cookie: " in head.lower() for head in server.heads] == [False, True, False, True]


async def test_very_many_cookies_are_cut_off(tmp_path: Path) -> None:
    cookies = "".join(f"Set-Cookie: c{number}={'x' * 200}; Path=/\r\n" for number in range(200))
    async with raw_server(gate(cookies)) as server:
        await fetch(f"{server.url}/clip.mov", tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        assert 4000 < len(server.heads[-1]) < 10_000
