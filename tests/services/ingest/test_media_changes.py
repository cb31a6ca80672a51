"""PATCH and DELETE /media/{id}, and restoring: the answer, the event, the names, and the stored files in the end."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from chassis.adapters.http.json_body import json_bytes
from chassis.adapters.storage import open_storage
from chassis.core.ids import new_id
from chassis.runtime.outbox import Outbox
from chassis.runtime.purge import Purger
from schemas.api import MediaPatch, MetadataOutOfBounds
from schemas.events import CancelRequested, MediaCreated, MediaDeleted, MediaPurged, MediaRestored, MediaUpdated
from schemas.files import File
from schemas.media import Derived, MediaItem
from services.ingest import keys, transitions
from services.ingest.app import RETENTION
from services.ingest.deleted_media import deleted_media
from services.ingest.store import Store
from tests.services.ingest.support import Answer, EventLog, RunningIngest, running
from tests.support.file_server import FileServer
from tests.support.system import free_port
from tests.support.waiting import until

DAY = timedelta(days=1)


async def new_item(ingest: RunningIngest, files: FileServer, **body: Any) -> dict[str, Any]:
    answer = await ingest.post("/media", {"url": files.url("photo.png"), **body})
    assert answer.body["data"]["status"] == "active", answer.body
    data: dict[str, Any] = answer.body["data"]
    return data


def without_times(resource: dict[str, Any]) -> dict[str, Any]:
    """The item without the time of its last change, which its sources have as well: in whole seconds."""
    kept = {key: value for key, value in resource.items() if key != "updated"}
    return {**kept, "sources": [{**source, "updated": None} for source in resource["sources"]]}


async def change(ingest: RunningIngest, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    return await ingest.send(method, path, None if body is None else json_bytes(body), **headers)


async def test_the_example_of_the_documentation_changes_title_folder_and_metadata(
    ingest: RunningIngest, events: EventLog, files: FileServer
) -> None:
    metadata = {"original_filename": "your-file.mp4", "user_id": "123", "purpose": "profile_video"}
    item = await new_item(ingest, files, filename="seed.png", folder="your/folder", metadata=metadata)
    patch = {
        "title": "My New Title",
        "folder": "new/folder/path",
        "metadata": {"new_value": "New value", "purpose": None},
    }
    answer = await change(ingest, "PATCH", f"/media/{item['id']}", patch)
    data, meta = answer.body["data"], answer.body["meta"]
    assert (answer.status, meta["method"], meta["type"]) == (200, "PATCH", "object")
    assert (data["title"], data["folder"], data["filename"]) == ("My New Title", "new/folder/path", "seed.png")
    assert data["metadata"] == {"original_filename": "your-file.mp4", "user_id": "123", "new_value": "New value"}
    assert data["original"].endswith("/new/folder/path/seed.png")
    updated = await events.first(MediaUpdated, item["id"])
    assert (updated.media.original_path, updated.media.version) == ("new/folder/path/seed.png", 3)
    # The former name is free, and the new one is not.
    await new_item(ingest, files, filename="seed.png", folder="your/folder")
    taken = await ingest.post(
        "/media", {"url": files.url("photo.png"), "filename": "seed.png", "folder": "new/folder/path"}
    )
    assert (taken.status, taken.fields) == (409, {"folder", "filename"})


async def test_what_is_left_out_stays_and_an_empty_object_removes_all_metadata(
    ingest: RunningIngest, files: FileServer
) -> None:
    item = await new_item(ingest, files, title="A", folder="left-out", filename="b.png", metadata={"a": "1"})
    path = f"/media/{item['id']}"
    same = (await change(ingest, "PATCH", path, {})).body["data"]
    assert without_times(same) == without_times(item)
    cleared = (await change(ingest, "PATCH", path, {"metadata": {}, "title": None})).body["data"]
    assert (cleared["metadata"], cleared["title"], cleared["folder"]) == ({}, None, "left-out")
    moved = (await change(ingest, "PATCH", path, {"folder": None})).body["data"]
    assert (moved["folder"], moved["original"].rpartition("/")[0].rpartition("/")[2]) == (None, "media")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"folder": "../up"}, "folder"),
        ({"folder": "a/med_01kg75gs80ebfsgf8txjabsyef"}, "folder"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": "all"}, "metadata"),
        ({"title": "x" * 501}, "title"),
        ({"overwrite": "yes"}, "overwrite"),
        ({"filename": "a.png"}, "filename"),
        ({"metadata": {f"key{n}": "v" for n in range(64)}}, "metadata"),
    ],
)
async def test_a_refused_change_names_the_field_and_changes_nothing(
    ingest: RunningIngest, files: FileServer, body: dict[str, Any], field: str
) -> None:
    item = await new_item(ingest, files, metadata={"first": "1"})
    answer = await change(ingest, "PATCH", f"/media/{item['id']}", body)
    assert (answer.status, answer.body["error"]["kind"]) == (400, "invalid_input")
    assert field in answer.fields
    stored = await ingest.pool.fetchrow("SELECT version, item FROM media WHERE id = $1", item["id"])
    assert stored is not None and (stored["version"], stored["item"]["metadata"]) == (2, {"first": "1"})


async def test_a_folder_that_has_the_name_already_is_refused(ingest: RunningIngest, files: FileServer) -> None:
    await new_item(ingest, files, filename="same.png", folder="taken")
    other = await new_item(ingest, files, filename="same.png", folder="other")
    answer = await change(ingest, "PATCH", f"/media/{other['id']}", {"folder": "taken"})
    assert (answer.status, answer.fields) == (409, {"folder", "filename"})
    assert await ingest.count(f"names WHERE media_id = '{other['id']}' AND path = 'other/same.png'") == 1


async def test_fifty_changes_at_once_are_all_kept(ingest: RunningIngest, files: FileServer) -> None:
    item = await new_item(ingest, files)
    path = f"/media/{item['id']}"
    answers = await asyncio.gather(
        *(change(ingest, "PATCH", path, {"metadata": {f"key{n}": str(n)}}) for n in range(50))
    )
    assert {answer.status for answer in answers} == {200}
    stored = await ingest.pool.fetchval("SELECT item FROM media WHERE id = $1", item["id"])
    assert stored["metadata"] == {f"key{n}": str(n) for n in range(50)}


async def test_a_deleted_item_is_gone_its_name_is_free_and_its_jobs_are_cancelled(
    ingest: RunningIngest, events: EventLog, files: FileServer
) -> None:
    item = await new_item(ingest, files, filename="gone.png", folder="deleted")
    created = await events.first(MediaCreated, item["id"])
    # As if it had failed and were run again.
    await ingest.pool.execute("UPDATE jobs SET run = 2 WHERE id = $1", created.jobs[0].id)
    answer = await change(ingest, "DELETE", f"/media/{item['id']}")
    assert (answer.status, answer.body["data"], answer.body["meta"]["type"]) == (200, None, None)
    assert answer.body["links"] == {"parent": "https://api.example.com/media"}
    deleted = await events.first(MediaDeleted, item["id"])
    assert (deleted.media.status, deleted.media.version) == ("deleted", 3)
    assert (await events.first(CancelRequested, created.jobs[0].id)).run == 2
    for method, path, body in (
        ("DELETE", f"/media/{item['id']}", None),
        ("PATCH", f"/media/{item['id']}", {"title": "x"}),
    ):
        again = await change(ingest, method, path, body)
        assert (again.status, again.body["error"]["kind"]) == (404, "media_not_found")
    await new_item(ingest, files, filename="gone.png", folder="deleted")
    taken = await change(ingest, "POST", f"/media/{item['id']}/restore")
    assert (taken.status, taken.fields) == (409, {"folder", "filename"})


async def test_a_restored_item_is_as_it_was(ingest: RunningIngest, events: EventLog, files: FileServer) -> None:
    item = await new_item(ingest, files, filename="back.png", folder="restored", metadata={"a": "1"})
    early = await change(ingest, "POST", f"/media/{item['id']}/restore")
    assert (early.status, early.body["error"]["kind"]) == (409, "conflict")
    await change(ingest, "DELETE", f"/media/{item['id']}")
    data = (await change(ingest, "POST", f"/media/{item['id']}/restore")).body["data"]
    assert without_times(data) == without_times(item)
    assert (await events.first(MediaRestored, item["id"])).media.status == "active"
    assert await ingest.pool.fetchval("SELECT deleted_at FROM media WHERE id = $1", item["id"]) is None


async def test_an_item_that_is_deleted_while_it_is_imported_is_fetched_no_further(
    fresh_dsn: str, kafka_bootstrap: str, tmp_path: Path
) -> None:
    async with running(fresh_dsn, kafka_bootstrap, tmp_path / "storage", media_wait=timedelta(0)) as ingest:
        slow = (await ingest.post("/media", {"url": f"http://127.0.0.1:{free_port()}/away.png"})).body["data"]
        assert slow["status"] == "processing"
        busy = await change(ingest, "PATCH", f"/media/{slow['id']}", {"title": "x"})
        assert (busy.status, busy.headers["Retry-After"]) == (409, "2")
        assert (await change(ingest, "DELETE", f"/media/{slow['id']}")).status == 200

        async def is_cancelled() -> bool:
            state = await ingest.pool.fetchval("SELECT state FROM job_queue WHERE id = $1", slow["id"])
            return bool(state == "cancelled")

        await until(is_cancelled, within=60)
        lost = await change(ingest, "POST", f"/media/{slow['id']}/restore")
        assert (lost.status, lost.body["error"]["kind"]) == (409, "conflict")


async def test_with_overwrite_the_newest_item_has_the_name_and_the_older_ones_stay_reachable(
    ingest: RunningIngest, events: EventLog, files: FileServer
) -> None:
    name = {"folder": "over", "filename": "same.png"}
    first = await new_item(ingest, files, **name)
    second = await new_item(ingest, files, **name, overwrite=True)
    displaced = (await events.first(MediaUpdated, first["id"])).media
    assert displaced.original is not None
    assert (second["filename"], second["original"]) == (first["filename"], first["original"])
    assert (displaced.filename, displaced.original_path, displaced.status) == (
        f"{displaced.original.id}.png",
        f"over/{displaced.original.id}.png",
        "active",
    )
    # An item that is moved takes the name as well.
    third = await new_item(ingest, files, folder="elsewhere", filename="same.png")
    moved = await change(ingest, "PATCH", f"/media/{third['id']}", {"folder": "over", "overwrite": True})
    assert (moved.status, moved.body["data"]["original"]) == (200, first["original"])
    held = await names_of(ingest, first["id"], second["id"], third["id"])
    assert held[first["id"]] == displaced.original_path
    assert held[second["id"]].startswith("over/file_")
    assert held[third["id"]] == "over/same.png"
    # The older ones can be changed and deleted as before.
    for id in (first["id"], second["id"]):
        assert (await change(ingest, "PATCH", f"/media/{id}", {"title": "older"})).status == 200
        assert (await change(ingest, "DELETE", f"/media/{id}")).status == 200


async def test_an_item_without_a_file_takes_no_name(ingest: RunningIngest, files: FileServer) -> None:
    item = await new_item(ingest, files, folder="kept", filename="kept.png")
    body = {"url": files.url("missing.png"), "folder": "kept", "filename": "kept.png", "overwrite": True}
    assert (await ingest.post("/media", body)).body["data"]["status"] == "failed"
    assert await names_of(ingest, item["id"]) == {item["id"]: "kept/kept.png"}


async def test_of_many_items_that_overwrite_one_name_at_once_one_has_it_and_all_are_stored(
    ingest: RunningIngest, files: FileServer
) -> None:
    body = {"url": files.url("photo.png"), "folder": "crowd", "filename": "one.png", "overwrite": True}
    answers = await asyncio.gather(*(ingest.post("/media", body) for _ in range(10)))
    ids = {answer.body["data"]["id"] for answer in answers}

    async def all_are_stored() -> bool:
        rows = await ingest.pool.fetch("SELECT status FROM media WHERE id = ANY ($1::text[])", list(ids))
        return [row["status"] for row in rows] == ["active"] * 10

    await until(all_are_stored, within=60)
    held = await names_of(ingest, *ids)
    assert set(held) == ids
    assert list(held.values()).count("crowd/one.png") == 1


async def names_of(ingest: RunningIngest, *ids: str) -> dict[str, str]:
    rows = await ingest.pool.fetch("SELECT media_id, path FROM names WHERE media_id = ANY ($1::text[])", list(ids))
    assert len(rows) == len(ids), "one name each"
    return {row["media_id"]: row["path"] for row in rows}


async def test_if_match_allows_only_changes_of_the_version_that_was_read(
    ingest: RunningIngest, files: FileServer
) -> None:
    item = await new_item(ingest, files)
    path = f"/media/{item['id']}"
    first = await change(ingest, "PATCH", path, {"title": "first"}, **{"If-Match": '"2"'})
    assert (first.status, first.headers["ETag"]) == (200, '"3"')
    for method, body in (("PATCH", {"title": "second"}), ("DELETE", None)):
        for tag in ('"2"', 'W/"3"', "3"):
            late = await change(ingest, method, path, body, **{"If-Match": tag})
            assert (late.status, late.body["error"]["kind"], late.headers["ETag"]) == (412, "version_mismatch", '"3"')
    assert (await change(ingest, "PATCH", path, {}, **{"If-Match": "*"})).body["data"]["title"] == "first"
    assert (await change(ingest, "DELETE", path, **{"If-Match": '"1", "4"'})).status == 200


async def test_items_of_others_are_not_found(ingest: RunningIngest, files: FileServer) -> None:
    item = await new_item(ingest, files)
    stranger = {"Authorization": f"Bearer {(await keys.create_key(ingest.pool, 'stranger')).text}"}
    for method, path, body in (
        ("PATCH", f"/media/{item['id']}", {"title": "x"}),
        ("DELETE", f"/media/{item['id']}", None),
        ("POST", f"/media/{item['id']}/restore", None),
        ("DELETE", "/media/med_%00", None),
    ):
        answer = await change(ingest, method, path, body, **stranger)
        assert (answer.status, answer.body["error"]["kind"]) == (404, "media_not_found"), path
    assert await ingest.pool.fetchval("SELECT version FROM media WHERE id = $1", item["id"]) == 2


async def test_the_files_of_deleted_items_are_removed_after_their_time_and_no_others(
    ingest: RunningIngest, events: EventLog, files: FileServer, ingest_storage: Path
) -> None:
    old, young, kept = [await new_item(ingest, files) for _ in range(3)]
    stored = {item["id"]: (await events.first(MediaCreated, item["id"])).media for item in (old, young, kept)}
    for item in (old, young):
        await change(ingest, "DELETE", f"/media/{item['id']}")
    await ingest.pool.execute("UPDATE media SET deleted_at = deleted_at - 2 * 86400000 WHERE id = $1", old["id"])
    late = await change(ingest, "POST", f"/media/{old['id']}/restore")
    assert (late.status, late.body["error"]["kind"]) == (409, "conflict")
    outbox = Outbox(ingest.pool, "ingest")
    async with open_storage(ingest_storage.as_uri()) as storage:
        hook = deleted_media(storage, Store(ingest.pool), outbox)
        purger = Purger(ingest.pool, "ingest", RETENTION, lambda _: DAY, hooks={"media": hook})
        assert (await purger.purge())["media"] == 1
    assert [(ingest_storage / item.original.key).exists() for item in stored.values()] == [False, True, True]
    assert (await events.first(MediaPurged, old["id"])).media.version == 4
    assert await ingest.count(f"media WHERE id = '{old['id']}'") == 0


def item(**values: Any) -> MediaItem:
    file = File(id=new_id("file"), key="k", kind="image", format="png", content_type="image/png", filesize=1)
    base = {"id": new_id("med"), "project": new_id("prj"), "version": 7, "status": "active", "original": file}
    return MediaItem.model_validate({**base, "created_at": 1, "updated_at": 5, **values})


def test_derived_files_move_with_the_item() -> None:
    moved_file = File(id=new_id("file"), key="p", kind="image", format="jpeg", content_type="image/jpeg", filesize=1)
    one = item(filename="a.png", folder="x", original_path="x/a.png")
    one = one.model_copy(update={"files": [Derived(ref="poster", path=f"x/{one.id}/poster.jpg", file=moved_file)]})
    moved = transitions.edited(one, MediaPatch(folder="y/z"), at=9)
    assert (moved.original_path, moved.files[0].path) == ("y/z/a.png", f"y/z/{one.id}/poster.jpg")
    assert (moved.files[0].file, moved.original, moved.version) == (moved_file, one.original, 8)


def test_merged_metadata_stays_within_its_bounds_and_keeps_its_order() -> None:
    patch = MediaPatch(metadata={"b": "2", "gone": None, "a": "new"})
    assert orjson.dumps(patch.merged({"a": "1", "gone": "x", "c": "3"})) == b'{"a":"new","c":"3","b":"2"}'
    with pytest.raises(MetadataOutOfBounds, match="at most 64 keys, has 65"):
        MediaPatch(metadata={"one": "more"}).merged({f"key{n}": "" for n in range(64)})
