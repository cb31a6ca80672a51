"""POST /media: the file is fetched, probed, stored and announced, or the item says why not."""

from pathlib import Path
from typing import Any

import pytest

from schemas.events import MediaAccepted, MediaCreated, MediaFailed
from schemas.ids import is_id
from tests.services.ingest.system import FileServer, Heard, System


async def test_a_clip_is_stored_and_can_be_read_from_the_answer(
    system: System, heard: Heard, files: FileServer, ingest_storage: Path
) -> None:
    body = {
        "url": f"{files.url}/clip.mp4?signature=1234567890",
        "filename": "new-filename.mp4",
        "folder": "your/folder/path",
        "title": "My Video Upload",
        "metadata": {"user_id": "123", "source": "YourApp/iOS"},
    }
    answer = await system.post("/media", body)
    data = answer.body["data"]
    assert (answer.status, data["status"], data["kind"]) == (200, "active", "video")
    assert {name: data[name] for name in ("folder", "title", "filename", "metadata")} == {
        name: body[name] for name in ("folder", "title", "filename", "metadata")
    }
    assert data["original"] == f"https://api.example.com/{system.project}/your/folder/path/new-filename.mp4"
    meta = answer.body["meta"]
    assert (meta["project_id"], meta["type"], meta["version"]) == (system.project, "object", "2024-08-21")
    assert meta["id"] == answer.headers["X-Request-Id"]
    accepted = await heard.first(MediaAccepted, data["id"])
    created = await heard.first(MediaCreated, data["id"])
    assert (accepted.media.version, created.media.version) == (1, 2)
    assert "signature" not in accepted.model_dump_json() + created.model_dump_json()
    stored = ingest_storage / created.media.original.key
    assert stored.stat().st_size == data["filesize"]


async def test_pictures_and_films_ask_for_a_poster(system: System, heard: Heard, files: FileServer) -> None:
    answer = await system.post("/media", {"url": f"{files.url}/photo.png"})
    created = await heard.first(MediaCreated, answer.body["data"]["id"])
    (job,) = created.jobs
    assert (job.ref, job.kind, job.media_id) == ("poster", "image", created.media.id)
    assert job.options == {"format": "jpeg", "width": 451}
    assert job.source == created.media.original
    assert await system.count(f"jobs WHERE id = '{job.id}' AND media_id = '{created.media.id}'") == 1


async def test_sound_asks_for_no_poster(system: System, heard: Heard, files: FileServer) -> None:
    answer = await system.post("/media", {"url": f"{files.url}/tone.mp3"})
    assert answer.body["data"]["kind"] == "audio"
    assert (await heard.first(MediaCreated, answer.body["data"]["id"])).jobs == []


async def test_names_that_were_not_given_follow_from_the_file(system: System, files: FileServer) -> None:
    data = (await system.post("/media", {"url": f"{files.url}/photo.png"})).body["data"]
    name, _, ending = data["filename"].rpartition(".")
    assert is_id(name, "file")
    assert (ending, data["title"], data["folder"]) == ("png", data["filename"], None)
    assert data["original"].endswith(f"/{system.project}/media/{data['filename']}")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/status/404", "input_not_found"),
        ("/status/403", "input_denied"),
        ("/page.mp4", "input_unreadable"),
        ("/empty.mp4", "input_empty"),
        ("/truncated.mp4", "input_truncated"),
        ("/away", "input_forbidden"),
    ],
)
async def test_a_file_that_cannot_be_had_is_a_failed_item_with_a_sentence(
    system: System, heard: Heard, files: FileServer, path: str, kind: str
) -> None:
    answer = await system.post("/media", {"url": files.url + path})
    data = answer.body["data"]
    assert (answer.status, data["status"], data["error"]["kind"]) == (200, "failed", kind)
    assert data["error"]["message"]
    failed = await heard.first(MediaFailed, data["id"])
    assert (failed.media.version, failed.media.error.kind) == (2, kind)


async def test_a_server_that_fails_once_is_asked_again(system: System, files: FileServer) -> None:
    data = (await system.post("/media", {"url": f"{files.url}/flaky/photo.png"})).body["data"]
    assert (data["status"], files.asked["/flaky/photo.png"]) == ("active", 2)


async def test_a_name_belongs_to_one_item(system: System, files: FileServer) -> None:
    body = {"url": f"{files.url}/photo.png", "filename": "one.png", "folder": "names"}
    assert (await system.post("/media", body)).status == 200
    before = await system.count("media")
    again = await system.post("/media", body)
    assert (again.status, again.body["error"]["kind"], again.fields) == (409, "conflict", {"folder", "filename"})
    assert (await system.count("media"), again.body["data"]) == (before, None)
    assert (await system.post("/media", {**body, "folder": "names/other"})).status == 200


async def test_a_failed_item_gives_its_name_back(system: System, files: FileServer) -> None:
    body = {"url": f"{files.url}/status/404", "filename": "again.png"}
    assert (await system.post("/media", body)).body["data"]["status"] == "failed"
    data = (await system.post("/media", {**body, "url": f"{files.url}/photo.png"})).body["data"]
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
async def test_a_refusal_comes_in_the_envelope_and_leaves_nothing_behind(
    system: System, change: dict[str, Any], field: str
) -> None:
    before = [await system.count(table) for table in ("media", "queue", "names")]
    answer = await system.post("/media", {"url": "https://example.com/a.mp4", **change})
    assert (answer.status, answer.body["error"]["kind"], answer.body["data"]) == (400, "invalid_input", None)
    assert field in answer.fields
    assert [await system.count(table) for table in ("media", "queue", "names")] == before
