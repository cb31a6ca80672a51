"""Request bodies: strict JSON of bounded size and depth."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from chassis.adapters.http.errors import ApiError
from chassis.adapters.http.json_body import (
    MAX_DEPTH,
    MAX_STRUCTURE,
    decode_json,
    json_bytes,
    json_response,
    parse,
    read_json,
)
from schemas.api import JOB_REQUEST, MAX_BODY_BYTES, MediaRequest
from tests.chassis.adapters.http.small_service import Small, error_of, serving
from tests.schemas.json_values import values

TOO_LARGE = f"body must be at most {MAX_BODY_BYTES} bytes"


async def echo(request: web.Request) -> web.Response:
    return json_response({"got": await read_json(request)})


async def job(request: web.Request) -> web.Response:
    return json_response({"kind": parse(JOB_REQUEST, await read_json(request), tagged=True).kind})


ECHO = Small(web.post("/echo", echo), web.post("/jobs", job))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body must be a JSON object; it is empty"),
        (b" \n", "body must be a JSON object; it is empty"),
        (b"{", "body must be JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"{}{}", "body must be JSON: Extra data at line 1, column 3"),
        (b"{'a': 1}", "body must be JSON: Expecting property name"),
        (b"a=b&c=d", "body must be JSON: Expecting value at line 1, column 1"),
        (b"\xff\xfe{\x00}\x00", "body must be JSON in UTF-8; byte 0 is not"),
        (b"\xef\xbb\xbf{}", "body must be JSON: Unexpected UTF-8 BOM"),
        (b'{"a": "\xc3\x28"}', "body must be JSON in UTF-8; byte 7 is not"),
        (b'{"a": "\t"}', "body must be JSON: Invalid control character"),
        (b'{"a": NaN}', "body must hold finite numbers only, not NaN"),
        (b'{"a": -Infinity}', "body must hold finite numbers only, not -Infinity"),
        (b'{"a": 1e400}', 'body must hold finite numbers only, not "1e400"'),
        (b'{"a": ' + b"9" * 5000 + b"}", "body must not hold numbers of thousands of digits"),
        (b'{"a": 1, "b": 2, "a": 3}', 'body must not name a field twice: "a"'),
        (b'{"x": [{"a": 1, "\\u0061": 2}]}', 'body must not name a field twice: "a"'),
        (b"[" * 10_000, f"body must not be nested deeper than {MAX_DEPTH} levels"),
        (b'{"a":' * 10_000, f"body must not be nested deeper than {MAX_DEPTH} levels"),
        (b"[" + b"{}," * MAX_STRUCTURE + b"{}]", f"body must not have more than {MAX_STRUCTURE} brackets"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), f"body must not be nested deeper than {MAX_DEPTH} levels"),
    ],
    ids=lambda part: str(part)[:40],
)
async def test_a_body_that_is_not_strict_json_is_a_400(body: bytes, message: str) -> None:
    async with serving(ECHO) as client:
        status, answer, _ = await error_of(client, "POST", "/echo", data=body)
    assert (status, answer["kind"]) == (400, "invalid_input")
    assert answer["message"].startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        json.dumps(["[{" * 1000, '\\"[[' * 1000]).encode(),
        json.dumps([[] for _ in range(1000)]).encode(),
        json.dumps([{"a": [1]} for _ in range(1000)]).encode(),
    ],
    ids=["deep", "brackets in strings", "wide", "wide and deep"],
)
def test_depth_counts_nesting_and_not_brackets(body: bytes) -> None:
    assert decode_json(body) == json.loads(body)


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}]
)
async def test_the_content_type_does_not_matter(headers: dict[str, str]) -> None:
    async with (
        serving(ECHO) as client,
        client.post("/echo", data=b'{"a": 1}', headers=headers, skip_auto_headers=["Content-Type"]) as response,
    ):
        assert await response.json() == {"got": {"a": 1}}


async def test_a_body_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    whole = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    async with serving(ECHO) as client:
        async with client.post("/echo", data=BytesIO(whole)) as response:
            assert response.status == 200
        status, answer, _ = await error_of(client, "POST", "/echo", data=BytesIO(whole + b" "))
        assert (status, answer["kind"], answer["message"]) == (413, "payload_too_large", TOO_LARGE)


async def test_a_body_without_length_is_cut_while_it_streams() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * MAX_BODY_BYTES:
            sent += 65536
            yield b" " * 65536

    async with serving(ECHO) as client:
        status, answer, _ = await error_of(client, "POST", "/echo", data=endless())
    assert (status, answer["message"]) == (413, TOO_LARGE)


async def test_a_compressed_body_is_bounded_by_what_it_unpacks_to() -> None:
    small, bomb = gzip.compress(b'{"a": 1}'), gzip.compress(b" " * (64 * MAX_BODY_BYTES))
    assert len(bomb) < MAX_BODY_BYTES
    headers = {"Content-Encoding": "gzip"}
    async with serving(ECHO) as client:
        async with client.post("/echo", data=small, headers=headers) as response:
            assert await response.json() == {"got": {"a": 1}}
        status, answer, _ = await error_of(client, "POST", "/echo", data=bomb, headers=headers)
        unknown = await error_of(client, "POST", "/echo", data=small, headers={"Content-Encoding": "gzip, gzip"})
    assert (status, answer["message"]) == (413, TOO_LARGE)
    assert (unknown[0], unknown[1]["kind"]) == (415, "unsupported_media_type")
    assert unknown[1]["message"] == "body must have no Content-Encoding other than gzip and deflate"
    assert unknown[2]["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "declared", ["multipart/form-data; boundary=x", "text/xml", "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize("body", [b"--x\r\n", b"", b"a=b", b"\xff"])
async def test_a_body_that_is_not_json_and_does_not_claim_to_be_is_415(declared: str, body: bytes) -> None:
    async with serving(ECHO) as client:
        status, answer, headers = await error_of(
            client, "POST", "/echo", data=BytesIO(body), headers={"Content-Type": declared}
        )
    assert (status, answer["kind"], headers["Accept"]) == (415, "unsupported_media_type", "application/json")
    assert "has to be application/json" in answer["message"]


@pytest.mark.parametrize("declared", ["application/json", "application/problem+json; charset=utf-8"])
async def test_a_body_that_claims_to_be_json_and_is_not_is_400(declared: str) -> None:
    async with serving(ECHO) as client:
        status, answer, _ = await error_of(client, "POST", "/echo", data=b"{", headers={"Content-Type": declared})
    assert (status, answer["kind"]) == (400, "invalid_input")


async def test_a_body_that_is_not_compressed_as_it_says_is_refused() -> None:
    async with serving(ECHO) as client:
        status, answer, _ = await error_of(client, "POST", "/echo", data=b"{}", headers={"Content-Encoding": "gzip"})
    assert (status, answer["kind"]) == (400, "invalid_input")
    assert answer["message"].startswith("body cannot be read")


async def test_a_length_that_is_too_large_is_refused_before_a_byte_of_it_came() -> None:
    async with serving(ECHO) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        try:
            writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000000\r\n\r\n")
            async with asyncio.timeout(60):
                assert b" 413 " in await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()


async def test_each_refused_field_is_listed() -> None:
    async with serving(ECHO) as client:
        body = b'{"kind": "video", "input": "ftp://x/", "options": {"width": 1}, "a\\ud800": 1}'
        status, answer, _ = await error_of(client, "POST", "/jobs", data=body)
        assert status == 400
        assert "must be valid Unicode, without lone surrogates" in [fault["rule"] for fault in answer["errors"]]
        status, answer, _ = await error_of(client, "POST", "/jobs", data=body.replace(b"a\\ud800", b"extra"))
        assert [(fault["field"], fault["value"]) for fault in answer["errors"]] == [
            ("input", '"ftp://x/"'),
            ("options.width", "1"),
            ("extra", "1"),
        ]
        assert answer["message"].startswith(
            'input must start with http://, https:// or s3:// (got "ftp://x/"); options.width '
        )


def test_a_model_is_parsed_as_well_as_a_union() -> None:
    assert parse(MediaRequest, {"url": "http://example.com/x"}).url == "http://example.com/x"
    with pytest.raises(ApiError) as refused:
        parse(MediaRequest, [])
    assert [fault.field for fault in refused.value.faults] == ["body"]


@given(st.binary())
def test_no_bytes_do_worse_than_be_refused(raw: bytes) -> None:
    try:
        decode_json(raw)
    except ApiError as refused:
        assert (refused.status, refused.kind) == (400, "invalid_input")
        json_bytes(refused.message)


@given(values)
def test_what_json_can_say_is_read_as_it_was_said(value: Any) -> None:
    try:
        assert decode_json(json.dumps(value).encode()) == value
    except ApiError as refused:
        assert "finite" in refused.message or "deeper" in refused.message
