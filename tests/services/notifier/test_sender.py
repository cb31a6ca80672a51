"""One exchange with well-answerd and misbehaving receivers: bounded in time and bytes, never to a forbidden address."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from chassis.adapters.egress.exchange import ResponseLimits
from chassis.adapters.egress.policy import EgressPolicy
from services.notifier.schedule import AttemptResult
from services.notifier.sender import MAX_EXCERPT_BYTES, Sender
from tests.support.webhook_receiver import Answer, endless, raw, reset, stall, status, webhook_receiver

LOOPBACK = [ip_network("127.0.0.0/8")]
BODY = b'{"id":"job_1","name":"Zo\xc3\xab"}  '
DEADLINE_S = 0.5
PROJECT = "prj_1"


@asynccontextmanager
async def sending(egress: EgressPolicy | None = None, deadline_s: float = DEADLINE_S) -> AsyncIterator[Sender]:
    yield Sender(egress or EgressPolicy(LOOPBACK), ResponseLimits(), deadline_s=deadline_s)


async def result_of(*answers: Answer, deadline_s: float = DEADLINE_S) -> AttemptResult:
    """The result of one exchange, which ends by itself: the timeout only keeps a failing test from hanging."""
    async with asyncio.timeout(60), webhook_receiver(*answers) as target, sending(deadline_s=deadline_s) as sender:
        return await sender.send(target.url(), {"Accept-Encoding": "identity"}, BODY, project=PROJECT)


@pytest.mark.parametrize("code", [200, 202, 299, 301, 404, 410, 429, 500])
async def test_the_status_is_the_one_of_the_response(code: int) -> None:
    result = await result_of(status(code, body=b"hello"))
    assert (result.status, result.error, result.excerpt) == (code, None, b"hello")


async def test_body_and_headers_are_sent_unchanged() -> None:
    async with webhook_receiver() as target, sending() as sender:
        headers = {
            "webhook-id": "msg_1",
            "Content-Type": "application/json",
            "User-Agent": "bitmill/1",
            "Accept-Encoding": "identity",
        }
        result = await sender.send(target.url("/a%20b?x=1%2F2"), headers, BODY, project=PROJECT)
    [request] = target.received
    assert request.body == BODY
    assert request.path == "/a%20b?x=1%2F2"
    assert request.headers.items() >= {name.lower(): value for name, value in headers.items()}.items()
    assert result.address in ("127.0.0.1", None)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(code: int) -> None:
    async with (
        webhook_receiver() as elsewhere,
        webhook_receiver(status(code, f"Location: {elsewhere.url()}")) as target,
        sending() as sender,
    ):
        result = await sender.send(target.url(), {}, BODY, project=PROJECT)
    assert result.status == code
    assert elsewhere.connections == 0


async def test_retry_after_is_returned_unchanged() -> None:
    assert (await result_of(status(429, "Retry-After: 120"))).retry_after == "120"


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(stall(), id="no head at all"),
        pytest.param(stall(HEAD), id="half a head"),
        pytest.param(endless(HEAD, b"X-A: b\r\n", 0.01), id="a head that never ends"),
        pytest.param(endless(b"", b"HTTP", 0.05), id="byte by byte"),
    ],
)
async def test_a_receiver_that_does_not_answer_in_time_is_a_failed_attempt(answer: Answer) -> None:
    result = await result_of(answer)
    assert result.status is None
    assert result.error in ("timeout", "bad_answer")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(endless(CHUNKED, b"1\r\nx\r\n", 0.02), id="one byte at a time for ever"),
        pytest.param(stall(HEAD + b"Content-Length: 10000000000\r\n\r\nstart"), id="ten gigabytes promised"),
        pytest.param(stall(CHUNKED), id="no body after the head"),
    ],
)
async def test_a_body_that_does_not_end_is_cut_off_and_the_status_counts(answer: Answer) -> None:
    result = await result_of(answer)
    assert (result.status, result.error) == (200, None)
    assert len(result.excerpt) < 100


async def test_a_body_below_the_least_rate_is_cut_off_before_the_deadline() -> None:
    limits = ResponseLimits(min_rate=10_000, rate_window_s=0.2)
    drip = endless(CHUNKED, b"1\r\nx\r\n", 0.02)
    async with asyncio.timeout(60), webhook_receiver(drip) as target:
        sender = Sender(EgressPolicy(LOOPBACK), limits, deadline_s=600)
        result = await sender.send(target.url(), {}, BODY, project=PROJECT)
    assert (result.status, result.error) == (200, None)


async def test_of_an_endless_body_no_more_is_read_than_is_kept() -> None:
    result = await result_of(endless(CHUNKED, b"10000\r\n" + b"y" * 0x10000 + b"\r\n"), deadline_s=600)
    assert result.status == 200
    assert result.excerpt == b"y" * MAX_EXCERPT_BYTES


async def test_a_compressed_body_is_not_decompressed() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    result = await result_of(status(200, "Content-Encoding: gzip", body=bomb))
    assert result.excerpt == bomb[:MAX_EXCERPT_BYTES]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"hello world", id="HTTP 0.9"),
        pytest.param(HEAD + b"X: " + b"h" * 100_000 + b"\r\n\r\n", id="one huge header"),
        pytest.param(
            HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n", id="10 000 headers"
        ),
        pytest.param(HEAD + b"Content-Length: -5\r\n\r\n", id="a negative length"),
    ],
)
async def test_an_invalid_response_is_a_failed_attempt(data: bytes) -> None:
    result = await result_of(raw(data))
    assert result.status is None
    assert result.error in ("bad_answer", "unreachable")


async def test_a_connection_that_breaks_after_the_request_is_a_failed_attempt() -> None:
    result = await result_of(reset())
    assert (result.status, result.error) == (None, "unreachable")


async def test_a_forbidden_address_is_not_contacted_and_looks_like_a_dead_one() -> None:
    async with webhook_receiver() as target:
        async with sending(EgressPolicy()) as sender:
            forbidden = await sender.send(target.url(), {}, BODY, project=PROJECT)
        url = target.url()
        assert target.connections == 0
    async with sending() as sender:
        closed = await sender.send(url, {}, BODY, project=PROJECT)
    assert (forbidden.status, forbidden.error, forbidden.excerpt) == (closed.status, closed.error, closed.excerpt)
    assert closed.error == "unreachable"


async def test_a_name_that_resolves_to_a_private_address_is_not_contacted() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    async with webhook_receiver() as target, sending(EgressPolicy(resolve=resolve, not_found_s=0)) as sender:
        result = await sender.send(target.url("/").replace("127.0.0.1", "hooks.example.com"), {}, BODY, project=PROJECT)
        assert target.connections == 0
    assert (result.status, result.error) == (None, "unreachable")


async def test_a_slow_name_server_counts_against_the_deadline() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with sending(EgressPolicy(resolve=resolve)) as sender:
        result = await sender.send("http://hooks.example.com/", {}, BODY, project=PROJECT)
    assert (result.status, result.error) == (None, "timeout")


@pytest.mark.parametrize("url", ["http://[::1", "http://a b/", "ftp://example.com/", "http://example.com:99999/", ""])
async def test_an_invalid_url_is_a_failed_attempt(url: str) -> None:
    async with sending() as sender:
        result = await sender.send(url, {}, BODY, project=PROJECT)
    assert (result.status, result.error) == (None, "unreachable")
