"""The requests that the documents describe, written for this project: with curl, Python, Node and the command line."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.file_server import FileServer
from tests.support.processes import shell
from tests.support.system import BitmillUp
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver

METADATA = {"user_id": "usr_7", "submission_id": "sub_12", "campaign": "winter"}


def _job(uploads: FileServer, **changes: Any) -> dict[str, Any]:
    job = {
        "input": uploads.url("video-9182.mov"),
        "kind": "video",
        "options": {"width": 1280, "format": "mp4"},
        "metadata": METADATA,
    }
    return {**job, **changes}


async def _by_curl(address: str, body: str, up: BitmillUp, cwd: Path) -> dict[str, Any]:
    script = """
curl -sS -X POST "$ADDRESS" -H "Authorization: Bearer $ITTYBIT_API_KEY" -H "Content-Type: application/json" -d "$BODY"
"""
    done = await shell(["bash", "-euc", script], cwd=cwd, env={**up.env, "ADDRESS": address, "BODY": body})
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def _by_python(address: str, body: str, up: BitmillUp, cwd: Path) -> dict[str, Any]:
    script = """
import json, os, requests
answer = requests.post(
    os.environ["ADDRESS"],
    headers={"Authorization": f"Bearer {os.environ['ITTYBIT_API_KEY']}"},
    json=json.loads(os.environ["BODY"]),
)
print(json.dumps(answer.json()))
"""
    done = await shell([sys.executable, "-c", script], cwd=cwd, env={**up.env, "ADDRESS": address, "BODY": body})
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def _by_node(address: str, body: str, up: BitmillUp, cwd: Path) -> dict[str, Any]:
    script = """
