"""Bad input: a refusal that names the field, or a failed job with a code, a sentence and a webhook."""

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.file_server import FileServer, content, file_server, redirect, status
from tests.support.footage import Material
from tests.support.system import BitmillUp
from tests.support.webhook_receiver import WebhookReceiver

_PAGE = b"<!doctype html><html><body>Not found, sorry</body></html>"


@pytest.fixture(scope="module")
async def broken(material: Material) -> AsyncIterator[FileServer]:
    """A server whose files are missing, forbidden, empty, truncated or of another kind."""
    async with file_server() as server:
        server.answer("redirect", redirect("http://10.1.2.3/secret.mp4"))
        server.answer("page", content(_PAGE, "video/mp4"))
        server.answer("empty", content(b"", "video/mp4"))
        server.answer("denied", status(403))
        server.add(material.truncated(), "cut")
        server.add(material.tone(), "sound")
        yield server


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("missing", "input_not_found"),
        ("denied", "input_denied"),
        ("page", "input_unreadable"),
        ("empty", "input_empty"),
        ("cut", "input_truncated"),
        ("sound", "input_kind_mismatch"),
        ("redirect", "input_forbidden"),
    ],
)
async def test_a_bad_file_fails_the_job_with_a_code_a_sentence_and_a_webhook(
    path: str, code: str, kind: str, broken: FileServer, up: BitmillUp, hooks: WebhookReceiver
) -> None:
    body = {"input": f"{broken.url(path)}?signature=abc", "kind": kind, "webhook_url": hooks.url()}
    job = await up.api.post("/jobs", body)
    webhook = await hooks.webhook(job["id"])
    assert (webhook["status"], webhook["output"]) == ("failed", None)
    assert webhook["error"]["kind"] == code, webhook["error"]
    assert webhook["error"]["message"].endswith(".")
    assert "signature" not in webhook["error"]["message"]


async def test_a_start_beyond_the_end_fails_clearly(up: BitmillUp, uploads: FileServer) -> None:
    body = {"input": uploads.url("clip.mov"), "kind": "image", "options": {"start": 5000}}
    job = await up.api.finished((await up.api.post("/jobs", body))["id"])
    assert job["error"]["kind"] == "start_out_of_range"


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "video"}, "input"),
    ({"input": "http://example.com/a.mp4", "kind": "gif"}, "kind"),
    ({"input": "http://example.com/a.mp4", "kind": "video", "colour": "red"}, "colour"),
    ({"input": "http://example.com/a.mp4", "kind": "video", "options": {"bogus": 1}}, "options.bogus"),
    ({"input": "http://example.com/a.mp4", "kind": "video", "options": {"width": "wide"}}, "options.width"),
    ({"input": "http://example.com/a.mp4", "kind": "video", "options": {"width": 100000}}, "options.width"),
    ({"input": "http://example.com/a.mp4", "kind": "video", "metadata": {"n": 1}}, "metadata.n"),
    ({"input": "file:///etc/passwd", "kind": "video"}, "input"),
    ({"input": "ftp://example.com/a.mp4", "kind": "video"}, "input"),
    ({"input": "http://169.254.169.254/latest", "kind": "video"}, "input"),
    ({"input": "http://[::ffff:10.0.0.1]/a", "kind": "video"}, "input"),
    ({"input": "http://0xa9fea9fe/a", "kind": "video"}, "input"),
    ({"input": "http://example.com/a", "kind": "video", "webhook_url": "http://10.0.0.1/"}, "webhook_url"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=[field for _, field in REFUSED])
async def test_a_bad_request_is_refused_with_the_field_the_rule_and_the_value(
    body: dict[str, Any], field: str, up: BitmillUp
) -> None:
    async with up.api.session.post(f"{up.api.address}/jobs", json=body) as response:
        answer = await response.json()
    assert (response.status, answer["kind"]) == (400, "invalid_input")
    assert [(fault["field"], bool(fault["rule"]), "value" in fault) for fault in answer["errors"]] == [
        (field, True, True)
    ]
    assert field in answer["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"a":1,"a":2}', b"x" * 1024 * 1024])
@pytest.mark.parametrize("path", ["/jobs", "/tasks", "/media"])
async def test_a_body_that_is_not_a_json_object_is_refused(raw: bytes, path: str, up: BitmillUp) -> None:
    async with up.api.session.post(up.api.address + path, data=io.BytesIO(raw)) as response:
        answer = await response.json()
    assert response.status == 400
    error = answer["error"] if path == "/media" else answer
    assert error["kind"] == "invalid_input"


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, "token_missing"),
        ("Basic eDp5", "token_invalid"),
        ("Bearer ittybit_live_nonsense", "token_invalid"),
        ("Bearer ", "token_missing"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_without_a_valid_key_is_refused(
    header: str | None, kind: str, method: str, up: BitmillUp
) -> None:
    headers = {"Authorization": header} if header is not None else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{up.api.address}/jobs") as response,
    ):
        answer = await response.json()
    assert (response.status, answer["kind"]) == (401, kind)
    assert answer["message"]
