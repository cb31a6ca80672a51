"""POST /uploads and PUT: a file is stored once and completely, or not at all; nothing of an abandoned one stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from chassis.adapters.egress.policy import EgressPolicy
from chassis.adapters.http.errors import ApiError
from chassis.adapters.storage.local import LocalStorage
from chassis.runtime.purge import Purger
from schemas.events import JobCreated
from schemas.ids import typeid, uuid7
from schemas.stored_keys import parse_key
from services.ingest import keys
from services.ingest.app import RETENTION
from services.ingest.inspection import referenced
from services.ingest.requests import job_request, media_request
from services.ingest.uploads import expired_uploads
from tests.services.ingest.support import Answer, EventLog, RunningIngest
from tests.support.footage import Material
from tests.support.waiting import until

FILE = b"0123456789" * 300_000
"""3 MB: more than one piece of what is written at a time."""


def path_of(upload: dict[str, Any]) -> str:
    """The path and query of its address."""
    parts = urlsplit(upload["url"])
    return f"{parts.path}?{parts.query}"


async def begun(ingest: RunningIngest, **body: Any) -> dict[str, Any]:
    answer = await ingest.post("/uploads", body)
    assert answer.status == 201, answer.body
    upload: dict[str, Any] = answer.body
    return upload


async def put(ingest: RunningIngest, upload: dict[str, Any], data: bytes = FILE) -> Answer:
    return await ingest.send("PUT", path_of(upload), data, Authorization="")


@pytest.fixture
def objects(ingest_storage: Path) -> Any:
    """The stored files of an upload."""
    return lambda id: sorted(ingest_storage.glob(f"*/uploads/{id}/*"))


@pytest.fixture
async def scratch(ingest_storage: Path) -> AsyncIterator[Any]:
    """What lies in the work folder of uploads that are being received."""
    yield lambda: list((ingest_storage.parent / f"{ingest_storage.name}-work").glob("*/upload-*"))


async def test_a_file_is_stored_as_it_was_sent(ingest: RunningIngest, objects: Any, scratch: Any) -> None:
    upload = await begun(ingest, filename="clip.mov", size=len(FILE))
    assert (upload["object"], upload["status"], upload["method"]) == ("upload", "waiting", "PUT")
    assert upload["url"].startswith(f"https://api.example.com/uploads/{upload['id']}?token=")
    stored = await put(ingest, upload)
    assert stored.status == 201
    waiting_only = {"url", "method", "max_bytes"}
    expected = {name: value for name, value in upload.items() if name not in waiting_only}
    assert stored.body == {**expected, "status": "stored", "expires_at": stored.body["expires_at"]}
    assert stored.body["expires_at"] > upload["expires_at"]
    assert [path.read_bytes() for path in objects(upload["id"])] == [FILE]
    assert scratch() == []


async def test_an_address_stores_one_file(ingest: RunningIngest, objects: Any) -> None:
    upload = await begun(ingest)
    answers = await asyncio.gather(*(put(ingest, upload, FILE + bytes([number])) for number in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    assert {answer.body["kind"] for answer in answers if answer.status == 409} == {"upload_used"}
    again = await put(ingest, upload, b"another file")
    assert (again.status, again.body["kind"]) == (409, "upload_used")
    (kept,) = objects(upload["id"])
    assert kept.read_bytes()[:-1] == FILE


async def test_without_its_token_an_upload_cannot_be_found(ingest: RunningIngest) -> None:
    upload, other = await begun(ingest), await begun(ingest)
    token = path_of(upload).partition("=")[2]
    for path in (
        f"/uploads/{upload['id']}",
        f"/uploads/{upload['id']}?token=",
        f"/uploads/{upload['id']}?token={token[:-1]}",
        f"/uploads/{upload['id']}?token={'é' * 43}",
        f"/uploads/{other['id']}?token={token}",
        f"/uploads/upl_1?token={token}",
    ):
        answer = await ingest.send("PUT", path, b"file", Authorization="")
        assert (answer.status, answer.body["kind"]) == (404, "upload_not_found"), path


@pytest.mark.parametrize(
    ("announced", "data", "status", "kind"),
    [
        ({"size": 5}, b"1234", 400, "invalid_input"),
        ({"size": 5}, b"123456", 400, "invalid_input"),
        ({}, b"", 400, "invalid_input"),
    ],
)
async def test_a_file_of_another_size_is_refused_and_may_be_sent_again(
    ingest: RunningIngest, objects: Any, announced: dict[str, int], data: bytes, status: int, kind: str
) -> None:
    upload = await begun(ingest, **announced)
    answer = await put(ingest, upload, data)
    assert (answer.status, answer.body["kind"]) == (status, kind)
    assert objects(upload["id"]) == []
    assert (await put(ingest, upload, b"12345")).status == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"size": 0}, "size"),
        ({"size": "5"}, "size"),
        ({"size": 1 << 60}, "size"),
        ({"filename": ""}, "filename"),
        ({"filename": "a\x00"}, "filename"),
        ({"url": "http://h/a"}, "url"),
    ],
)
async def test_an_announcement_that_breaks_a_rule_names_the_field(
    ingest: RunningIngest, body: dict[str, Any], field: str
) -> None:
    answer = await ingest.post("/uploads", body)
    assert (answer.status, answer.fields) == (400, {field})


async def raw_put(ingest: RunningIngest, upload: dict[str, Any], headers: bytes, body: bytes) -> bytes:
    """Sends part of a file, closes the connection for sending, and returns what comes back."""
    url = urlsplit(ingest.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"PUT " + path_of(upload).encode() + b" HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n" + body)
    writer.write_eof()
    async with asyncio.timeout(60):
        received = await reader.read()
    writer.close()
    return received


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Length: 3000000\r\n", FILE[:1_500_000]),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\nhush\r\n"),
    ],
    ids=["length", "chunks", "framing"],
)
async def test_a_file_that_ends_early_leaves_nothing(
    ingest: RunningIngest, objects: Any, scratch: Any, headers: bytes, body: bytes
) -> None:
    upload = await begun(ingest)
    received = await raw_put(ingest, upload, headers, body)
    assert b"201" not in received.partition(b"\r\n")[0]
    await until(lambda: scratch() == [])
    assert objects(upload["id"]) == []
    assert (await put(ingest, upload)).status == 201


async def test_a_compressed_body_is_refused(ingest: RunningIngest, objects: Any) -> None:
    upload = await begun(ingest)
    answer = await ingest.send("PUT", path_of(upload), b"file", Authorization="", Content_Encoding="gzip")
    assert (answer.status, answer.body["kind"]) == (400, "invalid_input")
    assert objects(upload["id"]) == []


async def test_an_expired_address_stores_nothing(ingest: RunningIngest, objects: Any) -> None:
    upload = await begun(ingest)
    await ingest.pool.execute("UPDATE uploads SET expires_at = 1 WHERE id = $1", upload["id"])
    answer = await put(ingest, upload)
    assert (answer.status, answer.body["kind"]) == (410, "upload_expired")
    assert objects(upload["id"]) == []


async def purge(ingest: RunningIngest, storage: Path) -> None:
    hooks = {"uploads": expired_uploads(LocalStorage(storage))}
    retention = [each for each in RETENTION if getattr(each, "table", "") == "uploads"]
    await Purger(ingest.pool, "ingest", retention, lambda _: pytest.fail("it has no setting"), hooks=hooks).purge()


async def test_what_has_expired_is_removed_with_every_object_of_it(
    ingest: RunningIngest, objects: Any, ingest_storage: Path
) -> None:
    kept, expired, abandoned = await begun(ingest), await begun(ingest), await begun(ingest)
    for upload in (kept, expired):
        assert (await put(ingest, upload)).status == 201
    # Of an attempt whose process was killed between the put and its transaction.
    name = objects(expired["id"])[0].name
    await ingest.pool.execute("UPDATE uploads SET attempts = 2 WHERE id = $1", expired["id"])
    (objects(expired["id"])[0].with_name(name.replace("-1.bin", "-2.bin"))).write_bytes(b"of another attempt")
    await ingest.pool.execute(
        "UPDATE uploads SET expires_at = 1 WHERE id = ANY ($1::text[])", [expired["id"], abandoned["id"]]
    )
    await purge(ingest, ingest_storage)
    assert objects(expired["id"]) == []
    assert len(objects(kept["id"])) == 1
    rows = await ingest.pool.fetch("SELECT id FROM uploads WHERE id = ANY ($1::text[])", [kept["id"], expired["id"]])
    assert [row["id"] for row in rows] == [kept["id"]]


async def test_the_objects_of_an_upload_count_as_referenced_while_it_is_kept(
    ingest: RunningIngest, objects: Any, ingest_storage: Path
) -> None:
    upload = await begun(ingest)
    await put(ingest, upload)
    key = objects(upload["id"])[0].relative_to(ingest_storage).as_posix()
    other = key.replace("-1.bin", "-2.bin")
    found = [parsed for each in (key, other) if (parsed := parse_key(each)) is not None]
    assert len(found) == 2
    assert await referenced(ingest.pool, found) == {key}


async def test_a_project_has_a_bound_of_uploads(ingest: RunningIngest) -> None:
    key = await keys.create_key(ingest.pool, "uploads-bound", "uploads")
    await ingest.pool.execute(
        "INSERT INTO uploads (id, project, token_hash, created_at, expires_at) "
        "SELECT 'upl_' || number, $1, '', 1, 1e15 FROM generate_series(1, 1000) AS number",
        key.key.project,
    )
    answer = await ingest.post("/uploads", {}, Authorization=f"Bearer {key.text}")
    assert (answer.status, answer.body["kind"]) == (429, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0
    assert "MAX_UPLOADS=1000" in answer.body["message"]


async def test_a_job_of_an_upload_gets_the_stored_file(ingest: RunningIngest, events: EventLog, objects: Any) -> None:
    upload = await begun(ingest, filename="clip.mov")
    stored = (await put(ingest, upload)).body
    answer = await ingest.post("/jobs", {"input": stored["address"], "kind": "video"})
    assert (answer.status, answer.body["input"]) == (201, stored["address"])
    source = (await events.first(JobCreated, answer.body["id"])).job.source
    assert source is not None
    assert (source.filesize, source.kind) == (len(FILE), "unknown")
    assert [path.as_posix().endswith(source.key) for path in objects(upload["id"])] == [True]
    row = await ingest.pool.fetchval("SELECT request FROM jobs WHERE id = $1", answer.body["id"])
    assert row["source"]["key"] == source.key, "it is announced again as it was"


async def test_an_upload_is_kept_while_an_unfinished_job_uses_it(
    ingest: RunningIngest, objects: Any, ingest_storage: Path
) -> None:
    upload = await begun(ingest)
    stored = (await put(ingest, upload)).body
    job = (await ingest.post("/jobs", {"input": stored["address"], "kind": "video"})).body
    await ingest.pool.execute("UPDATE uploads SET expires_at = 1 WHERE id = $1", upload["id"])
    await purge(ingest, ingest_storage)
    assert len(objects(upload["id"])) == 1
    await ingest.pool.execute("UPDATE jobs SET ended = 'failed', ended_at = 2 WHERE id = $1", job["id"])
    await purge(ingest, ingest_storage)
    assert objects(upload["id"]) == []


@pytest.mark.parametrize(("path", "field"), [("/jobs", "input"), ("/media", "url")])
async def test_an_upload_without_its_file_or_that_expires_is_no_input(
    ingest: RunningIngest, events: EventLog, path: str, field: str
) -> None:
    upload, expiring = await begun(ingest), await begun(ingest)
    stored = (await put(ingest, expiring)).body
    await ingest.pool.execute("UPDATE uploads SET expires_at = expires_at - 86400000 WHERE id = $1", expiring["id"])
    of_nobody = upload["address"].replace(upload["id"], typeid("upl", uuid7(1, b"0123456789")))
    of_others = upload["address"].replace(ingest.project, typeid("prj", uuid7(1, b"0123456789")))
    for address in (upload["address"], stored["address"], of_nobody, of_others):
        body = {field: address} | ({"kind": "video"} if field == "input" else {})
        answer = await ingest.post(path, body)
        assert (answer.status, answer.fields) == (400, {field}), address
    body = {"input": stored["address"], "kind": "video"}
    mark = f"{path}-{expiring['id']}"
    await ingest.submit("job.submitted", orjson.dumps(body), ce_id=mark, ce_project=ingest.project, mark=mark)
    assert (await events.dead_letter(mark))["reason_code"] == "invalid_input"


async def test_a_media_item_of_an_upload_has_a_copy_of_the_file(
    ingest: RunningIngest, objects: Any, material: Material
) -> None:
    file = material.footage.chelsea.read_bytes()
    upload = await begun(ingest)
    stored = (await put(ingest, upload, file)).body
    answer = await ingest.post("/media", {"url": stored["address"], "title": "T"})
    item = answer.body["data"]
    assert (answer.status, item["status"], item["kind"], item["filesize"]) == (200, "active", "image", len(file))
    assert len(objects(upload["id"])) == 1


def test_the_address_of_an_upload_is_not_contacted() -> None:
    """Of an installation on a private address, as `bitmill up` is: what is fetched may not be there."""
    base = "http://127.0.0.1:8080"
    address = f"{base}/{typeid('prj', uuid7(1, b'0123456789'))}/{typeid('upl', uuid7(1, b'0123456789'))}"
    assert media_request({"url": address}, EgressPolicy(()), 0, base).url == address
    assert job_request({"input": address, "kind": "video"}, EgressPolicy(()), base).input == address
    with pytest.raises(ApiError, match="url is refused"):
        media_request({"url": f"{base}/file.mp4"}, EgressPolicy(()), 0, base)
