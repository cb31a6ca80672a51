"""POST /media: the file is fetched, probed, stored and published, or the item has the reason."""

from pathlib import Path
from typing import Any

import pytest

from schemas.events import MediaAccepted, MediaCreated, MediaFailed, MediaUpdated
from schemas.ids import is_id
from tests.services.ingest.support import EventLog, RunningIngest
from tests.support.file_server import FileServer, fails_first, redirect


async def test_a_video_is_stored_and_described_in_the_answer(
    ingest: RunningIngest, events: EventLog, files: FileServer, ingest_storage: Path
) -> None:
    body = {
        "url": files.url("clip.mp4?signature=1234567890"),
        "filename": "new-filename.mp4",
        "folder": "your/folder/path",
        "title": "My Video Upload",
        "metadata": {"user_id": "123", "source": "YourApp/iOS"},
    }
    answer = await ingest.post("/media", body)
    data = answer.body["data"]
    assert (answer.status, data["status"], data["kind"]) == (200, "active", "video")
    assert {name: data[name] for name in ("folder", "title", "filename", "metadata")} == {
        name: body[name] for name in ("folder", "title", "filename", "metadata")
    }
    assert data["original"] == f"https://api.example.com/{ingest.project}/your/folder/path/new-filename.mp4"
    meta = answer.body["meta"]
    assert (meta["project_id"], meta["type"], meta["version"]) == (ingest.project, "object", "2024-08-21")
    assert meta["id"] == answer.headers["X-Request-Id"]
    accepted = await events.first(MediaAccepted, data["id"])
    created = await events.first(MediaCreated, data["id"])
    assert (accepted.media.version, created.media.version) == (1, 2)
    assert "signature" not in accepted.model_dump_json() + created.model_dump_json()
    stored = ingest_storage / created.media.original.key
    assert stored.stat().st_size == data["filesize"]


async def test_images_and_videos_request_a_poster(ingest: RunningIngest, events: EventLog, files: FileServer) -> None:
    answer = await ingest.post("/media", {"url": files.url("photo.png")})
    created = await events.first(MediaCreated, answer.body["data"]["id"])
    (job,) = created.jobs
    assert (job.ref, job.kind, job.media_id) == ("poster", "image", created.media.id)
    assert job.options == {"format": "jpeg", "width": 451}
    assert job.source == created.media.original
    assert await ingest.count(f"jobs WHERE id = '{job.id}' AND media_id = '{created.media.id}'") == 1


async def test_audio_requests_no_poster(ingest: RunningIngest, events: EventLog, files: FileServer) -> None:
    answer = await ingest.post("/media", {"url": files.url("tone.mp3")})
    assert answer.body["data"]["kind"] == "audio"
    assert (await events.first(MediaCreated, answer.body["data"]["id"])).jobs == []


async def test_missing_names_derive_from_the_file(ingest: RunningIngest, files: FileServer) -> None:
    data = (await ingest.post("/media", {"url": files.url("photo.png")})).body["data"]
    name, _, ending = data["filename"].rpartition(".")
    assert is_id(name, "file")
    assert (ending, data["title"], data["folder"]) == ("png", data["filename"], None)
    assert data["original"].endswith(f"/{ingest.project}/media/{data['filename']}")


async def test_the_keys_of_metadata_keep_their_order(
    ingest: RunningIngest, events: EventLog, files: FileServer
) -> None:
    metadata = {"zebra": "1", "b": "2", "aa": "3", "a": "4"}
    answer = await ingest.post("/media", {"url": files.url("photo.png"), "metadata": metadata})
    accepted = await events.first(MediaAccepted, answer.body["data"]["id"])
    created = await events.first(MediaCreated, answer.body["data"]["id"])
    stored = await ingest.pool.fetchval("SELECT item FROM media WHERE id = $1", answer.body["data"]["id"])
    shown = [answer.body["data"]["metadata"], accepted.media.metadata, created.media.metadata, stored["metadata"]]
    assert [list(each) for each in shown] == [list(metadata)] * 4


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("no-such-file.mp4", "input_not_found"),
        ("denied.mp4", "input_denied"),
        ("page.mp4", "input_unreadable"),
        ("empty.mp4", "input_empty"),
        ("truncated.mp4", "input_truncated"),
        ("private.mp4", "input_forbidden"),
    ],
)
async def test_a_file_that_cannot_be_imported_is_a_failed_item_with_a_reason(
    ingest: RunningIngest, events: EventLog, files: FileServer, path: str, kind: str
) -> None:
    answer = await ingest.post("/media", {"url": files.url(path)})
    data = answer.body["data"]
    assert (answer.status, data["status"], data["error"]["kind"]) == (200, "failed", kind)
    assert data["error"]["message"]
    failed = await events.first(MediaFailed, data["id"])
    assert (failed.media.version, failed.media.error.kind) == (2, kind)


async def test_a_server_that_fails_once_is_retried(ingest: RunningIngest, events: EventLog, files: FileServer) -> None:
    url = files.answer("flaky.png", fails_first(redirect(files.url("photo.png")), times=1))
    data = (await ingest.post("/media", {"url": url})).body["data"]
    assert (data["status"], files.requests["flaky.png"]) == ("active", 2)
    assert (data["error"], data["retry_at"]) == (None, None)
    retrying = (await events.first(MediaUpdated, data["id"])).media
    assert (retrying.status, retrying.version, retrying.error.kind) == ("processing", 2, "input_unreachable")
    assert retrying.retry_at > retrying.updated_at
    created = (await events.first(MediaCreated, data["id"])).media
    assert (created.version, created.error, created.retry_at) == (3, None, None)


async def test_a_name_belongs_to_one_item(ingest: RunningIngest, files: FileServer) -> None:
    body = {"url": files.url("photo.png"), "filename": "one.png", "folder": "names"}
    assert (await ingest.post("/media", body)).status == 200
    before = await ingest.count("media")
    again = await ingest.post("/media", body)
    assert (again.status, again.body["error"]["kind"], again.fields) == (409, "conflict", {"folder", "filename"})
    assert (await ingest.count("media"), again.body["data"]) == (before, None)
    assert (await ingest.post("/media", {**body, "folder": "names/other"})).status == 200


async def test_the_name_of_a_failed_item_is_free_again(ingest: RunningIngest, files: FileServer) -> None:
    body = {"url": files.url("no-such-file.mp4"), "filename": "again.png"}
    assert (await ingest.post("/media", body)).body["data"]["status"] == "failed"
    data = (await ingest.post("/media", {**body, "url": files.url("photo.png")})).body["data"]
    assert data["status"] == "active"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "http://169.254.169.254/a.mp4"}, "url"),
        ({"url": "ftp://example.com/a.mp4"}, "url"),
        ({"filename": "../a.mp4"}, "filename"),
        ({"folder": "a//b"}, "folder"),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"title": 7}, "title"),
        ({"nonsense": True}, "nonsense"),
    ],
)
async def test_a_refused_body_is_answered_in_the_envelope_and_stores_nothing(
    ingest: RunningIngest, change: dict[str, Any], field: str
) -> None:
    before = [await ingest.count(table) for table in ("media", "job_queue", "names")]
    answer = await ingest.post("/media", {"url": "https://example.com/a.mp4", **change})
    assert (answer.status, answer.body["error"]["kind"], answer.body["data"]) == (400, "invalid_input", None)
    assert field in answer.fields
    assert [await ingest.count(table) for table in ("media", "job_queue", "names")] == before
