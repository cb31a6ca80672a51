"""A project with a lot of ordinary work."""

from tests.attacks.two_projects import TwoProjects

_JOBS = 60


async def test_a_project_with_a_long_queue_does_not_slow_another_one(two_projects: TwoProjects) -> None:
    attacker = two_projects.attacker
    body = {"kind": "image", "options": {"width": 800}, "input": attacker.uploads.url("photo.png")}
    async with two_projects.compared() as comparison:
        jobs = [(await attacker.api.post("/jobs", body))["id"] for _ in range(_JOBS)]
        await comparison.under_attack()
        for job in jobs:
            assert (await attacker.api.finished(job))["status"] == "succeeded"
