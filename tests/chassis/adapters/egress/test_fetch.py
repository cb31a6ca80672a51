"""Downloads from servers that misbehave: a file arrives complete, or the error has a reason and no secret in it."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from chassis.adapters.egress.errors import FetchError
from chassis.adapters.egress.fetch import MAX_REDIRECTS, Fetched, FetchLimits, fetch
from chassis.adapters.egress.policy import EgressPolicy, Resolve
from tests.chassis.adapters.egress.raw_server import Serve, endless, file, raw_server, redirect, respond, unresponsive

INSIDE = "127.0.0.2"
LIMITS = FetchLimits(
    max_bytes=1_000_000,
    total=timedelta(seconds=20),
    connect=timedelta(seconds=5),
    idle=timedelta(seconds=5),
)
PROJECT = "prj_1"
SECRET = "X-Amz-Signature=deadbeef"


def policy(resolve: Resolve | None = None) -> EgressPolicy:
    allowed = [ip_network("127.0.0.1/32")]
    return EgressPolicy(allowed, resolve=resolve, not_found_s=0)


async def fetched(serve: Serve, dest: Path, path: str = "/clip.mov", limits: FetchLimits = LIMITS) -> Fetched:
    async with raw_server(serve) as server:
        return await fetch(f"{server.url}{path}", dest, policy(), limits, project=PROJECT)


async def fetch_error(serve: Serve, folder: Path, limits: FetchLimits = LIMITS) -> FetchError:
    """The error of a fetch; no file is left, and neither URL nor address is in its text."""
    with pytest.raises(FetchError) as raised:
        await fetched(serve, folder / "dest", f"/clip.mov?{SECRET}", limits)
    assert list(folder.iterdir()) == []
    assert "Signature" not in str(raised.value) and "127.0.0" not in str(raised.value)
    return raised.value


async def test_a_file_arrives_whole_with_what_the_server_calls_it(tmp_path: Path) -> None:
    body = bytes(range(256)) * 2000
    serve = file(
        body, "Content-Type: Video/MP4; codecs=x", 'Content-Disposition: attachment; filename="../a/holiday.mov"'
    )
    assert await fetched(serve, tmp_path / "dest") == Fetched(len(body), "video/mp4", "holiday.mov")
    assert (tmp_path / "dest").read_bytes() == body
    assert [path.name for path in tmp_path.iterdir()] == ["dest"]


@pytest.mark.parametrize("encoded", ["UTF-8''%ff", "nothing''%ff", "undefined''%ff", "punycode''%zz", "zlib''%ff", "x"])
async def test_a_name_that_cannot_be_decoded_is_that_of_the_url(
    encoded: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    serve = file(b"x", "Content-Type: video/mp4", f"Content-Disposition: attachment; filename*={encoded}")
    assert (await fetched(serve, tmp_path / "dest")).filename == "clip.mov"
    assert not [warning for warning in recwarn if "ContentDisposition" in warning.category.__name__]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("/a/clip.mov?x=y.png", "clip.mov"), ("/", None), ("/a/", None), ("/..%2f..%2fetc%2fpasswd", "passwd")),
        *(("/%e2%80%aegpj.exe", "gpj.exe"), ("/a%00b%0d%0a.mp4", "ab.mp4"), ("/..", None), ("/a%5cb.mp4", "b.mp4")),
        *(("/%FF.mp4", "�.mp4"), ("/" + "x" * 300, "x" * 255)),
    ],
)
async def test_the_name_comes_from_the_address_otherwise(tmp_path: Path, path: str, name: str | None) -> None:
    assert await fetched(file(b"x"), tmp_path / "dest", path) == Fetched(1, None, name)


async def test_chunked_and_unframed_bodies_arrive(tmp_path: Path) -> None:
    chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert (await fetched(respond(chunked), tmp_path / "a")).filesize == 5
    assert (await fetched(respond("HTTP/1.0 200 OK\r\n\r\nabcdef"), tmp_path / "b")).filesize == 6


async def test_bytes_after_the_announced_length_do_not_belong_to_the_file(tmp_path: Path) -> None:
    response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"
    assert (await fetched(respond(response), tmp_path / "dest")).filesize == 3
    assert (tmp_path / "dest").read_bytes() == b"abc"


async def test_the_sizes_are_reported_before_bytes_are_written_and_may_be_refused(tmp_path: Path) -> None:
    sizes: list[int] = []
    async with raw_server(file(b"x" * 5)) as server:
        await fetch(server.url, tmp_path / "dest", policy(), LIMITS, project=PROJECT, on_size=sizes.append)
        assert sizes == [5, 5]

        def refuse(size: int) -> None:
            raise MemoryError(size)

        with pytest.raises(MemoryError):
            await fetch(server.url, tmp_path / "other", policy(), LIMITS, project=PROJECT, on_size=refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["dest"]


async def test_the_address_is_sent_as_it_was_written(tmp_path: Path) -> None:
    """Signatures are over the very characters."""
    path = "/a%2Fb%7Ec+d/(e)'f!?X-Amz-Credential=A%2F2024&x=%7e&y=[z]"
    async with raw_server(file(b"x")) as server:
        await fetch(f"{server.url}{path}", tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        assert server.heads[0].startswith(f"GET {path} HTTP/1.1\r\n")
        assert "Accept-Encoding: identity" in server.heads[0]


@pytest.mark.parametrize(
    ("status", "reason", "retriable"),
    [
        *((404, "not_found", False), (410, "not_found", False), (401, "denied", False), (403, "denied", False)),
        *((400, "unexpected_status", False), (418, "unexpected_status", False), (429, "unexpected_status", True)),
        *((408, "unexpected_status", True), (500, "unexpected_status", True), (503, "unexpected_status", True)),
        *((304, "unexpected_status", False), (206, "unexpected_status", False), (302, "unexpected_status", False)),
        (204, "empty", False),
    ],
)
async def test_each_status_has_its_reason(tmp_path: Path, status: int, reason: str, retriable: bool) -> None:
    found = await fetch_error(respond(f"HTTP/1.1 {status} Word\r\nContent-Length: 0\r\n\r\n"), tmp_path)
    assert (found.reason, found.retriable, found.status) == (reason, retriable, status)


@pytest.mark.parametrize(
    ("answer", "reason", "retriable"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty", False),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "empty", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "truncated", True),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "truncated", True),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", "invalid_http", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\nx", "too_large", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\nx", "too_large", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nx", "invalid_http", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx", "invalid_http", False),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "invalid_http", False),
        ("SSH-2.0-OpenSSH_9.6\r\n", "invalid_http", False),
        ("HTTP/1.1 200 OK\r\n" + "X-A: b\r\n" * 20_000 + "\r\n", "head_too_large", False),
        ("HTTP/1.1 200 OK\r\nX-A: " + "b" * 1_000_000 + "\r\n\r\n", "head_too_large", False),
        ("", "disconnected", True),
    ],
)
async def test_malformed_and_incomplete_responses_have_their_reason(
    tmp_path: Path, answer: str, reason: str, retriable: bool
) -> None:
    found = await fetch_error(respond(answer), tmp_path)
    assert (found.reason, found.retriable) == (reason, retriable)


async def test_an_endless_stream_ends_at_the_limit(tmp_path: Path) -> None:
    assert (await fetch_error(endless(), tmp_path)).reason == "too_large"


async def test_a_server_that_does_not_answer_times_out(tmp_path: Path) -> None:
    found = await fetch_error(unresponsive, tmp_path, FetchLimits(head=timedelta(seconds=0.1)))
    assert (found.reason, found.retriable) == ("response_timeout", True)


async def test_a_server_that_stops_in_the_middle_has_stalled(tmp_path: Path) -> None:
    async def stops(reader: object, writer: object, head: str) -> None:
        await respond("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")(reader, writer, head)  # type: ignore[arg-type]
        await unresponsive(reader, writer, head)  # type: ignore[arg-type]

    found = await fetch_error(stops, tmp_path, FetchLimits(idle=timedelta(seconds=0.1)))
    assert (found.reason, found.retriable, found.received) == ("stalled", True, 3)


async def test_a_slow_drip_ends_at_the_total_time(tmp_path: Path) -> None:
    found = await fetch_error(endless(chunk=b"x", pause_s=0.02), tmp_path, FetchLimits(total=timedelta(seconds=0.3)))
    assert (found.reason, found.retriable, found.limit) == ("total_timeout", False, 0.3)


async def test_a_host_that_is_not_there_can_be_tried_again(tmp_path: Path, unused_tcp_port: int) -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    for url, resolve, reason in (
        (f"http://127.0.0.1:{unused_tcp_port}/", None, "connect_failed"),
        ("http://nowhere.example/", nowhere, "host_not_found"),
    ):
        with pytest.raises(FetchError) as raised:
            await fetch(url, tmp_path / "dest", policy(resolve), LIMITS, project=PROJECT)
        assert (raised.value.reason, raised.value.retriable) == (reason, True)


async def test_a_server_without_tls_is_not_spoken_to_in_tls(tmp_path: Path) -> None:
    async def at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Plain\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(at_once, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchError) as raised:
            await fetch(f"https://127.0.0.1:{port}/", tmp_path / "dest", policy(), LIMITS, project=PROJECT)
    assert raised.value.reason in ("tls_failed", "connect_failed")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(tmp_path: Path, status: int) -> None:
    async with (
        raw_server(file(b"found")) as target,
        raw_server(redirect(f"{target.url}/a b/ü.mp4?x=%7e", status)) as first,
    ):
        found = await fetch(first.url, tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        assert target.heads[0].startswith("GET /a%20b/%C3%BC.mp4?x=%7e ")
    assert found == Fetched(5, None, "ü.mp4")


async def test_relative_redirects_and_loops_end(tmp_path: Path) -> None:
    async with raw_server(redirect("/again")) as server:
        with pytest.raises(FetchError, match="too_many_redirects") as raised:
            await fetch(server.url, tmp_path / "dest", policy(), LIMITS, project=PROJECT)
        assert server.connections == MAX_REDIRECTS + 1
    assert (raised.value.limit, raised.value.retriable) == (MAX_REDIRECTS, False)


@pytest.mark.parametrize(
    "location",
    [
        *(
            "http://{inside}/",
            "http://2130706434:{port}/",
            "http://[::ffff:127.0.0.2]:{port}/",
            "//{inside}/",
            "file:///etc/passwd",
        ),
        *(
            "ftp://{inside}/",
            "http://user:pass@{inside}/",
            "http://inside.example:{port}/",
            "http://127.0.0.1:22/",
            "gopher://x/",
        ),
        *(
            "http://0177.0.0.2:{port}/",
            "http://127。0。0。2:{port}/",
            "HTTP://{inside}/",
            "http://{inside}\\@example.com/",
        ),
    ],
)
async def test_redirects_to_the_inside_reach_nothing(tmp_path: Path, location: str) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return [INSIDE]

    async with raw_server(file(b"secret"), INSIDE) as inside:
        target = location.format(inside=f"{INSIDE}:{inside.port}", port=inside.port)
        async with raw_server(redirect(target)) as first, raw_server(redirect(first.url)) as before:
            with pytest.raises(FetchError) as raised:
                await fetch(before.url, tmp_path / "dest", policy(resolve), LIMITS, project=PROJECT)
        assert inside.connections == 0
    # A name must not tell whether it exists in our network, so it is not found.
    assert raised.value.reason == ("host_not_found" if "inside.example" in target else "forbidden")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("location", ["http://[::1", "http://a:b:c/", "http://example.com:99999/"])
async def test_redirects_to_malformed_urls_are_errors(tmp_path: Path, location: str) -> None:
    assert (await fetch_error(redirect(location), tmp_path)).reason in ("invalid_redirect", "forbidden")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.com/x", "http://169.254.169.254/latest", "http://10.0.0.1/"]
)
async def test_forbidden_addresses_are_not_contacted(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError) as raised:
        await fetch(url, tmp_path / "dest", EgressPolicy(), LIMITS, project=PROJECT)
    assert (raised.value.reason, raised.value.retriable) == ("forbidden", False)


async def test_an_existing_file_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    dest = tmp_path / "dest"
    dest.write_bytes(b"before")
    with pytest.raises(FetchError):
        await fetched(respond("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), dest)
    assert dest.read_bytes() == b"before"
    await fetched(file(b"after"), dest)
    assert dest.read_bytes() == b"after"


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    serve = endless(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
    tracemalloc.start()
    try:
        await fetched(serve, tmp_path / "dest", limits=FetchLimits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "dest").stat().st_size == size
    assert peak < 16 * 1024 * 1024
