"""A customer purges a job that has ended: it is gone everywhere, and what belongs to a media item stays."""

from pathlib import Path
from typing import Any

from tests.support.file_server import FileServer
from tests.support.system import BitmillUp
from tests.support.waiting import until


async def status_of(up: BitmillUp, method: str, url: str) -> tuple[int, Any]:
    async with up.api.session.request(method, url if "://" in url else up.api.address + url) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else None


def stored(up: BitmillUp, id: str) -> list[Path]:
    """The objects in the storage of a job."""
    return [path for path in up.data.rglob(f"*/jobs/{id}/*") if path.is_file()]


async def test_a_purged_job_its_output_and_its_address_are_gone(up: BitmillUp, uploads: FileServer) -> None:
    kept, purged = [await up.api.post("/jobs", {"input": uploads.url("photo.png"), "kind": "image"}) for _ in range(2)]
    jobs = {job["id"]: await up.api.finished(job["id"]) for job in (kept, purged)}
    address = jobs[purged["id"]]["output"]["url"]
    assert (await status_of(up, "GET", address))[0] == 200
    assert stored(up, purged["id"])
    removed = await status_of(up, "DELETE", f"/jobs/{purged['id']}?purge=true")
    assert removed == (200, {"id": purged["id"], "status": "purged"})
    status, body = await status_of(up, "GET", f"/jobs/{purged['id']}")
    assert (status, body["kind"]) == (404, "job_not_found")
    status, body = await status_of(up, "GET", address)
    assert (status, body["kind"]) == (404, "file_not_found")
    await until(lambda: not stored(up, purged["id"]))
    assert (await status_of(up, "DELETE", f"/jobs/{purged['id']}?purge=true"))[0] == 404
    assert purged["id"] not in {job["id"] for job in await up.api.get("/jobs", limit="100")}
    assert (await status_of(up, "GET", jobs[kept["id"]]["output"]["url"]))[0] == 200
    assert stored(up, kept["id"])


async def test_the_poster_of_a_media_item_outlives_the_job_that_made_it(up: BitmillUp, uploads: FileServer) -> None:
    item = await up.api.post("/media", {"url": uploads.url("clip.mov")})
    id = item["data"]["id"]

    async def poster_job() -> dict[str, Any] | None:
        jobs: list[dict[str, Any]] = await up.api.get("/jobs", limit="100", status="succeeded")
        return next((job for job in jobs if job["media_id"] == id), None)

    job = await until(poster_job)
    address = job["output"]["url"]
    assert (await status_of(up, "DELETE", f"/jobs/{job['id']}?purge=true"))[0] == 200
    assert (await status_of(up, "GET", f"/jobs/{job['id']}"))[0] == 404
    assert (await status_of(up, "GET", address))[0] == 200
    assert stored(up, job["id"])
