"""Tasks by themselves, inputs that are files of the project, and outputs that join a media item, end to end."""

from typing import Any

from tests.support.file_server import FileServer
from tests.support.system import BitmillUp
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver


async def run(up: BitmillUp, path: str, body: dict[str, Any]) -> dict[str, Any]:
    made = await up.api.post(path, body)
    job = await up.api.finished(made["id"])
    assert job["status"] == "succeeded", job["error"]
    return job


async def test_the_output_of_one_task_is_the_input_of_the_next(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    probed = await run(up, "/tasks", {"kind": "probe", "input": {"url": uploads.url("clip.mov")}})
    assert (probed["object"], probed["output"]["kind"]) == ("task", "video")
    imported = await run(up, "/tasks", {"kind": "import", "input": probed["output"]})
    assert imported["output"]["object"] == "file"
    assert imported["output"]["filesize"] == probed["output"]["filesize"]
    body = {"kind": "image", "input": imported["output"], "options": {"width": 64, "format": "webp"}}
    encoded = await run(up, "/tasks", {**body, "webhook_url": hooks.url()})
    assert (encoded["output"]["width"], encoded["output"]["format"]) == (64, "webp")
    assert encoded["input"] == {"object": "file", "url": imported["output"]["url"]}
    assert await hooks.webhook(encoded["id"]) == encoded
    assert await up.api.get(f"/tasks/{encoded['id']}") == encoded


async def test_the_steps_of_a_job_are_tasks_with_ids(up: BitmillUp, uploads: FileServer) -> None:
    job = await run(up, "/tasks", {"kind": "image", "input": uploads.url("photo.png"), "options": {"width": 64}})
    assert job["id"].startswith("task_") and job["input"] == uploads.url("photo.png")
    assert [(step["kind"], step["status"]) for step in job["tasks"]] == [
        (kind, "succeeded") for kind in ("import", "probe", "image", "export")
    ]
    for step in job["tasks"]:
        assert step["created_at"] <= step["started_at"] <= step["finished_at"]
        assert await up.api.get(f"/tasks/{step['id']}") == step


async def test_an_output_joins_the_media_item_that_is_its_input(up: BitmillUp, uploads: FileServer) -> None:
    item = (await up.api.post("/media", {"url": uploads.url("clip.mov"), "folder": "joined", "filename": "clip"}))[
        "data"
    ]
    wanted = {"input": item["id"], "kind": "image", "options": {"width": 64, "format": "png"}, "media_id": item["id"]}
    job = await run(up, "/jobs", {**wanted, "label": "preview"})
    assert (job["input"], job["media_id"], job["label"]) == (item["id"], item["id"], "preview")

    async def joined() -> Any:
        found = (await up.api.get(f"/media/{item['id']}"))["data"]
        return found if "preview" in found else None

    found = await until(joined)
    assert found["preview"].endswith(f"/joined/{item['id']}/preview.png")
    (source,) = [each for each in found["sources"] if each["label"] == "preview"]
    assert (source["id"], source["width"], source["original"]) == (job["output"]["id"], 64, False)
    # The address of the item's file, and the id of the output, are inputs as well.
    for input in (found["preview"], source["id"], found["original"]):
        again = await run(up, "/jobs", {"input": input, "kind": "image", "options": {"width": 32, "format": "png"}})
        assert again["output"]["width"] == 32
