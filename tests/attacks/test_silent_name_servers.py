"""Hosts of a zone whose name servers never answer, as inputs and as webhook receivers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.attacks.conftest import INNOCENT_NAME, SILENT_ZONE
from tests.attacks.two_projects import Project, TwoProjects
from tests.support.file_server import FileServer
from tests.support.webhook_receiver import WebhookReceiver

_HOSTS = 20
"""More than twice as many lookups at a time as a project may have."""


@contextmanager
def by_name(project: Project) -> Iterator[None]:
    """The project's servers have a name, so that its own requests need lookups."""
    servers: tuple[FileServer | WebhookReceiver, ...] = (project.uploads, project.hooks)
    before = [server.address for server in servers]
    for server in servers:
        server.address = server.address.replace("127.0.0.3", INNOCENT_NAME)
    try:
        yield
    finally:
        for server, address in zip(servers, before, strict=True):
            server.address = address


async def test_hosts_of_a_silent_zone_do_not_slow_another_project(two_projects: TwoProjects) -> None:
    attacker = two_projects.attacker
    job = {"kind": "image", "options": {"width": 64}}
    with by_name(two_projects.innocent):
        async with two_projects.compared() as comparison:
            photo = attacker.uploads.url("photo.png")
            jobs, media = [], []
            for number in range(_HOSTS):
                host = f"http://host{number}.{SILENT_ZONE}/clip.mov"
                jobs.append((await attacker.api.post("/jobs", {**job, "input": host}))["id"])
                hook = f"http://hook{number}.{SILENT_ZONE}/"
                await attacker.api.post("/jobs", {**job, "input": photo, "webhook_url": hook})
                media.append(asyncio.create_task(attacker.api.post("/media", {"url": host})))
            await comparison.under_attack()
            failed = await attacker.api.finished(jobs[0])
            await asyncio.gather(*media)
    assert failed["error"]["kind"] == "input_unreachable"
    assert "name servers" in failed["error"]["message"]
