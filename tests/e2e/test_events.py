"""What happens to jobs, as a customer hears it from `bitmill up`: streams, the time left, the place in the queue."""

import os
from typing import Any

import aiohttp

from tests.support.event_stream import event_stream
from tests.support.file_server import FileServer, file
from tests.support.processes import DEADLINE_SECONDS
from tests.support.system import BitmillUp
from tests.support.waiting import until
from tests.support.webhook_receiver import WebhookReceiver

WAITING = 14 + (os.cpu_count() or 1)
"""More jobs of a project than a worker takes at a time."""


async def test_a_job_is_heard_from_its_queue_to_its_end(
    up: BitmillUp, uploads: FileServer, hooks: WebhookReceiver
) -> None:
    held = uploads.hold("heard.mov", file(uploads.path("clip.mov")))
    body = {
        "input": uploads.url("heard.mov"),
        "kind": "video",
        "options": {"width": 320},
        "metadata": {"order": "7"},
        "webhook_url": hooks.url(),
    }
    async with (
        aiohttp.ClientSession() as session,
        event_stream(session, f"{up.api.address}/events?status=succeeded", up.headers) as succeeded,
    ):
        job = await up.api.post("/jobs", body)
        async with event_stream(session, f"{up.api.address}/jobs/{job['id']}/events", up.headers) as events:
            first = await events.next()
            held.release.set()
            rest = await events.rest()
        assert first is not None and first.data["id"] == job["id"]
        names = [event.name for event in (first, *rest) if event.name != "job.progress"]
        assert names in (["job.queued", "job.processing", "job.succeeded"], ["job.processing", "job.succeeded"])
        ids = [event.id for event in (first, *rest)]
        assert ids == sorted(set(ids))
        assert rest[-1].data == await up.api.get(f"/jobs/{job['id']}") == await hooks.webhook(job["id"])
        assert rest[-1].data["metadata"] == {"order": "7"}
        while (event := await succeeded.next()) is not None and event.data["id"] != job["id"]:
            assert event.data["status"] == "succeeded"
        assert event is not None and (event.id, event.data) == (rest[-1].id, rest[-1].data)


async def test_a_running_film_says_how_long_it_will_take_and_its_stream_ends_when_it_is_cancelled(
    up: BitmillUp, uploads: FileServer
) -> None:
    options = {"width": 3840, "quality": "very_high"}
    body = {"input": uploads.url("film.mov"), "kind": "video", "options": options}
    job = await up.api.post("/jobs", body)
    assert (job["eta_ms"], job["queue_position"]) == (None, None)
    path = f"{up.api.address}/jobs/{job['id']}/events"
    async with aiohttp.ClientSession() as session, event_stream(session, path, up.headers) as events:
        while (event := await events.next()) is not None and event.data.get("eta_ms") is None:
            assert event.data["status"] in ("queued", "processing")
        assert event is not None and event.name == "job.progress"
        assert event.data["step"] == "video" and 0 < event.data["progress"] < 1 and event.data["eta_ms"] > 0
        assert (await up.api.get(f"/jobs/{job['id']}"))["eta_ms"] > 0
        await up.api.post(f"/jobs/{job['id']}/cancel", {})
        rest = await events.rest()
    assert rest[-1].name == "job.cancelled"
    assert (await up.api.get(f"/jobs/{job['id']}"))["eta_ms"] is None


async def test_queued_jobs_show_how_many_begin_before_them(up: BitmillUp, uploads: FileServer) -> None:
    held = uploads.hold("waits.png", file(uploads.path("photo.png")))
    ids = []
    for _ in range(WAITING):
        job = await up.api.post("/jobs", {"input": uploads.url("waits.png"), "kind": "image"})
        ids.append(job["id"])

    async def queued() -> list[dict[str, Any]]:
        shown = [await up.api.get(f"/jobs/{id}") for id in ids]
        return [job for job in shown if job["status"] == "queued"]

    async def places_known() -> Any:
        waiting = await queued()
        places = [job["queue_position"] for job in waiting]
        return waiting if 0 < len(waiting) < WAITING and places == list(range(len(waiting))) else None

    try:
        waiting = await until(places_known, within=DEADLINE_SECONDS)
        assert [job["id"] for job in waiting] == ids[-len(waiting) :]
        listed = await up.api.get("/jobs", status="queued", order="desc", limit="1")
        assert listed[0]["queue_position"] == len(waiting) - 1
    finally:
        held.release.set()
    for id in ids:
        job = await up.api.finished(id)
        assert (job["status"], job["queue_position"]) == ("succeeded", None), job
