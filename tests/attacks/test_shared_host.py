"""Two projects whose webhooks go to one host, as those of customers of one automation service do."""

import asyncio

from tests.attacks.two_projects import TwoProjects
from tests.support.waiting import until
from tests.support.webhook_receiver import held, webhook_receiver

_JOBS = 60
_AT_A_TIME = 16
"""To one host: NOTIFIER_SLOTS_PER_HOST."""


async def test_slow_receivers_on_the_host_of_another_project_do_not_delay_its_webhooks(
    two_projects: TwoProjects,
) -> None:
    attacker = two_projects.attacker
    release = asyncio.Event()
    async with two_projects.compared() as comparison, webhook_receiver(held(release), host="127.0.0.3") as slow:
        for _ in range(_JOBS):
            body = {"kind": "image", "input": attacker.uploads.url("absent.png"), "webhook_url": slow.url()}
            await attacker.api.post("/jobs", body)
        await until(lambda: len(slow.received) >= _AT_A_TIME, within=60)
        try:
            await comparison.under_attack()
        finally:
            release.set()
