"""One project writes the longest and the oddest values that it can, in requests and in files."""

import asyncio
import base64
import random
from typing import Any

from tests.attacks.two_projects import Project, TwoProjects
from tests.support.footage import Material
from tests.support.waiting import until

JOBS = 40
"""More than `job.results` has partitions: a record that cannot be handled would stop each of them."""


def incompressible(characters: int) -> str:
    return base64.urlsafe_b64encode(random.Random(characters).randbytes(characters)).decode()[:characters]


async def refusal(project: Project, path: str, body: dict[str, Any]) -> tuple[int, str]:
    async with project.api.session.post(project.api.address + path, json=body) as response:
        return response.status, (await response.json())["message"]


async def test_webhook_addresses_of_any_length_stop_no_webhooks(two_projects: TwoProjects) -> None:
    attacker = two_projects.attacker
    body = {"kind": "image", "options": {"width": 16}, "input": attacker.uploads.url("photo.png")}
    stem = attacker.hooks.url() + "?token="
    longest = stem + incompressible(2048 - len(stem))
    async with two_projects.compared() as comparison:
        status, message = await refusal(attacker, "/jobs", {**body, "webhook_url": stem + incompressible(3500)})
        assert (status, "must have at most 2048 characters" in message) == (400, True), message
        jobs = [await attacker.api.post("/jobs", {**body, "webhook_url": longest}) for _ in range(JOBS)]
        await comparison.under_attack()
        await asyncio.gather(*(attacker.hooks.webhook(job["id"]) for job in jobs))


async def test_a_file_with_an_absurd_sample_aspect_is_a_usable_media_item_and_stops_no_topic(
    two_projects: TwoProjects, material: Material
) -> None:
    attacker = two_projects.attacker
    url = attacker.uploads.add(material.with_sample_aspect(2_147_483_647, 1), "absurd.mov")
    async with two_projects.compared() as comparison:
        items = [(await attacker.api.post("/media", {"url": url}))["data"] for _ in range(12)]
        jobs = [await attacker.api.post("/jobs", {"input": url, "kind": kind}) for kind in ("video", "image")]
        await comparison.under_attack()
        for item in items:
            shown = (await attacker.api.get(f"/media/{item['id']}"))["data"]
            assert (shown["status"], shown["width"], shown["height"]) == ("active", 720, 576)
        for job in jobs:
            ended = await attacker.api.finished(job["id"])
            assert (ended["status"], ended["output"]["width"], ended["output"]["height"]) == ("succeeded", 720, 576)


async def test_the_longest_values_that_the_api_takes_can_be_stored_found_and_fetched(two_projects: TwoProjects) -> None:
    project = two_projects.attacker
    folder, filename = incompressible(500), incompressible(196) + ".png"
    metadata = {incompressible(128): incompressible(1024), **{f"k{n}": incompressible(900) for n in range(16)}}
    body = {
        "url": project.uploads.url("photo.png"),
        "title": "\U0001f600" * 500,
        "folder": folder,
        "filename": filename,
        "metadata": metadata,
    }
    headers = {"Idempotency-Key": incompressible(255)}
    async with project.api.session.post(f"{project.api.address}/media", json=body, headers=headers) as response:
        item = (await response.json())["data"]
        assert (response.status, item["status"]) == (200, "active"), item
    key, value = next(iter(metadata.items()))

    async def found() -> Any:
        return (await project.api.get("/media", **{f"metadata.{key}": value, "sort": "filename"}))["data"]

    listed = await until(found)
    assert [(each["id"], each["metadata"]) for each in listed] == [(item["id"], metadata)]
    async with project.api.session.get(item["original"]) as response:
        assert response.status == 200