const answer = await fetch(process.env.ADDRESS, {
  method: 'POST',
  headers: { Authorization: `Bearer ${process.env.ITTYBIT_API_KEY}`, 'Content-Type': 'application/json' },
  body: process.env.BODY,
});
console.log(JSON.stringify(await answer.json()));
"""
    command = [str(shutil.which("node")), "--input-type=module", "--eval", script]
    done = await shell(command, cwd=cwd, env={**up.env, "ADDRESS": address, "BODY": body})
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


CLIENTS = {"curl": _by_curl, "python": _by_python, "node": _by_node}


@pytest.mark.parametrize("resource", ["job", "task"])
@pytest.mark.parametrize("client", CLIENTS)
async def test_metadata_is_returned_in_the_answer_and_in_the_webhook(
    client: str, resource: str, up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver, tmp_path: Path
) -> None:
    if not shutil.which(client) and client != "python":
        assert not os.environ.get("CI"), f"there is no {client}, and in CI nothing is left out"
        pytest.skip(f"no {client} on this machine")
    body = json.dumps(_job(uploads, webhook_url=hooks.url()))
    job = await CLIENTS[client](f"{up.api.address}/{resource}s", body, up, tmp_path)
    assert job["id"].startswith(f"{resource}_")
    assert (job["status"], job["metadata"], job["output"]) == ("queued", METADATA, None)
    webhook = await hooks.webhook(job["id"])
    assert (webhook["status"], webhook["metadata"]) == ("succeeded", METADATA)
    assert webhook["output"]["url"].startswith(up.api.address)
    assert (webhook["output"]["width"], webhook["output"]["height"]) == (1280, 720)
    assert await up.api.finished(job["id"]) == webhook


async def test_three_jobs_of_one_upload_run_in_parallel(up: BitmillUp, uploads: FileServer) -> None:
    upload = uploads.url("clip.mov")
    wanted: list[dict[str, Any]] = [
        {"input": upload, "kind": "video", "options": {"width": 1920, "format": "mp4", "quality": "high"}},
        {"input": upload, "kind": "image", "options": {"start": 2, "width": 640, "format": "webp"}},
        {"input": upload, "kind": "video", "options": {"width": 480, "quality": "low", "format": "mp4"}},
    ]
    jobs = [await up.api.post("/jobs", body) for body in wanted]
    done = [await up.api.finished(job["id"]) for job in jobs]
    assert [job["status"] for job in done] == ["succeeded"] * 3, [job["error"] for job in done]
    assert [job["output"]["format"] for job in done] == ["mp4", "webp", "mp4"]
    assert [job["output"]["width"] for job in done] == [1920, 640, 480]


LINES = {
    "clip-hd.mp4": "ittybit video -i clip.mov -o clip-hd.mp4 --width 1920 --quality high",
    "clip-thumb.webp": "ittybit image -i clip.mov -o clip-thumb.webp --start 2 --width 640",
    "clip-preview.mp4": "ittybit video -i clip.mov -o clip-preview.mp4 --width 480 --quality low",
    "photo-full.webp": "ittybit image -i photo.png -o photo-full.webp --width 1920 --quality high",
    "photo-thumb.webp": "ittybit image -i photo.png -o photo-thumb.webp --width 320 --quality medium",
}


def without_any_service(up: BitmillUp) -> dict[str, str]:
    """The environment of a shell that names no system."""
    return {name: value for name, value in up.env.items() if not name.startswith(("ITTYBIT", "KAFKA", "DATABASE"))}


@pytest.mark.parametrize("made", LINES)
@pytest.mark.parametrize("mode", ["local", "cloud"])
async def test_the_command_line_processes_files_of_this_machine(
    mode: str, made: str, uploads: FileServer, up: BitmillUp, tmp_path: Path
) -> None:
    for name in ("clip.mov", "photo.png"):
        shutil.copy(uploads.path(name), tmp_path / name)
    env = up.env if mode == "cloud" else without_any_service(up)
    done = await shell(["bash", "-c", LINES[made]], cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["status"] == "succeeded"
    assert ("id" in result) == (mode == "cloud")
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mov", "photo.png", made}
    assert result["output"]["width"] == int(LINES[made].split("--width ")[1].split()[0])
    assert result["output"]["filesize"] == (tmp_path / made).stat().st_size


@pytest.mark.parametrize("flags", ["", "--cloud"])
async def test_the_command_line_sends_a_url_to_the_api(
    flags: str, up: BitmillUp, uploads: FileServer, tmp_path: Path
) -> None:
    line = f"ittybit video -i {uploads.url('video-9182.mov')} --width 1280 --format mp4 {flags}"
    done = await shell(["bash", "-c", line], cwd=tmp_path, env=up.env)
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout.splitlines()[-1])
    assert job["id"].startswith("job_")
    assert job["output"]["url"].startswith(up.api.address)


async def test_a_media_item_is_stored_listed_by_its_metadata_and_shown(up: BitmillUp, uploads: FileServer) -> None:
    metadata = {"original_filename": "your-file.mp4", "user_id": "90210", "source": "OurApp/iOS", "purpose": "profile"}
    body = {
        "url": uploads.url("your-file.mp4") + "?signature=1234567890&expires=1234567890",
        "filename": "our-filename.mp4",
        "folder": "our/folder/path",
        "title": "Our Video Upload",
        "metadata": metadata,
    }
    made = await up.api.post("/media", body)
    assert made["meta"] | {"method": "POST", "path": "/media", "status": 200, "type": "object"} == made["meta"]
    item = made["data"]
    assert (item["title"], item["folder"], item["kind"], item["metadata"]) == (
        "Our Video Upload",
        "our/folder/path",
        "video",
        metadata,
    )
    assert item["original"].endswith("/our/folder/path/our-filename.mp4")
    query = {"metadata.user_id": "90210", "metadata.source": "OurApp/iOS"}

    async def found() -> Any:
        listed = await up.api.get("/media", **query)
        return listed if listed["data"] else None

    listed = await until(found)  # POST /media waits two seconds for the catalog
    assert (listed["meta"]["total"], listed["meta"]["query"]) == (1, {"user_id": "90210", "source": "OurApp/iOS"})
    assert [each["id"] for each in listed["data"]] == [item["id"]]
    seen = await up.api.get(f"/media/{item['id']}")
    assert seen["links"]["self"] == f"{up.api.address}/media/{item['id']}"
    other = await up.api.get("/media", **{**query, "metadata.source": "ourapp/ios"})
    assert other["meta"]["total"] == 0


async def test_a_media_item_is_changed_deleted_and_restored(up: BitmillUp, uploads: FileServer) -> None:
    item = await up.api.post("/media", {"url": uploads.url("photo.png"), "folder": "changes", "metadata": {"a": "1"}})
    id, first = item["data"]["id"], item["data"]["original"]
    path = f"{up.api.address}/media/{id}"

    async def shown() -> dict[str, Any]:
        data: dict[str, Any] = (await up.api.get(f"/media/{id}"))["data"]
        return data

    async def status(url: str) -> int:
        async with up.api.session.get(url) as response:
            return response.status

    async def has_poster() -> bool:
        return bool((await shown()).get("poster"))

    async def becomes(url: str, expected: int) -> None:
        """Each of these requests waits two seconds for the catalog, which a busy machine exceeds."""

        async def so() -> bool:
            return await status(url) == expected

        await until(so)

    # What is compared below would change with it.
    await until(has_poster, within=120)
    change = {"title": "Second", "folder": "changes/moved", "metadata": {"b": "2", "a": None}}
    async with up.api.session.patch(path, json=change) as response:
        assert response.status == 200, await response.text()
        changed = (await response.json())["data"]
    await becomes(changed["original"], 200)
    assert await shown() == changed
    assert (changed["title"], changed["folder"], changed["metadata"]) == ("Second", "changes/moved", {"b": "2"})
    assert await status(first) == 404
    async with up.api.session.delete(path) as response:
        assert (response.status, (await response.json())["data"]) == (200, None)
    await becomes(path, 404)
    assert await status(changed["original"]) == 410
    listed = await up.api.get("/media", **{"metadata.b": "2"})
    assert id not in [each["id"] for each in listed["data"]]
    restored = (await up.api.post(f"/media/{id}/restore", {}))["data"]
    await becomes(restored["original"], 200)
    assert {**restored, "updated": ""} == {**await shown(), "updated": ""}
